"""Reads: what a report counts and lists. Records are counted by the database, in one pass over the window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from inspection.judging.selectors import inspections
from inspection.models import Inspection, InspectionRequest, LayoutView, PartInspection, PartInspectionView
from inspection.parts.selectors import with_views
from modelzoo.models import Approval, Deployment, InputCheckSettings, ModelVersion, Threshold
from monitoring.models import Alarm, DoubtfulPeriod, ReferenceCheck, ReferencePart
from quality.random_audit.selectors import figures_of
from quality.random_audit.shifts import shift_at
from records.audit.selectors import chain_state
from records.models import AuditVerification
from reports.content.scope import Kind, Scope
from tuning.models import ReplayRun

MAX_LISTED = 40  # rows of a list in a report; how many there are is always said
WORST = 12
_AT_ONCE = 100  # spans that one query counts


# ---------------------------------------------------------------- records
def records_in(scope: Scope) -> QuerySet[Inspection]:
    """The records that a report is about: those of the product. Reference parts are not among them."""
    checks = ReferenceCheck.objects.filter(checked_at__gte=scope.since, checked_at__lt=scope.until)
    return _of(scope, Inspection.objects.order_by()).exclude(pk__in=checks.values("inspection"))


def _of(scope: Scope, rows: QuerySet[Any], *, category: str = "category") -> QuerySet[Any]:
    """Rows of the window, category, station and lot; they all have these columns under the same names."""
    rows = rows.filter(created_at__gte=scope.since, created_at__lt=scope.until)
    for name, value in ((category, scope.category), ("station", scope.station), ("lot", scope.lot)):
        rows = rows.filter(**{name: value}) if value else rows
    return rows


@dataclass(frozen=True)
class Cell:
    """Records that are alike in all that a report tells them apart by."""

    category: int
    station: str
    version: int
    threshold: int
    is_batch: bool
    outcome: str
    verdict: str | None  # a person's, that stands; None: nobody reviewed it
    defect_type: str | None
    reviewer: int | None
    overruled: bool | None
    contested: bool | None
    count: int
    reviews: int

    @property
    def standing_verdict(self) -> str:
        return self.verdict or self.outcome


def cells_of(scope: Scope) -> list[Cell]:
    """All records of the window, counted in one query."""
    columns = (
        *("category_id", "station", "model_version_id", "threshold_id", "is_batch", "outcome"),
        *("standing__verdict", "standing__defect_type", "standing__reviewer_id"),
        *("standing__overruled", "standing__contested"),
    )
    rows = records_in(scope).annotate(is_batch=Q(request__batch__isnull=False))
    counted: Iterable[Any] = rows.values_list(*columns).annotate(
        count=Count("pk"), review_count=Coalesce(Sum("standing__reviews"), 0)
    )
    return [Cell(*row) for row in counted]


@dataclass(frozen=True)
class PartCell:
    """Parts of several views that are alike in layout, verdict, and what stands of them after reviews."""

    layout: str
    outcome: str
    standing_outcome: str
    count: int


def part_cells_of(scope: Scope) -> list[PartCell]:
    """Parts that were closed in the window; of a category those that have a view of it.

    Counted by the database. What reviews made of a part is decided by the rule, for those with an overruled view.
    """
    rows = PartInspection.objects.order_by()
    if scope.category:
        rows = rows.filter(Exists(LayoutView.objects.filter(layout=OuterRef("layout"), category=scope.category)))
    rows = _of(replace(scope, category=None), rows)
    counts: Counter[tuple[str, str, str]] = Counter()
    for layout, outcome, count in rows.values_list("layout_name", "outcome").annotate(count=Count("pk")):
        counts[layout, outcome, outcome] = count
    overruled = rows.filter(Exists(_OVERRULED_VIEWS)).select_related("request", "layout", "operator")
    for part in with_views(overruled):
        if part.record is not None and part.differs:
            counts[part.record.layout_name, part.record.outcome, part.record.outcome] -= 1
            counts[part.record.layout_name, part.record.outcome, str(part.standing_outcome)] += 1
    return [PartCell(*key, count) for key, count in sorted(counts.items()) if count]


_OVERRULED_VIEWS = PartInspectionView.objects.filter(part=OuterRef("pk"), inspection__standing__isnull=False).exclude(
    inspection__standing__verdict=F("state")
)


def reference_inspections(scope: Scope) -> int:
    return _of(scope, Inspection.objects.order_by()).filter(pk__in=_checks(scope).values("inspection")).count()


def good_by_size_rule(scope: Scope) -> int:
    """Records with a score above the threshold that are good, because a size rule ignored all their regions."""
    rows = records_in(scope).filter(min_region_px__isnull=False, outcome=Inspection.Outcome.GOOD)
    return rows.filter(score__gt=F("threshold_value")).count()


def judged_without_scale(scope: Scope) -> int:
    """Records whose threshold has a size rule that could not be applied: their pictures were not calibrated."""
    ruled = Q(threshold__min_region_mm2__isnull=False) | Q(threshold__severity_grades__isnull=False)
    return records_in(scope).filter(ruled, score__isnull=False, calibration__isnull=True).count()


def failures_of(scope: Scope) -> list[tuple[str, int]]:
    """Images that ended without a record, by the code that says why, most first; cancelled batches left out."""
    requests = _of(scope, InspectionRequest.objects.order_by(), category="model_version__category")
    failed, expired = (
        requests.filter(status=status).values_list("error_code").annotate(count=Count("pk"))
        for status in (InspectionRequest.Status.FAILED, InspectionRequest.Status.EXPIRED)
    )
    counted = failed.union(expired, all=True)
    return sorted(((code or "not_judged_in_time", count) for code, count in counted), key=lambda row: (-row[1], row))


def worst_records(scope: Scope) -> list[Inspection]:
    """The highest scores for the threshold that each was judged at: several models have no other scale in common."""
    scored = records_in(scope).filter(score__isnull=False, threshold_value__gt=0)
    keys = scored.order_by(F("score") / F("threshold_value"), "pk").reverse().values_list("pk", flat=True)[:WORST]
    by_id = {record.pk: record for record in inspections().filter(pk__in=list(keys)).order_by()}
    return [by_id[pk] for pk in keys]


def versions_named(ids: Iterable[int]) -> dict[int, ModelVersion]:
    versions = ModelVersion.objects.select_related("category").defer(*ModelVersion.long_columns(in_list=True))
    return {version.pk: version for version in versions.filter(pk__in=set(ids))}


# ---------------------------------------------------------------- what was changed
@dataclass(frozen=True)
class Change:
    """What somebody changed about how parts are judged."""

    at: datetime
    what: str
    category: str
    sentence: str
    by: str
    reason: str


def changes_of(scope: Scope) -> list[Change]:
    """Models put into production, thresholds, approvals and input checks of the window, oldest first."""
    found: list[Change] = []
    named = ("model_version__category", "author")
    deployments = Deployment.objects.select_related("model_version__category", "requested_by")
    for row in _between(scope, deployments, "activated_at", "category"):
        words = "rolled back to" if row.kind == Deployment.Kind.ROLLBACK else "put into production"
        if row.station:
            words = f"made canary of station {row.station}"
        sentence = f"{row.model_version} {words}"
        by = _name(row.requested_by)
        found.append(Change(row.activated_at, "model", row.model_version.category.name, sentence, by, row.reason))
    # The first one comes with the version, which the deployment tells.
    moved = Threshold.objects.select_related(*named).filter(revision__gt=1)
    for row in _between(scope, moved, "created_at", "model_version__category"):
        version = row.model_version
        sentence = f"{version}: {row.value:.6g} (revision {row.revision}, {row.get_method_display().lower()})"
        found.append(
            Change(row.created_at, "threshold", version.category.name, sentence, _name(row.author), row.reason)
        )
    for row in _between(scope, Approval.objects.select_related(*named), "created_at", "model_version__category"):
        version = row.model_version
        sentence = f"{version} {'approved' if row.approved else 'no longer approved'}"
        found.append(Change(row.created_at, "approval", version.category.name, sentence, _name(row.author), row.reason))
    checks = InputCheckSettings.objects.select_related("category", "author")
    for row in _between(scope, checks, "created_at", "category"):
        sentence = f"size {row.size}, shape {row.aspect}, colour {row.colour}, kind of image {row.likeness}"
        found.append(Change(row.created_at, "input checks", row.category.name, sentence, _name(row.author), row.reason))
    return sorted(found, key=lambda change: change.at)


def _between(scope: Scope, rows: QuerySet[Any], moment: str, category: str) -> QuerySet[Any]:
    rows = rows.filter(**{f"{moment}__gte": scope.since, f"{moment}__lt": scope.until})
    return rows.filter(**{category: scope.category}) if scope.category else rows


def _name(user: Any) -> str:
    return user.get_username() if user else "the system"


# ---------------------------------------------------------------- drift and reference parts
def alarms_of(scope: Scope) -> list[Alarm]:
    """Alarms that were unresolved at some time of the window, oldest first."""
    rows = Alarm.objects.select_related("category", "resolved_by").order_by("opened_at", "pk")
    rows = rows.filter(opened_at__lt=scope.until).exclude(resolved_at__lt=scope.since)
    rows = rows.filter(category=scope.category) if scope.category else rows
    return list(rows.filter(station=scope.station) if scope.station else rows)


def _checks(scope: Scope) -> QuerySet[ReferenceCheck]:
    rows = ReferenceCheck.objects.filter(checked_at__gte=scope.since, checked_at__lt=scope.until)
    rows = rows.filter(part__category=scope.category) if scope.category else rows
    return rows.filter(station=scope.station) if scope.station else rows


def checks_of(scope: Scope) -> list[dict[str, Any]]:
    """Inspections of each reference part at each station."""
    columns = ("part__category__name", "part__serial_number", "part__expected", "station")
    counted = _checks(scope).order_by().values(*columns).annotate(runs=Count("pk"), passed=Count("pk", Q(passed=True)))
    return sorted(counted, key=lambda row: tuple(row[name] for name in columns))


@dataclass(frozen=True)
class Unproven:
    """A time in which parts were inspected at a station before its reference parts had passed in that shift."""

    category: str
    station: str
    since: datetime
    until: datetime
    was_proven: bool  # at its end; False: the shift, or the window, ended first
    records: int


@dataclass(frozen=True)
class _Span:
    category_id: int
    category: str
    station: str
    since: datetime
    until: datetime
    was_proven: bool


def unproven_of(scope: Scope, stations: Iterable[tuple[int, str]], now: datetime) -> list[Unproven]:
    """Of the stations that inspected something in the window. Those that inspected nothing meanwhile are left out."""
    spans = _unproven_spans(scope, sorted(stations), now)
    found: list[Unproven] = []
    iterator = iter(spans)
    while chunk := list(islice(iterator, _AT_ONCE)):
        counts = _counts_in(scope, chunk)
        found += [
            Unproven(span.category, span.station, span.since, span.until, span.was_proven, counts[index])
            for index, span in enumerate(chunk)
            if counts.get(index)
        ]
    return found


def _unproven_spans(scope: Scope, stations: Sequence[tuple[int, str]], now: datetime) -> list[_Span]:
    """From the beginning of each shift until every reference part in use had passed, as far as the window goes."""
    parts = ReferencePart.objects.select_related("category").filter(category__in={pk for pk, _ in stations})
    by_category: dict[int, list[ReferencePart]] = {}
    for part in parts.order_by("pk"):
        by_category.setdefault(part.category_id, []).append(part)
    if not by_category:
        return []
    first = shift_at(scope.since, settings.SHIFT_STARTS)[0]
    rows = ReferenceCheck.objects.filter(part__in=parts, checked_at__gte=first, checked_at__lt=scope.until)
    checks: dict[tuple[int, str], list[tuple[datetime, bool]]] = {}
    for part_id, station, at, passed in rows.order_by("checked_at", "pk").values_list(
        "part", "station", "checked_at", "passed"
    ):
        checks.setdefault((part_id, station), []).append((at, passed))
    spans = []
    begin = first
    while begin < min(scope.until, now):
        end = min(shift_at(begin, settings.SHIFT_STARTS)[1], scope.until, now)
        for category_id, station in stations:
            in_use = [part for part in by_category.get(category_id, []) if _is_in_use(part, begin)]
            if not in_use:
                continue
            passes = [_first_pass(checks.get((part.pk, station), []), begin, end) for part in in_use]
            proven = None if None in passes else max(at for at in passes if at is not None)
            since, until = max(begin, scope.since), proven or end
            if since < until:
                name = in_use[0].category.name
                spans.append(_Span(category_id, name, station, since, until, proven is not None))
        begin = shift_at(begin, settings.SHIFT_STARTS)[1]
    return spans


def _is_in_use(part: ReferencePart, moment: datetime) -> bool:
    return part.created_at <= moment and (part.retired_at is None or part.retired_at > moment)


def _first_pass(checks: Sequence[tuple[datetime, bool]], begin: datetime, end: datetime) -> datetime | None:
    return next((at for at, passed in checks if passed and begin <= at < end), None)


def _counts_in(scope: Scope, spans: Sequence[_Span]) -> dict[int, int]:
    """How many records each span has, by its place: one query for all, each part of it read off an index."""
    counted = [
        Inspection.objects.order_by()
        .filter(station=span.station, created_at__gte=span.since, created_at__lt=span.until)
        .filter(request__batch__isnull=True, category=span.category_id, **({"lot": scope.lot} if scope.lot else {}))
        .values("station")
        .annotate(place=Value(index), count=Count("pk"))
        .values_list("place", "count")
        for index, span in enumerate(spans)
    ]
    return dict(counted[0].union(*counted[1:], all=True)) if counted else {}


def doubts_of(scope: Scope) -> list[DoubtfulPeriod]:
    """Times in which a station was in doubt because a reference part had failed there, as far as they touch it."""
    rows = DoubtfulPeriod.objects.select_related("part", "category", "alarm").order_by("pk")
    rows = rows.filter(alarm__opened_at__lt=scope.until).exclude(ends_at__lt=scope.since)
    rows = rows.filter(category=scope.category) if scope.category else rows
    return list(rows.filter(station=scope.station) if scope.station else rows)


# ---------------------------------------------------------------- proof
def audit_figures(scope: Scope) -> dict[str, Any]:
    """What the random audits of the shifts that ended in the window tell; of a lot, of all its drawn parts."""
    is_lot = scope.kind == Kind.LOT
    return figures_of(
        category=scope.category,
        since=None if is_lot else scope.since,
        until=None if is_lot else scope.until,
        station=scope.station or None,
        lot=scope.lot or None,
    )


def replays_of(scope: Scope) -> dict[str, int]:
    """Replays of stored verdicts that ended in the window, of whatever category."""
    rows = ReplayRun.objects.filter(finished_at__gte=scope.since, finished_at__lt=scope.until)
    sums = rows.order_by().aggregate(
        runs=Count("pk"),
        **{name: Sum(name) for name in ("done", "equal", "differing", "not_recomputed")},
    )
    return {name: value or 0 for name, value in sums.items()}


def last_replay(until: datetime) -> ReplayRun | None:
    return ReplayRun.objects.filter(finished_at__lt=until).order_by("-finished_at", "-pk").first()


@dataclass(frozen=True)
class Proof:
    """The audit chain as it is now, and when all of it was verified last."""

    sequence: int
    head: str
    checkpoint: int | None  # the event of the last one; `doubt`: what is wrong with it
    doubt: str
    verification: AuditVerification | None


def proof() -> Proof:
    state = chain_state()
    finished = AuditVerification.objects.filter(status=AuditVerification.Status.FINISHED)
    checkpoint = state.checkpoint.sequence if state.checkpoint else None
    return Proof(state.events, state.head, checkpoint, state.doubt, finished.order_by("-pk").first())
