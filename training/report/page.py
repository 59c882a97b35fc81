"""The report as a page: one file, no script, nothing loaded from elsewhere, for light, dark and paper."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils import timezone

from common.errors import UserError
from common.files import write_whole
from common.version import library_versions
from modelzoo.models import ModelVersion, Threshold
from training.models import Dataset, Evaluation
from training.report import words
from training.report.charts import Plot, curve, histogram

if TYPE_CHECKING:
    from training.report.pictures import Picture


def check_target(path: Path) -> None:
    """Refuse a place where no report can be written, before any work is done for it.

    Raises:
        UserError: it is a folder, or the folder around it is missing or not writable.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder. Name a file for the report, such as {path / 'report.html'}.")
    if not path.parent.is_dir():
        raise UserError(f"There is no folder {path.parent}. Create it, then evaluate again.")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"The folder {path.parent} cannot be written to. Choose another place for the report.")


def write(path: Path, html: str) -> None:
    """Write the file whole or not at all; an older one at this path is replaced.

    Raises:
        UserError: the disk refuses; what was at the path stays.
    """
    try:
        with write_whole(path) as out:
            out.write(html.encode())
    except OSError as error:
        raise UserError(
            f"The report could not be written to {path}: {error.strerror}. The evaluation itself is kept."
        ) from error


def render(
    *,
    version: ModelVersion,
    dataset: Dataset,
    threshold: Threshold,
    evaluation: Evaluation,
    pictures: list[tuple[str, list[Picture]]],
) -> str:
    """The report of one recorded evaluation as HTML."""
    return render_to_string(
        "report/page.html",
        told(version=version, dataset=dataset, threshold=threshold, evaluation=evaluation)
        | {
            "style": Path(_found("css/app.css")).read_text(encoding="utf-8"),
            "plots": _plots(evaluation.metrics),
            "pictures": pictures,
            "evaluated_with": library_versions(),
            "now": timezone.now(),
        },
    )


def told(*, version: ModelVersion, dataset: Dataset, threshold: Threshold, evaluation: Evaluation) -> dict[str, Any]:
    """What every report of an evaluation tells, without charts and pictures: the file's and the page's context."""
    metrics = evaluation.metrics
    image = metrics["image"]
    # A training run keeps these among the parameters, whoever decides later among the evidence.
    taken_from = {name: threshold.evidence[name] for name in ("scores", "n") if name in threshold.evidence}
    return {
        "version": version,
        "dataset": dataset,
        "threshold": threshold,
        "origin": words.threshold_origin(threshold.method, taken_from | threshold.parameters),
        "evaluation": evaluation,
        "metrics": metrics,
        "outcomes": _outcomes(metrics),
        "audit": metrics["shortcut_audit"],
        "shortcuts": words.shortcut_sentences(metrics["shortcut_audit"]),
        "elsewhere": words.place_sentence(metrics["pixel"]),
        "audit_rows": _audit_rows(metrics["shortcut_audit"]),
        "below_trivial": image["f1"] is not None and image["f1"] <= image["trivial_f1"],
        "figures": _figures(metrics),
        "defects": _defects(metrics),
    }


def _found(name: str) -> str:
    found = finders.find(name)
    if not isinstance(found, str):
        raise FileNotFoundError(f"static file {name}")
    return found


def _outcomes(metrics: dict[str, Any]) -> dict[str, Any]:
    """Counts and shares of the four outcomes, in words for the headline."""
    image, counts = metrics["image"], metrics["image"]["confusion"]
    caught = image["intervals"]["recall"]
    good, defective = metrics["n_good"], metrics["n_defective"]
    return counts | {
        "reject_rate": words.percent(image["false_reject_rate"]),
        "reject_interval": words.percent_range(image["intervals"]["false_reject_rate"]),
        "escape_rate": words.percent(None if image["recall"] is None else 1 - image["recall"]),
        "escape_interval": words.percent_range(caught and [1 - caught[1], 1 - caught[0]]),
        "good_width": 100 * counts["tn"] / good if good else 0,
        "bad_width": 100 * counts["tp"] / defective if defective else 0,
        "not_comparable": metrics["not_comparable"]["good"] + metrics["not_comparable"]["defective"],
    }


