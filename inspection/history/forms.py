"""The form of the history's filters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.http import QueryDict

from inspection.history import pages
from inspection.history.pages import Query
from inspection.models import Review

LABELS = {
    "period": "Period",
    "since": "From",
    "until": "Until",
    "category": "Category",
    "outcome": "Model's verdict",
    "score_min": "Score at least",
    "score_max": "Score at most",
    "model_version": "Model",
    "threshold": "Threshold",
    "threshold_revision": "Threshold revision",
    "station": "Station",
    "lot": "Lot",
    "part_number": "Part number",
    "source": "Source",
    "operator": "Operator",
    "serial_number": "Serial number",
    "serial": "Serial number begins with",
    "search": "File, serial, lot or part begins with",
    "batch": "Batch",
    "image_sha256": "Image",
    "reviewed": "Reviewed",
    "overruled": "Overruled",
    "contested": "Contested",
    "review_verdict": "Person's verdict",
    "reviewer": "Reviewer",
}
PERIOD_CHOICES = {"today": "Today", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
OUTCOME_CHOICES = {"good": "Good", "defective": "Defect", "not_comparable": "Not comparable"}


def _at_field(name: str, text: str) -> str:
    """The sentence without what stands around it anyway: which field it is, and that nothing is shown."""
    words = text.removeprefix(f"{name} ").removesuffix(" Nothing was looked up.")
    return words[:1].upper() + words[1:]


def _text(name: str, *, suggested: str = "", **attrs: Any) -> forms.CharField:
    words = {"list": suggested, "autocomplete": "off"} if suggested else {"autocomplete": "off"}
    return forms.CharField(label=LABELS[name], required=False, widget=forms.TextInput(words | attrs))


def _choice(name: str, choices: Iterable[tuple[str, str]] = ()) -> forms.CharField:
    return forms.CharField(label=LABELS[name], required=False, widget=forms.Select(choices=[("", "any"), *choices]))


_YES_NO = (("yes", "yes"), ("no", "no"))
_SUGGESTED = ("people", "stations", "lots", "part_numbers", "sources")


class HistoryForm(forms.Form):
    """The filters as fields. What a value means is the filters' own business: this shows, it does not judge."""

    period = _choice("period", [*PERIOD_CHOICES.items()])
    since = _text("since")
    until = _text("until")
    category = _choice("category")
    outcome = forms.MultipleChoiceField(
        label=LABELS["outcome"], required=False, choices=OUTCOME_CHOICES, widget=forms.CheckboxSelectMultiple
    )
    score_min = _text("score_min", inputmode="decimal")
    score_max = _text("score_max", inputmode="decimal")
    model_version = _choice("model_version")
    threshold_revision = _text("threshold_revision", inputmode="numeric")
    station = _text("station", suggested="stations")
    lot = _text("lot", suggested="lots")
    part_number = _text("part_number", suggested="part_numbers")
    source = _text("source", suggested="sources")
    operator = _text("operator", suggested="people")
    reviewed = _choice("reviewed", _YES_NO)
    overruled = _choice("overruled", _YES_NO)
    contested = _choice("contested", _YES_NO)
    review_verdict = _choice("review_verdict", Review.Verdict.choices)
    reviewer = _text("reviewer", suggested="people")
    search = forms.CharField(
        required=False,
        widget=forms.TextInput(
            {"type": "search", "form": "filters", "placeholder": "File, serial, lot or part", "maxlength": 100}
        ),
    )

    def __init__(self, params: QueryDict, wrong: dict[str, str], offered: pages.Offered) -> None:
        super().__init__(params)
        self.is_valid()
        for name, text in wrong.items():
            if name in self.fields:
                self.errors[name] = self.error_class([_at_field(name, text)])
        self._choose("category", [(name, name) for name in offered.categories])
        self._choose("model_version", [(str(version.pk), str(version)) for version in offered.versions])
        for name in ("since", "until"):  # a browser's calendar knows days only; a moment stays what it is
            if name not in wrong and len(params.get(name, "")) in (0, len("2026-11-24")):
                self.fields[name].widget.input_type = "date"
        self.suggestions = [(name, getattr(offered, name)) for name in _SUGGESTED]
        # What has no field but was asked for by a link stays asked for.
        self.others = [(name, value) for name, value in Query.of(params).pairs if name not in self.fields]

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        """What there is to choose from, with what was chosen, which may be none of it."""
        value = self.data.get(name, "")
        if value and value not in dict(choices):
            choices = [*choices, (value, value)]
        self.fields[name].widget.choices = [("", "any"), *choices]
