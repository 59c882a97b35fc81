"""The history: its filters, its pages, what is said of many records at once, and views that people keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from common.api.pagination import read_page
from common.errors import UserError
from common.numbers import percent
from common.rights import Right, may
from common.web.decorators import needs, refusal
from common.web.htmx import HtmxRequest
from common.web.toasts import toast_on_next_page, with_toast
from inspection.history import pages
from inspection.history import selectors as history_selectors
from inspection.history.figures import Figures, figures_of
from inspection.history.filter_values import OUTCOME_WORDS
from inspection.history.filters import FILTERS
from inspection.history.forms import FIELD_NAMES, HistoryForm
from inspection.history.pages import SHEET, Query
from inspection.history.services import delete_view, save_view
from inspection.judging import selectors
from inspection.models import Inspection
from inspection.reviews.services import record_reviews
from inspection.reviews.words import reviewed_as
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act

_ORDERS = {
    "newest": _("Newest"),
    "oldest": _("Oldest"),
    "score_high": _("Highest score"),
    "score_low": _("Lowest score"),
    "margin_high": _("Most above threshold"),
    "margin_low": _("Most below threshold"),
}
_EXPORTS = [
    ({"format": "xlsx"}, "Excel"),
    ({"format": "csv"}, "CSV"),
    ({"format": "csv", "dialect": "excel-de"}, _("CSV with semicolons and decimal commas")),
    ({"format": "jsonl"}, _("JSON lines")),
]


# ---------------------------------------------------------------- the page
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Right.READ)
@vary_on_headers("HX-Request")  # else a browser that goes back shows the part that htmx asked for
def browse(request: HtmxRequest) -> HttpResponse:
    """The records that the address asks for. A form's answer is what is said of those that were ticked."""
    if request.method == "POST":
        return _review(request) if may(request.user, Right.REVIEW) else refusal(request, Right.REVIEW)
    if any(value == "" for name in request.GET for value in request.GET.getlist(name)):
        return redirect(_address(Query.of(request.GET)))  # a form sends its empty fields too; addresses are short
    if request.htmx and "cursor" in request.GET:
        listing = _listing(request)
        return render(request, "history/list.html#more", listing, status=_status(listing))
    return _page(request)


def _page(request: HttpRequest, *, status: int = HTTPStatus.OK, **more: Any) -> HttpResponse:
    """All of it; `more` is what an answer to a form shows besides."""
    listing = _listing(request)
    query: Query = listing["query"]
    options = pages.filter_options()
    views = pages.saved_views(request.user)
    context = {
        **listing,
        "form": HistoryForm(request.GET, listing["wrong"], options),
        "quick": _shortcuts(query),
        "chips": list(_chips(query, options)),
        "views": [(view, Query.of(QueryDict(view.query)) == query) for view in views],
        "defect_types": pages.defect_types() if may(request.user, Right.REVIEW) else [],
        "exports": [(_export(query, params), words) for params, words in _EXPORTS],
        "picked": set(),
        **more,
    }
    return render(request, "history/list.html", context, status=_status(listing) if status == HTTPStatus.OK else status)


def _listing(request: HttpRequest) -> dict[str, Any]:
    """What the address asks for: its records, and the addresses around them."""
    query = Query.of(request.GET)
    filters, wrong = pages.read_filters(request.GET)
    listing: dict[str, Any] = {
        "query": query,
        "wrong": wrong,
        # What is wrong with no field to show it at.
        "astray": [refused for name, refused in wrong.items() if name not in FIELD_NAMES],
        "sheet": query.view == SHEET,
        "suffix": query.suffix,
        "here": _address(query, _cursor(request.GET)),
        "as_table": _address(replace(query, view=""), _cursor(request.GET)),
        "as_sheet": _address(replace(query, view=SHEET), _cursor(request.GET)),
        "figures_address": _address(query, name="history-figures"),
        "newest": _address(query),
        "all_records": _address(Query((), query.view, query.order)),
        "orders": [_order(query, name, str(words)) for name, words in _ORDERS.items()],
        "sorts": {column: _sort(query, column) for column in ("time", "score", "margin")},
        "sorted_as": str(_ORDERS[query.order or "newest"]).lower(),
        "unscored": _address(replace(query.without("outcome").having("outcome", "not_comparable"), order="")),
        "found_by_name": any(name == "search" for name, _ in query.pairs),
        "by_time": not query.order or query.order == "oldest",
        "compares_case": any(FILTERS[name].kind.compares_case for name, _ in query.pairs),
    }
    if wrong:
        return listing  # a record that is missing because of a typing error would be a wrong answer
    try:
        keys, ordering = history_selectors.in_order(filters, query.order or "newest")
        page = read_page(keys, request, ordering=ordering)
    except UserError as error:
        return listing | {"lost": error}
    return listing | {
        "records": history_selectors.records_of(page.rows),
        "older": page.next and _address(query, page.next_cursor),
        "newer": page.previous and _address(query, page.previous_cursor),
    }


