"""The report of an evaluation as a page of the running system, with its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.numbers import score_text
from common.web.charts import Chart, lanes, line
from modelzoo.selectors import threshold_in_force
from training.models import DatasetImage, Evaluation
from training.report.page import told

# Without these an evaluation was not made by `evaluate_images`, and only its plain figures are shown.
_WHOLE = {"n", "threshold", "image", "pixel", "per_defect", "histogram", "not_comparable", "shortcut_audit"}


def report(evaluation: Evaluation) -> dict[str, Any]:
    """What the report's page shows of an evaluation, as its context."""
    metrics = evaluation.metrics
    if not (metrics.keys() >= _WHOLE and "intervals" in metrics["image"]):
        return {"evaluation": evaluation, "version": evaluation.model_version, "plain": _plain(metrics)}
    context = told(
        version=evaluation.model_version,
        dataset=evaluation.dataset,
        threshold=evaluation.threshold,
        evaluation=evaluation,
    )
    in_force = threshold_in_force(evaluation.model_version_id)
    return context | {"charts": _charts(metrics), "pictures": _pictures(metrics), "in_force": in_force}


def _plain(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number that is there, whatever it is called."""
    rows: list[tuple[str, str]] = []
    for name, value in metrics.items():
        if isinstance(value, dict):
            rows += [(f"{name} {inner}", number) for inner, number in _plain(value)]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            rows.append((name.replace("_", " "), f"{value:.4g}"))
    return rows


def _charts(metrics: dict[str, Any]) -> list[tuple[str, str, Chart]]:
    """(title, what it says, chart) of each that there are figures for."""
    image, pixel, scores = metrics["image"], metrics["pixel"] or {}, metrics["histogram"]
    share = metrics["n_defective"] / max(1, metrics["n"])
    mark = "threshold"
    found: list[tuple[str, str, Chart]] = []
    if scores:
        good, bad = sum(scores["good"]), sum(scores["defective"])
        chart = lanes(
            f"Histogram of the scores of {good} good and {bad} defective parts",
            scores["edges"],
            {"good": ("good", scores["good"]), "defective": ("defect", scores["defective"])},
            marks=[(metrics["threshold"], f"threshold {score_text(metrics['threshold'])}", mark)],
        )
        found.append(("Scores", "Parts to the right of the threshold are rejected.", chart))

    def add(
        title: str,
        note: str,
        points: Any,
        *,
        x: str,
        y: str,
        chance: Any = (),
        end: float = 1.0,
        at: float | None = None,
    ) -> None:
        if not points:
            return
        curves = {"first": ("this model", [tuple(point) for point in points])}
        if chance:
            curves["chance"] = ("chance", list(chance))
        chart = line(
            f"{title}: {y} against {x}",
            curves,
            x_label=x,
            y_label=y,
            x_range=(0, end),
            y_range=(0, 1),
            marks=[] if at is None else [(at, mark, mark)],
        )
        found.append((title, note, chart))

    level = ((0, share), (1, share))
    rejected, caught = "good parts rejected", "defective parts rejected"
    in_force = image["false_reject_rate"] if image["recall"] is not None else None
    add(
        "ROC, images",
        f"{caught} (up)",
        image.get("roc_curve"),
        x=rejected,
        y=caught,
        chance=((0, 0), (1, 1)),
        at=in_force,
    )
    add("Precision and recall, images", "precision (up)", image.get("pr_curve"), x=caught, y="precision", chance=level)
    add(
        "Per-region overlap, pixels",
        "mean share of a region marked (up)",
        pixel.get("pro_curve"),
        x="good pixels marked",
        y="mean share of a region marked",
        chance=((0, 0), (0.3, 0.3)),
        end=0.3,
    )
    add(
        "Precision and recall, pixels",
        "precision (up); few pixels are defective, so this one is hard",
        pixel.get("pr_curve"),
        x="defective pixels marked",
        y="precision",
    )
    return found


@dataclass(frozen=True)
class Judgement:
    """A test image as the evaluation judged it; `outcome` as inspections have it."""

    image: DatasetImage
    score: float | None
    outcome: str

    @property
    def words(self) -> str:
        if self.image.is_defective:
            return "escape" if self.outcome == "good" else "caught"
        return "accepted" if self.outcome == "good" else "false reject"

    @property
    def is_right(self) -> bool:
        return self.words in ("caught", "accepted")


def _pictures(metrics: dict[str, Any]) -> list[tuple[str, list[Judgement]]]:
    """The groups that the evaluation noted, with their images."""
    groups = metrics.get("pictures", [])
    wanted = {row["image"] for group in groups for row in group["images"]}
    images = DatasetImage.objects.select_related("asset", "mask").in_bulk(wanted)

    def judged(row: dict[str, Any]) -> Judgement:
        score = row["score"]
        outcome = "not_comparable" if score is None else "defective" if score > metrics["threshold"] else "good"
        return Judgement(images[row["image"]], score, outcome)

    return [(group["title"], [judged(row) for row in group["images"] if row["image"] in images]) for group in groups]
