"""The JSON shape of a report: all its numbers, written once. Page, files and API are made from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from inspection.models import Inspection
from modelzoo.models import Category, Threshold
from monitoring.drift.charts import KINDS
from quality.random_audit.bounds import LEVEL, binomial_interval
from reports.content import selectors
from reports.content.scope import Kind, Scope
from reports.content.selectors import MAX_LISTED, Cell

FORMAT = "inspection-report-1"
_GOOD, _DEFECTIVE = Inspection.Outcome.GOOD, Inspection.Outcome.DEFECTIVE
_NOT_COMPARABLE = Inspection.Outcome.NOT_COMPARABLE
Key = TypeVar("Key", bound=Hashable)


def report_document(scope: Scope, *, now: datetime | None = None) -> dict[str, Any]:
    """The report as it is at this moment."""
    now = now or timezone.now()
    cells = selectors.cells_of(scope)
    stations = {(cell.category, cell.station) for cell in cells if not cell.is_batch}
    return {
        "format": FORMAT,
        "title": scope.title,
        **scope_document(scope),
        "is_over": scope.is_over(now),
        "made_at": now.isoformat(),
        "time_zone": settings.TIME_ZONE,
        "counts": _counts(scope, cells),
        "parts": _parts(selectors.part_cells_of(scope)),
        "by_station": _by_station(cells),
        "by_model": _by_model(cells),
        "by_origin": _by_origin(cells),
        "defects": _defects(cells),
        "worst": [_record(record) for record in selectors.worst_records(scope)],
        "changes": _listed(selectors.changes_of(scope), _change),
        "alarms": _listed(selectors.alarms_of(scope), _alarm(scope)),
        "reference_parts": _reference_parts(scope, stations, now),
        "random_audit": _random_audit(scope),
        "reviews": _reviews(cells),
        "replay": _replay(scope),
        "audit": audit_document(),
    }


def scope_document(scope: Scope) -> dict[str, Any]:
    return {
        "kind": str(scope.kind),
        "category": scope.category.name if scope.category else None,
        "station": scope.station,
        "lot": scope.lot,
        "since": scope.since.isoformat(),
        "until": scope.until.isoformat(),
    }


def rate(found: int, total: int) -> dict[str, Any]:
    """A share with its exact interval at 95 % (Clopper and Pearson); of nothing there is none."""
    if not total:
        return {"found": found, "of": total, "value": None, "low": None, "high": None}
    low, high = binomial_interval(found, total)
    return {"found": found, "of": total, "value": found / total, "low": low, "high": high}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _listed(rows: Sequence[Any], write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """A list that is cut where it is too long for a report, and how many there are."""
    return {"total": len(rows), "rows": [write(row) for row in rows[:MAX_LISTED]]}


# ---------------------------------------------------------------- counts
def _sums(cells: Iterable[Cell], of: Callable[[Cell], Key]) -> Counter[Key]:
    counts: Counter[Key] = Counter()
    for cell in cells:
        counts[of(cell)] += cell.count
    return counts


def _verdicts(cells: Sequence[Cell]) -> dict[str, Any]:
    """What the model said of records, and what stands after reviews."""
    outcomes = _sums(cells, lambda cell: cell.outcome)
    stands = _sums(cells, lambda cell: cell.standing_verdict)
    return {
        "records": outcomes.total(),
        "good": outcomes[_GOOD],
        "defective": outcomes[_DEFECTIVE],
        "not_comparable": outcomes[_NOT_COMPARABLE],
        "defect_rate": rate(outcomes[_DEFECTIVE], outcomes[_GOOD] + outcomes[_DEFECTIVE]),
        "stands_good": stands[_GOOD],
        "stands_defective": stands[_DEFECTIVE],
        "stands_defect_rate": rate(stands[_DEFECTIVE], stands[_GOOD] + stands[_DEFECTIVE]),
    }


def _counts(scope: Scope, cells: Sequence[Cell]) -> dict[str, Any]:
    failures = selectors.failures_of(scope)
    return {
        **_verdicts(cells),
        "failed": sum(count for _, count in failures),
        "failures": [{"code": code, "count": count} for code, count in failures[:MAX_LISTED]],
        "reference_inspections": selectors.reference_inspections(scope),
        "good_by_size_rule": selectors.good_by_size_rule(scope),
        "without_scale": selectors.judged_without_scale(scope),
    }


def _parts(cells: Sequence[selectors.PartCell]) -> dict[str, Any]:
    """Parts of several views, each counted once: all of them, and by layout."""
    layouts = sorted({cell.layout for cell in cells})
    rows = [{"layout": layout, **_part_counts([cell for cell in cells if cell.layout == layout])} for layout in layouts]
    return {**_part_counts(cells), "by_layout": {"total": len(rows), "rows": rows[:MAX_LISTED]}}


def _part_counts(cells: Sequence[selectors.PartCell]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    stands: Counter[str] = Counter()
    for cell in cells:
        outcomes[cell.outcome] += cell.count
        stands[cell.standing_outcome] += cell.count
    return {
        "parts": outcomes.total(),
        "good": outcomes[_GOOD],
        "defective": outcomes[_DEFECTIVE],
        "not_comparable": outcomes[_NOT_COMPARABLE],
        "defect_rate": rate(outcomes[_DEFECTIVE], outcomes[_GOOD] + outcomes[_DEFECTIVE]),
        "stands_good": stands[_GOOD],
        "stands_defective": stands[_DEFECTIVE],
    }


def _groups(cells: Sequence[Cell], of: Callable[[Cell], Key]) -> dict[Key, list[Cell]]:
    groups: dict[Key, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(of(cell), []).append(cell)
    return groups


def _by_station(cells: Sequence[Cell]) -> dict[str, Any]:
    names = dict(Category.objects.filter(pk__in={cell.category for cell in cells}).values_list("pk", "name"))
    groups = _groups(cells, lambda cell: (names[cell.category], cell.station))
    rows = [{"category": name, "station": station, **_verdicts(groups[name, station])} for name, station in groups]
    rows.sort(key=lambda row: (row["category"], row["station"]))
    return {"total": len(rows), "rows": rows[:MAX_LISTED]}


def _by_model(cells: Sequence[Cell]) -> dict[str, Any]:
    groups = _groups(cells, lambda cell: (cell.version, cell.threshold))
    versions = selectors.versions_named(version for version, _ in groups)
    thresholds = Threshold.objects.in_bulk({threshold for _, threshold in groups})
    rows = [
        {
            "model_version": version,
            "model": str(versions[version]),
            "threshold": threshold,
            "revision": thresholds[threshold].revision,
            "value": thresholds[threshold].value,
            **_verdicts(group),
        }
        for (version, threshold), group in sorted(groups.items())
    ]
    return {"total": len(rows), "rows": rows[:MAX_LISTED]}


def _by_origin(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Single images and batches apart: a batch may be of older or collected images."""
    groups = _groups(cells, lambda cell: "batch" if cell.is_batch else "single")
    return [{"origin": origin, **_verdicts(groups.get(origin, []))} for origin in ("single", "batch")]