def _status(listing: dict[str, Any]) -> int:
    return HTTPStatus.BAD_REQUEST if listing["wrong"] or "lost" in listing else HTTPStatus.OK


@require_GET
@needs(Right.READ)
@vary_on_headers("HX-Request")
def figures(request: HtmxRequest) -> HttpResponse:
    """Counts and charts of what the address asks for: asked for by the page when it is there, or a page of its own."""
    query = Query.of(request.GET)
    filters, wrong = pages.read_filters(request.GET)
    context: dict[str, Any] = {"back": _address(query), "here": request.get_full_path(), "wrong": wrong}
    if not wrong:
        totals = figures_of(filters)
        context |= {"figures": totals, "tiles": _tiles(totals, query)}
    page = "history/figures.html#figures" if request.htmx else "history/figures.html"
    return render(request, page, context, status=HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.OK)


def _tiles(totals: Figures, query: Query) -> list[dict[str, Any]]:
    """The counts, each with the address of the records that it counts."""

    def tile(what: str, count: int, of: int, name: str, value: str, whole: str | Promise = "") -> dict[str, Any]:
        share = percent(count / of) if of else ""
        if share and whole:
            share += f" {whole % {'n': f'{of:,}'}}"
        return {"what": what, "count": count, "share": share, "address": _address(query.having(name, value))}

    of_verdict = query.without("outcome")
    tiles = [{"what": _("Records"), "count": totals.total, "more": totals.more}]
    for outcome, words in OUTCOME_WORDS.items():
        if outcome == "not_comparable":
            one = tile(str(words), totals.outcomes[outcome], totals.total, "outcome", outcome)
        else:  # people may have overruled it
            by_model = str(_("%(verdict)s, by the model")) % {"verdict": words}
            whole = _("of %(n)s judged")
            one = tile(by_model, totals.outcomes[outcome], totals.judged, "outcome", outcome, whole)
        tiles.append(one | {"shape": outcome, "address": _address(of_verdict.having("outcome", outcome))})
    tiles.append(tile(str(_("Reviewed")), totals.reviewed, totals.total, "reviewed", "yes"))
    whole = _("of %(n)s reviewed")
    return [*tiles, tile(str(_("Overruled")), totals.overruled, totals.reviewed, "overruled", "yes", whole)]


# ---------------------------------------------------------------- what is said of many
def _part_name(record: Inspection) -> str:
    return record.serial_number or record.path_or_name


def _review(request: HtmxRequest) -> HttpResponse:
    """The same verdict of all that were ticked. htmx gets their rows as they are now, a plain form the page again."""
    ids = request.POST.getlist("inspection")
    verdict = {name: request.POST.get(name, "") for name in ("verdict", "defect_type", "comment")}
    try:
        records = pages.find_records(ids)
        signature = form_signature(request, act=Act.REVIEW, about=records[0]) if records else None
        reviews = record_reviews(inspections=records, actor=request.user, signature=signature, **verdict)
    except UserError as error:
        # htmx swaps answers of 2xx only; the partial itself says that it failed.
        if request.htmx:
            return render(request, "history/list.html#said", {"failed": error})
        return _page(request, status=error.status, failed=error, picked=set(ids), said=verdict)
    what = (
        _part_name(selectors.find_inspection(reviews[0].inspection_id))
        if len(reviews) == 1
        else str(_("%(n)s records")) % {"n": len(reviews)}
    )
    sentence = reviewed_as(what, verdict["verdict"])
    review_ids = [] if signature else [review.pk for review in reviews]  # what was signed is not undone by a click
    if not request.htmx:
        toast_on_next_page(request, sentence, undo=review_ids)
        return redirect(_address(Query.of(request.GET), _cursor(request.GET)))
    response = with_toast(_rows(request, [str(review.inspection_id) for review in reviews]), sentence, undo=review_ids)
    return trigger_client_event(response, "reviewed")


