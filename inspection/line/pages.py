"""Reads: what the line's page shows: which category it is about, the newest records, today's figures."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median

from django.core.cache import cache
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from inspection.history.filters import Filters
from inspection.history.selectors import matching_keys, records_of
from inspection.judging import selectors
from inspection.models import Inspection, InspectionRequest, Standing
from jobs import broker
from modelzoo.evaluation.intervals import median_interval, proportion_interval
from modelzoo.models import Category, Deployment, ModelVersion
from records.audit.services import Actor

LATEST = 24
# Of today at most so many are counted, of each day before a sample of its newest: who counts all, counts for long.
MAX_COUNTED, MAX_SAMPLED, MAX_SCORES = 10_000, 1_000, 200
DAYS, MIN_RECORDS_OF_DAY = 14, 20
UNJUDGED_DAYS, MAX_UNJUDGED = 7, 20
_CACHE_SECONDS = (
    3600  # seconds; days that are over change no more, but the last record of one may be written just after it
)


def choose_deployment(
    deployments: Sequence[Deployment], *, named: str = "", remembered: str = "", opened: Inspection | None = None
) -> Deployment | None:
    """The deployment of the category that a page is about; None where the person has to say which one it is.

    It is what the address `named`, else what was `remembered` for the browser, else the category of the record that is
    `opened`, else the only one in force. What was loaded last decides nothing: another line's promotion is not ours.
    """
    by_name = {deployment.category.name: deployment for deployment in deployments}
    for name in (named, remembered, opened.model_version.category.name if opened else ""):
        if name:
            return by_name.get(name)
    return deployments[0] if len(deployments) == 1 else None


def latest(category: Category | None) -> list[Inspection]:
    """The newest records, of one category or of all."""
    return records_of(matching_keys(Filters(category=category))[:LATEST])


def same_image_before(inspection: Inspection) -> Inspection | None:
    """The record before this one of the same image in the same category, by the hash of its bytes."""
    earlier = Inspection.objects.filter(
        asset=inspection.asset, category=inspection.model_version.category, created_at__lt=inspection.created_at
    )
    named = ("model_version__category", "standing__reviewer")
    return earlier.select_related(*named).order_by("-created_at").first()


def find_inspection_or_none(inspection_id: str) -> Inspection | None:
    """The record that an address names; None for an address that names none."""
    try:
        return selectors.inspections().filter(pk=uuid.UUID(inspection_id)).first()
    except ValueError:
        return None


def unjudged(category: Category, actor: Actor) -> list[InspectionRequest]:
    """Images that this person sent to the line lately, and that were kept and have no record: the newest first.

    None of those that were judged since, be it by trying again or because they were sent once more.
    """
    if actor is None or actor.pk is None:
        return []
    ended = InspectionRequest.objects.filter(
        operator=actor.pk,
        batch__isnull=True,
        source="web",
        model_version__category=category,
        status__in=InspectionRequest.WITHOUT_RECORD,
        asset__discarded_at__isnull=True,
        repeat_of__isnull=True,
        created_at__gte=timezone.now() - timedelta(days=UNJUDGED_DAYS),
    )
    statuses = (InspectionRequest.Status.QUEUED, InspectionRequest.Status.RUNNING, InspectionRequest.Status.DONE)
    again = InspectionRequest.objects.filter(repeat_of=OuterRef("pk"), status__in=statuses)
    later = Inspection.objects.filter(
        asset=OuterRef("asset"), category=category, created_at__gte=OuterRef("created_at")
    )
    requests = ended.exclude(Exists(again)).exclude(Exists(later))
    return list(requests.order_by("-created_at", "-pk")[:MAX_UNJUDGED])


def silent_for() -> int | None:
    """Seconds since the last sign of life of whoever judges, where another one should have come by now."""
    last = broker.last_sign(broker.INFERENCE)
    seconds = (timezone.now() - last).total_seconds() if last else 0.0
    return round(seconds) if seconds > 2 * broker.BEAT_SECONDS else None


def median_time(version: ModelVersion) -> float | None:
    """Median of the milliseconds that a worker took for an image, over the last ones this version gave a score."""
    newest = Inspection.objects.filter(model_version=version, score__isnull=False).order_by("-created_at", "-id")
    times = [
        sum(float(value) for step, value in timings.items() if step.endswith("_ms"))
        for timings in newest.values_list("timings", flat=True)[:LATEST]
    ]
    return median(times) if times else None


# ---------------------------------------------------------------- today
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Baseline:
    """The lowest and the highest of the days before: of their shares of defective ones, of their median scores."""

    shares: Bounds | None
    shares_of: int  # so many days had enough records
    scores: Bounds | None
    scores_of: int


@dataclass(frozen=True)
class Today:
    """One category's records since midnight. Shares are percentages."""

    day: date
    inspected: int
    more: bool  # there may be more: no more were counted
    not_comparable: int  # of those inspected; nothing judged them
    defective: int
    overruled: int
    interval: Bounds | None  # of the share of defective ones among those judged, 95 %
    score: float | None  # median of the newest, by the model in force
    score_interval: Bounds | None  # of that median, 95 %
    baseline: Baseline

    @property
    def judged(self) -> int:
        """What is not comparable is neither good nor defective: rates leave it out, as `figures.Figures.judged`."""
        return self.inspected - self.not_comparable

    @property
    def share(self) -> float | None:
        return 100 * self.defective / self.judged if self.judged else None

    @property
    def deviation(self) -> str:
        """`more` or `fewer` where even the interval of the share lies outside of what is usual."""
        return _outside(self.interval, self.baseline.shares, ("fewer", "more"))

    @property
    def drift(self) -> str:
        """`lower` or `higher` where even the interval of the median score lies outside of what is usual."""
        return _outside(self.score_interval, self.baseline.scores, ("lower", "higher"))


