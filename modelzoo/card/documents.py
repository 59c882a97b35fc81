"""Reads: the model card as a document; the page and the file show the same."""

from __future__ import annotations

from typing import Any

from common.errors import NotFound
from common.numbers import percent
from modelzoo import documents
from modelzoo.models import ModelVersion, Threshold
from modelzoo.pages import defect_rows, metric_rows

FORMAT = "mvtec-model-card-1"
_MAX_REVISIONS = 20
_FEW = 10  # examples of a kind of defect, below which their recall says little


def find_for_card(version_id: int) -> Any:
    """A version with all that its card is made of. Raises `NotFound`."""
    # The run that made it, and its data set, belong to an app that builds on this one: reached by name, not imported.
    relations = ("category", "created_by", "training_run__dataset")
    rows = ModelVersion.objects.select_related(*relations).defer("training_run__log", "training_run__history")
    version = rows.filter(pk=version_id).first()
    if version is None:
        raise NotFound(f"There is no model version {version_id}.", code="model_version_not_found")
    return version


def card_document(version: Any) -> dict[str, Any]:
    """Everything that the card says of a version, as it is now."""
    metrics = version.metrics
    robustness = documents.robustness_of(version)
    thresholds = list(documents.thresholds(model_version=version.pk).order_by("-revision")[:_MAX_REVISIONS])
    return {
        "format": FORMAT,
        "model": _model(version),
        "intended_use": _intended_use(version),
        "not_intended_for": _not_intended_for(version),
        "training_data": data_of(version),
        "evaluation": _evaluation(metrics) if metrics.get("image") else None,
        "robustness": robustness,
        "shortcut_audit": metrics.get("shortcut_audit"),
        "thresholds": [_threshold(row) for row in thresholds],
        "limits": _limits(version, robustness),
        "origin": documents.origin_document(version),
    }


def _model(version: ModelVersion) -> dict[str, Any]:
    return {
        "category": version.category.name,
        "number": version.number,
        "algorithm": version.algorithm,
        "backbone": version.backbone or None,
        "artifact_sha256": version.artifact_sha256,
        "artifact_bytes": version.artifact_bytes,
        "stage": version.stage,
        "seed": version.seed,
        "created_at": version.created_at.isoformat(),
        "created_by": version.created_by.get_username() if version.created_by else None,
        "software": version.versions,
        "configuration": version.config,
    }


def data_of(version: Any) -> dict[str, Any]:
    """The data set that a version learnt from, with what is known of its size."""
    run = getattr(version, "training_run", None)
    counts = (version.origin or {}).get("data", {})
    if run is not None:
        images = run.dataset.images
        counts = {
            "train_images": images.filter(split="train").count(),
            "test_images": images.filter(split="test").count(),
            "duplicates_left_out": run.dataset.duplicates_left_out,
        }
    return {
        "name": version.dataset_name,
        "snapshot": version.dataset_snapshot,
        "train_images": counts.get("train_images"),
        "test_images": counts.get("test_images"),
        "duplicates_left_out": counts.get("duplicates_left_out"),
        "held_out_images": len(version.held_out_scores),
        "left_out": version.preprocessing.get("excluded", []),
    }


def _evaluation(metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "images": metrics.get("n"),
        "good": metrics.get("n_good"),
        "defective": metrics.get("n_defective"),
        "threshold": metrics.get("threshold"),
        "figures": metric_rows(metrics),
        "defects": defect_rows(metrics),
        "not_comparable": metrics.get("not_comparable"),
    }


def _threshold(row: Any) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "in_force": row.in_force,
        "value": row.value,
        "method": row.method,
        "parameters": row.parameters,
        "reason": row.reason,
        "warnings": row.warnings,
        "author": row.author.get_username() if row.author else None,
        "created_at": row.created_at.isoformat(),
    }


# ---------------------------------------------------------------- sentences
def _intended_use(version: ModelVersion) -> list[str]:
    return [
        f"Finds visible differences from good parts of {version.category.name} on images taken as its training images "
        "were: the same part, camera, lens, lighting and position, within the input checks.",
        "It rejects a part whose highest anomaly score exceeds the threshold in force, and marks where. People review "
        "what it rejects and a share of what it accepts.",
    ]


def _not_intended_for(version: ModelVersion) -> list[str]:
    return [
        "Other parts, cameras or lighting: train and evaluate a version of its own for each.",
        "The only safeguard where an escape endangers people.",
        "Naming the kind or cause of a defect, or measuring it: it learnt from good parts alone.",
    ]


def _limits(version: ModelVersion, robustness: dict[str, Any] | None) -> list[str]:
    """What the figures cannot tell, and what is known to go wrong."""
    metrics, held_out = version.metrics, len(version.held_out_scores)
    limits = []
    if held_out:
        limits.append(
            f"The threshold rests on {held_out} good parts that the model had not seen: a false-reject rate below "
            f"{percent(1 / (held_out + 1))} cannot be told from them."
        )
    if not metrics.get("n_defective"):
        limits.append("It was not evaluated on defective parts: how many escape is not known.")
    else:
        few = sorted(name for name, row in (metrics.get("per_defect") or {}).items() if row["n"] < _FEW)
        if few:
            limits.append(f"Fewer than {_FEW} examples were tested of: {', '.join(few)}.")
    if (metrics.get("shortcut_audit") or {}).get("warning"):
        limits.append(
            "A simple statistic separates the test images nearly as well as the model: it may have learnt how they "
            "were taken, not what is wrong with the parts."
        )
    if robustness is None:
        limits.append("What a change of light, focus or position does to it was not measured.")
    if mask := version.preprocessing.get("ignore_mask"):
        limits.append(f"{percent(mask['share'])} of the image is not judged.")
    in_force = Threshold.objects.filter(model_version=version).order_by("-revision").first()
    return limits + (in_force.warnings if in_force else [])
