"""The task of the audit chain: a checkpoint now and then (AUDIT_CHECKPOINT_HOURS)."""

from __future__ import annotations

from pathlib import Path

from celery import shared_task
from django.conf import settings

from records.checkpoints import as_said, write_checkpoint
from records.context import acting
from records.services import make_checkpoint


@shared_task(acks_late=False)
def checkpoint() -> None:
    """Seal the chain, unless nothing happened since, and see that the last checkpoint lies elsewhere too."""
    with acting("worker"):
        row, _ = make_checkpoint(actor=None)
    if settings.AUDIT_CHECKPOINT_DIR:
        sealed = as_said(row)
        write_checkpoint(sealed, Path(settings.AUDIT_CHECKPOINT_DIR) / sealed.filename)