def _outside(interval: Bounds | None, baseline: Bounds | None, words: tuple[str, str]) -> str:
    if interval is None or baseline is None:
        return ""
    return words[0] if interval[1] < baseline[0] else words[1] if interval[0] > baseline[1] else ""


def today(deployment: Deployment) -> Today:
    """Figures of the deployment's category; scores are those of its model alone, as no other's compare with them."""
    category, version, day = deployment.category, deployment.model_version, timezone.localdate()
    inspected, not_comparable, defective = _counts(category, day, MAX_COUNTED)
    overruled = Standing.objects.filter(
        overruled=True, inspected_at__gte=_midnight(day), inspection__category=category
    ).order_by("-inspected_at")
    scores = _scores(version, day)
    baseline = cache.get_or_set(
        f"baseline:{category.pk}:{version.pk}:{day}", lambda: _compute_baseline(category, version, day), _CACHE_SECONDS
    )
    assert isinstance(baseline, Baseline)
    return Today(
        day=day,
        inspected=inspected,
        more=inspected == MAX_COUNTED,
        not_comparable=not_comparable,
        defective=defective,
        overruled=overruled[:MAX_COUNTED].count(),
        interval=_bounds([100 * end for end in proportion_interval(defective, inspected - not_comparable) or []]),
        score=median(scores) if scores else None,
        score_interval=_bounds(median_interval(scores) or []),
        baseline=baseline,
    )


def _compute_baseline(category: Category, version: ModelVersion, day: date) -> Baseline:
    before = [day - timedelta(days=ago) for ago in range(1, DAYS + 1)]
    counts = [_counts(category, earlier, MAX_SAMPLED) for earlier in before]
    shares = [100 * bad / (total - other) for total, other, bad in counts if total - other >= MIN_RECORDS_OF_DAY]
    medians = [
        median(scores)
        for scores in (_scores(version, earlier) for earlier in before)
        if len(scores) >= MIN_RECORDS_OF_DAY
    ]
    return Baseline(_range(shares), len(shares), _range(medians), len(medians))


def _range(of_days: Sequence[float]) -> Bounds | None:
    """None of a single day, which is no standard."""
    return (min(of_days), max(of_days)) if len(of_days) > 1 else None


def _bounds(interval: Sequence[float]) -> Bounds | None:
    return (interval[0], interval[1]) if interval else None


def _scores(version: ModelVersion, day: date) -> list[float]:
    """The newest scores of a day."""
    newest = Inspection.objects.filter(
        model_version=version,
        created_at__gte=_midnight(day),
        created_at__lt=_midnight(day + timedelta(days=1)),
    ).order_by("-created_at", "-id")
    return [score for score in newest.values_list("score", flat=True)[:MAX_SCORES] if score is not None]


def _counts(category: Category, day: date, limit: int) -> tuple[int, int, int]:
    """How many of the newest records of a day there are, how many of them not comparable, how many defective."""
    newest = Inspection.objects.filter(
        category=category, created_at__gte=_midnight(day), created_at__lt=_midnight(day + timedelta(days=1))
    ).order_by("-created_at", "-id")[:limit]
    outcome = Inspection.Outcome
    counts = newest.aggregate(
        total=Count("pk"),
        other=Count("pk", filter=Q(outcome=outcome.NOT_COMPARABLE)),
        bad=Count("pk", filter=Q(outcome=outcome.DEFECTIVE)),
    )
    return counts["total"], counts["other"], counts["bad"]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