def _defects(cells: Sequence[Cell]) -> dict[str, Any]:
    """Pareto of the defect types that people named; what nobody reviewed has no type, and is counted apart."""
    reviewed = [cell for cell in cells if cell.verdict == _DEFECTIVE]
    counts = _sums(reviewed, lambda cell: cell.defect_type or "")
    total, so_far, rows = counts.total(), 0, []
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        so_far += count
        rows.append({"defect_type": name, "count": count, "share": count / total, "cumulative_share": so_far / total})
    by_model = [cell for cell in cells if cell.outcome == _DEFECTIVE]
    return {
        "reviewed": total,
        "unreviewed": sum(cell.count for cell in by_model if cell.verdict is None),
        "overruled": sum(cell.count for cell in by_model if cell.verdict == _GOOD),
        "total": len(rows),
        "rows": rows[:MAX_LISTED],
    }


def _reviews(cells: Sequence[Cell]) -> dict[str, Any]:
    reviewed = [cell for cell in cells if cell.verdict is not None]
    people = _groups(reviewed, lambda cell: cell.reviewer)
    names = {user.pk: user.get_username() for user in User.objects.filter(pk__in=[pk for pk in people if pk])}
    rows = [
        {
            "reviewer": names[pk],
            "records": sum(cell.count for cell in group),
            "overruled": _overruled(group),
        }
        for pk, group in people.items()
        if pk is not None
    ]
    return {
        "records": sum(cell.count for cell in reviewed),
        "of": sum(cell.count for cell in cells),
        "reviews": sum(cell.reviews for cell in reviewed),
        "overruled": _overruled(reviewed),
        "contested": sum(cell.count for cell in reviewed if cell.contested),
        "by_person": sorted(rows, key=lambda row: (-row["records"], row["reviewer"])),
    }


def _overruled(cells: Iterable[Cell]) -> int:
    return sum(cell.count for cell in cells if cell.overruled)


