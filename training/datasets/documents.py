"""The JSON shapes of data sets and their images."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from training.datasets.selectors import with_counts
from training.models import Dataset, DatasetImage


# ---------------------------------------------------------------- data sets
def datasets(*, category: str = "", name: str = "") -> QuerySet[Dataset]:
    rows = with_counts(Dataset.objects.select_related("category", "created_by"))
    if category:
        rows = rows.filter(category__name=category)
    return rows.filter(name=name) if name else rows


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
    understood = report.get("preview", {})
    return {
        **dataset_document(dataset),
        "layout": understood.get("layout"),
        "duplicates": understood.get("duplicates"),
        "skipped": [{"path": path, "reason": reason} for path, reason in report.get("skipped", [])],
        "warnings": report.get("warnings", []),
    }


def images(
    dataset: Dataset, *, split: str = "", is_defective: bool | None = None, defect_type: str = ""
) -> QuerySet[DatasetImage]:
    rows = DatasetImage.objects.filter(dataset=dataset).select_related("asset", "mask")
    if split:
        rows = rows.filter(split=split)
    if is_defective is not None:
        rows = rows.filter(is_defective=is_defective)
    return rows.filter(defect_type=defect_type) if defect_type else rows


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
