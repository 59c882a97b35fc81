"""The report of an evaluation as a page of the running system, with its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelzoo.selectors import threshold_in_force
from training.models import DatasetImage, Evaluation
from training.report.context import JudgedImage, is_whole, report_context


def report_page(evaluation: Evaluation) -> dict[str, Any]:
    """What the report's page shows of an evaluation, as its context."""
    metrics = evaluation.metrics
    if not is_whole(metrics):
        return {"evaluation": evaluation, "version": evaluation.model_version, "plain": _plain(metrics)}
    context = report_context(
        version=evaluation.model_version,
        dataset=evaluation.dataset,
        threshold=evaluation.threshold,
        evaluation=evaluation,
    )
    in_force = threshold_in_force(evaluation.model_version_id)
    pictures = {"pictures": _pictures(metrics), "picture_template": "report/_stored_picture.html"}
    return context | pictures | {"in_force": in_force}


def _plain(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number that is there, whatever it is called."""
    rows: list[tuple[str, str]] = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            rows += [(f"{name} {inner}", number) for inner, number in _plain(value)]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            rows.append((name.replace("_", " "), f"{value:.4g}"))
    return rows


@dataclass(frozen=True)
class StoredPicture(JudgedImage):
    """Shown from the data set."""

    image: DatasetImage


def _pictures(metrics: dict[str, Any]) -> list[tuple[str, list[StoredPicture]]]:
    """The groups that the evaluation noted, with their images."""
    groups = metrics.get("pictures", [])
    image_ids = {row["image"] for group in groups for row in group["images"]}
    images = DatasetImage.objects.select_related("asset", "mask").in_bulk(image_ids)

    def picture(row: dict[str, Any]) -> StoredPicture:
        image = images[row["image"]]
        return StoredPicture(image.path, image.is_defective, row["score"], metrics["threshold"], image)

    return [(group["title"], [picture(row) for row in group["images"] if row["image"] in images]) for group in groups]
