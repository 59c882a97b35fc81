"""Reads: data sets and their images."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.files.storage import storages
from django.db.models import Count, Max, Q, QuerySet

from common.errors import NotFound, UserError
from common.names import short_name
from modelzoo.models import ModelVersion
from records.storage.listing import is_local
from training.models import Dataset, DatasetImage, TrainingRun

_MAX_ID_DIGITS = 18  # digits that every database's integer holds


def latest_dataset(name: str) -> Dataset:
    """The newest snapshot of a data set, by its name or what its folder was called.

    Raises `NotFound` naming those there are.
    """
    dataset = (
        Dataset.objects.select_related("category").filter(name__in=(name, short_name(name))).order_by("-id").first()
    )
    if dataset is None:
        names = sorted(set(Dataset.objects.values_list("name", flat=True)))
        hint = f"There are: {', '.join(names[:20])}." if names else "No data set was imported yet."
        raise NotFound(
            f"There is no data set named {name[:100]!r}. {hint} Import one with manage.py import_dataset PATH.",
            code="dataset_not_found",
        )
    return dataset


def local_files(images: Iterable[DatasetImage]) -> list[str]:
    """The files of images, for programs of others that open files. Raises `UserError` where there are none here."""
    if not is_local(storages["default"]):
        raise UserError(
            "The images are in an object storage, and a benchmark opens files. Nothing was measured. Import the data "
            "set into an installation without S3_BUCKET, and measure there."
        )
    return [image.asset.file.path for image in images]


def resolve_dataset(reference: str) -> Dataset:
    """A data set by its name (then its newest snapshot) or its id. Raises `NotFound` naming those there are."""
    dataset = Dataset.objects.select_related("category").filter(name=reference).order_by("-id").first()
    if dataset is None and reference.isascii() and reference.isdecimal() and len(reference) <= _MAX_ID_DIGITS:
        dataset = Dataset.objects.select_related("category").filter(pk=int(reference)).first()
    return dataset or latest_dataset(reference)


def datasets_with_tests() -> list[Dataset]:
    """The newest snapshot of each name, by name, that has good and defective test images."""
    newest = Dataset.objects.values("name").annotate(newest=Max("pk")).values_list("newest", flat=True)
    tests = Q(images__split="test")
    return list(
        Dataset.objects.select_related("category")
        .filter(pk__in=newest)
        .annotate(
            good_tests=Count("images", filter=tests & Q(images__is_defective=False)),
            defective_tests=Count("images", filter=tests & Q(images__is_defective=True)),
        )
        .filter(good_tests__gt=0, defective_tests__gt=0)
        .order_by("name")
    )


def dataset_with_counts(dataset_id: int) -> Dataset:
    dataset = with_counts(Dataset.objects.select_related("category", "created_by")).filter(pk=dataset_id).first()
    if dataset is None:
        raise NotFound(f"There is no data set {dataset_id}.", code="dataset_not_found")
    return dataset


def find_image(image_id: int) -> DatasetImage:
    image = DatasetImage.objects.select_related("asset", "mask").filter(pk=image_id).first()
    if image is None:
        raise NotFound(f"There is no image {image_id} of a data set.", code="dataset_image_not_found")
    return image


def with_counts(datasets: QuerySet[Dataset]) -> QuerySet[Dataset]:
    return datasets.annotate(
        train_images=Count("images", filter=Q(images__split="train")),
        test_images=Count("images", filter=Q(images__split="test")),
        defective_images=Count("images", filter=Q(images__is_defective=True)),
        masks=Count("images__mask"),
    )


def images_of(dataset: Dataset, split: str) -> list[DatasetImage]:
    """Images of one split in a fixed order, files and masks loaded along."""
    return list(
        DatasetImage.objects.filter(dataset=dataset, split=split).select_related("asset", "mask").order_by("path")
    )


def training_asset_ids(version: ModelVersion) -> set[int]:
    """Ids of the assets that a version was fitted on, those of the versions that it extends included.

    Empty for what was fitted on a data set that is not, or no longer, here.
    """
    asset_ids: set[int] = set()
    step: ModelVersion | None = version
    while step is not None:
        asset_ids |= set(
            DatasetImage.objects.filter(
                dataset__name=step.dataset_name, dataset__snapshot=step.dataset_snapshot, split=DatasetImage.Split.TRAIN
            ).values_list("asset_id", flat=True)
        )
        run = TrainingRun.objects.select_related("base_version").filter(model_version=step).first()
        step = run.base_version if run else None
    return asset_ids
