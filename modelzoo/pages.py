"""Reads: what the pages of models show: versions side by side, and of one where it comes from and how well it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, OuterRef, QuerySet
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from common.errors import UserError
from common.numbers import NOT_KNOWN, metric, metric_range, percent, percent_range, score_text
from common.web.charts import Chart, lanes
from common.web.refusals import refusal_html
from modelzoo import documents
from modelzoo.evaluation.regions import outlines
from modelzoo.lifecycle.selectors import approval_in_force, gate_results, gates_in_force
from modelzoo.loading import artifact_pictures
from modelzoo.models import Category, Deployment, ModelVersion
from modelzoo.selectors import active_canaries, rollback_target

# Of the run that made a version: what its page does not show.
_LONG = (
    "training_run__log",
    "training_run__history",
    "training_run__dataset__report",
    *ModelVersion.long_columns("training_run__base_version"),
)
_FIGURES = {
    "auroc_interval": "metrics__image__intervals__auroc",
    "f1": "metrics__image__f1",
    "reject_rate": "metrics__image__false_reject_rate",
    "measured_at": "metrics__threshold",
}
# Of an evaluation: words, where it stands, where its interval stands, whether it is a share.
_METRICS = (
    (_("AUROC, whole images"), ("image", "auroc"), ("image", "intervals", "auroc"), False),
    (_("Average precision (AUPR)"), ("image", "aupr"), ("image", "intervals", "aupr"), False),
    (_("F1 at that threshold"), ("image", "f1"), ("image", "intervals", "f1"), False),
    (_("Recall at that threshold"), ("image", "recall"), ("image", "intervals", "recall"), True),
    (_("Precision at that threshold"), ("image", "precision"), (), True),
    (
        _("False-reject rate at that threshold"),
        ("image", "false_reject_rate"),
        ("image", "intervals", "false_reject_rate"),
        True,
    ),
    (_("AUROC, pixels"), ("pixel", "auroc"), (), False),
    (_("Overlap with the regions (AUPRO)"), ("pixel", "aupro"), (), False),
)
_LATEST = 10


def flat(document: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """A document of JSON as lines: nested names one after another, numbers short."""
    for name, value in document.items():
        words = f"{before}{name}".replace("_", " ")
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{words}: ")
        elif isinstance(value, float):
            yield words, f"{value:.5g}"
        elif isinstance(value, bool):
            yield words, "yes" if value else "no"
        elif isinstance(value, list):
            yield words, ", ".join(map(str, value))[:200]
        else:
            yield words, NOT_KNOWN if value is None else str(value)[:200]


# ---------------------------------------------------------------- the list
def versions(*, category: str = "", stage: str = "") -> QuerySet[Any]:
    """Rows of the list: in short, with the figures of the evaluation and without all that is long."""
    figures = {name: F(place) for name, place in _FIGURES.items()}
    return documents.versions(category=category, stage=stage).annotate(**figures)


def categories() -> list[Any]:
    """By name; `in_force`: whether a model judges its parts now."""
    active = Deployment.objects.filter(category=OuterRef("pk"), status=Deployment.Status.ACTIVE)
    return list(Category.objects.annotate(in_force=Exists(active)).order_by("name"))


# ---------------------------------------------------------------- one version
def find_version(version_id: int) -> Any:
    """A version with the run that made it, or None."""
    # The run and its data set belong to an app that builds on this one: reached by name, not imported.
    rows = documents.versions().select_related("training_run__dataset", "training_run__base_version__category")
    return rows.defer(None).defer(*_LONG).filter(pk=version_id).first()


def page_of(version: Any) -> dict[str, Any]:
    """All that the page of a version shows."""
    run = getattr(version, "training_run", None)
    thresholds = documents.thresholds(model_version=version.pk).order_by("-revision")
    return {
        "version": version,
        "run": run,
        "metrics": metric_rows(version.metrics),
        "defects": defect_rows(version.metrics),
        "chart": _scores(version),
        "measured_at": version.metrics.get("threshold"),
        "robustness": documents.robustness_of(version),
        "mask": _mask(version),
        "more_images": documents.more_images_of(version),
        "config": list(flat(version.config)),
        "software": list(flat(version.versions)),
        "thresholds": list(thresholds[:_LATEST]),
        "deployments": list(documents.deployments().filter(model_version=version.pk)[:_LATEST]),
        # Comparisons belong to an app that builds on this one: reached by name, not imported.
        "comparisons": list(
            version.comparisons.select_related("production")
            .defer(*ModelVersion.long_columns("production", in_list=True))
            .order_by("-created_at")[:_LATEST]
        ),
        "canaries": active_canaries(version_id=version.pk),
        **_release(version),
        **_before(version),
    }


def _release(version: ModelVersion) -> dict[str, Any]:
    """Whether it may go into production. The artifact is read when it is promoted, not for a page."""
    return {
        "approval": approval_in_force(version.pk),
        "approval_required": settings.REQUIRE_APPROVAL,
        "gates": gate_results(version, read_artifact=False),
        "reads_artifact": gates_in_force(version.category_id).verify_artifact,
    }


def _mask(version: ModelVersion) -> dict[str, Any] | None:
    """What is not judged, for partials/ignored_picture.html; None where all is, or the artifact is not there."""
    try:
        ignored = artifact_pictures.ignored(version)
    except UserError:
        return None
    height, width = ignored.shape
    return {
        "width": width,
        "height": height,
        "share": float(ignored.mean()),
        "outlines": outlines(ignored),
        "picture": reverse("model-version-mean-image", args=[version.pk]),
    }


def _before(version: ModelVersion) -> dict[str, Any]:
    """What a rollback would lead to, or why there is nothing that it would lead to."""
    if version.stage != ModelVersion.Stage.PRODUCTION:
        return {"before": None}
    try:
        return {"before": rollback_target(version.category)}
    except UserError as error:
        return {"before": None, "no_rollback": refusal_html(error, error.detail.partition(" Nothing was changed")[0])}


def metric_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of an evaluation, with their intervals where there are any."""
    rows = []
    threshold = metrics.get("threshold")
    if isinstance(threshold, int | float):
        # Not the one in force, which may be another by now: figures belong to the threshold that they were measured at.
        rows.append({"words": _("Threshold when evaluated"), "text": score_text(threshold), "interval": ""})
    for words, place, bounds, is_share in _METRICS:
        value = _at(metrics, place)
        if value is not None:
            interval = _at(metrics, bounds) if bounds else None
            rows.append({"words": words, "text": _text(value, is_share), "interval": _bounds(interval, is_share)})
    return rows


