"""What the pages of the administration share: rows that services own, acts with a reason, lists of any length.

Nothing is edited there. What may be done to a row is an `Act`, which calls the service that the site and the API call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.db.models import F, FloatField, Model, QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, NullIf
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from common.errors import UserError
from common.numbers import metric, percent, score_text
from common.rights import Right, may

MAX_COUNTED = 10_000  # rows of a list: what nobody pages through is not counted
MAX_REASON_LENGTH = 500
_MAX_ROWS = 100  # that one act is done to
_MAX_YEARS = 20
_NEWEST, _MAX_WORDS = 500, 20  # rows that words are taken from, and words on offer
NONE = "\N{EN DASH}"


# ---------------------------------------------------------------- what stands in a cell
def link(address: str, words: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', address, words)


def tag(words: object, *, is_strong: bool = False) -> SafeString:
    """A word that says in which state something is."""
    return format_html('<span class="tag{}">{}</span>', " strong" if is_strong else "", words)


def picture(address: str, alt: str = "") -> SafeString:
    return format_html('<img src="{}" width="44" height="44" alt="{}" loading="lazy">', address, alt)


def measured(value: float | None, form: Callable[[float], str] = metric) -> str:
    """A figure of an evaluation; a dash where it was not measured."""
    return NONE if value is None else form(value)


def share(value: float | None) -> str:
    return measured(value, percent)


def score(value: float | None) -> str:
    return measured(value, score_text)


def audit_address(row: Model) -> str:
    """The audit log of one row."""
    query = urlencode({"object_type": row._meta.label_lower, "object_id": row.pk})
    return f"{reverse('audit')}?{query}"


@dataclass(frozen=True)
class Table:
    """Rows that belong to the row of a page, in short. `more`: the address and the words of where all of them are."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: tuple[str, str] | None = None


# ---------------------------------------------------------------- lists
class NullsLast(F):
    """A column of a list to sort by: what has no value comes last, whichever way it is sorted."""

    def asc(self, **kwargs: Any) -> Any:
        return super().asc(nulls_last=True)

    def desc(self, **kwargs: Any) -> Any:
        return super().desc(nulls_last=True)


def number_at(place: str) -> Any:
    """A number inside a JSON column, such as `metrics__image__auroc`, as one that both databases sort by."""
    return Cast(NullIf(KT(place), Value("null", TextField())), FloatField())


