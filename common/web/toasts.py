"""Short answers to what a person did, shown over the page, with Undo where the act was a review.

htmx answers carry one as the event `toast`, which static/js/toast.js shows; plain forms carry it to the next page as a
message. Both are drawn by templates/partials/toast.html.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django_htmx.http import trigger_client_event

_TAG = "undo-"


def with_toast(response: HttpResponse, text: str, *, undo: Iterable[int] = ()) -> HttpResponse:
    """The htmx answer, with a toast. `undo`: ids of the reviews that its Undo takes back; none: no Undo."""
    trigger_client_event(response, "toast", {"text": text, "undo": list(undo)})
    return response


def toast_on_next_page(request: HttpRequest, text: str, *, undo: Iterable[int] = ()) -> None:
    """The same for an answer that leads to another page."""
    messages.success(request, text, extra_tags=" ".join(["toast", *(f"{_TAG}{review}" for review in undo)]))


def undo_of(extra_tags: str | None) -> list[str]:
    """The ids of the reviews that a message's Undo takes back."""
    return [tag.removeprefix(_TAG) for tag in (extra_tags or "").split() if tag.startswith(_TAG)]
