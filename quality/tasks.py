"""Tasks of the `inference` queue: they carry the id of a job, and its row decides what is to be done."""

from __future__ import annotations

import uuid

from celery import shared_task

from common.context import acting
from quality.containment import services


@shared_task
def work_on_containment(containment_id: str) -> None:
    with acting("worker"):
        services.work_on_containment(containment_id=uuid.UUID(containment_id))
