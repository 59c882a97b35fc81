"""What the pages of data sets show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from common.errors import NotFound
from training.models import Dataset, DatasetImage

MAX_CHOICES = 200  # snapshots to choose from
MAX_RELATED = 5


# ---------------------------------------------------------------- data sets
def snapshots(category: str = "") -> QuerySet[Dataset]:
    """Without counts: those of the rows that are shown come with `count`."""
    rows = Dataset.objects.select_related("category", "created_by")
    return rows.filter(category__name=category) if category else rows


def count(datasets: Iterable[Dataset]) -> list[Dataset]:
    """With `n_train`, `n_test`, `n_defective` and `n_masks`, counted for these alone."""
    rows = list(datasets)
    counts = (
        DatasetImage.objects.filter(dataset__in=rows)
        .order_by()
        .values("dataset")
        .annotate(
            n_train=Count("pk", filter=Q(split=DatasetImage.Split.TRAIN)),
            n_test=Count("pk", filter=Q(split=DatasetImage.Split.TEST)),
            n_defective=Count("pk", filter=Q(is_defective=True)),
            n_masks=Count("mask"),
        )
    )
    by_dataset: dict[int, Any] = {row["dataset"]: row for row in counts}
    for dataset in rows:
        for name in ("n_train", "n_test", "n_defective", "n_masks"):
            setattr(dataset, name, by_dataset.get(dataset.pk, {}).get(name, 0))
    return rows


def categories() -> list[str]:
    """Of the data sets that there are."""
    names = Dataset.objects.order_by("category__name").values_list("category__name", flat=True)
    return list(names.distinct()[:MAX_CHOICES])


def find_dataset(dataset_id: int) -> Dataset:
    dataset = snapshots().filter(pk=dataset_id).first()
    if dataset is None:
        raise NotFound(f"There is no data set {dataset_id}.", code="dataset_not_found")
    return dataset


@dataclass(frozen=True)
class Part:
    """The images of a data set that share split and kind."""

    split: str
    defect_type: str
    is_defective: bool
    n: int
    masks: int


def composition(dataset: Dataset) -> list[Part]:
    """What a data set is made of: training images first, good ones before the defects."""
    rows = (
        DatasetImage.objects.filter(dataset=dataset)
        .order_by()
        .values("split", "defect_type", "is_defective")
        .annotate(n=Count("pk"), masks=Count("mask"))
    )
    parts = [Part(**row) for row in rows]
    return sorted(parts, key=lambda part: (part.split == "test", part.is_defective, part.defect_type))


def trainable() -> list[Dataset]:
    """What a run can be started on, the newest first."""
    return list(snapshots()[:MAX_CHOICES])
