"""The Celery application: queues, the rules that make a lost or doubled message harmless, and signs of life.

- `inference`: judging images. Late acknowledgement: a worker that dies gives its message back.
- `training`: supervising training subprocesses, sweeping. Early acknowledgement: the lease in the database row
  says whether a run is still worked on, so that a broker's redelivery can never start it twice.

A task carries ids only and its row decides: it claims the row with one conditional UPDATE or leaves it alone.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab
from django.conf import settings
from kombu import Queue

from mvtec_site import broker

# Celery's Django fixup looks for this name and sets Django up before it loads the tasks.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mvtec_site.settings")

INFERENCE, TRAINING = broker.INFERENCE, "training"
QUEUES = [INFERENCE, TRAINING]

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
    task_routes={f"{name}.tasks.*": {"queue": TRAINING} for name in ("training", "records", "retention")},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    task_time_limit=None,
    timezone="UTC",
    beat_schedule={
        "sweep": {"task": "mvtec_site.tasks.sweep", "schedule": 5.0, "options": {"expires": 5.0}},
        "checkpoint": {"task": "records.tasks.checkpoint", "schedule": settings.AUDIT_CHECKPOINT_HOURS * 3600},
        "retention": {"task": "retention.tasks.daily", "schedule": crontab(hour=settings.RETENTION_HOUR, minute=0)},
    },
    beat_schedule_filename=str(settings.VAR_DIR / "broker" / "beat"),
)
app.autodiscover_tasks(["mvtec_site", "records", "training", "inspection", "tuning", "retention"])


class _SignOfLife:
    """A thread in the worker's parent process that says which queues it serves, until the worker stops."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def start(self, name: str, queues: list[str]) -> None:
        def loop() -> None:
            while not self._stop.is_set():
                broker.beat(name, queues)
                self._stop.wait(broker.BEAT_SECONDS)
            broker.retire(name)

        threading.Thread(target=loop, name="sign-of-life", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()


_sign_of_life = _SignOfLife()


@signals.worker_ready.connect
def _announce(sender: Any, **_: Any) -> None:
    queues = [queue.name for queue in sender.task_consumer.queues]
    _sign_of_life.start(sender.hostname, queues)
    if INFERENCE in queues:
        _give_back_claims(sender.hostname)
        app.send_task("inspection.tasks.warm", queue=INFERENCE)


def _give_back_claims(hostname: str) -> None:
    """What a predecessor of the same name had begun when it was killed goes back into the queue."""
    from django.db import connection

    from inspection.services import give_back_claims_of, worker_name

    try:
        give_back_claims_of(worker=worker_name(hostname))
    finally:
        connection.close()  # the processes of the pool are forked from this one


@signals.worker_shutting_down.connect
def _leave(**_: Any) -> None:
    _sign_of_life.stop()


@signals.setup_logging.connect
def _keep_djangos_logging(**_: Any) -> None:
    """Connecting to this signal is what stops Celery from replacing Django's logging."""
