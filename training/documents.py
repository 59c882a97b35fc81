"""Reads: data sets, their images and training runs, in the shapes that the API shows."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from training.models import Dataset, DatasetImage, TrainingRun
from training.selectors import with_counts


# ---------------------------------------------------------------- data sets
def datasets(*, category: str = "", name: str = "") -> QuerySet[Dataset]:
    found = with_counts(Dataset.objects.select_related("category", "created_by"))
    if category:
        found = found.filter(category__name=category)
    return found.filter(name=name) if name else found


def dataset_document(dataset: Any) -> dict[str, Any]:
    """Of a row of `with_counts`."""
    return {
        "id": dataset.pk,
        "name": dataset.name,
        "category": dataset.category.name,
        "snapshot": dataset.snapshot,
        "source": dataset.source_name,
        "train_images": dataset.train_images,
        "test_images": dataset.test_images,
        "defective_images": dataset.defective_images,
        "masks": dataset.masks,
        "skipped_count": dataset.report.get("skipped_count", 0),
        "created_at": dataset.created_at.isoformat(),
        "created_by": dataset.created_by.get_username() if dataset.created_by else None,
    }


def full_dataset_document(dataset: Any) -> dict[str, Any]:
    """With what the import noticed: at most the first 200 skipped files are kept by name."""
    report = dataset.report
    return {
        **dataset_document(dataset),
        "skipped": [{"path": path, "reason": reason} for path, reason in report.get("skipped", [])],
        "warnings": report.get("warnings", []),
    }


def images(
    dataset: Dataset, *, split: str = "", is_defective: bool | None = None, defect_type: str = ""
) -> QuerySet[DatasetImage]:
    found = DatasetImage.objects.filter(dataset=dataset).select_related("asset", "mask")
    if split:
        found = found.filter(split=split)
    if is_defective is not None:
        found = found.filter(is_defective=is_defective)
    return found.filter(defect_type=defect_type) if defect_type else found


def image_document(image: DatasetImage) -> dict[str, Any]:
    return {
        "id": image.pk,
        "path": image.path,
        "split": image.split,
        "is_defective": image.is_defective,
        "defect_type": image.defect_type,
        "sha256": image.asset.sha256,
        "width": image.asset.width,
        "height": image.asset.height,
        "discarded": image.asset.discarded_at is not None,
        "image_url": reverse("dataset-image", args=[image.pk]),
        "mask_url": reverse("dataset-mask", args=[image.pk]) if image.mask_id else None,
    }


# ---------------------------------------------------------------- training runs
def runs(*, dataset: str = "", algorithm: str = "", status: str = "") -> QuerySet[TrainingRun]:
    found = TrainingRun.objects.select_related("dataset__category", "requested_by").defer("log", "history")
    if dataset:
        found = found.filter(dataset__name=dataset)
    if algorithm:
        found = found.filter(algorithm=algorithm)
    return found.filter(status=status) if status else found


def run_document(run: TrainingRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "dataset": {"id": run.dataset_id, "name": run.dataset.name, "snapshot": run.dataset.snapshot},
        "category": run.dataset.category.name,
        "algorithm": run.algorithm,
        "base_version": run.base_version_id,
        "options": run.options,
        "calibration": run.calibration,
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
        "versions": run.versions,
        "warnings": first.warnings if first else [],
    }


def log_from(run: TrainingRun, offset: int) -> tuple[str, int, int]:
    """The log from a place on: its text, where that begins, and where the next piece does.

    Places are counted in characters from the beginning of the run, whatever was dropped since.
    """
    begins = max(offset, run.log_start)
    text = run.log[begins - run.log_start :]
    return text, begins, begins + len(text)
