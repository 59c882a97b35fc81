"""What stands around every page: where the signed-in person can go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from common.rights import Right, Someone, may
from common.version import PRODUCT


@dataclass(frozen=True)
class Place:
    """An entry of the rail, for those who have one of the rights, or for everybody where none is named.

    `name` is its URL's name and its icon's. The first four have a place of their own on a phone's bar.
    """

    name: str
    words: str
    rights: tuple[Right, ...]
    also: tuple[str, ...] = ()  # how addresses of its other pages begin


PLACES = (
    Place("line", "Line", (Right.READ,)),
    Place("history", "History", (Right.READ,)),
    Place("thresholds", "Thresholds", (Right.READ,)),
    Place("models", "Models", (Right.READ,)),
    Place("training", "Training", (Right.READ,), ("/datasets/",)),
    Place("batches", "Batches", (Right.READ, Right.INSPECT)),
    Place("audit", "Audit", (Right.AUDIT,)),
    Place("settings", "Settings", ()),
    Place("help", "Help", ()),
    Place("admin:index", "Admin", (Right.ADMINISTER,)),
    Place("api-docs", "API", ()),
)


# Chosen in the settings and kept in a cookie of this name; without one it is as the system has it.
THEMES = ("light", "dark")
THEME = "theme"
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
            kept = quote(value)
            response.set_cookie(name, kept, max_age=_YEAR, samesite="Lax", httponly=True, secure=request.is_secure())
        else:
            response.delete_cookie(name, samesite="Lax")


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of every template: `places` of the rail that this person may go to, `theme` if one is set, `product`."""
    user = getattr(request, "user", None)
    theme = request.COOKIES.get(THEME, "")
    return {
        "places": SimpleLazyObject(lambda: _places(request, user)) if user is not None else [],
        "theme": theme if theme in THEMES else "",
        "product": PRODUCT,
    }


def _places(request: HttpRequest, user: Someone) -> list[dict[str, Any]]:
    found = []
    for place in PLACES:
        if place.rights and not may(user, *place.rights):
            continue
        address = reverse(place.name)
        begins = place.also if address == "/" else (address, *place.also)
        here = request.path == address or request.path.startswith(begins)
        found.append({"name": place.name, "words": place.words, "address": address, "here": here})
    return found
