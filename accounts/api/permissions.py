"""Who may call a view: every view of the API says which right each of its methods needs."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from common.rights import Right, may, require


class HasRight(BasePermission):
    """Reads `view.rights`: HTTP method to the right it needs, or to several of which one is enough.

    A view without it lets nobody in. `view.hidden`: those who may not read what is there are told that nothing is.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if not (request.user and request.user.is_authenticated):
            return False
        method = "GET" if request.method in ("HEAD", "OPTIONS") else str(request.method)
        rights: dict[str, Right | tuple[Right, ...]] = getattr(view, "rights", {})
        if method not in rights:
            return request.method not in view.allowed_methods  # then DRF answers 405
        needed = rights[method]
        any_of = needed if isinstance(needed, tuple) else (needed,)
        if may(request.user, *any_of):
            return True
        reading = rights.get("GET", ())
        if getattr(view, "hidden", False) and not may(
            request.user, *(reading if isinstance(reading, tuple) else (reading,))
        ):
            raise Http404
        require(request.user, any_of[0])
        return False
