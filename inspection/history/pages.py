"""Reads: what the history's page shows beside its records: its address as filters, what can be asked, figures."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import QueryDict

from common.errors import NotFound, UserError
from common.numbers import score_text
from inspection.history.filters import FILTER_NAMES, Filters, parse_filters, refuse
from inspection.history.selectors import ORDERS, check_order
from inspection.models import Inspection, SavedView, Standing
from modelzoo.models import Category, ModelVersion, Threshold
from records.audit.services import Actor

# What an address of the page says besides its filters.
BESIDE = ("view", "cursor", "limit", "order")
SHEET = "sheet"
_SUGGESTED_FROM = 500  # records, the newest
_OFFERED_MOST = 200


# ---------------------------------------------------------------- the address
@dataclass(frozen=True)
class Query:
    """What an address asks of the history: filters in their order, without empty ones, and how they are shown."""

    pairs: tuple[tuple[str, str], ...]
    view: str = ""
    order: str = ""  # empty: the newest first

    @classmethod
    def of(cls, params: QueryDict) -> Query:
        given = tuple((name, value) for name in FILTER_NAMES for value in params.getlist(name) if value)
        order = params.get("order", "")
        known = order in ORDERS and order != "newest"
        return cls(given, SHEET if params.get("view") == SHEET else "", order if known else "")

    @property
    def suffix(self) -> str:
        """For the address of a record: so it knows what is beside it, and where its reader came from."""
        return f"?{self}" if self.pairs or self.view or self.order else ""

    def __str__(self) -> str:
        beside = (("view", self.view), ("order", self.order))
        return urlencode([*self.pairs, *(pair for pair in beside if pair[1])])

    def without(self, name: str, value: str = "") -> Query:
        """Without a filter, or one value of it."""
        left = (pair for pair in self.pairs if pair[0] != name or (value and pair[1] != value))
        return replace(self, pairs=tuple(left))

    def having(self, name: str, value: str) -> Query:
        """With one more value of a verdict, or with another value of any other filter."""
        others = self if name == "outcome" else self.without(name)
        pairs = [*others.pairs, (name, value)]
        return replace(self, pairs=tuple(sorted(pairs, key=lambda pair: FILTER_NAMES.index(pair[0]))))


def read_filters(params: QueryDict) -> tuple[Filters, dict[str, str]]:
    """The filters of an address, and what is wrong with those that are none, by their names. All of them, not the
    first only: a page shows each sentence at its field."""
    wrong: dict[str, str] = {}
    left = params.copy()
    try:
        check_order(params.get("order", ""))
    except UserError as error:
        wrong["order"] = error.detail
    for name in [name for name in params if name not in (*FILTER_NAMES, *BESIDE)]:
        del left[name]
        wrong[name] = f"{name[:100]} is no filter. It is left out."
    while True:
        try:
            return parse_filters(left, beside=BESIDE), wrong
        except UserError as error:
            name = error.extra["parameter"]
            wrong[name] = error.detail
            del left[name]


# ---------------------------------------------------------------- what can be asked
@dataclass(frozen=True)
class Offered:
    """Values to choose from. Of what is free text, those that came up lately: all there ever were would be a long
    search and a longer list."""

    categories: list[str]
    versions: list[ModelVersion]
    people: list[str]
    stations: list[str]
    lots: list[str]
    part_numbers: list[str]
    sources: list[str]


def offered() -> Offered:
    newest = Inspection.objects.order_by("-created_at", "-id").values_list("station", "lot", "part_number", "source")
    rows = list(newest[:_SUGGESTED_FROM])
    stations, lots, part_numbers, sources = (sorted({row[column] for row in rows} - {""}) for column in range(4))
    versions = ModelVersion.objects.select_related("category").only("number", "algorithm", "category__name")
    return Offered(
        categories=list(Category.objects.values_list("name", flat=True)),
        versions=list(versions.order_by("-id")[:_OFFERED_MOST]),
        people=list(User.objects.order_by("username").values_list("username", flat=True)[:_OFFERED_MOST]),
        stations=stations,
        lots=lots,
        part_numbers=part_numbers,
        sources=sources,
    )


def named(name: str, value: str, *, of_several: bool = True) -> str:
    """What the model version or threshold of this id is called, the id itself where there is none. `of_several`: there
    are thresholds of other versions too."""
    if not re.fullmatch(r"[0-9]{1,18}", value):
        return value
    if name == "model_version":
        version = ModelVersion.objects.select_related("category").filter(pk=value).first()
        return str(version or value)
    found = Threshold.objects.select_related("model_version__category").filter(pk=value).first()
    if found is None:
        return value
    version = found.model_version
    of = f" of {version.category.name} v{version.number}" if of_several else ""
    return f"{score_text(found.value)} (revision {found.revision}{of})"


def defect_types() -> list[str]:
    """What people called defects lately."""
    newest = Standing.objects.order_by("-inspected_at", "-inspection_id").values_list("defect_type", flat=True)
    return sorted(set(newest[:_SUGGESTED_FROM]) - {""})


def saved_views(owner: Actor) -> list[SavedView]:
    return list(SavedView.objects.filter(owner_id=owner.pk).order_by("name")) if owner is not None else []


def chosen(ids: Sequence[str]) -> list[Inspection]:
    """The records of these ids; raises where one is none."""
    wanted = []
    for text in ids:
        try:
            wanted.append(uuid.UUID(text))
        except ValueError:
            refuse("inspection", "must be the id of a record")
    found = Inspection.objects.only("pk").in_bulk(wanted)
    if missing := [str(pk) for pk in wanted if pk not in found]:
        raise NotFound(f"There is no inspection {missing[0]}. Nothing was written.", code="inspection_not_found")
    return [found[pk] for pk in wanted]
