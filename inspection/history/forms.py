"""The form of the history's filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from common.web.refusals import Refusal, refusal_html
from inspection.history.filters import FILTERS, GROUP_WORDS, Filter, Group
from inspection.history.pages import FilterOptions, Query

FIELD_NAMES = tuple(name for name, one in FILTERS.items() if one.group)


def _at_field(name: str, text: str) -> str:
    """The sentence without what stands around it anyway: which field it is, and that nothing is shown."""
    words = text.removeprefix(f"{name} ").removesuffix(" Nothing was read.")
    return words[:1].upper() + words[1:]


def _field(one: Filter) -> forms.Field:
    if one.kind.several:
        return forms.MultipleChoiceField(
            label=str(one.label),
            required=False,
            choices=one.kind.choices.items(),
            widget=forms.CheckboxSelectMultiple,
        )
    return forms.CharField(label=str(one.label), required=False, widget=_widget(one))


def _widget(one: Filter) -> forms.Widget:
    if one.group == Group.SEARCH:
        return forms.TextInput(
            {"type": "search", "form": "filters", "placeholder": _("File, serial, lot or part"), "maxlength": 100}
        )
    if one.kind.choices:
        return _select(one.kind.choices.items())
    attributes = {"list": one.suggestions, "inputmode": one.kind.inputmode}
    return forms.TextInput({"autocomplete": "off"} | {name: value for name, value in attributes.items() if value})


def _select(choices: Iterable[tuple[str, str | Promise]]) -> forms.Select:
    return forms.Select(choices=[("", _("any")), *choices])


class HistoryForm(forms.Form):
    """The filters as fields. What a value means is the filters' own business: this shows, it does not judge."""

    def __init__(self, params: QueryDict, wrong: dict[str, Refusal], options: FilterOptions) -> None:
        super().__init__(params)
        self.fields = {name: _field(FILTERS[name]) for name in FIELD_NAMES}
        for name, choices in options.choices.items():
            self.fields[name].widget = _select(self._with_value(name, choices))
        for name in FIELD_NAMES:  # a browser's calendar knows days only; a moment stays what it is
            if FILTERS[name].kind.is_moment and name not in wrong and len(params.get(name, "")) in (0, 10):
                self.fields[name].widget.input_type = "date"
        self.is_valid()
        for name, refused in wrong.items():
            if name in self.fields:
                self.errors[name] = self.error_class([refusal_html(refused, _at_field(name, refused.detail))])
        self.suggestions = options.suggestions
        # What has no field but was asked for by a link stays asked for.
        self.others = [(name, value) for name, value in Query.of(params).pairs if name not in self.fields]

    def groups(self) -> Iterator[tuple[str, list[BoundField]]]:
        """The fields of each group, in the order of the groups."""
        order = list(Group)
        names = sorted(FIELD_NAMES, key=lambda name: order.index(FILTERS[name].group or Group.SEARCH))
        for group, members in groupby(names, key=lambda name: FILTERS[name].group):
            if group and group != Group.SEARCH:
                yield str(GROUP_WORDS[group]), [self[name] for name in members]

    def _with_value(self, name: str, choices: list[tuple[str, str]]) -> list[tuple[str, Any]]:
        """What there is to choose from, with the value of the address, which may be none of it."""
        value = self.data.get(name, "")
        return [*choices, (value, value)] if value and value not in dict(choices) else choices