def _figures(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of the table of figures: name, value, interval, what it means."""
    image, pixel = metrics["image"], metrics["pixel"]
    intervals = image["intervals"]
    rows = [
        ("Image AUROC", image["auroc"], intervals["auroc"], "a defective part scores above a good one; 0.5 is chance"),
        ("Image AUPR", image["aupr"], intervals["aupr"], "average precision; the share of defective parts is chance"),
        ("F1 at the threshold", image["f1"], intervals["f1"], "precision and recall in one figure"),
        ("Precision at the threshold", image["precision"], None, "share of the rejected parts that are defective"),
        ("Recall at the threshold", image["recall"], intervals["recall"], "share of the defective parts rejected"),
        ("Best F1", image["best_f1"], None, "with the threshold tuned on these very images: an upper bound"),
        ("F1 of rejecting everything", image["trivial_f1"], None, "what any F1 above has to beat"),
    ]
    if pixel:
        rows += [
            ("Pixel AUROC", pixel["auroc"], None, "a defective pixel lies above a good one"),
            ("AUPRO", pixel["aupro"], None, "per-region overlap up to 0.3 false-positive rate; small defects count"),
            ("Peak in the defect", pixel["peak_in_defect"], None, "the map is highest inside the annotated defect"),
            ("Pixel AUPR", pixel["aupr"], None, "average precision over pixels"),
            ("IoU at the threshold", pixel["iou"], None, "overlap of the marked with the annotated pixels"),
            ("Best IoU", pixel["best_iou"], None, "with the threshold tuned on these very images: an upper bound"),
        ]
    return [
        {"name": name, "value": words.figure(value), "interval": words.figure_range(interval), "meaning": meaning}
        for name, value, interval, meaning in rows
    ]


def _defects(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "n": row["n"],
            "caught": round(row["recall"] * row["n"]),
            "recall": words.percent(row["recall"]),
            "interval": words.percent_range(row["recall_interval"]),
            "width": 100 * row["recall"],
            "auroc": words.figure(row["auroc"]),
        }
        for kind, row in metrics["per_defect"].items()
    ]


def _audit_rows(audit: dict[str, Any] | None) -> list[dict[str, str]]:
    """The trivial statistics, the one that separates best first; those of the file have no counterpart in the model."""
    if not audit:
        return []
    raw, prepared = ((audit[place] or {}).get("statistics", {}) for place in ("raw", "prepared"))

    def shown(row: dict[str, Any] | None) -> str:
        if not row:
            return "-"
        arrow = "" if row["auroc"] == 0.5 else " ↑" if row["defective_are"] == "higher" else " ↓"
        return words.figure(row["auroc"]) + arrow

    names = sorted(
        raw | prepared, key=lambda name: -max(place[name]["auroc"] for place in (raw, prepared) if name in place)
    )
    return [
        {"name": words.statistic(name), "raw": shown(raw.get(name)), "prepared": shown(prepared.get(name))}
        for name in names
    ]


def _plots(metrics: dict[str, Any]) -> list[Plot]:
    image, pixel = metrics["image"], metrics["pixel"] or {}
    in_force = image["recall"] is not None and image["false_reject_rate"] is not None
    share = metrics["n_defective"] / max(1, metrics["n"])
    plots = [
        histogram(metrics["histogram"], metrics["threshold"]),
        curve(
            "ROC, images",
            image["roc_curve"],
            x_label="good parts rejected",
            y_label="defective parts rejected",
            note="Dot: the threshold when evaluated.",
            at_threshold=(image["false_reject_rate"], image["recall"]) if in_force else None,
            chance=[(0, 0), (1, 1)],
        ),
        curve(
            "Precision and recall, images",
            image["pr_curve"],
            x_label="defective parts rejected",
            y_label="precision",
            note="Dot: the threshold when evaluated.",
            at_threshold=(image["recall"], image["precision"]) if image["precision"] is not None else None,
            chance=[(0, share), (1, share)],
        ),
        curve(
            "Per-region overlap, pixels",
            pixel.get("pro_curve"),
            x_label="good pixels marked",
            y_label="mean share of a region marked",
            note="The AUPRO is the area, divided by 0.3.",
            x_end=0.3,
            chance=[(0, 0), (0.3, 0.3)],
        ),
        curve(
            "Precision and recall, pixels",
            pixel.get("pr_curve"),
            x_label="defective pixels marked",
            y_label="precision",
            note="Few pixels are defective, so this one is hard.",
        ),
    ]
    return [plot for plot in plots if plot]
