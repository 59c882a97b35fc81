"""Reads: what the history's page shows beside its records: its address as filters, what can be asked, figures."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import QueryDict

from common.errors import NotFound, UserError
from common.web.refusals import Refusal
from inspection.history.filter_values import refuse
from inspection.history.filters import FILTER_NAMES, FILTERS, Filters, parse_filters
from inspection.history.selectors import ORDERS, check_order
from inspection.models import Inspection, SavedView, Standing
from modelzoo.models import Category, ModelVersion
from records.audit.services import Actor

# What an address of the page says besides its filters.
OTHER_NAMES = ("view", "cursor", "limit", "order")
SHEET = "sheet"
_SUGGESTED_FROM = 500  # records, the newest
_MAX_OPTIONS = 200


# ---------------------------------------------------------------- the address
@dataclass(frozen=True)
class Query:
    """What an address asks of the history: filters in their order, without empty ones, and how they are shown."""

    pairs: tuple[tuple[str, str], ...]
    view: str = ""
    order: str = ""  # empty: the newest first

    @classmethod
    def of(cls, params: QueryDict) -> Query:
        pairs = tuple((name, value) for name in FILTER_NAMES for value in params.getlist(name) if value)
        order = params.get("order", "")
        is_other_order = order in ORDERS and order != "newest"
        return cls(pairs, SHEET if params.get("view") == SHEET else "", order if is_other_order else "")

    @property
    def suffix(self) -> str:
        """For the address of a record: so it knows what is beside it, and where its reader came from."""
        return f"?{self}" if self.pairs or self.view or self.order else ""

    def __str__(self) -> str:
        presentation = (("view", self.view), ("order", self.order))
        return urlencode([*self.pairs, *(pair for pair in presentation if pair[1])])

    def without(self, name: str, value: str = "") -> Query:
        """Without a filter, or one value of it."""
        left = (pair for pair in self.pairs if pair[0] != name or (value and pair[1] != value))
        return replace(self, pairs=tuple(left))

    def having(self, name: str, value: str) -> Query:
        """With one more value where a filter takes several, else with another value of any other filter."""
        others = self if FILTERS[name].kind.several else self.without(name)
        pairs = [*others.pairs, (name, value)]
        return replace(self, pairs=tuple(sorted(pairs, key=lambda pair: FILTER_NAMES.index(pair[0]))))


def read_filters(params: QueryDict) -> tuple[Filters, dict[str, Refusal]]:
    """The filters of an address, and what is wrong with those that are none, by their names. All of them, not the
    first only: a page shows each sentence at its field."""
    wrong: dict[str, Refusal] = {}
    left = params.copy()
    try:
        check_order(params.get("order", ""))
    except UserError as error:
        wrong["order"] = Refusal(error.code, error.detail)
    for name in [name for name in params if name not in (*FILTER_NAMES, *OTHER_NAMES)]:
        del left[name]
        wrong[name] = Refusal("invalid_filter", f"{name[:100]} is not a filter. It is ignored.")
    while True:
        try:
            return parse_filters(left, other_names=OTHER_NAMES), wrong
        except UserError as error:
            name = error.extra["parameter"]
            wrong[name] = Refusal(error.code, error.detail)
            del left[name]


# ---------------------------------------------------------------- what can be asked
@dataclass(frozen=True)
class FilterOptions:
    """Values to choose from, by filter, and values that fields suggest, by the list that a filter names.

    Of what is free text, those that came up lately: all there ever were would be a long search and a longer list.
    """

    choices: dict[str, list[tuple[str, str]]]
    suggestions: dict[str, list[str]]


_PEOPLE = "people"
# The column of each other list is that of the filter which first names it.
_COLUMNS = {one.suggestions: name for name, one in FILTERS.items() if one.suggestions not in ("", _PEOPLE)}


def filter_options() -> FilterOptions:
    newest = Inspection.objects.order_by("-created_at", "-id").values_list(*_COLUMNS.values())
    columns = zip(*newest[:_SUGGESTED_FROM], strict=True)
    recent = {name: sorted({*texts} - {""}) for name, texts in zip(_COLUMNS, columns, strict=False)}
    versions = ModelVersion.objects.select_related("category").only("number", "algorithm", "category__name")
    people = User.objects.order_by("username").values_list("username", flat=True)
    return FilterOptions(
        choices={
            "category": [(name, name) for name in Category.objects.values_list("name", flat=True)],
            "model_version": [(str(version.pk), str(version)) for version in versions.order_by("-id")[:_MAX_OPTIONS]],
        },
        suggestions={_PEOPLE: list(people[:_MAX_OPTIONS])} | {name: recent.get(name, []) for name in _COLUMNS},
    )


def defect_types() -> list[str]:
    """What people called defects lately."""
    newest = Standing.objects.order_by("-inspected_at", "-inspection_id").values_list("defect_type", flat=True)
    return sorted(set(newest[:_SUGGESTED_FROM]) - {""})


def saved_views(owner: Actor) -> list[SavedView]:
    return list(SavedView.objects.filter(owner_id=owner.pk).order_by("name")) if owner is not None else []


def find_records(ids: Sequence[str]) -> list[Inspection]:
    """The records of these ids; raises where one is none."""
    keys = []
    for text in ids:
        try:
            keys.append(uuid.UUID(text))
        except ValueError:
            refuse("inspection", "must be the id of a record")
    records = Inspection.objects.only("pk", "category").in_bulk(keys)
    if missing := [str(pk) for pk in keys if pk not in records]:
        raise NotFound(f"There is no record {missing[0]}. Nothing was saved.", code="inspection_not_found")
    return [records[pk] for pk in keys]
