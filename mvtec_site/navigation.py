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
from monitoring.alarms.selectors import unresolved_count


@dataclass(frozen=True)
class NavigationItem:
    """An entry of the rail, for those who have one of the rights, or for everybody where none is named.

    `name` is its URL's name and its icon's. The first four have a place of their own on a phone's bar.
    """

    name: str
    words: str
    rights: tuple[Right, ...]
    also: tuple[str, ...] = ()  # how addresses of its other pages begin


NAVIGATION_ITEMS = (
    NavigationItem("line", "Line", (Right.READ,)),
    NavigationItem("history", "History", (Right.READ,)),
    NavigationItem("thresholds", "Thresholds", (Right.READ,)),
    NavigationItem("models", "Models", (Right.READ,)),
    NavigationItem("training", "Training", (Right.READ,), ("/datasets/",)),
    NavigationItem("monitoring", "Monitoring", (Right.READ,)),
    NavigationItem("batches", "Batches", (Right.READ, Right.INSPECT)),
    NavigationItem("quality", "Quality", (Right.READ,)),
    NavigationItem("reports", "Reports", (Right.READ,)),
    NavigationItem("audit", "Audit", (Right.AUDIT,)),
    NavigationItem("settings", "Settings", ()),
    NavigationItem("help", "Help", ()),
    NavigationItem("users", "Users", (Right.ADMINISTER,)),
    NavigationItem("admin:index", "Admin", (Right.ADMINISTER,)),
    NavigationItem("api-docs", "API", ()),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of every template: `places` of the rail that this person may go to, `alarm_count`, `theme`, `product`."""
    user = getattr(request, "user", None)
    theme = request.COOKIES.get(THEME, "")
    return {
        "alarm_count": SimpleLazyObject(unresolved_count) if user is not None else 0,
        "places": SimpleLazyObject(lambda: _items(request, user)) if user is not None else [],
        "theme": theme if theme in THEMES else "",
        "product": PRODUCT,
    }


def _items(request: HttpRequest, user: Someone) -> list[dict[str, Any]]:
    items = []
    for item in NAVIGATION_ITEMS:
        if item.rights and not may(user, *item.rights):
            continue
        address = reverse(item.name)
        begins = item.also if address == "/" else (address, *item.also)
        is_current = request.path == address or request.path.startswith(begins)
        items.append({"name": item.name, "words": item.words, "address": address, "here": is_current})
    return items
