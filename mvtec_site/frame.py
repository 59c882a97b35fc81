"""What stands around every page: where one can go, and what the signed-in person may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.roles import Right, rights_of


@dataclass(frozen=True)
class Place:
    """An entry of the rail. Shown to those who have one of the rights; `name` is its URL's name and its icon's."""

    name: str
    words: str
    rights: tuple[Right, ...]


PLACES = (Place("line", "Line", (Right.READ,)),)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of every template: `rights` (names, for `{% if "tune" in rights %}`) and `places` of the rail."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"rights": frozenset(), "places": []}
    rights = rights_of(user)
    places = []
    for place in PLACES:
        if rights.isdisjoint(place.rights):
            continue
        address = reverse(place.name)
        here = request.path == address or (address != "/" and request.path.startswith(address))
        places.append({"name": place.name, "words": place.words, "address": address, "here": here})
    return {"rights": rights, "places": places}
