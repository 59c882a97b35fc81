"""What every report of an evaluation says: the context of templates/report/_body.html, but for the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_noop as _

from common.numbers import metric, metric_range, percent, percent_range, score_text
from common.web.charts import Chart, lanes, line
from modelzoo.models import ModelVersion, Threshold
from training.models import Dataset, Evaluation, TrainingRun
from training.report import words
from training.runs.selection.pages import selection_table

# Without these an evaluation was not made by `evaluate_images`, and only its plain figures are shown.
_WHOLE = {"n", "threshold", "image", "pixel", "per_defect", "histogram", "not_comparable", "shortcut_audit"}


@dataclass(frozen=True)
class ReportChart:
    title: str
    note: str
    chart: Chart


@dataclass(frozen=True)
class JudgedImage:
    """A test image beside what the evaluation said of it. `score`: None where the part could not be compared."""

    path: str
    is_defective: bool
    score: float | None
    threshold: float

    @property
    def outcome(self) -> str:
        """As inspections have it."""
        if self.score is None:
            return "not_comparable"
        return "defective" if self.score > self.threshold else "good"

    @property
    def is_right(self) -> bool:
        return self.is_defective == (self.outcome != "good")

    @property
    def words(self) -> str:
        if self.is_defective:
            return _("caught") if self.is_right else _("escape")
        return _("accepted") if self.is_right else _("false reject")


def is_whole(metrics: dict[str, Any]) -> bool:
    """Whether a report can be made of the figures of an evaluation."""
    return metrics.keys() >= _WHOLE and "intervals" in metrics["image"]


def report_context(
    *, version: ModelVersion, dataset: Dataset, threshold: Threshold, evaluation: Evaluation
) -> dict[str, Any]:
    metrics = evaluation.metrics
    image = metrics["image"]
    # A training run keeps these among the parameters, whoever decides later among the evidence.
    evidence = {name: threshold.evidence[name] for name in ("scores", "n") if name in threshold.evidence}
    return {
        "version": version,
        "dataset": dataset,
        "threshold": threshold,
        "origin": words.threshold_origin(threshold.method, evidence | threshold.parameters),
        "evaluation": evaluation,
        "metrics": metrics,
        "outcomes": _outcomes(metrics),
        "audit": metrics["shortcut_audit"],
        "shortcuts": words.shortcut_sentences(metrics["shortcut_audit"]),
        "duplicates": words.duplicates_sentence(metrics.get("duplicates_left_out", 0)),
        "elsewhere": words.place_sentence(metrics["pixel"]),
        "audit_rows": _audit_rows(metrics["shortcut_audit"]),
        "below_trivial": image["f1"] is not None and image["f1"] <= image["trivial_f1"],
        "figures": _figures(metrics),
        "defects": _defects(metrics),
        "charts": _charts(metrics),
        "selection": _selection(version),
    }


def _selection(version: ModelVersion) -> dict[str, Any] | None:
    """Where the training run chose the detector: what it compared."""
    run = TrainingRun.objects.filter(model_version=version).only("selection").first()
    return selection_table(run.selection) if run else None


def _outcomes(metrics: dict[str, Any]) -> dict[str, Any]:
    """Counts and shares of the four outcomes, in words for the headline."""
    image, counts = metrics["image"], metrics["image"]["confusion"]
    caught = image["intervals"]["recall"]
    return counts | {
        "reject_rate": percent(image["false_reject_rate"]),
        "reject_interval": percent_range(image["intervals"]["false_reject_rate"]),
        "escape_rate": percent(None if image["recall"] is None else 1 - image["recall"]),
        "escape_interval": percent_range(caught and [1 - caught[1], 1 - caught[0]]),
        "not_comparable": metrics["not_comparable"]["good"] + metrics["not_comparable"]["defective"],
    }


def _figures(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of the table of figures: name, value, interval, what it means."""
    image, pixel = metrics["image"], metrics["pixel"]
    intervals = image["intervals"]
    rows = [
        (
            _("Image AUROC"),
            image["auroc"],
            intervals["auroc"],
            (_("probability that a defect scores above a good part; 0.5 is chance")),
        ),
        (_("Image AUPR"), image["aupr"], intervals["aupr"], _("average precision; chance is the share of defects")),
        (_("F1 at the threshold"), image["f1"], intervals["f1"], _("harmonic mean of precision and recall")),
        (_("Precision at the threshold"), image["precision"], None, _("share of rejected parts with a defect")),
        (_("Recall at the threshold"), image["recall"], intervals["recall"], _("share of defects rejected")),
        (_("Best F1"), image["best_f1"], None, _("with the threshold tuned on these images: an upper limit")),
        (_("F1 of rejecting everything"), image["trivial_f1"], None, _("every F1 should be higher")),
    ]
    if pixel:
        rows += [
            (_("Pixel AUROC"), pixel["auroc"], None, _("probability that a defect pixel is above a good pixel")),
            (
                _("AUPRO"),
                pixel["aupro"],
                None,
                (_("per-region overlap up to a false-positive rate of 0.3; small defects count equally")),
            ),
            (
                _("Peak in the defect"),
                pixel["peak_in_defect"],
                None,
                _("the map is highest inside the annotated defect"),
            ),
            (_("Pixel AUPR"), pixel["aupr"], None, _("average precision over pixels")),
            (_("IoU at the threshold"), pixel["iou"], None, _("overlap of the marked with the annotated pixels")),
            (_("Best IoU"), pixel["best_iou"], None, _("with the threshold tuned on these images: an upper limit")),
        ]
    return [
        {"name": name, "value": metric(value), "interval": metric_range(interval), "meaning": meaning}
        for name, value, interval, meaning in rows
    ]


