"""What the page of a report is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from modelzoo.models import Category
from reports.content.scope import FIELDS, REGULAR, Kind, Scope
from reports.content.sections import sections_of, window_text

_CATEGORIES = 200
_STEPS = {
    "shift": (_("Previous shift"), _("Next shift")),
    "day": (_("Previous day"), _("Next day")),
    "week": (_("Previous week"), _("Next week")),
    "month": (_("Previous month"), _("Next month")),
}


@dataclass(frozen=True)
class Step:
    """The report before or after the one that is shown."""

    words: str
    query: str


def document_context(document: dict[str, Any]) -> dict[str, Any]:
    """A report as its page shows it, live or issued."""
    return {
        "report": document,
        "window": window_text(document),
        "sections": sections_of(document),
    }


def query_of(params: Mapping[str, Any]) -> str:
    """What was asked for, as it stands in the addresses of the same report in another form."""
    return urlencode({name: params[name] for name in FIELDS if params.get(name)})


def form_context(params: Mapping[str, Any]) -> dict[str, Any]:
    """What the form above a report is filled with."""
    return {
        "kinds": Kind.choices,
        "categories": list(Category.objects.order_by("name").values_list("name", flat=True)[:_CATEGORIES]),
        "values": {name: params.get(name, "") for name in FIELDS} | {"kind": params.get("kind") or Kind.SHIFT},
        "query": query_of(params),
    }


def steps_of(scope: Scope, params: Mapping[str, Any]) -> tuple[Step | None, Step | None]:
    """The report of the window before and after; none of a period or a lot, nor of a window that has not begun."""
    if scope.kind not in REGULAR:
        return None, None
    previous, following = _STEPS[str(Kind(scope.kind).value)]

    def step(words: str, moment: datetime) -> Step:
        at = timezone.localtime(moment)
        query = query_of({**{name: params.get(name) for name in FIELDS}, "at": at.isoformat()})
        return Step(gettext(words), query)

    before = step(previous, scope.since - timedelta(seconds=1))
    return before, None if scope.until > timezone.now() else step(following, scope.until)
