"""Reads: reviews."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db.models import QuerySet

from common.errors import NotFound, UserError
from inspection.history.filter_values import refuse
from inspection.history.filters import parse_filters
from inspection.models import Review
from modelzoo.signatures.selectors import signed_rows

RECORDED = "review.recorded"  # the audit event of a review
# With the model's verdict; none where it gave no verdict.
AGREES: dict[str, bool | None] = {"yes": True, "no": False, "none": None}


# ---------------------------------------------------------------- one by one
def reviews() -> QuerySet[Review]:
    """Reviews with what every view of them names, newest first."""
    rows = Review.objects.select_related("reviewer", "inspection__category").order_by("-id")
    return signed_rows(rows, kind=RECORDED)


def find_review(review_id: int) -> Review:
    review = reviews().filter(pk=review_id).first()
    if review is None:
        raise NotFound(f"There is no review {review_id}.", code="review_not_found")
    return review


def find_reviews_by_id(ids: Iterable[str]) -> list[Review]:
    """The reviews of these ids, in their order. Raises `UserError` where one is none."""
    texts = list(ids)
    if not all(re.fullmatch(r"[0-9]{1,18}", text) for text in texts):
        raise UserError("A review is named by its number. Nothing was written.", code="invalid")
    by_id = Review.objects.select_related("inspection").in_bulk([int(text) for text in texts])
    if missing := [text for text in texts if int(text) not in by_id]:
        raise NotFound(f"There is no review {missing[0]}. Nothing was saved.", code="review_not_found")
    return [by_id[int(text)] for text in texts]


def find_reviews(params: Mapping[str, Any], *, other_names: Collection[str] = ()) -> QuerySet[Review]:
    """The reviews that a query string asks for. `since` and `until` are of the review, `reviewer` is who wrote it.

    `other_names`: those that mean something else to the caller. Raises `UserError` as `parse_filters` does.
    """
    filter_names = ("reviewer", "verdict", "agrees", "category", "since", "until")
    for name in params:
        if name not in filter_names and name not in other_names:
            refuse(str(name)[:100], f"is not a filter. There are: {', '.join(filter_names)}")
    filters = parse_filters(params, other_names=("verdict", "agrees", *other_names))
    conditions = {
        "reviewer": filters.reviewer,
        "inspection__category": filters.category,
        "created_at__gte": filters.since,
        "created_at__lt": filters.until,
    }
    matches = reviews().filter(**{name: value for name, value in conditions.items() if value is not None})
    if verdict := params.get("verdict"):
        if verdict not in Review.Verdict.values:
            refuse("verdict", "must be good or defective")
        matches = matches.filter(verdict=verdict)
    if agrees := params.get("agrees"):
        if agrees not in AGREES:
            refuse("agrees", f"must be one of {', '.join(AGREES)}")
        matches = matches.filter(agrees=AGREES[agrees]).exclude(verdict=Review.WITHDRAWN)
    return matches
