"""The task of the audit chain: a checkpoint now and then (AUDIT_CHECKPOINT_HOURS)."""

from __future__ import annotations

from celery import shared_task

from records.context import acting
from records.services import make_checkpoint


@shared_task(acks_late=False)
def checkpoint() -> None:
    with acting("worker"):
        make_checkpoint(actor=None)
