"""Reads: what the pages of random audits show: figures as text, plans with their forms, the rows of shifts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from common.numbers import DASH, percent, percent_range
from modelzoo.models import Category, ModelVersion, Threshold
from quality.models import AuditedShift, SamplingPlan
from quality.random_audit import selectors

_SHIFTS = 30
_CATEGORIES = 200


@dataclass(frozen=True)
class PlanRow:
    """A category, the plan of its next shift, when the present shift ends, and what its audits tell."""

    category: Category
    plan: SamplingPlan | None
    shift_ends_at: datetime | None
    summary: dict[str, Any]


def plan_rows() -> list[PlanRow]:
    in_force = {plan.category_id: plan for plan in selectors.plans_in_force()}
    return [
        PlanRow(
            category,
            plan := in_force.get(category.pk),
            selectors.open_shift(category).ends_at if plan else None,
            summary(selectors.figures_of(category=category)) if plan else {},
        )
        for category in Category.objects.order_by("name")[:_CATEGORIES]
    ]


def shift_rows() -> list[dict[str, Any]]:
    """The newest shifts, each with how far its review is."""
    rows = list(selectors.shifts()[:_SHIFTS])
    counts = selectors.counts_by_shift(rows)
    return [{"shift": row, "counts": counts.get(row.pk, {})} for row in rows]


def shift_context(shift: AuditedShift, *, verify: bool) -> dict[str, Any]:
    figures = selectors.shift_figures(shift)
    return {
        "shift": shift,
        "summary": summary(figures),
        "escapes": _between(figures.get("escapes")),
        "exact_escapes": _between(figures.get("exact_escapes")),
        "parts": selectors.parts().filter(shift=shift).order_by("position"),
        "verified": verify,
        "mismatch": selectors.mismatch(shift) if verify else "",
    }


def threshold_audit(version: ModelVersion, threshold: Threshold) -> dict[str, Any]:
    """For the page of a threshold: what was drawn of the parts that passed at the revision in force, and of all that
    passed this version."""
    return {
        "rows": [
            (
                _("At revision %(revision)s") % {"revision": threshold.revision},
                summary(selectors.figures_of(threshold_id=threshold.pk)),
            ),
            (_("At any threshold of this version"), of_version := summary(selectors.figures_of(version_id=version.pk))),
        ],
        "of_version": of_version,
    }


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures as they are written."""
    return figures | {
        "decided": figures["good"] + figures["defective"],
        "rate_text": percent(figures["escape_rate"]),
        "interval_text": percent_range(figures["interval"]),
        "exact_text": percent_range(figures["exact_interval"]),
        "unclear": figures["open"] + figures["doubtful"],
    }


def _between(bounds: list[int] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:,}{DASH}{bounds[1]:,}"
