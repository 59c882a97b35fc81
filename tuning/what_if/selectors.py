"""Reads: what any threshold would have done to stored scores.

A threshold belongs to one model version, so only scores of one version are ever put side by side.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import BooleanField, Count, Exists, ExpressionWrapper, F, Max, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Ceil, Greatest, Least
from django.urls import reverse

from common.errors import UserError
from common.numbers import percent
from inspection.history.filters import Filters
from inspection.judging.documents import VERDICT_WORDS
from inspection.models import Inspection
from modelzoo.detectors.errors import DetectorError
from modelzoo.evaluation.calibration import best_f1_threshold, conformal_threshold, percentile_threshold
from modelzoo.models import ModelVersion, Threshold
from modelzoo.scales.selectors import have_size_rules
from modelzoo.selectors import threshold_in_force
from tuning.what_if import estimates
from tuning.what_if.estimates import DEFECTIVE, GOOD, Costs, Estimate, ReviewedGroup

_MIN_BIN_WIDTH = 2.0**-100  # of the bins of a curve: scores divided by it stay finite
NEAREST = 10  # records shown on each side of the threshold
MAX_BINS = 500
_ODD = "not_comparable"


class SeveralModels(UserError):
    code = "several_models"


# ---------------------------------------------------------------- which scores
def model_version_of(filters: Filters) -> ModelVersion:
    """The one model version that the filters mean, by name or because no other one judged any of these records."""
    versions = ModelVersion.objects.select_related("category").defer("metrics")
    if filters.model_version is not None:
        return versions.get(pk=filters.model_version)
    records_of_version = filters.apply(Inspection.objects.filter(model_version=OuterRef("pk"))).order_by()
    matches = list(versions.filter(Exists(records_of_version)).order_by("pk"))
    if not matches:
        raise UserError("No record matches these filters, so there are no scores.", code="no_records")
    if len(matches) > 1:
        names = ", ".join(f"{version.pk} ({version})" for version in matches)
        raise SeveralModels(
            "These records were judged by several model versions, and their scores cannot be compared: "
            f"{names}. Name one of them as model_version.",
            model_versions=[version.pk for version in matches],
        )
    return matches[0]


def _records(filters: Filters, version: ModelVersion) -> QuerySet[Inspection]:
    return filters.apply(Inspection.objects.filter(model_version=version)).order_by()


def _reviewed_records(
    records: QuerySet[Inspection], first: datetime | None, last: datetime | None
) -> QuerySet[Inspection]:
    """Those with a review. The period says nothing new, but lets the database begin with the few that were reviewed."""
    if first is None or last is None:
        return records.none()
    return records.filter(
        standing__verdict__in=(GOOD, DEFECTIVE), standing__inspected_at__gte=first, standing__inspected_at__lte=last
    )


# ---------------------------------------------------------------- what if
@dataclass(frozen=True)
class _Reviewed:
    """So many reviewed records with a score that are alike; `above`: on which side of each threshold they lie."""

    recorded: str
    truth: str
    defect_type: str
    above: tuple[bool, ...]
    count: int


@dataclass(frozen=True)
class _Counted:
    """How many records there are, by their recorded verdict: of all, of those above each threshold, with a review."""

    recorded: Counter[str]
    above: tuple[Counter[str], ...]
    looked_at: Counter[str]
    reviewed: list[_Reviewed]
    first: datetime | None
    last: datetime | None
    low: float | None  # of the scores
    high: float | None

    @property
    def days(self) -> float:
        """From the first record to the last one; one day at least."""
        span = self.last - self.first if self.last and self.first else timedelta(0)
        return max(1.0, span / timedelta(days=1))

    @property
    def scored(self) -> dict[str, int]:
        """The records with a score, by their verdict."""
        return {verdict: self.recorded[verdict] for verdict in estimates.STRATA}


def _count(records: QuerySet[Inspection], thresholds: tuple[float, ...]) -> _Counted:
    """One pass over all records, and one over those with a review, however many thresholds are in question."""
    conditions = {
        f"{verdict}_{index}": Q(outcome=verdict, score__gt=value) for index, value, verdict in _each(thresholds)
    }
    conditions |= {outcome: Q(outcome=outcome) for outcome in Inspection.Outcome.values}
    # One row without groups: SQLite sorts what it groups, which takes it longer than all of this.
    row = records.aggregate(
        first=Min("created_at"),
        last=Max("created_at"),
        low=Min("score"),
        high=Max("score"),
        **{name: Count("outcome", filter=condition) for name, condition in conditions.items()},
    )
    names = [f"above_{index}" for index in range(len(thresholds))]
    rows = list(
        _reviewed_records(records, row["first"], row["last"])
        .annotate(
            **{
                name: ExpressionWrapper(Q(score__gt=value), output_field=BooleanField())
                for name, value in zip(names, thresholds, strict=True)
            }
        )
        .values_list("outcome", "standing__verdict", "standing__defect_type", *names)
        .annotate(count=Count("*"))
    )
    looked_at: Counter[str] = Counter()
    for recorded, *_, count in rows:
        looked_at[recorded] += count
    return _Counted(
        recorded=Counter({outcome: row[outcome] for outcome in Inspection.Outcome.values}),
        above=tuple(
            Counter({verdict: row[f"{verdict}_{index}"] for verdict in estimates.STRATA})
            for index in range(len(thresholds))
        ),
        looked_at=looked_at,
        reviewed=[
            _Reviewed(recorded, truth, defect_type, tuple(map(bool, above)), count)
            for recorded, truth, defect_type, *above, count in rows
            if recorded != _ODD
        ],
        first=row["first"],
        last=row["last"],
        low=row["low"],
        high=row["high"],
    )


def _each(thresholds: tuple[float, ...]) -> Iterator[tuple[int, float, str]]:
    return ((index, value, verdict) for index, value in enumerate(thresholds) for verdict in estimates.STRATA)


def what_if(
    filters: Filters,
    *,
    threshold: float | None = None,
    costs: Costs | None = None,
    compare: bool = False,
    bins: int = 0,
    score_range: tuple[float | None, float | None] = (None, None),
    presets: bool = False,
    percentile: float | None = None,
    false_reject_rate: float = 0.05,
) -> dict[str, Any]:
    """What a threshold would have said about the records that the filters mean, from their stored scores alone.

    Args:
        threshold: of the version's own scores; the active one by default.
        compare: tell the same about the threshold in force.
        bins: of the curve, about; 0: no curve. `score_range`: the scores between which it lies, all by default.
        presets: thresholds that suggest themselves: by `percentile` and `false_reject_rate` of the good parts held out
            of training, by F1 and by cost over the reviewed records.

    Raises `SeveralModels`, and `UserError` where no record says which version is meant.
    """
    version = model_version_of(filters)
    in_force = threshold_in_force(version.pk)
    value = in_force.value if threshold is None else threshold
    records = _records(filters, version)
    counted = _count(records, (value, in_force.value))
    estimate = _estimate(counted, 0)
    more = counted.above[0].total() - counted.above[1].total()  # defective than with the threshold in force
    return {
        "model_version": version.pk,
        "version_number": version.number,
        "category": version.category.name,
        "filters": filters.as_dict(),
        "threshold_in_force": {"revision": in_force.revision, "value": in_force.value},
        "total": counted.recorded.total(),
        "recorded": _verdicts(counted.recorded),
        "period": {
            "first": counted.first.isoformat() if counted.first else None,
            "last": counted.last.isoformat() if counted.last else None,
            "days": counted.days if counted.first else None,
        },
        "coverage": _coverage(counted),
        "unreviewed": counted.recorded.total() - counted.looked_at.total(),
        "asked": _figures(counted, 0, value, estimate, costs),
        "in_force": _figures(counted, 1, in_force.value, _estimate(counted, 1), costs) if compare else None,
        "against_in_force": {"to_defective": max(0, more), "to_good": max(0, -more)},
        "borderline": {
            "above": _nearest(records.filter(score__gt=value).order_by("score")),
            "below": _nearest(records.filter(score__lte=value).order_by("-score")),
        },
        "curve": _curve(records, counted, bins, score_range) if bins else None,
        "presets": _presets(
            version,
            records,
            counted,
            costs,
            percentile=settings.THRESHOLD_PERCENTILE if percentile is None else percentile,
            false_reject_rate=false_reject_rate,
        )
        if presets
        else None,
        "notes": [*_notes(filters, counted, estimate), *_size_rule_notes(version, records)],
    }


def _verdicts(counts: Counter[str]) -> dict[str, int]:
    return {outcome: counts[outcome] for outcome in (GOOD, DEFECTIVE, _ODD)}


def _coverage(counted: _Counted) -> list[dict[str, Any]]:
    """How many records of each verdict somebody looked at: reviews are no random sample."""
    return [
        {
            "recorded": outcome,
            "total": total,
            "reviewed": counted.looked_at[outcome],
            "share": counted.looked_at[outcome] / total if total else None,
        }
        for outcome, total in _verdicts(counted.recorded).items()
    ]


def _groups(counted: _Counted, index: int) -> list[ReviewedGroup]:
    """The reviewed records with a score, by the side of the threshold on which they lie."""
    return [
        ReviewedGroup(group.recorded, group.truth, group.defect_type, group.above[index], group.count)
        for group in counted.reviewed
    ]


def _estimate(counted: _Counted, index: int) -> Estimate | None:
    return Estimate.of(_groups(counted, index), counted.scored)


def _figures(
    counted: _Counted, index: int, threshold: float, estimate: Estimate | None, costs: Costs | None
) -> dict[str, Any]:
    """Everything about one of the thresholds that were counted at."""
    above = counted.above[index]
    rejected, odd = above.total(), counted.recorded[_ODD]
    groups = _groups(counted, index)
    confusion = estimates.confusion_of(groups)
    cost = estimate.cost(costs) if estimate and costs else None
    return {
        "threshold": threshold,
        "verdicts": {GOOD: counted.recorded.total() - rejected - odd, DEFECTIVE: rejected, _ODD: odd},
        "changes": {"to_defective": above[GOOD], "to_good": counted.recorded[DEFECTIVE] - above[DEFECTIVE]},
        "reviewed": {
            "total": confusion.total(),
            "confusion": dict(confusion),
            **estimates.rates_of(confusion),
            "defect_types": estimates.recall_by_type(groups),
            "cost": confusion["fp"] * costs.false_reject + confusion["fn"] * costs.escape if costs else None,
        },
        "estimate": estimate
        and {
            "confusion": {name: cell.document() for name, cell in estimate.cells.items()},
            **estimate.rates(),
            "cost": cost and cost.document(),
        },
        "per_day": {
            "inspections": counted.recorded.total() / counted.days,
            "rejected": rejected / counted.days,
            "not_comparable": odd / counted.days,
            "false_rejects": estimate and estimate.cells["fp"].times(1 / counted.days).document(),
            "escapes": estimate and estimate.cells["fn"].times(1 / counted.days).document(),
            "cost": cost and cost.times(1 / counted.days).document(),
        },
    }


def _nearest(records: QuerySet[Inspection]) -> list[dict[str, Any]]:
    """The first of these records, as they are shown beside the threshold."""
    columns = ("id", "score", "outcome", "filename", "created_at", "standing__verdict", "asset__discarded_at")
    rows = records.values(*columns)[:NEAREST]
    return [
        {
            "inspection_id": str(row["id"]),
            "score": row["score"],
            "recorded": row["outcome"],
            "review": row["standing__verdict"],
            "filename": row["filename"],
            "image_removed": row["asset__discarded_at"] is not None,
            "created_at": row["created_at"].isoformat(),
            "page_url": reverse("inspection", args=[row["id"]]),
        }
        for row in rows
    ]


def _notes(filters: Filters, counted: _Counted, estimate: Estimate | None) -> list[str]:
    """What must be known so that nobody reads more out of the figures than is in them."""
    notes = []
    of_good, of_defective, _ = _coverage(counted)
    if filters.of_reviewed:
        notes.append("The filters select by review, so these metrics are valid only for the selected parts.")
    elif estimate and of_good["total"] and of_defective["total"] and of_good["share"] < of_defective["share"]:
        notes.append(
            f"{percent(of_good['share'])} of the parts judged GOOD and "
            f"{percent(of_defective['share'])} of the parts judged DEFECT were reviewed. Recall and "
            "false-reject rate of the reviewed parts only are therefore too high; the estimate corrects "
            "for these percentages."
        )
    if estimate is None and any(counted.scored.values()):
        unseen = " and ".join(
            VERDICT_WORDS[row["recorded"]] for row in (of_good, of_defective) if row["total"] and not row["reviewed"]
        )
        notes.append(
            f"No part judged {unseen} was reviewed, so there is no estimate for all parts. Review some of "
            "them, chosen at random."
        )
    if counted.recorded[_ODD]:
        notes.append(
            f"{counted.recorded[_ODD]} parts were not comparable. They have no score and are rejected at "
            "any threshold. Rates and costs do not include them."
            if counted.recorded[_ODD] != 1
            else "1 part was not comparable. It has no score and is rejected at any threshold. Rates and "
            "costs do not include it."
        )
    return notes


def _size_rule_notes(version: ModelVersion, records: QuerySet[Inspection]) -> list[str]:
    """Stored scores know nothing of a size rule: that it is left out is said, and how many verdicts it made good."""
    if not have_size_rules([version.pk]):
        return []
    ruled = records.filter(outcome=GOOD, threshold__min_region_mm2__isnull=False, score__gt=F("threshold_value"))
    count = ruled.count()
    return [
        "The size rule is left out: these figures compare scores with thresholds alone. With the rule, fewer parts are "
        f"rejected. {count} recorded {'verdict is' if count == 1 else 'verdicts are'} GOOD by the rule, though the "
        f"score is above the threshold; {'it counts' if count == 1 else 'they count'} as rejected here."
    ]


# ---------------------------------------------------------------- the curve
def _curve(
    records: QuerySet[Inspection], counted: _Counted, bins: int, score_range: tuple[float | None, float | None]
) -> dict[str, Any] | None:
    """How many records of each kind lie in and above each of some thresholds: enough to draw any of them at once.

    The thresholds are multiples of a power of two, so that a score is divided by their distance without rounding and
    falls on exactly the side of each on which `score > threshold` puts it. A bin includes its upper end.
    """
    if counted.low is None or counted.high is None:
        return None
    low, high = (
        end if bound is None else bound for end, bound in zip((counted.low, counted.high), score_range, strict=True)
    )
    if low > high:
        raise UserError("The curve must begin at a lower score than it ends.", code="invalid")
    width = _power_of_two(low, high, bins)
    first, last = math.ceil(low / width) - 1, math.ceil(high / width)
    place = Greatest(Least(Ceil(F("score") / width), float(last + 1)), float(first))
    with_score = records.filter(score__isnull=False)
    everything = (
        with_score.annotate(place=place)
        .values_list("place")
        .annotate(good=Count("outcome", filter=Q(outcome=GOOD)), all=Count("outcome"))
    )
    looked_at = (
        _reviewed_records(with_score, counted.first, counted.last)
        .annotate(place=place)
        .values_list("outcome", "place", "standing__verdict")
        .annotate(count=Count("*"))
    )
    counts: dict[tuple[str, str | None], Counter[int]] = {
        (recorded, truth): Counter() for recorded in estimates.STRATA for truth in (GOOD, DEFECTIVE, None)
    }
    for at, good, of_both in everything:
        counts[GOOD, None][int(at)] = good
        counts[DEFECTIVE, None][int(at)] = of_both - good
    for recorded, at, truth, count in looked_at:
        counts[recorded, truth][int(at)] += count
        counts[recorded, None][int(at)] -= count
    places = range(first + 1, last + 1)
    return {
        "thresholds": [index * width for index in range(first, last + 1)],
        "series": [
            {
                "recorded": recorded,
                "review": truth,
                "counts": [of_kind[index] for index in places],
                "above": list(accumulate((of_kind[index] for index in (last + 1, *reversed(places))), initial=0))[
                    :0:-1
                ],
            }
            for (recorded, truth), of_kind in counts.items()
        ],
    }


def _power_of_two(low: float, high: float, bins: int) -> float:
    """The smallest one of which `bins` reach from the one to the other; where they are one, a small part of it."""
    mantissa, exponent = math.frexp(high / bins - low / bins)
    if mantissa == 0:
        return max(_MIN_BIN_WIDTH, math.ldexp(1.0, math.frexp(high or 1.0)[1] - 8))
    return max(_MIN_BIN_WIDTH, math.ldexp(1.0, exponent - (mantissa == 0.5)))


# ---------------------------------------------------------------- thresholds that suggest themselves
def _presets(
    version: ModelVersion,
    records: QuerySet[Inspection],
    counted: _Counted,
    costs: Costs | None,
    *,
    percentile: float,
    false_reject_rate: float,
) -> list[dict[str, Any]]:
    """By the methods of threshold revisions; where one is not to be had, why not."""

    held_out = version.held_out_scores
    rows = list(
        _reviewed_records(records, counted.first, counted.last)
        .filter(score__isnull=False)
        .values_list("score", "outcome", "standing__verdict")
    )
    scores = np.array([score for score, _, _ in rows], dtype=np.float64)
    defective = np.array([truth == DEFECTIVE for _, _, truth in rows], dtype=bool)
    estimable = _estimate(counted, 0) is not None
    weights = estimates.weights_of([recorded for _, recorded, _ in rows], counted.scored if estimable else None)
    method = Threshold.Method
    of_good = {"scores": "held-out good images", "n": len(held_out)}
    of_reviewed = {"scores": "reviewed records", "n": len(rows)}
    candidates: list[tuple[str, dict[str, Any], Callable[[], float]]] = [
        (method.PERCENTILE, {"percentile": percentile, **of_good}, lambda: percentile_threshold(held_out, percentile)),
        (
            method.CONFORMAL,
            {"false_reject_rate": false_reject_rate, **of_good},
            lambda: conformal_threshold(held_out, false_reject_rate),
        ),
        (method.BEST_F1, of_reviewed, lambda: best_f1_threshold(scores, defective)),
    ]
    if costs:
        cost_parameters = {"cost_false_reject": costs.false_reject, "cost_escape": costs.escape, "weighted": estimable}
        candidates.append(
            (
                method.COST,
                {**cost_parameters, **of_reviewed},
                lambda: estimates.weighted_min_cost_threshold(scores, defective, weights, costs),
            )
        )
    presets = []
    for name, parameters, find in candidates:
        try:
            value, why = find(), ""
        except DetectorError as error:
            value, why = None, str(error)
        presets.append({"method": str(name), "parameters": parameters, "threshold": value, "unavailable": why})
    return presets
