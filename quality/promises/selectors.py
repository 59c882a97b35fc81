"""Reads: what thresholds promised, and what came of it.

The promise is what the page of the threshold showed to whoever applied it: it lies in the threshold's own row, which
nothing can change. What came is asked of the records that were judged at it, by the same estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from common.errors import NotFound
from inspection.history.filters import Filters
from modelzoo.evaluation.intervals import proportion_interval
from modelzoo.models import ModelVersion, Threshold
from quality.random_audit.selectors import figures_of
from tuning.what_if.selectors import what_if

KEPT, HIGHER, LOWER, NOT_KNOWN = "kept", "higher", "lower", "not_known"
# The figures of a promise, and what they are called.
FIGURES = {
    "reject_share": _("Rejected share"),
    "false_reject_rate": _("False-reject rate"),
    "escape_rate": _("Escape rate"),
    "inspections": _("Inspections a day"),
    "rejected": _("Rejects a day"),
    "false_rejects": _("False rejects a day"),
    "escapes": _("Escapes a day"),
}
RATES = ("reject_share", "false_reject_rate", "escape_rate")


@dataclass(frozen=True)
class Outcome:
    """What came of a promise until a moment."""

    since: datetime
    until: datetime
    inspections: int
    reviewed: int
    figures: list[dict[str, Any]]


def promises() -> QuerySet[Threshold]:
    """Thresholds that promised something, the newest first."""
    thresholds = Threshold.objects.filter(evidence__has_key="per_day").select_related(
        "model_version__category", "author", "promise_result"
    )
    return thresholds.defer(*ModelVersion.long_columns("model_version")).order_by("-id")


def find_promise(threshold_id: int) -> Threshold:
    threshold = promises().filter(pk=threshold_id).first()
    if threshold is None:
        raise NotFound(
            f"Threshold {threshold_id} does not exist, or promised nothing: it was not applied on its page.",
            code="promise_not_found",
        )
    return threshold


def due_promises(now: datetime) -> QuerySet[Threshold]:
    """Those whose days are over and that nobody has compared."""
    return promises().filter(promise_result__isnull=True, created_at__lte=now - _days()).order_by("id")


def due_at(threshold: Threshold) -> datetime:
    return threshold.created_at + _days()


def _days() -> timedelta:
    return timedelta(days=settings.PROMISE_DAYS)


def outcome_of(threshold: Threshold) -> Outcome:
    """What came until its days were over, another threshold took its place, or now."""
    result = getattr(threshold, "promise_result", None)
    if result is not None:
        return Outcome(result.since, result.until, result.inspections, result.reviewed, result.figures)
    replaced = Threshold.objects.filter(
        model_version=threshold.model_version_id, revision=threshold.revision + 1
    ).first()
    ends = [due_at(threshold), timezone.now(), *([replaced.created_at] if replaced else [])]
    # A picture that was on its way may be judged at it a moment after it was replaced.
    until = min(ends)
    came = what_if(
        Filters(model_version=threshold.model_version_id, threshold=threshold.pk, until=due_at(threshold)),
        threshold=threshold.value,
    )
    days = max(1.0, (until - threshold.created_at) / timedelta(days=1))
    promised = promised_figures(threshold.evidence)
    return Outcome(
        since=threshold.created_at,
        until=until,
        inspections=came["total"],
        reviewed=came["total"] - came["unreviewed"],
        figures=[_compared(name, promised[name], *value) for name, value in _came(came, days).items()]
        + [_audited(threshold)],
    )


def promised_figures(evidence: Mapping[str, Any]) -> dict[str, float | None]:
    """What the page showed when the threshold was applied, by the names of `FIGURES`."""
    per_day, rates = evidence["per_day"], evidence.get("rates_estimated") or {}
    inspections, rejected = per_day.get("inspections"), per_day.get("rejected")
    return {
        "reject_share": rejected / inspections if inspections else None,
        "false_reject_rate": rates.get("false_reject_rate"),
        "escape_rate": rates.get("escape_rate"),
        "inspections": inspections,
        "rejected": rejected,
        "false_rejects": per_day.get("false_rejects"),
        "escapes": per_day.get("escapes"),
    }


def _came(came: Mapping[str, Any], days: float) -> dict[str, tuple[float | None, list[float] | None]]:
    """Each figure with its interval, of the records that were judged at the threshold."""
    total, estimate = came["total"], came["asked"]["estimate"]
    rejected = came["asked"]["verdicts"]["defective"]
    interval = proportion_interval(rejected, total)

    def a_day(cell: str) -> tuple[float | None, list[float] | None]:
        if estimate is None:
            return None, None
        number = estimate["confusion"][cell]
        return number["value"] / days, [bound / days for bound in number["interval"]]

    def rate(name: str) -> tuple[float | None, list[float] | None]:
        return (estimate[name]["value"], estimate[name]["interval"]) if estimate else (None, None)

    return {
        "reject_share": (rejected / total if total else None, interval),
        "false_reject_rate": rate("false_reject_rate"),
        "escape_rate": rate("escape_rate"),
        "inspections": (total / days, None),
        "rejected": (rejected / days, [bound * total / days for bound in interval] if interval else None),
        "false_rejects": a_day("fp"),
        "escapes": a_day("fn"),
    }


def _compared(name: str, promised: float | None, came: float | None, interval: list[float] | None) -> dict[str, Any]:
    """`verdict`: whether the promise lies within the interval of what came."""
    verdict = NOT_KNOWN
    if promised is not None and came is not None and interval is not None:
        low, high = interval
        verdict = HIGHER if promised < low else LOWER if promised > high else KEPT
    return {"name": name, "promised": promised, "came": came, "interval": interval, "verdict": verdict}


def _audited(threshold: Threshold) -> dict[str, Any]:
    """Beside the promise, which said nothing of it: escapes among the parts that passed, by random audits."""
    figures = figures_of(threshold_id=threshold.pk)
    return {
        "name": "audited_escapes",
        "promised": None,
        "came": figures["escape_rate"],
        "interval": figures["exact_interval"],
        "verdict": NOT_KNOWN,
    }
