"""Tasks of the `inference` queue: they carry the id of a job, and its row decides what is to be done."""

from __future__ import annotations

import uuid

from celery import shared_task

from common.context import acting
from rollout.challengers import worker


@shared_task
def work_on_challenger(challenger_id: str) -> None:
    with acting("worker"):
        worker.work_on_challenger(challenger_id=uuid.UUID(challenger_id))
