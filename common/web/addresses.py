"""What the lists of data sets and runs share."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from django.http import Http404, HttpRequest

from common.errors import NotFound


# ---------------------------------------------------------------- addresses
def or_404(find: Any, number: int | None) -> Any:
    """What a selector finds, or the page that says that there is no such thing."""
    try:
        return find(number)
    except NotFound as error:
        raise Http404(error.detail) from error


def whole_number(request: HttpRequest, name: str) -> int | None:
    """A number of the address that every database's integer holds; None for anything else."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def query_without(asked: dict[str, str]) -> str:
    """As the query of an address, without what is empty."""
    words = urlencode({name: value for name, value in asked.items() if value})
    return f"?{words}" if words else ""


def pager(page: Any) -> dict[str, str | None]:
    """The queries of the pages beside a page."""
    return {
        "next": page.next and f"?{urlsplit(page.next).query}",
        "previous": page.previous and f"?{urlsplit(page.previous).query}",
    }