@require_GET
@needs(Right.READ)
def rows(request: HttpRequest) -> HttpResponse:
    """The rows of these records as they are now, for htmx to put in place of those that are shown."""
    try:
        return _rows(request, [str(record.pk) for record in pages.find_records(request.GET.getlist("inspection"))])
    except UserError as error:
        raise Http404(error.detail) from error


def _rows(request: HttpRequest, ids: list[str]) -> HttpResponse:
    query = Query.of(request.GET)
    context = {
        "records": list(selectors.inspections().filter(pk__in=ids)),
        "sheet": query.view == SHEET,
        "suffix": query.suffix,
        "found_by_name": any(name == "search" for name, _ in query.pairs),
    }
    return render(request, "history/list.html#reviewed", context)


# ---------------------------------------------------------------- views that are kept
@require_POST
@needs(Right.READ)
def keep(request: HttpRequest) -> HttpResponse:
    """Keep what the address asks for under a name."""
    name = request.POST.get("name", "")
    try:
        view = save_view(name=name, params=request.GET, actor=request.user)
    except UserError as error:
        return _page(request, status=error.status, not_kept=error, kept_name=name)
    sentence = str(_("Saved as %(name)s. You can send its address to a colleague."))
    messages.success(request, sentence % {"name": view.name})
    return redirect(_address(Query.of(request.GET), _cursor(request.GET)))


@require_POST
@needs(Right.READ)
def forget(request: HttpRequest, view_id: int) -> HttpResponse:
    """Delete a view of one's own."""
    try:
        name = delete_view(view_id=view_id, actor=request.user)
    except UserError as error:
        return _page(request, status=error.status, not_kept=error)
    messages.success(request, str(_("The view %(name)s was deleted. Its records are kept.")) % {"name": name})
    return redirect(_address(Query.of(request.GET), _cursor(request.GET)))


# ---------------------------------------------------------------- addresses
def _address(query: Query, cursor: str = "", *, name: str = "history") -> str:
    """Of the page that asks this, from a place on."""
    parts = [str(query), urlencode({"cursor": cursor}) if cursor else ""]
    words = "&".join(part for part in parts if part)
    return f"{reverse(name)}?{words}" if words else reverse(name)


def _cursor(params: QueryDict) -> str:
    return params.get("cursor", "")


def _export(query: Query, params: dict[str, str]) -> str:
    """Of exactly these filters."""
    return f"{reverse('inspections-export')}?{urlencode([*params.items(), *query.pairs])}"


# ---------------------------------------------------------------- filters in force
@dataclass(frozen=True)
class _Chip:
    """A filter, and the address without it, or with it where it is not in force."""

    words: str
    address: str
    on: bool = True


def _shortcuts(query: Query) -> list[tuple[str, list[_Chip]]]:
    """The filters of one click, in rows. Whatever else is filtered by has a field, or comes with a link."""
    rows: dict[str, list[_Chip]] = {}
    for name, one in FILTERS.items():
        for value, words in one.shortcuts.items():
            rows.setdefault(str(one.shortcut_label or one.label), []).append(_shortcut(query, name, value, str(words)))
    return list(rows.items())


def _shortcut(query: Query, name: str, value: str, words: str) -> _Chip:
    if (name, value) in query.pairs:
        return _Chip(words, _address(query.without(name, value)))
    # One of them says when it begins.
    others = query.without("since").without("until") if name == "period" else query
    return _Chip(words, _address(others.having(name, value)), on=False)


def _order(query: Query, name: str, words: str) -> _Chip:
    order = "" if name == "newest" else name
    return _Chip(words, _address(replace(query, order=order)), on=query.order == order)


def _sort(query: Query, column: str) -> dict[str, str]:
    """Of a column's head: the address that sorts by it, the other way round where it does already; and the way."""
    downwards, upwards = {
        "time": ("", "oldest"),
        "score": ("score_high", "score_low"),
        "margin": ("margin_high", "margin_low"),
    }[column]
    way = {downwards: "descending", upwards: "ascending"}.get(query.order, "")
    return {"address": _address(replace(query, order=upwards if way == "descending" else downwards)), "way": way}


def _chips(query: Query, options: pages.FilterOptions) -> Iterable[tuple[_Chip, bool]]:
    """Every filter in force, and whether it has a place of its own among those of one click."""
    for name, value in query.pairs:
        one = FILTERS[name]
        words = dict(options.choices.get(name, ())).get(value) or one.in_words(value)
        yield _Chip(f"{one.label}: {words}", _address(query.without(name, value))), value in one.shortcuts
