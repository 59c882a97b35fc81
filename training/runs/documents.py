"""The JSON shapes of training runs."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from training.models import TrainingRun


# ---------------------------------------------------------------- training runs
def runs(*, dataset: str = "", algorithm: str = "", status: str = "") -> QuerySet[TrainingRun]:
    rows = TrainingRun.objects.select_related("dataset__category", "requested_by", "ignore_mask").defer(
        "log", "history", "selection"
    )
    if dataset:
        rows = rows.filter(dataset__name=dataset)
    if algorithm:
        rows = rows.filter(algorithm=algorithm)
    return rows.filter(status=status) if status else rows


def run_document(run: TrainingRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "dataset": {"id": run.dataset_id, "name": run.dataset.name, "snapshot": run.dataset.snapshot},
        "category": run.dataset.category.name,
        "algorithm": run.algorithm,
        "base_version": run.base_version_id,
        "options": run.options,
        "calibration": run.calibration,
        "ignore_mask": run.ignore_mask.sha256 if run.ignore_mask else None,
        "ignore_mask_version": run.ignore_mask_version_id,
        "seed": run.seed,
        "status": run.status,
        "progress": run.progress,
        "message": run.message,
        "cancel_requested": run.cancel_requested,
        "attempt": run.attempt,
        "worker": run.worker or None,
        "error_code": run.error_code or None,
        "error": run.error or None,
        "model_version": run.model_version_id,
        "log_url": reverse("training-run-log", args=[run.pk]),
        "requested_by": run.requested_by.get_username() if run.requested_by else None,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def full_run_document(run: TrainingRun) -> dict[str, Any]:
    """With the losses of its epochs, where there are epochs, and what it ran on."""
    first = run.model_version.thresholds.order_by("revision").first() if run.model_version else None
    return {
        **run_document(run),
        "history": run.history,
        "selection": selection_of(run),
        "versions": run.versions,
        "warnings": first.warnings if first else [],
    }


def selection_of(run: TrainingRun) -> dict[str, Any] | None:
    """What a run compared that chose its detector: all but the pictures, which pages and reports show."""
    return {name: value for name, value in run.selection.items() if name != "pictures"} or None


def log_from(run: TrainingRun, offset: int) -> tuple[str, int, int]:
    """The log from a place on: its text, where that begins, and where the next piece does.

    Places are counted in characters from the beginning of the run, whatever was dropped since.
    """
    begins = max(offset, run.log_start)
    text = run.log[begins - run.log_start :]
    return text, begins, begins + len(text)
