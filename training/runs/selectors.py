"""Reads: training runs."""

from __future__ import annotations

from django.utils import timezone

from common.errors import NotFound
from training.models import TrainingRun


def find_run(run_id: int) -> TrainingRun:
    relations = ("dataset__category", "model_version", "requested_by", "ignore_mask")
    run = TrainingRun.objects.select_related(*relations).filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no training run {run_id}.", code="training_run_not_found")
    return run


def running_instead_of(run: TrainingRun) -> TrainingRun | None:
    """The run that the training service works on while this one waits; None where it waits for none."""
    if run.status != TrainingRun.Status.QUEUED:
        return None
    alive = TrainingRun.objects.filter(status=TrainingRun.Status.RUNNING, lease_expires_at__gte=timezone.now())
    return alive.only("pk").order_by("started_at", "pk").first()
