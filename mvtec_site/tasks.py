"""The sweep: whatever a killed worker, a lost message or an absent broker left behind is published again."""

from __future__ import annotations

from celery import shared_task

from inspection.batches.worker import sweep_batches
from inspection.judging.worker import sweep_requests
from records.audit.verification import sweep_verifications
from retention.services import sweep_retention
from training.runs.services import sweep_runs
from tuning.rescoring.services import sweep_rescorings


@shared_task(acks_late=False)
def sweep() -> None:
    sweep_runs()
    sweep_batches()
    sweep_requests()
    sweep_rescorings()
    sweep_retention()
    sweep_verifications()
