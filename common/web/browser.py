"""What is set for one browser and kept in its cookies: the theme, the station, the station's category."""

from __future__ import annotations

from urllib.parse import quote, unquote

from django.http import HttpRequest, HttpResponse

# Chosen in the settings and kept in a cookie of this name; without one it is as the system has it.
THEMES = ("light", "dark")
THEME = "theme"
# The language of the pages, chosen likewise; without one it is what the browser asks for.
LANGUAGE = "language"
# Where this browser stands, for the records of images that are sent from it; kept likewise.
STATION, STATION_LENGTH = "station", 100
# What this browser's station inspects: the category of the images that are sent from it, whatever is loaded last.
CATEGORY, CATEGORY_LENGTH = "category", 100
_YEAR = 365 * 24 * 3600


def station_of(request: HttpRequest) -> str:
    """The station that was chosen for this browser, or nothing. Anybody can write a cookie: it is only a suggestion."""
    return _text_in_cookie(request, STATION, STATION_LENGTH)


def category_of(request: HttpRequest) -> str:
    """The category that was chosen for this browser, in force or not; nothing where none was."""
    return _text_in_cookie(request, CATEGORY, CATEGORY_LENGTH)


def _text_in_cookie(request: HttpRequest, name: str, max_length: int) -> str:
    text = unquote(request.COOKIES.get(name, ""))
    return text if text.isprintable() and len(text) <= max_length else ""


def keep_in_browser(request: HttpRequest, response: HttpResponse, **values: str) -> None:
    """Set a cookie of each name for a year; an empty value takes it away. They say nothing about anybody."""
    for name, value in values.items():
        if value:
            quoted = quote(value)
            response.set_cookie(name, quoted, max_age=_YEAR, samesite="Lax", httponly=True, secure=request.is_secure())
        else:
            response.delete_cookie(name, samesite="Lax")