def _at(document: Any, place: tuple[str, ...]) -> Any:
    for name in place:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _text(value: float, is_share: bool) -> str:
    return percent(value) if is_share else metric(value)


def _bounds(interval: list[float] | None, is_share: bool) -> str:
    return percent_range(interval) if is_share else metric_range(interval)


def defect_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How many of each kind of defect were detected, for partials/detected_defects.html."""
    kinds = metrics.get("per_defect") or {}
    return [
        {
            "words": name,
            "detected": round(row["recall"] * row["n"]),
            "total": row["n"],
            "interval": _bounds(row.get("recall_interval"), True),
        }
        for name, row in sorted(kinds.items())
    ]


def _scores(version: Any) -> Chart | None:
    counts = version.metrics.get("histogram")
    if not counts:
        return None
    measured = version.metrics["threshold"]
    marks = [(measured, gettext(_("evaluated at %(score)s")) % {"score": score_text(measured)}, "threshold")]
    if version.threshold is not None and version.threshold != measured:
        marks.append(
            (version.threshold, gettext(_("active %(score)s")) % {"score": score_text(version.threshold)}, "preview")
        )
    return lanes(
        gettext(_("Scores of the test images of %(version)s")) % {"version": version},
        counts["edges"],
        {"good": (gettext(_("good")), counts["good"]), "defective": (gettext(_("defect")), counts["defective"])},
        marks=marks,
        x_label=gettext(_("anomaly score")),
    )


# ---------------------------------------------------------------- two versions
def differences(one: Any, other: Any) -> dict[str, Any]:
    """Two versions side by side: their figures, and in what they were made differently."""
    figures = [{row["words"]: row for row in metric_rows(version.metrics)} for version in (one, other)]
    words = list(dict.fromkeys(name for of_one in figures for name in of_one))
    return {
        "metrics": [(name, [of_one.get(name) for of_one in figures]) for name in words],
        "configuration": _different(_configuration(one), _configuration(other)),
        "same_data": one.dataset_snapshot == other.dataset_snapshot,
    }


def _configuration(version: Any) -> dict[str, str]:
    """How a version was made: where something was left to the training ("auto"), with what it decided."""
    decided = {
        name: version.preprocessing[name]["chosen"]
        for name in ("window", "illumination", "align", "size")
        if version.preprocessing.get(name)
    }
    if version.backbone:
        decided["backbone"] = version.backbone
    if mask := version.preprocessing.get("ignore_mask"):
        decided["ignored regions"] = f"{percent(mask['share'])} of the image"
    return {
        "algorithm": version.algorithm,
        "data set": _data(version),
        **dict(flat(version.config)),
        "seed": str(version.seed),
        **decided,
    }


def _data(version: Any) -> str:
    return f"{version.dataset_name} @ {version.dataset_snapshot[:8]}"


def _different(one: dict[str, str], other: dict[str, str]) -> list[tuple[str, str, str]]:
    names = dict.fromkeys([*one, *other])
    return [
        (name, one.get(name, ""), other.get(name, "")) for name in names if one.get(name, "") != other.get(name, "")
    ]