class CountedPaginator(Paginator):
    """Counts no more rows than `MAX_COUNTED`."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # of a list there is no other
        return rows.order_by()[: MAX_COUNTED + 1].count()

    @property
    def is_capped(self) -> bool:
        return self.count > MAX_COUNTED


class Period(admin.SimpleListFilter):
    """From the years to a day, by `?when=2026-11-28`. Asks for the first and the last moment alone, however many rows.

    `Period.of("created_at")` is the filter of that column.
    """

    title = "time"
    parameter_name = "when"
    column = "created_at"

    @classmethod
    def of(cls, column: str) -> type[Period]:
        return type("PeriodOf", (cls,), {"column": column})

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        moments = model_admin.model._default_manager.order_by(self.column).values_list(self.column, flat=True)
        moments = moments.exclude(**{f"{self.column}__isnull": True})
        first, last = moments.first(), moments.last()
        if first is None or last is None:
            return []
        low, high = timezone.localtime(first).date(), timezone.localtime(last).date()
        chosen = self.value() or ""
        years = [(f"{year}", f"{year}") for year in range(high.year, low.year - 1, -1)][:_MAX_YEARS]
        bounds = _bounds(chosen)
        if bounds is None:
            return years
        begin = bounds[0]
        months = [
            (f"{begin.year:04}-{month:02}", date(begin.year, month, 1).strftime("%b"))
            for month in range(1, 13)
            if (low.year, low.month) <= (begin.year, month) <= (high.year, high.month)
        ]
        if len(chosen) < 7:
            return [*years, *months]
        days = [(each.isoformat(), str(each.day)) for each in _days_of(begin.year, begin.month) if low <= each <= high]
        return [*years, *months, *days]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """The year, the month and the day that lead to what is shown are all marked."""
        chosen = self.value() or ""
        for choice in super().choices(changelist):
            value = choice["query_string"].rpartition("when=")[2][:10] if "when=" in choice["query_string"] else ""
            choice["selected"] = chosen.startswith(value) if value else not chosen
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        bounds = _bounds(self.value() or "")
        if bounds is None:
            return queryset
        begin, end = (timezone.make_aware(datetime.combine(day, time.min)) for day in bounds)
        return queryset.filter(**{f"{self.column}__gte": begin, f"{self.column}__lt": end})


class RecentWords(admin.SimpleListFilter):
    """Words of a text column, of those that came up lately: all there ever were would be a search through all rows.

    `RecentWords.of("station")` is the filter of that column.
    """

    column = ""

    @classmethod
    def of(cls, column: str) -> type[RecentWords]:
        return type("RecentWordsOf", (cls,), {"column": column, "title": column, "parameter_name": column})

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        newest = model_admin.model._default_manager.values_list(self.column, flat=True)[:_NEWEST]
        return [(word, word) for word in sorted({*newest, self.value() or ""} - {""})[:_MAX_WORDS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        word = (self.value() or "").replace("\0", "")
        return queryset.filter(**{self.column: word}) if word else queryset


def _days_of(year: int, month: int) -> list[date]:
    begin, end = date(year, month, 1), _first_of_next_month(year, month)
    return [date.fromordinal(day) for day in range(begin.toordinal(), end.toordinal())]


def _first_of_next_month(year: int, month: int) -> date:
    return date(year + month // 12, month % 12 + 1, 1)


def _bounds(text: str) -> tuple[date, date] | None:
    """The first day of a year, a month or a day, and the day after its last; None for anything else."""
    if not re.fullmatch(r"[0-9]{4}(-[0-9]{2}){0,2}", text):
        return None
    try:
        if len(text) == 4:
            return date(int(text), 1, 1), date(int(text) + 1, 1, 1)
        if len(text) == 7:
            begin = date.fromisoformat(f"{text}-01")
            return begin, _first_of_next_month(begin.year, begin.month)
        begin = date.fromisoformat(text)
        return begin, date.fromordinal(begin.toordinal() + 1)
    except (ValueError, OverflowError):
        return None


# ---------------------------------------------------------------- acts
class ActForm(forms.Form):
    """What an act asks before it is done. `rows`: those that it is to be done to."""

    def __init__(self, data: Any = None, *, rows: Sequence[Any] = ()) -> None:
        super().__init__(data)
        self.rows = rows


class ReasonForm(ActForm):
    """Why it is done."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea({"rows": 3, "maxlength": MAX_REASON_LENGTH}),
        help_text="Kept in the audit log.",
    )


Outcome = str | HttpResponse


@dataclass(frozen=True)
class Act:
    """Something that is done to rows through a service, from their list or from the page of one.

    Attributes:
        perform: does it to one row, with what the form said; returns a sentence about what became of it, or where it
            leads. Raises `UserError` for what cannot be done.
        consequence: what it means, on a page that asks before; empty: it is done at once.
        form: what that page asks for.
        applies: whether the page of a row offers it.
        is_single: takes one row at a time.
    """

    name: str
    title: str
    right: Right
    perform: Callable[[HttpRequest, Any, Mapping[str, Any]], Outcome]
    consequence: str = ""
    form: type[ActForm] = ReasonForm
    applies: Callable[[Any], bool] = field(default=lambda row: True)
    is_single: bool = False
    is_dangerous: bool = False