# ---------------------------------------------------------------- what happened
def _record(record: Inspection) -> dict[str, Any]:
    standing = getattr(record, "standing", None)
    assert record.score is not None
    return {
        "inspection_id": str(record.pk),
        "inspection_url": reverse("api-inspection", args=[record.pk]),
        "created_at": record.created_at.isoformat(),
        "filename": record.filename,
        "serial_number": record.serial_number,
        "lot": record.lot,
        "station": record.station,
        "model": str(record.model_version),
        "score": record.score,
        "threshold": record.threshold_value,
        "score_by_threshold": record.score / record.threshold_value,
        "outcome": record.outcome,
        "region_count": record.region_count,
        "largest_region_px": record.largest_region_px,
        "largest_region_mm2": record.largest_region_mm2,
        "severity": record.severity,
        "review": standing.verdict if standing else None,
        "defect_type": standing.defect_type if standing else "",
    }


def _change(change: selectors.Change) -> dict[str, Any]:
    return {
        "at": change.at.isoformat(),
        "what": change.what,
        "category": change.category,
        "sentence": change.sentence,
        "by": change.by,
        "reason": change.reason,
    }


def _alarm(scope: Scope) -> Callable[[Any], dict[str, Any]]:
    def document(alarm: Any) -> dict[str, Any]:
        """As it stood at the end of the window: what came of it later is of another report."""
        is_resolved = alarm.resolved_at is not None and alarm.resolved_at < scope.until
        charts = [KINDS[name].words for name in alarm.details.get("charts", []) if name in KINDS]
        return {
            "alarm_id": alarm.pk,
            "kind": alarm.kind,
            "category": alarm.category.name,
            "station": alarm.station,
            "sentence": alarm.sentence,
            "charts": charts,
            "opened_at": alarm.opened_at.isoformat(),
            "was_open_before": alarm.opened_at < scope.since,
            "resolved_at": _iso(alarm.resolved_at) if is_resolved else None,
            "resolved_by": alarm.resolved_by.get_username() if is_resolved and alarm.resolved_by else None,
            "cause": alarm.cause if is_resolved else "",
        }

    return document


def _reference_parts(scope: Scope, stations: Iterable[tuple[int, str]], now: datetime) -> dict[str, Any]:
    unproven = selectors.unproven_of(scope, stations, now)
    checks = [
        {
            "category": row["part__category__name"],
            "serial_number": row["part__serial_number"],
            "expected": row["part__expected"],
            "station": row["station"],
            "inspections": row["runs"],
            "passed": row["passed"],
            "failed": row["runs"] - row["passed"],
        }
        for row in selectors.checks_of(scope)
    ]
    return {
        "inspections": sum(row["inspections"] for row in checks),
        "failed": sum(row["failed"] for row in checks),
        "checks": {"total": len(checks), "rows": checks[:MAX_LISTED]},
        "unproven_records": sum(span.records for span in unproven),
        "unproven": _listed(
            unproven,
            lambda span: {
                "category": span.category,
                "station": span.station,
                "since": span.since.isoformat(),
                "until": span.until.isoformat(),
                "was_proven": span.was_proven,
                "records": span.records,
            },
        ),
        "doubts": _listed(
            selectors.doubts_of(scope),
            lambda doubt: {
                "category": doubt.category.name,
                "station": doubt.station,
                "serial_number": doubt.part.serial_number,
                "since": _iso(doubt.begins_at),
                "until": _iso(doubt.ends_at if doubt.ends_at and doubt.ends_at < scope.until else None),
            },
        ),
    }


# ---------------------------------------------------------------- proof
def _random_audit(scope: Scope) -> dict[str, Any]:
    figures = selectors.audit_figures(scope)
    names = ("shifts", "drawn", "good", "defective", "doubtful", "open")
    return {name: figures[name] for name in names} | {
        "of": "lot" if scope.kind == Kind.LOT else "shifts",
        "level": LEVEL,
        "escape_rate": figures["escape_rate"],
        "exact_interval": figures["exact_interval"],
    }


def _replay(scope: Scope) -> dict[str, Any]:
    last = selectors.last_replay(scope.until)
    sums = selectors.replays_of(scope)
    return {
        "runs": sums["runs"],
        "records": sums["done"],
        "equal": sums["equal"],
        "differing": sums["differing"],
        "not_recomputed": sums["not_recomputed"],
        "last_at": _iso(last.finished_at) if last else None,
        "last_is_proof": last.is_proof if last else None,
    }


def audit_document() -> dict[str, Any]:
    proof = selectors.proof()
    last = proof.verification
    return {
        "sequence": proof.sequence,
        "head": proof.head,
        "checkpoint": proof.checkpoint,
        "checkpoint_doubt": proof.doubt,
        "verified_at": _iso(last.finished_at) if last else None,
        "verified_events": last.events if last else None,
        "fault": last.fault if last else None,
    }
