"""Addresses of pages: what their queries say, and what there is no page of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import Http404

from common.errors import NotFound


def or_404(find: Any, number: int | None) -> Any:
    """What a selector finds, or the page that says that there is no such thing."""
    try:
        return find(number)
    except NotFound as error:
        raise Http404(error.detail) from error


def whole_number(text: str) -> int | None:
    """A number of an address that every database's integer holds; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def query_string(params: Mapping[str, Any]) -> str:
    """`?name=value&...` without what is empty; nothing where all is."""
    words = urlencode({name: value for name, value in params.items() if value not in ("", None)})
    return f"?{words}" if words else ""
