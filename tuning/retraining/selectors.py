"""Reads: retrainings, comparisons, and which images two versions can be compared on."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from common.errors import Conflict, NotFound
from inspection.models import Inspection
from inspection.reviews.reviewed_data import reviewed_images
from modelzoo.models import Category, ModelVersion
from training.datasets.selectors import images_of, training_asset_ids
from training.models import Dataset, DatasetImage, TrainingRun
from tuning.models import ComparedImage, Comparison, Retraining

_RELATED = ("candidate__category", "production__category", "candidate_threshold", "production_threshold", "dataset")


# ---------------------------------------------------------------- rows
def comparisons() -> QuerySet[Comparison]:
    return Comparison.objects.select_related(*_RELATED, "requested_by").defer(
        *ModelVersion.long_columns("candidate"), *ModelVersion.long_columns("production"), "dataset__report"
    )


def find_comparison(comparison_id: uuid.UUID) -> Comparison:
    comparison = comparisons().filter(pk=comparison_id).first()
    if comparison is None:
        raise NotFound(f"There is no comparison {comparison_id}.", code="comparison_not_found")
    return comparison


def differing(comparison: Comparison) -> QuerySet[ComparedImage]:
    """The images of which both versions say something else; what cannot be compared is rejected."""
    rejected = {
        name: Q(**{f"{name}_score__isnull": True}) | Q(**{f"{name}_score__gt": threshold.value})
        for name, threshold in (
            ("candidate", comparison.candidate_threshold),
            ("production", comparison.production_threshold),
        )
    }
    images = ComparedImage.objects.filter(comparison=comparison, is_scored=True).select_related("asset")
    return images.filter(
        (rejected["candidate"] & ~rejected["production"]) | (rejected["production"] & ~rejected["candidate"])
    ).order_by("id")


def due_retrainings() -> QuerySet[Retraining]:
    """Those whose run has made a version that nobody has compared with production yet."""
    compared = Comparison.objects.filter(candidate=OuterRef("run__model_version"), production=OuterRef("production"))
    ended = Retraining.objects.filter(run__status=TrainingRun.Status.SUCCEEDED)
    return ended.filter(~Exists(compared), not_compared="").order_by("id")


def open_retraining(category: Category) -> Retraining | None:
    return Retraining.objects.filter(run__status__in=TrainingRun.OPEN, production__category=category).first()


def production_version(category: Category) -> ModelVersion:
    """Raises `Conflict` where no version of the category is in production."""
    version = ModelVersion.objects.filter(category=category, stage=ModelVersion.Stage.PRODUCTION).first()
    if version is None:
        raise Conflict(
            f"No version of {category.name} is in production. Promote one first.", code="nothing_in_production"
        )
    return version


def dataset_of(version: ModelVersion) -> Dataset:
    """The snapshot that a version was trained on. Raises `Conflict` where it is not here."""
    rows = Dataset.objects.select_related("category")
    dataset = rows.filter(name=version.dataset_name, snapshot=version.dataset_snapshot).first()
    if dataset is None:
        raise Conflict(
            f"The data set {version.dataset_name} that {version} was trained on is not here. Nothing was started. "
            "Import it first.",
            code="dataset_missing",
        )
    return dataset


# ---------------------------------------------------------------- which images
@dataclass(frozen=True)
class SameImages:
    """Images that neither of two versions has learnt, and why others are left out."""

    images: list[ComparedImage]
    left_out: dict[str, int]

    @property
    def sha256(self) -> str:
        """Over a line "HASH good|defective SOURCE" for each image, in the order of the hashes."""
        lines = sorted(
            f"{image.asset.sha256} {'defective' if image.is_defective else 'good'} {image.source}\n"
            for image in self.images
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def same_images(candidate: ModelVersion, production: ModelVersion, dataset: Dataset) -> SameImages:
    """The test images of a data set, and what was reviewed in its category besides.

    Left out is every image that one of the two was fitted on (equal files: by their hash), and what the data set and
    the last review call differently.
    """
    learnt = {
        "learnt by the candidate": training_asset_ids(candidate),
        "learnt by production": training_asset_ids(production),
    }
    rows: dict[int, ComparedImage] = {}
    counts: Counter[str] = Counter()
    for image in images_of(dataset, DatasetImage.Split.TEST):
        rows[image.asset_id] = ComparedImage(
            asset=image.asset,
            is_defective=image.is_defective,
            defect_type=image.defect_type if image.is_defective else "",
            source=ComparedImage.Source.TEST_SET,
            dataset_image=image,
        )
    reviewed = reviewed_images(dataset.category)
    records = _newest_records([asset.pk for asset, _, _ in reviewed], dataset.category)
    for asset, is_defective, defect_type in reviewed:
        known = rows.get(asset.pk)
        if known is None:
            rows[asset.pk] = ComparedImage(
                asset=asset,
                is_defective=is_defective,
                defect_type=defect_type if is_defective else "",
                source=ComparedImage.Source.REVIEW,
                inspection_id=records[asset.pk],
            )
        elif known.is_defective != is_defective:
            counts["called differently by data set and review"] += 1
            del rows[asset.pk]
    images = []
    for asset_id, row in rows.items():
        reason = next((words for words, assets in learnt.items() if asset_id in assets), None)
        if reason is None and row.asset.discarded_at is not None:
            reason = "deleted by retention"
        if reason is None:
            images.append(row)
        else:
            counts[reason] += 1
    return SameImages(images, dict(counts))


def _newest_records(assets: list[int], category: Category) -> dict[int, uuid.UUID]:
    rows = Inspection.objects.filter(asset__in=assets, category=category, standing__isnull=False)
    return dict(rows.order_by("created_at").values_list("asset", "pk"))


def results_of(comparison: Comparison) -> list[tuple[Any, ...]]:
    """What both said of each image: hash, whether it is defective, score of production and of the candidate."""
    rows = ComparedImage.objects.filter(comparison=comparison).order_by("asset__sha256")
    return list(rows.values_list("asset__sha256", "is_defective", "production_score", "candidate_score"))


def newest_comparison(candidate: ModelVersion) -> Comparison | None:
    return comparisons().filter(candidate=candidate).order_by("-created_at", F("pk").desc()).first()
