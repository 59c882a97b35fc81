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

# With the model's verdict; none where it gave no verdict.
AGREES: dict[str, bool | None] = {"yes": True, "no": False, "none": None}


# ---------------------------------------------------------------- one by one
def reviews() -> QuerySet[Review]:
    """Reviews with what every view of them names, newest first."""
    return Review.objects.select_related("reviewer", "inspection__category").order_by("-id")


def find_review(review_id: int) -> Review:
    found = reviews().filter(pk=review_id).first()
    if found is None:
        raise NotFound(f"There is no review {review_id}.", code="review_not_found")
    return found


def find_reviews_by_id(ids: Iterable[str]) -> list[Review]:
    """The reviews of these ids, in their order. Raises `UserError` where one is none."""
    wanted = list(ids)
    if not all(re.fullmatch(r"[0-9]{1,18}", text) for text in wanted):
        raise UserError("A review is named by its number. Nothing was written.", code="invalid")
    found = Review.objects.select_related("inspection").in_bulk([int(text) for text in wanted])
    if missing := [text for text in wanted if int(text) not in found]:
        raise NotFound(f"There is no review {missing[0]}. Nothing was saved.", code="review_not_found")
    return [found[int(text)] for text in wanted]


def find_reviews(params: Mapping[str, Any], *, other_names: Collection[str] = ()) -> QuerySet[Review]:
    """The reviews that a query string asks for. `since` and `until` are of the review, `reviewer` is who wrote it.

    `other_names`: those that mean something else to the caller. Raises `UserError` as `parse_filters` does.
    """
    known = ("reviewer", "verdict", "agrees", "category", "since", "until")
    for name in params:
        if name not in known and name not in other_names:
            refuse(str(name)[:100], f"is not a filter. There are: {', '.join(known)}")
    asked = parse_filters(params, other_names=("verdict", "agrees", *other_names))
    conditions = {
        "reviewer": asked.reviewer,
        "inspection__category": asked.category,
        "created_at__gte": asked.since,
        "created_at__lt": asked.until,
    }
    found = reviews().filter(**{name: value for name, value in conditions.items() if value is not None})
    if verdict := params.get("verdict"):
        if verdict not in Review.Verdict.values:
            refuse("verdict", "must be good or defective")
        found = found.filter(verdict=verdict)
    if agrees := params.get("agrees"):
        if agrees not in AGREES:
            refuse("agrees", f"must be one of {', '.join(AGREES)}")
        found = found.filter(agrees=AGREES[agrees]).exclude(verdict=Review.WITHDRAWN)
    return found
