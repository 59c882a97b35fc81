"""What stands around every page: where the signed-in person can go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from common.rights import Right, Someone, may
from common.version import PRODUCT
from common.web.browser import THEME, THEMES


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
