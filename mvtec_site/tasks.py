"""The sweep: whatever a killed worker, a lost message or an absent broker left behind is published again."""

from __future__ import annotations

from celery import shared_task

from inspection.batches.worker import BATCHES
from inspection.judging.worker import sweep_requests
from records.audit.verification import sweep_verifications
from retention.services import RETENTION_RUNS
from training.datasets.uploads.pending import remove_expired
from training.runs.services import sweep_runs
from tuning.rescoring.services import RESCORINGS


@shared_task(acks_late=False)
def sweep() -> None:
    sweep_runs()
    BATCHES.sweep()
    sweep_requests()
    RESCORINGS.sweep()
    RETENTION_RUNS.sweep()
    sweep_verifications()
    remove_expired()
