"""What /metrics answers: sums of all processes from the broker, and what is looked up in broker and database.

No query reads more than the open rows of a table by an index of its own, whatever its history: what grows with every
image is counted as it happens (`jobs.metrics`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import redis
from django.db import DatabaseError
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as BaseCollector

from common.database import UNAVAILABLE, drop_broken_connection
from common.version import code_version
from edge.models import Delivery
from inspection.batches.worker import BATCHES
from inspection.models import InspectionRequest
from jobs import broker
from jobs.engine import JobKind
from jobs.metrics import reading
from jobs.metrics.definitions import GAUGES, REGISTRY, label_names
from jobs.metrics.reading import gauge
from jobs.models import LeasedJob
from jobs.outbox import OutboxMessage
from monitoring.models import Alarm, AlarmMessage
from mvtec_site.health import readiness
from quality.containment.services import CONTAINMENTS
from records.audit.verification import VERIFICATIONS
from records.models import AuditCheckpoint
from reports.models import ReportMessage
from retention.models import RetentionRun
from retention.services import RETENTION_RUNS
from rollout.challengers.services import CHALLENGERS
from training.evaluations.services import EVALUATIONS
from training.models import TrainingRun
from training.runs.services import TRAINING_RUNS
from tuning.replay.services import REPLAYS
from tuning.rescoring.services import RESCORINGS
from tuning.retraining.services import COMPARISONS

log = logging.getLogger(__name__)
_KINDS: tuple[JobKind, ...] = (
    *(BATCHES, CHALLENGERS, COMPARISONS, CONTAINMENTS, EVALUATIONS, REPLAYS, RESCORINGS, RETENTION_RUNS),
    *(TRAINING_RUNS, VERIFICATIONS),
)
_OUTBOXES: tuple[type[OutboxMessage], ...] = (AlarmMessage, Delivery, ReportMessage)


class Collector(BaseCollector):
    def collect(self) -> Iterator[Metric]:
        began = time.perf_counter()
        version = gauge("mvtec_build_info")
        version.add_metric([code_version()], 1)
        yield version
        states = readiness.states()
        ready = gauge("mvtec_ready")
        for name, state in states.items():
            ready.add_metric([name], float(state.ok))
        yield ready
        missing = gauge("mvtec_scrape_incomplete")
        for source, look_up in (("broker", _of_broker), ("database", _of_database)):
            metrics = _all_of(look_up) if states[source].ok else None
            missing.add_metric([source], float(metrics is None))
            yield from metrics or ()
        yield missing
        yield gauge("mvtec_scrape_seconds", time.perf_counter() - began)


def _all_of(look_up: Callable[[], Iterable[Metric]]) -> list[Metric] | None:
    """All of a source's metrics, or None where it failed on the way: half of them would mislead."""
    try:
        return list(look_up())
    except (redis.RedisError, DatabaseError, *UNAVAILABLE) as error:
        log.warning("Some metrics are missing: %s", error)
        drop_broken_connection()
        return None


# ---------------------------------------------------------------- of the broker
def _of_broker() -> Iterator[Metric]:
    shared = reading.read()
    yield from reading.counted(shared)
    yield from reading.of_processes(shared)
    succeeded = gauge("mvtec_last_success_timestamp_seconds")
    for task, at in sorted(shared.successes.items()):
        succeeded.add_metric([task], at)
    yield succeeded
    lengths, ages = gauge("mvtec_queue_messages"), gauge("mvtec_queue_oldest_message_seconds")
    now = time.time()
    for queue, length in broker.queue_depths(broker.QUEUES).items():
        lengths.add_metric([queue], length or 0)
    for queue, published_at in broker.oldest_messages(broker.QUEUES).items():
        ages.add_metric([queue], max(0.0, now - published_at) if published_at else 0.0)
    yield from (lengths, ages)


# ---------------------------------------------------------------- of the database
def _of_database() -> Iterator[Metric]:
    # By one status: of a condition with IN, SQLite does not see that an index of its rows is there.
    queued = InspectionRequest.objects.filter(batch__isnull=True, status=InspectionRequest.Status.QUEUED)
    waiting = queued.aggregate(count=Count("pk"), oldest=Min("created_at"))
    yield gauge("mvtec_inspections_waiting", waiting["count"])
    yield gauge("mvtec_inspections_waiting_seconds", _age(waiting["oldest"]))
    yield _open_jobs()
    yield _by_status("mvtec_training_runs", TrainingRun, TrainingRun.Status.values)
    yield from _outboxes()
    yield _by_status("mvtec_alarms_unresolved", Alarm, Alarm.UNRESOLVED)
    checkpoint = AuditCheckpoint.objects.order_by("-pk").values_list("at", flat=True).first()
    if checkpoint:
        yield gauge("mvtec_audit_checkpoint_age_seconds", _age(checkpoint))
    retention = RetentionRun.objects.filter(status=RetentionRun.Status.FINISHED).order_by("-pk").first()
    if retention and retention.finished_at:
        yield gauge("mvtec_retention_last_run_timestamp_seconds", retention.finished_at.timestamp())


def _open_jobs() -> GaugeMetricFamily:
    family = gauge("mvtec_jobs_open")
    for kind in _KINDS:
        counts = dict(kind.open().order_by().values_list("status").annotate(Count("pk")))
        for status in LeasedJob.OPEN:
            family.add_metric([kind.model._meta.model_name or "", status], counts.get(status, 0))
    return family


def _by_status(name: str, model: type[TrainingRun] | type[Alarm], statuses: Iterable[str]) -> GaugeMetricFamily:
    family = gauge(name)
    rows = model._default_manager.filter(status__in=list(statuses)).order_by().values_list("status")
    counts = dict(rows.annotate(Count("pk")))
    for status in statuses:
        family.add_metric([status], counts.get(status, 0))
    return family


def _outboxes() -> Iterator[Metric]:
    waiting, overdue = gauge("mvtec_outbox_waiting"), gauge("mvtec_outbox_overdue_seconds")
    for model in _OUTBOXES:
        rows = model._default_manager.filter(status=OutboxMessage.Status.WAITING)
        found = rows.aggregate(count=Count("pk"), first=Min("due_at"))
        waiting.add_metric([model._meta.model_name or ""], found["count"])
        overdue.add_metric([model._meta.model_name or ""], _age(found["first"]))
    yield from (waiting, overdue)


def _age(at: datetime | None) -> float:
    return max(0.0, (timezone.now() - at).total_seconds()) if at else 0.0


# ---------------------------------------------------------------- in words
def table_rows() -> Iterator[tuple[str, str]]:
    """Every metric as a row of the table in docs/observability.md: name, then labels and what it is."""
    for family in REGISTRY.collect():
        labels = label_names(family.name)
        name = family.name if family.type == "histogram" else f"{family.name}_total"
        yield f"`{name}`", _row(family.type, labels, family.documentation)
    for gauge_definition in GAUGES.values():
        yield f"`{gauge_definition.name}`", _row("gauge", gauge_definition.labels, gauge_definition.help)


def _row(kind: str, labels: Iterable[str], help: str) -> str:
    return f"{kind} | {' '.join(f'`{label}`' for label in labels)} | {help}".replace("|  |", "| |")
