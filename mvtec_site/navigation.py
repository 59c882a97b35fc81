"""What stands around every page: where the signed-in person can go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext_lazy as _

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
    words: Promise
    rights: tuple[Right, ...]
    also: tuple[str, ...] = ()  # how addresses of its other pages begin


NAVIGATION_ITEMS = (
    NavigationItem("line", _("Line"), (Right.READ,)),
    NavigationItem("history", _("History"), (Right.READ,), ("/parts/",)),
    NavigationItem("thresholds", _("Thresholds"), (Right.READ,)),
    NavigationItem("models", _("Models"), (Right.READ,)),
    NavigationItem("training", _("Training"), (Right.READ,), ("/datasets/",)),
    NavigationItem("monitoring", _("Monitoring"), (Right.READ,), ("/connections/", "/nodes/")),
    NavigationItem("batches", _("Batches"), (Right.READ, Right.INSPECT)),
    NavigationItem("quality", _("Quality"), (Right.READ,)),
    NavigationItem("reports", _("Reports"), (Right.READ,)),
    NavigationItem("audit", _("Audit"), (Right.AUDIT,)),
    NavigationItem("settings", _("Settings"), ()),
    NavigationItem("help", _("Help"), ()),
    NavigationItem("users", _("Users"), (Right.ADMINISTER,)),
    NavigationItem("admin:index", _("Admin"), (Right.ADMINISTER,)),
    NavigationItem("api-docs", _("API"), ()),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of every template: `places` of the rail that this person may go to, `alarm_count`, `theme`,
    `product`, `oidc_name` (empty: local accounts alone)."""
    user = getattr(request, "user", None)
    theme = request.COOKIES.get(THEME, "")
    return {
        "alarm_count": SimpleLazyObject(unresolved_count) if user is not None else 0,
        "places": SimpleLazyObject(lambda: _items(request, user)) if user is not None else [],
        "theme": theme if theme in THEMES else "",
        "product": PRODUCT,
        "oidc_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
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
