"""Reads: a mask of what is not judged as pages show it, and where one paints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from common.errors import UserError
from common.web.addresses import or_404, query_string, whole_number
from modelzoo.evaluation.regions import outlines
from modelzoo.models import ModelVersion
from modelzoo.selectors import find_version
from records.models import Asset
from training.models import Dataset, TrainingRun
from training.runs.ignore_masks.services import find_mask, read_mask

NO_MASK = "none"


@dataclass(frozen=True)
class RequestedMask:
    """A stored mask, and the version on whose mean image it was painted; None: on the images of a data set."""

    asset: Asset
    version: ModelVersion | None


def version_by_id(version_id: int) -> ModelVersion:
    """Raises `NotFound`."""
    return find_version(reference=version_id)


def requested_mask(query: Mapping[str, str], like: TrainingRun | None) -> RequestedMask | None:
    """What the form of a new run was opened with: `?ignore_mask=`, else that of the run whose settings it copies."""
    sha256 = query.get("ignore_mask", "")
    if not sha256:
        if like is None or like.ignore_mask is None or like.ignore_mask.discarded_at is not None:
            return None
        return RequestedMask(like.ignore_mask, like.ignore_mask_version)
    if sha256 == NO_MASK:
        return None
    number = whole_number(query.get("ignore_mask_version", ""))
    return RequestedMask(or_404(find_mask, sha256), or_404(version_by_id, number) if number else None)  # type: ignore[arg-type]


def editor_address(dataset: str, mask: RequestedMask | None, like: TrainingRun | None) -> str:
    """Where one paints: on what the mask at hand was painted on, else on the data set that is chosen."""
    query: dict[str, Any] = {"dataset": whole_number(dataset), "like": like and like.pk}
    if mask is not None:
        query |= {"version": mask.version and mask.version.pk, "mask": mask.asset.sha256}
    return reverse("ignored-regions") + query_string(query)


def mean_image_address(version: ModelVersion | None, dataset: Dataset | None) -> str:
    if version is not None:
        return reverse("model-version-mean-image", args=[version.pk])
    return reverse("dataset-mean-image", args=[dataset.pk]) if dataset else ""


def shown_mask(mask: RequestedMask, dataset_id: Any) -> dict[str, Any]:
    """Over the mean image that it was painted on."""
    ignored = read_mask(mask.asset)
    picture = mean_image_address(mask.version, None)
    if not picture and dataset_id:
        picture = reverse("dataset-mean-image", args=[dataset_id])
    return {
        "width": mask.asset.width,
        "height": mask.asset.height,
        "share": float(ignored.mean()),
        "outlines": outlines(ignored),
        "picture": picture,
    }


def mask_of_run(run: TrainingRun) -> dict[str, Any] | None:
    """What a run does not judge; None where it judges everything, or the file is gone."""
    if run.ignore_mask is None:
        return None
    try:
        return shown_mask(RequestedMask(run.ignore_mask, run.ignore_mask_version), run.dataset_id)
    except UserError:
        return None
