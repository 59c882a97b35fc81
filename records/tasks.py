"""Tasks of the audit log: a checkpoint now and then (AUDIT_CHECKPOINT_HOURS), and verifying it."""

from __future__ import annotations

from celery import shared_task

from common.context import acting
from records.audit import verification
from records.audit.services import make_checkpoint


@shared_task(acks_late=False)
def checkpoint() -> None:
    with acting("worker"):
        make_checkpoint(actor=None)


@shared_task(acks_late=False)
def verify_sampled_files() -> None:
    with acting("worker"):
        verification.verify_sampled_files()


@shared_task(acks_late=False)
def verify(verification_id: str) -> None:
    with acting("worker"):
        verification.work_on_verification(verification_id=int(verification_id))
