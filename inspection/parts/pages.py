"""What the pages of parts are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from common.web.addresses import query_string
from inspection.models import PartLayout
from inspection.part_layouts.selectors import layouts
from inspection.parts import selectors
from inspection.parts.selectors import Part

FILTERS = ("outcome", "layout", "part_id", "serial_number", "lot", "station")
_OUTCOMES = (
    ("", _("All")),
    ("defective", pgettext_lazy("verdict", "Defect")),
    ("not_comparable", _("Not comparable")),
    ("good", pgettext_lazy("verdict", "Good")),
)
_MAX_OPEN = 50


def _text(label: Any) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=100, widget=forms.TextInput({"autocomplete": "off"}))


class PartFilterForm(forms.Form):
    layout = forms.ChoiceField(label=_("Layout"), required=False)
    part_id = _text(_("Part id"))
    serial_number = _text(_("Serial number"))
    lot = _text(_("Lot"))
    station = _text(_("Station"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = PartLayout.objects.order_by("name").values_list("name", flat=True).distinct()
        self.fields["layout"].choices = [("", _("All")), *((name, name) for name in names)]  # type: ignore[attr-defined]


def filters_of(query: Mapping[str, str]) -> dict[str, str]:
    """What the address asks for; a verdict that there is not asks for nothing."""
    filters = {name: query.get(name, "").strip() for name in FILTERS}
    if filters["outcome"] not in dict(_OUTCOMES):
        filters["outcome"] = ""
    return filters


def list_context(filters: dict[str, str]) -> dict[str, Any]:
    """What stands around the list: chips of verdicts, the form, and the parts that are gathered now."""
    chips = [
        {
            "words": words,
            "address": query_string(filters | {"outcome": outcome}) or "?",
            "on": filters["outcome"] == outcome,
        }
        for outcome, words in _OUTCOMES
    ]
    return {
        "chips": chips,
        "form": PartFilterForm(initial=filters),
        "filtered": any(filters.values()),
        "filters": filters,
        "layouts": list(layouts()),
        "gathered": [selectors.open_part(row) for row in selectors.open_parts()[:_MAX_OPEN]],
        "export_query": query_string(filters),
    }


def counts_of(part: Part) -> dict[str, int]:
    """How many views came, and of how many."""
    return {"came": len(part.views) - len(part.missing), "of": len(part.views)}