def _defects(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "n": row["n"],
            "caught": round(row["recall"] * row["n"]),
            "recall": percent(row["recall"]),
            "interval": percent_range(row["recall_interval"]),
            "width": 100 * row["recall"],
            "auroc": metric(row["auroc"]),
        }
        for kind, row in metrics["per_defect"].items()
    ]


def _audit_rows(audit: dict[str, Any] | None) -> list[dict[str, str]]:
    """The trivial statistics, the one that separates best first; those of the file have no counterpart in the model."""
    if not audit:
        return []
    raw, prepared = ((audit[place] or {}).get("statistics", {}) for place in ("raw", "prepared"))

    def value_text(row: dict[str, Any] | None) -> str:
        if not row:
            return "-"
        arrow = "" if row["auroc"] == 0.5 else " ↑" if row["defective_are"] == "higher" else " ↓"
        return metric(row["auroc"]) + arrow

    names = sorted(
        raw | prepared, key=lambda name: -max(place[name]["auroc"] for place in (raw, prepared) if name in place)
    )
    return [
        {"name": words.statistic(name), "raw": value_text(raw.get(name)), "prepared": value_text(prepared.get(name))}
        for name in names
    ]


def _charts(metrics: dict[str, Any]) -> list[ReportChart]:
    """Each that there are figures for."""
    image, pixel = metrics["image"], metrics["pixel"] or {}
    defective = metrics["n_defective"] / max(1, metrics["n"])
    rejected, caught = "good parts rejected", "defects rejected"
    charts = [
        _scores(metrics["histogram"], metrics["threshold"]),
        _curve(
            _("ROC, images"),
            f"{caught} (up)",
            image.get("roc_curve"),
            x_label=rejected,
            y_label=caught,
            chance=[(0, 0), (1, 1)],
            threshold=image["false_reject_rate"] if image["recall"] is not None else None,
        ),
        _curve(
            _("Precision and recall, images"),
            "precision (up)",
            image.get("pr_curve"),
            x_label=caught,
            y_label="precision",
            chance=[(0, defective), (1, defective)],
            threshold=image["recall"] if image["precision"] is not None else None,
        ),
        _curve(
            _("Per-region overlap, pixels"),
            _("mean share of a region marked (up); the AUPRO is the area, divided by 0.3"),
            pixel.get("pro_curve"),
            x_label="good pixels marked",
            y_label="mean share of a region marked",
            chance=[(0, 0), (0.3, 0.3)],
            end=0.3,
        ),
        _curve(
            _("Precision and recall, pixels"),
            _("precision (up); few pixels belong to a defect, so this metric is low"),
            pixel.get("pr_curve"),
            x_label="defect pixels marked",
            y_label="precision",
        ),
    ]
    return [chart for chart in charts if chart]


def _scores(counts: dict[str, Any] | None, threshold: float) -> ReportChart | None:
    if not counts:
        return None
    good, defective = counts["good"], counts["defective"]
    chart = lanes(
        f"Histogram of the scores of {sum(good)} good parts and {sum(defective)} defects",
        counts["edges"],
        {"good": ("good", good), "defective": ("defect", defective)},
        marks=[(threshold, f"threshold {score_text(threshold)}", "threshold")],
    )
    return ReportChart(_("Scores"), _("Parts to the right of the threshold are rejected."), chart)


def _curve(
    title: str,
    note: str,
    points: Sequence[Sequence[float]] | None,
    *,
    x_label: str,
    y_label: str,
    chance: Sequence[tuple[float, float]] = (),
    end: float = 1.0,
    threshold: float | None = None,
) -> ReportChart | None:
    """A curve of shares, up to `end` on the x axis.

    Args:
        chance: where a detector that knows nothing would lie.
        threshold: where on the x axis the threshold of the evaluation lies.
    """
    if not points:
        return None
    curves = {"first": ("this model", [(x, y) for x, y in points])}
    if chance:
        curves["chance"] = ("chance", list(chance))
    chart = line(
        f"{title}: {y_label} against {x_label}",
        curves,
        x_label=x_label,
        y_label=y_label,
        x_range=(0, end),
        y_range=(0, 1),
        marks=[] if threshold is None else [(threshold, "threshold", "threshold")],
    )
    return ReportChart(title, note, chart)
