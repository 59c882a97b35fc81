"""Writes: charts take in new records, open an alarm when out of control, and begin anew when a person says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from common.rights import Right, require
from inspection.models import Inspection
from modelzoo.services import required_reason
from monitoring.alarms.services import open_alarm
from monitoring.drift.charts import KINDS, Chart, Observation, observed
from monitoring.models import Alarm, DriftChart, DriftCursor, DriftMonitor
from monitoring.reference_parts.services import active_parts, check_record
from records.audit.services import Actor, audit

# Records taken in by one transaction.
_CHUNK = 500
# A record is written some time after it got its own: what is newer waits for those that may still come before it.
_SETTLED = timedelta(seconds=3)
_COLUMNS = (
    *("created_at", "pk", "category_id", "station", "model_version_id", "threshold_id"),
    *("outcome", "score", "image_statistics", "serial_number", "request__batch"),
)


@dataclass
class _Stream:
    """A monitor and its charts while records are taken in."""

    monitor: DriftMonitor
    charts: dict[str, Chart]
    began: dict[str, datetime]
    signals: dict[str, Inspection] = field(default_factory=dict)


def charted_records() -> QuerySet[Inspection]:
    """Records that charts are of: judged with the model in force, and with image statistics.

    Those of batches have charts of their own: they may be other images than the line's, such as old or collected ones,
    and as many at once as the line makes in a day.
    """
    return Inspection.objects.filter(image_statistics__isnull=False, deployment__isnull=False)


def evaluate(*, until: datetime | None = None) -> int:
    """Let charts take in what was recorded since the last time; how many records that were."""
    until = until or timezone.now() - _SETTLED
    total = 0
    while taken := _evaluate_chunk(until):
        total += taken
    return total


@transaction.atomic
def _evaluate_chunk(until: datetime) -> int:
    cursor = DriftCursor.objects.select_for_update(no_key=True).filter(pk=1).first()
    records = charted_records().filter(created_at__lte=until)
    if cursor is not None:
        later = Q(created_at__gt=cursor.record_at) | Q(created_at=cursor.record_at, pk__gt=cursor.record_id)
        # The first condition says nothing new: it is the one that an index is searched by.
        records = records.filter(created_at__gte=cursor.record_at).filter(later)
    rows = list(records.order_by("created_at", "pk").select_related("request").only(*_COLUMNS)[:_CHUNK])
    if rows:
        _take_in(rows)
        last = rows[-1]
        DriftCursor.objects.update_or_create(pk=1, defaults={"record_at": last.created_at, "record_id": last.pk})
    return len(rows)


def _take_in(records: Sequence[Inspection]) -> None:
    streams: dict[tuple[int, str, bool], _Stream] = {}
    parts = active_parts({record.category_id for record in records})
    for record in records:
        of_batches = record.request.batch_id is not None
        if part := parts.get((record.category_id, record.serial_number)):
            if not of_batches:  # a picture of it in a batch proves nothing about a station
                check_record(part=part, record=record)
            continue  # it is no part of the line
        key = (record.category_id, record.station, of_batches)
        stream = streams.get(key) or streams.setdefault(key, _open_stream(record))
        monitor = stream.monitor
        monitor.records += 1
        monitor.last_record_at, monitor.model_version_id = record.created_at, record.model_version_id
        for chart in observed(stream.charts, observation_of(record)):
            stream.signals.setdefault(chart.kind, record)
        for name, chart in stream.charts.items():
            if len(chart.reference) == 1:
                stream.began[name] = record.created_at
    for stream in streams.values():
        _save(stream)


def observation_of(record: Inspection) -> Observation:
    return Observation(
        record.model_version_id, record.threshold_id, record.outcome, record.score, record.image_statistics or {}
    )


def _open_stream(record: Inspection) -> _Stream:
    """The monitor of a record's stream. Charts whose alarm was resolved go on from there, or begin anew."""
    monitor, _ = DriftMonitor.objects.select_related("alarm").get_or_create(
        category_id=record.category_id,
        station=record.station,
        of_batches=record.request.batch_id is not None,
        defaults={"model_version_id": record.model_version_id, "last_record_at": record.created_at},
    )
    rows = list(DriftChart.objects.filter(monitor=monitor))
    stream = _Stream(
        monitor,
        {row.kind: Chart.from_dict(row.state) for row in rows if row.kind in KINDS},
        {row.kind: row.began_at for row in rows},
    )
    if monitor.alarm is not None and not monitor.alarm.is_unresolved:
        for kind in monitor.alarm.details.get("charts", []):
            if chart := stream.charts.get(kind):
                chart.restart() if monitor.alarm.is_new_normal else chart.reset()
        monitor.alarm = None
    return stream


def _save(stream: _Stream) -> None:
    monitor = stream.monitor
    if stream.signals:
        _raise(stream)
    monitor.save(update_fields=["records", "last_record_at", "model_version", "alarm"])
    for name, chart in stream.charts.items():
        DriftChart.objects.update_or_create(
            monitor=monitor, kind=name, defaults={"state": chart.as_dict(), "began_at": stream.began[name]}
        )


def _raise(stream: _Stream) -> None:
    """One alarm of all charts that are out of control; a chart that joins an unresolved one is a comment on it."""
    monitor = stream.monitor
    known = monitor.alarm.details.get("charts", []) if monitor.alarm else []
    new = [name for name in stream.signals if name not in known]
    if not new:
        return
    words = ", ".join(_in_words(stream.charts[name]) for name in new)
    first = stream.signals[new[0]]
    alarm = open_alarm(
        kind=Alarm.Kind.BATCH_DRIFT if monitor.of_batches else Alarm.Kind.DRIFT,
        category=monitor.category,
        station=monitor.station,
        sentence=f"Out of control: {words}.",
        details={
            "monitor": monitor.pk,
            "charts": new,
            "record": str(first.pk),
            "record_at": first.created_at.isoformat(),
        },
    )
    if known:
        alarm.details = alarm.details | {"charts": [*known, *new]}
        alarm.save(update_fields=["details"])
    monitor.alarm = alarm


def _in_words(chart: Chart) -> str:
    kind = KINDS[chart.kind]
    if chart.is_share:
        return f"{kind.words.lower()} {sum(chart.recent):.0f} of {len(chart.recent)}"
    before, now = chart.medians
    unit = f" {kind.unit}" if kind.unit else ""
    return f"{kind.words[0].lower()}{kind.words[1:]} {now:.4g}{unit} (reference {before:.4g})"


@transaction.atomic
def restart_monitor(*, monitor: DriftMonitor, reason: str, actor: Actor) -> DriftMonitor:
    """Let all charts of a stream begin anew: the next parts are the reference. Raises `Forbidden` and `UserError`."""
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A new reference")
    monitor = DriftMonitor.objects.select_for_update(no_key=True).select_related("category").get(pk=monitor.pk)
    for row in DriftChart.objects.filter(monitor=monitor):
        chart = Chart.from_dict(row.state)
        chart.restart()
        row.state = chart.as_dict()
        row.save(update_fields=["state"])
    audit(
        kind="drift_monitor.restarted",
        subject=monitor,
        actor=actor,
        after={"category": monitor.category.name, "station": monitor.station, "reason": reason},
    )
    return monitor
