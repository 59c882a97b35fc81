"""The Celery application: queues, the rules that make a lost or doubled message harmless, and signs of life.

- `inference`: judging images. Late acknowledgement: a worker that dies gives its message back.
- `training`: supervising training subprocesses, sweeping. Early acknowledgement: the lease in the database row
  says whether a run is still worked on, so that a broker's redelivery can never start it twice.

A task carries ids only and its row decides: it claims the row with one conditional UPDATE or leaves it alone.
"""

from __future__ import annotations

import os
import time
from typing import Any

from billiard import current_process
from celery import Celery, signals, states
from celery.concurrency.solo import TaskPool as SoloPool
from celery.schedules import crontab
from django.conf import settings
from kombu import Queue

from common.observability import ids, tracing
from jobs import broker, liveness
from jobs.broker import INFERENCE, QUEUES, TRAINING
from jobs.metrics import definitions, publishing
from jobs.processes import use_own_gpu

# Celery's Django fixup looks for this name and sets Django up before it loads the tasks.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mvtec_site.settings")


app = Celery("mvtec_site")
app.conf.update(
    broker_url=broker.celery_url(),
    broker_connection_retry_on_startup=True,
    # Redelivery by the broker is the second net; the first are the leases in the database.
    broker_transport_options={"visibility_timeout": 3600, "socket_connect_timeout": 2, "socket_timeout": 30},
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_default_queue=INFERENCE,
    task_queues=[Queue(name) for name in QUEUES],
    task_routes={
        **{
            f"{name}.tasks.*": {"queue": TRAINING}
            for name in ("training", "records", "retention", "monitoring", "reports")
        },
        **{f"tuning.tasks.{name}": {"queue": TRAINING} for name in ("nightly_replay", "supervise_replay")},
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_lost_wait=2.0,  # seconds from the death of a process to the return of its message
    worker_proc_alive_timeout=15.0,
    task_time_limit=None,
    timezone="UTC",
    beat_schedule={
        "sweep": {"task": "mvtec_site.tasks.sweep", "schedule": 5.0, "options": {"expires": 5.0}},
        "checkpoint": {"task": "records.tasks.checkpoint", "schedule": settings.AUDIT_CHECKPOINT_HOURS * 3600},
        "replay": {"task": "tuning.tasks.nightly_replay", "schedule": crontab(hour=settings.REPLAY_HOUR, minute=0)},
        "files": {
            "task": "records.tasks.verify_sampled_files",
            "schedule": crontab(hour=settings.REPLAY_HOUR, minute=30),
        },
        "monitoring": {"task": "monitoring.tasks.watch", "schedule": 10.0, "options": {"expires": 10.0}},
        "reports": {"task": "reports.tasks.run_schedules", "schedule": 30.0, "options": {"expires": 30.0}},
        "retention": {"task": "retention.tasks.daily", "schedule": crontab(hour=settings.RETENTION_HOUR, minute=0)},
    },
    beat_scheduler="jobs.scheduler:Scheduler",
    beat_schedule_filename=str(settings.VAR_DIR / "broker" / "beat"),
)
app.autodiscover_tasks(
    [
        *("mvtec_site", "records", "training", "inspection", "tuning", "retention", "monitoring"),
        *("rollout", "quality", "reports"),
    ]
)


# ---------------------------------------------------------------- signs of life (see `jobs.liveness`)
_parent: liveness.Parent | None = None
_board: liveness.Board | None = None


@signals.worker_init.connect
def _prepare(**_: Any) -> None:
    global _board
    _board = liveness.make_board()


@signals.worker_process_init.connect
def _begin_process(**_: Any) -> None:
    """In each process of a pool; with the pool `solo`, in the only one that there is."""
    number = getattr(current_process(), "index", 0)
    use_own_gpu(number)
    liveness.join(1 + number)
    publishing.start("-".join(app.amqp.queues.consume_from))


@signals.worker_process_shutdown.connect
def _end_process(**_: Any) -> None:
    """Processes of a pool end without Python's own end."""
    publishing.flush()
    tracing.flush()


@signals.task_prerun.connect
def _begin_task(task: Any, **_: Any) -> None:
    # A training run takes hours; what is judged is judged image by image.
    judges = INFERENCE in task.app.amqp.queues.consume_from
    liveness.begin(settings.HUNG_SECONDS if judges else None)


@signals.task_postrun.connect
def _end_task(task: Any, **_: Any) -> None:
    liveness.end()
    if INFERENCE in task.app.amqp.queues.consume_from:
        from modelzoo.loading.scoring import report_memory

        report_memory(worker=task.request.hostname or "", process=getattr(current_process(), "index", 0))


@signals.worker_ready.connect
def _announce(sender: Any, **_: Any) -> None:
    """At the start, and again whenever the broker was lost."""
    global _parent
    queues = [queue.name for queue in sender.task_consumer.queues]
    if _parent is None:
        assert _board is not None, "made before the pool is"
        name = sender.hostname
        broker.forget_memory(name)
        _parent = liveness.Parent(_board, lambda: broker.beat(name, queues), lambda: broker.retire(name))
        _parent.start(announce_every=broker.BEAT_SECONDS)
    if not isinstance(sender.pool, SoloPool):
        _parent.note_loop()
        sender.timer.call_repeatedly(liveness.TICK_SECONDS, _parent.note_loop)
    if INFERENCE in queues:
        _give_back_claims(sender.hostname)
        app.send_task("inspection.tasks.warm", queue=INFERENCE)


def _give_back_claims(hostname: str) -> None:
    """What a predecessor of the same name had begun when it was killed goes back into the queue."""
    from django.db import connection

    from inspection.judging.worker import give_back_claims_of, worker_name

    try:
        give_back_claims_of(worker=worker_name(hostname))
    finally:
        connection.close()  # the processes of the pool are forked from this one


@signals.worker_shutting_down.connect
def _leave(**_: Any) -> None:
    if _parent is not None:
        _parent.leave()


@signals.beat_init.connect
def _announce_scheduler(**_: Any) -> None:
    """What it sends is its sign of life: every few seconds the sweep."""
    signals.after_task_publish.connect(_beat_scheduler)
    publishing.start("scheduler")


def _beat_scheduler(**_: Any) -> None:
    broker.beat_scheduler()


# ---------------------------------------------------------------- ids, spans and counts of tasks
@signals.before_task_publish.connect
def _send_ids(headers: dict[str, Any], **_: Any) -> None:
    headers |= {ids.HEADER: ids.current_ids(), broker.PUBLISHED_AT: time.time(), **tracing.carrier()}


@signals.task_prerun.connect
def _take_ids(task_id: str, task: Any, **_: Any) -> None:
    sent = getattr(task.request, ids.HEADER, None)
    carrier = {name: value for name in tracing.HEADERS if (value := getattr(task.request, name, None))}
    task.request.log_ids = ids.begin({**(sent or {}), "task": task.name, "task_id": task_id})
    task.request.span = tracing.begin(task.name, carrier)


@signals.task_postrun.connect
def _forget_ids(task: Any, state: str, **_: Any) -> None:
    definitions.TASKS.labels(task.name, state.lower() if state in _OUTCOMES else definitions.OTHER).inc()
    if state == states.SUCCESS and task.name in _SCHEDULED:
        publishing.note_success(task.name)
    tracing.end(task.request.span)
    ids.end(task.request.log_ids)


_OUTCOMES = states.ALL_STATES | {states.REJECTED}
_SCHEDULED = {entry["task"] for entry in app.conf.beat_schedule.values()}


@signals.setup_logging.connect
def _keep_djangos_logging(**_: Any) -> None:
    """Connecting to this signal is what stops Celery from replacing Django's logging."""
