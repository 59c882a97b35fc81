"""Reads: what the pages of data sets and training show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet

from common.errors import NotFound
from common.numbers import score_text
from common.web.charts import Chart, lanes, line
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from training.models import Dataset, DatasetImage, Evaluation, TrainingRun
from training.report.page import told
from training.report.words import figure, percent
from training.runs.documents import runs

_OFFERED_MOST = 200  # snapshots to choose from
_RELATED_MOST = 5
# Without these an evaluation was not made by `evaluate_images`, and only its plain figures are shown.
_WHOLE = {"n", "threshold", "image", "pixel", "per_defect", "histogram", "not_comparable", "shortcut_audit"}


# ---------------------------------------------------------------- data sets
def snapshots(category: str = "") -> QuerySet[Dataset]:
    """Without counts: those of the rows that are shown come with `count`."""
    found = Dataset.objects.select_related("category", "created_by")
    return found.filter(category__name=category) if category else found


def count(datasets: Iterable[Dataset]) -> list[Dataset]:
    """With `n_train`, `n_test`, `n_defective` and `n_masks`, counted for these alone."""
    found = list(datasets)
    counted = (
        DatasetImage.objects.filter(dataset__in=found)
        .order_by()
        .values("dataset")
        .annotate(
            n_train=Count("pk", filter=Q(split=DatasetImage.Split.TRAIN)),
            n_test=Count("pk", filter=Q(split=DatasetImage.Split.TEST)),
            n_defective=Count("pk", filter=Q(is_defective=True)),
            n_masks=Count("mask"),
        )
    )
    by_dataset: dict[int, Any] = {row["dataset"]: row for row in counted}
    for dataset in found:
        for name in ("n_train", "n_test", "n_defective", "n_masks"):
            setattr(dataset, name, by_dataset.get(dataset.pk, {}).get(name, 0))
    return found


def categories() -> list[str]:
    """Of the data sets that there are."""
    named = Dataset.objects.order_by("category__name").values_list("category__name", flat=True)
    return list(named.distinct()[:_OFFERED_MOST])


def find_dataset(dataset_id: int) -> Dataset:
    found = snapshots().filter(pk=dataset_id).first()
    if found is None:
        raise NotFound(f"There is no data set {dataset_id}.", code="dataset_not_found")
    return found


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


def runs_on(dataset: Dataset) -> list[TrainingRun]:
    """The last ones."""
    return list(shown_runs().filter(dataset=dataset).order_by("-pk")[:_RELATED_MOST])


def trainable() -> list[Dataset]:
    """What a run can be started on, the newest first."""
    return list(snapshots()[:_OFFERED_MOST])


# ---------------------------------------------------------------- runs
def shown_runs(*, dataset: str = "", status: str = "") -> QuerySet[TrainingRun]:
    """With `auroc` of what came of each, and without what a list does not show."""
    heavy = ("metrics", "held_out_scores", "config", "preprocessing", "versions")
    return (
        runs(dataset=dataset, status=status)
        .select_related("model_version")
        .defer("log", "history", "versions", *(f"model_version__{name}" for name in heavy))
        .annotate(auroc=F("model_version__metrics__image__auroc"))
    )


def losses(run: TrainingRun) -> Chart | None:
    """The loss of each epoch, on the images learnt from and on those kept out; None where there are no epochs."""
    rows = [row for row in run.history if {"epoch", "train_loss", "held_out_loss"} <= row.keys()]
    if not rows:
        return None
    return line(
        f"Loss over {len(rows)} epochs, at the end {rows[-1]['held_out_loss']:.5f} on held-out images",
        {
            "first": ("images learnt from", [(row["epoch"], row["train_loss"]) for row in rows]),
            "second": ("held-out images", [(row["epoch"], row["held_out_loss"]) for row in rows]),
        },
        x_label="epoch",
        y_label="loss",
    )


# ---------------------------------------------------------------- reports
def evaluations() -> QuerySet[Evaluation]:
    return Evaluation.objects.select_related("model_version__category", "dataset__category", "threshold")


def find_evaluation(evaluation_id: int) -> Evaluation:
    found = evaluations().filter(pk=evaluation_id).first()
    if found is None:
        raise NotFound(f"There is no evaluation {evaluation_id}.", code="evaluation_not_found")
    return found


def evaluation_of(version: ModelVersion) -> Evaluation | None:
    """The newest one of a version."""
    return evaluations().filter(model_version=version).order_by("-pk").first()


def other_evaluations(evaluation: Evaluation) -> list[Evaluation]:
    """The last ones of the same version."""
    found = Evaluation.objects.filter(model_version=evaluation.model_version_id)
    return list(found.select_related("dataset", "threshold").defer("metrics").order_by("-pk")[: 2 * _RELATED_MOST])


def results(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The few figures that one asks for first."""
    image = evaluation.metrics["image"]
    return [
        ("Image AUROC", figure(image.get("auroc"))),
        ("Defects caught", percent(image.get("recall"))),
        ("False rejects", percent(image.get("false_reject_rate"))),
        (
            f"F1 at {score_text(evaluation.metrics['threshold'])}" if "threshold" in evaluation.metrics else "F1",
            figure(image.get("f1")),
        ),
        ("Test images", str(evaluation.metrics.get("n", "-"))),
    ]


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
