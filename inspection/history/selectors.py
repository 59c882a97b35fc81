"""Reads: the records that filters mean, in order, in chunks, with what is shown of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import F, QuerySet

from common.api.pagination import keyset_filter, value_of
from inspection.history.filter_values import either, refuse
from inspection.history.filters import Filters
from inspection.judging import documents, selectors
from inspection.models import Inspection
from modelzoo.models import ModelVersion

# ---------------------------------------------------------------- in which order
_CHUNK = 1000
# By name: the column, or the margin: how far the score lies above the threshold (below it: negative).
ORDERS = {
    "newest": "-created_at",
    "oldest": "created_at",
    "score_high": "-score",
    "score_low": "score",
    "margin_high": "-signed_margin",
    "margin_low": "signed_margin",
}


def check_order(order: str) -> str:
    """The name of an order, `newest` where none was asked for. Raises `UserError` for what is none."""
    return order if order in ORDERS else refuse("order", f"must be {either([*ORDERS])}") if order else "newest"


def in_order(filters: Filters, order: str) -> tuple[QuerySet[Inspection], tuple[str, ...]]:
    """The keys of the records that are meant, and the ordering that makes pages of them.

    By score or margin only what was scored is listed: the rest has no place there.
    """
    field = ORDERS[order]
    if field == "-created_at":
        return matching_keys(filters), filters.ordering
    if field == "created_at":
        ordering = tuple(name.removeprefix("-") for name in filters.ordering)
        return matching_keys(filters).order_by(*ordering), ordering
    ordering = (field, "-id" if field.startswith("-") else "id")
    scored = filters.apply(Inspection.objects.filter(score__isnull=False))
    scored = scored.annotate(signed_margin=F("score") - F("threshold_value"))
    return scored.order_by(*ordering).only("score", "threshold_value"), ordering


def matching_keys(filters: Filters) -> QuerySet[Inspection]:
    """The records that are meant, with no more than what orders them: `filters.ordering`.

    Apart from all else that is shown of them, so that a database can find them in an index and never has to join
    what it then leaves out.
    """
    keys = filters.apply(Inspection.objects.order_by(*filters.ordering))
    if filters.of_reviewed:
        return keys.select_related("standing").only("standing__inspected_at")
    return keys.only("created_at")


def of_keys(rows: Iterable[Inspection], records: QuerySet[Inspection]) -> list[Inspection]:
    """The records of such rows out of a queryset that fetches what is wanted of them, in their order."""
    ids = [row.pk for row in rows]
    by_id = {record.pk: record for record in records.filter(pk__in=ids).order_by()}
    return [by_id[pk] for pk in ids]


def in_chunks(filters: Filters) -> Iterator[list[Inspection]]:
    """All keys, newest first, a chunk at a time, with a query for each: nothing is held open between them.

    No record is missed or met twice: those that are written meanwhile are newer than where this began.
    """
    keys = matching_keys(filters)
    rows = list(keys[:_CHUNK])
    while rows:
        yield rows
        last = [value_of(rows[-1], name) for name in filters.ordering]
        rows = list(keys.filter(keyset_filter(filters.ordering, last))[:_CHUNK]) if len(rows) == _CHUNK else []


# ---------------------------------------------------------------- as a list
# Long, and shown by the record's own page.
_NOT_LISTED = ("regions", "ignored_outlines", "image_statistics", "timings")


def records_of(rows: Iterable[Inspection]) -> list[Inspection]:
    """The records of a page, without what only their own pages show."""
    records = selectors.inspections().defer(*_NOT_LISTED, *ModelVersion.long_columns("model_version", in_list=True))
    return of_keys(rows, records)


def listed(rows: Iterable[Inspection]) -> list[dict[str, Any]]:
    """The rows of a page as the API answers them, with where each record came from."""
    return [_list_document(record) for record in records_of(rows)]


def _list_document(record: Inspection) -> dict[str, Any]:
    batch = record.request.batch_id
    return documents.listed_document(record) | {
        "source": record.source,
        "operator": record.operator.get_username() if record.operator else None,
        "batch_id": str(batch) if batch else None,
    }
