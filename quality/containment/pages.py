"""Reads: sentences and rows that the pages and the report of a containment show."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from common.numbers import DASH, score_text
from modelzoo.models import ModelVersion
from quality.containment import selectors
from quality.models import Containment

_MAX_SHOWN = 200
_LATEST = 30


def latest() -> QuerySet[Containment]:
    return selectors.containments()[:_LATEST]


def versions_for(category_id: int) -> QuerySet[ModelVersion]:
    """With which the parts can be scored again."""
    versions = ModelVersion.objects.filter(category=category_id).select_related("category")
    return versions.defer(*ModelVersion.long_columns(in_list=True)).order_by("-number")


def scope_sentence(containment: Containment) -> str:
    """Which parts were searched."""
    escape = containment.escape
    since, until = (timezone.localtime(at).strftime("%Y-%m-%d %H:%M") for at in (containment.since, containment.until))
    return (
        f"{containment.passed:,} parts that passed {escape.model_version} at threshold "
        f"{score_text(escape.threshold_value)} (revision {escape.threshold.revision}) from {since}, "
        f"{containment.get_since_what_display()}, to {until}"
    )


def bound_sentences(containment: Containment) -> list[str]:
    """At which stations the search begins later, and why."""
    sentences = []
    for bound in containment.bounds or ():
        since = timezone.localtime(datetime.fromisoformat(bound["since"])).strftime("%Y-%m-%d %H:%M")
        where = f"at station {bound['station']}" if bound["station"] else "where no station is named"
        names = ", ".join(bound["reference_parts"])
        sentences.append(
            f"{where} only from {since}: every reference part ({names}) had passed there by then, so the station "
            "judged as it had to"
        )
    return sentences


def expected_sentence(containment: Containment) -> str:
    """How many more escapes there may be among them."""
    expected: dict[str, Any] = containment.expected
    if not expected.get("basis"):
        return (
            "not known: no part that passed at this threshold was drawn at random and reviewed, and other reviews do "
            "not tell how many escaped unseen"
        )
    return (
        f"about {expected['value']:.1f} besides the {expected['known']} known, {expected['low']:,}{DASH}"
        f"{expected['high']:,} (exact 95 % bounds): {expected['found']} of {expected['drawn']} parts drawn at random "
        f"at this threshold were defective, {expected['unclear']} are open or doubtful"
    )


def containment_context(containment: Containment) -> dict[str, Any]:
    parts = selectors.listed_parts(containment) if containment.is_finished else []
    return {
        "containment": containment,
        "scope": scope_sentence(containment),
        "bounds": bound_sentences(containment),
        "expected": expected_sentence(containment) if containment.is_finished else "",
        "parts": parts[:_MAX_SHOWN],
        "more": max(0, len(parts) - _MAX_SHOWN),
    }
