"""Tasks of the `inference` queue: they carry the id of a run, and its row decides what is to be done."""

from __future__ import annotations

import uuid

from celery import Task, shared_task

from common.context import acting
from inspection.judging.worker import worker_name
from tuning.rescoring import services


@shared_task(bind=True)
def work_on_rescoring(self: Task, run_id: str) -> None:
    with acting("worker"):
        services.work_on_rescoring(run_id=uuid.UUID(run_id), worker=worker_name(self.request.hostname))