# ---------------------------------------------------------------- rows that services own
class ServiceAdmin(admin.ModelAdmin):
    """For what is written by services and never by hand: look, search, filter, and the acts that services offer."""

    acts: ClassVar[Sequence[Act]] = ()
    paginator = CountedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    actions_selection_counter = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # ------------------------------------------------------------ what a page shows
    def links(self, row: Any) -> list[tuple[str, str]]:
        """(address, words) of the product's pages about a row."""
        return []

    def tables(self, row: Any) -> list[Table]:
        """What belongs to a row, in short."""
        return []

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        """(address, words) of the product's pages about all of it."""
        return []

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every column that is no document: a page shows those as tables, or leads to where they are drawn."""
        if self.fields:
            return list(self.fields)
        return [
            column.name for column in self.opts.concrete_fields if not isinstance(column, models.JSONField | TextField)
        ]

    # ------------------------------------------------------------ acts
    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {act.name: (partial(_do, act), act.name, act.title) for act in self.acts if may(request.user, act.right)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {"title": capfirst(self.opts.verbose_name_plural), "list_links": self.list_links(request)}
        return super().changelist_view(request, context | (extra_context or {}))

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        """An act on the rows that were ticked; 400 for keys that cannot be those of rows, which Django lets through."""
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.run_validators(self.opts.pk.to_python(key))
        except ValidationError as error:
            raise BadRequest("A row that was ticked is none. Nothing was changed.") from error
        return super().response_action(request, queryset, *args, **kwargs)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = kwargs.get("obj")
        if row is not None:
            context |= {
                "title": str(row),
                "subtitle": None,
                "links": self.links(row),
                "tables": self.tables(row),
                "acts": [act for act in self.acts if may(request.user, act.right) and act.applies(row)],
                "checkbox": ACTION_CHECKBOX_NAME,
            }
            if may(request.user, Right.AUDIT):
                context["audit"] = audit_address(row)
        return super().render_change_form(request, context, *args, **kwargs)


def _do(act: Act, model_admin: ServiceAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
    """An action of Django's list. With a consequence it asks first; what was sent from there has `confirmed`."""
    rows = list(queryset[: _MAX_ROWS + 1])
    if act.is_single and len(rows) != 1:
        model_admin.message_user(request, f"{act.title}: choose one row. Nothing was changed.", messages.ERROR)
        return None
    if len(rows) > _MAX_ROWS:
        text = f"{act.title}: choose at most {_MAX_ROWS} rows. Nothing was changed."
        model_admin.message_user(request, text, messages.ERROR)
        return None
    back = _address_after(model_admin, request, rows)
    values: Mapping[str, Any] = {}
    if act.consequence:
        form = act.form(request.POST if "confirmed" in request.POST else None, rows=rows)
        if not form.is_valid():
            return _confirmation(act, model_admin, request, rows, form, back)
        values = form.cleaned_data
    for row in rows:
        try:
            outcome = act.perform(request, row, values)
        except UserError as error:
            model_admin.message_user(request, f"{row}: {error.detail}", messages.ERROR)
            continue
        if isinstance(outcome, HttpResponse):
            return outcome
        model_admin.message_user(request, outcome, messages.SUCCESS)
    return HttpResponseRedirect(back)


def _address_after(model_admin: ServiceAdmin, request: HttpRequest, rows: Sequence[Model]) -> str:
    """The page that the act was asked for on: that of its row, or the list as it was filtered."""
    if "of_page" in request.POST and len(rows) == 1:
        names = model_admin.opts
        return reverse(f"admin:{names.app_label}_{names.model_name}_change", args=[rows[0].pk])
    return request.get_full_path()


def _confirmation(
    act: Act,
    model_admin: ServiceAdmin,
    request: HttpRequest,
    rows: Sequence[Model],
    form: forms.Form,
    back: str,
) -> TemplateResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": act.title,
        "act": act,
        "rows": rows,
        "form": form,
        "back": back,
        "of_page": "of_page" in request.POST,
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "administration/confirm.html", context, status=422 if form.is_bound else 200)
