"""The sweep: whatever a killed worker, a lost message or an absent broker left behind is published again."""

from __future__ import annotations

from celery import shared_task

from accounts.api.token_use import write_down_uses
from inspection.batches.worker import BATCHES
from inspection.judging.worker import sweep_requests
from inspection.partitions.services import prepare_months
from inspection.parts.completion import sweep_parts
from quality.containment.services import CONTAINMENTS
from quality.promises.services import compare_due_promise
from quality.random_audit.services import close_due_shifts
from records.assets.services import sum_up_refusals
from records.audit.verification import sweep_verifications
from retention.services import RETENTION_RUNS
from rollout.challengers.services import CHALLENGERS
from training.datasets.uploads.pending import remove_expired
from training.evaluations.services import EVALUATIONS
from training.runs.services import sweep_runs
from tuning.replay.services import REPLAYS
from tuning.rescoring.services import RESCORINGS
from tuning.retraining.services import COMPARISONS, compare_due_retraining


@shared_task(acks_late=False)
def sweep() -> None:
    sweep_runs()
    EVALUATIONS.sweep()
    BATCHES.sweep()
    sweep_requests()
    sweep_parts()
    RESCORINGS.sweep()
    compare_due_retraining()
    COMPARISONS.sweep()
    REPLAYS.sweep()
    RETENTION_RUNS.sweep()
    sweep_verifications()
    remove_expired()
    CHALLENGERS.sweep()
    CONTAINMENTS.sweep()
    close_due_shifts()
    compare_due_promise()
    write_down_uses()
    sum_up_refusals()
    prepare_months()
