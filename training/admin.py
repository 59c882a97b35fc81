"""Data sets, training runs and evaluations in the administration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.numbers import percent
from common.rights import Right
from common.web.administration import (
    NONE,
    Act,
    ActForm,
    NullsLast,
    Period,
    ServiceAdmin,
    Table,
    link,
    measured,
    number_at,
    picture,
    score,
    share,
    tag,
)
from modelzoo.admin import ModelVersionAdmin
from modelzoo.detectors.registry import ALGORITHMS
from modelzoo.models import ModelVersion
from modelzoo.pages import defect_rows, flat, metric_rows
from training.datasets import selectors
from training.evaluations.services import request_evaluation
from training.models import Dataset, DatasetImage, Evaluation, EvaluationRun, TrainingRun
from training.runs import services
from training.runs.options import threshold_rule

_LATEST = 10
_LONG = ("log", "history", "selection", "dataset__report")


# ---------------------------------------------------------------- data sets
class TrainForm(ActForm):
    """A run with the options that the settings name; the page of a new run has all of them."""

    algorithm = forms.ChoiceField(choices=[(name, name) for name in ALGORITHMS])
    seed = forms.IntegerField(initial=0, min_value=0, max_value=2**31 - 1)


def _train(request: HttpRequest, dataset: Dataset, values: Mapping[str, Any]) -> str:
    run = services.queue_run(
        dataset=dataset,
        algorithm=values["algorithm"],
        options={},
        calibration=threshold_rule(),
        seed=values["seed"],
        actor=request.user,
    )
    return format_html(
        'Training of {} on {} was requested: <a href="{}">run {}</a> says how far it is.',
        run.algorithm,
        dataset,
        reverse("run", args=[run.pk]),
        run.pk,
    )


@admin.register(Dataset)
class DatasetAdmin(ServiceAdmin):
    list_display = [
        "image",
        "name",
        "snapshot_short",
        "train_images",
        "test_images",
        "defective_images",
        "masks",
        "runs_link",
        "source_name",
        "created_at",
    ]
    list_display_links = ["name"]
    list_filter = ["category", Period]
    search_fields = ["name", "snapshot__startswith"]
    search_help_text = "name or snapshot"
    list_select_related = ["category"]
    acts = (
        Act(
            "train",
            "Train on this data set",
            Right.TRAIN,
            _train,
            "A worker trains a new model version, with the options that the settings name. It becomes a candidate and "
            "judges nothing before it is promoted.",
            form=TrainForm,
            is_single=True,
        ),
    )
    fields = ("name", "category", "snapshot", "source", "created_at", "created_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        first = DatasetImage.objects.filter(dataset=OuterRef("pk"), asset__discarded_at=None).order_by("path")
        rows = selectors.with_counts(super().get_queryset(request)).defer("report")
        return rows.annotate(first_image=Subquery(first.values("pk")[:1]))

    @admin.display(description="first image")
    def image(self, dataset: Any) -> str:
        return picture(reverse("dataset-thumbnail", args=[dataset.first_image])) if dataset.first_image else NONE

    @admin.display(description="snapshot")
    def snapshot_short(self, dataset: Dataset) -> str:
        return dataset.snapshot[:8]

    @admin.display(description="training images", ordering="train_images")
    def train_images(self, dataset: Any) -> int:
        return int(dataset.train_images)

    @admin.display(description="test images", ordering="test_images")
    def test_images(self, dataset: Any) -> int:
        return int(dataset.test_images)

    @admin.display(description="defective", ordering="defective_images")
    def defective_images(self, dataset: Any) -> int:
        return int(dataset.defective_images)

    @admin.display(description="masks", ordering="masks")
    def masks(self, dataset: Any) -> int:
        return int(dataset.masks)

    @admin.display(description="runs")
    def runs_link(self, dataset: Dataset) -> str:
        return link(f"{reverse('admin:training_trainingrun_changelist')}?dataset__id__exact={dataset.pk}", "runs")

    @admin.display(description="source", ordering="source")
    def source_name(self, dataset: Dataset) -> str:
        return dataset.source_name

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("datasets"), "Import images"), (reverse("dataset-from-reviews"), "Data set from reviews")]

    def links(self, dataset: Dataset) -> list[tuple[str, str]]:
        return [
            (reverse("dataset", args=[dataset.pk]), "Page of the data set"),
            (f"{reverse('training-new')}?dataset={dataset.pk}", "Train with all options"),
            (f"{reverse('admin:training_datasetimage_changelist')}?dataset__id__exact={dataset.pk}", "Images"),
            (f"{reverse('history')}?category={dataset.category.name}", "Records of the category"),
        ]

    def tables(self, dataset: Any) -> list[Table]:
        runs = dataset.runs.select_related("requested_by").defer("log", "history", "selection")[:_LATEST]
        return [
            Table(
                "Images",
                ("training", "test", "defective", "masks"),
                [(dataset.train_images, dataset.test_images, dataset.defective_images, dataset.masks)],
            ),
            Table(
                "Training runs",
                ("run", "algorithm", "status", "version", "by", "when"),
                [
                    (
                        link(reverse("run", args=[run.pk]), run.pk),
                        run.algorithm,
                        run.get_status_display(),
                        _version_link(run.model_version_id),
                        run.requested_by,
                        run.created_at,
                    )
                    for run in runs
                ],
            ),
        ]


def _version_link(version_id: int | None) -> str:
    if version_id is None:
        return NONE
    return link(reverse("admin:modelzoo_modelversion_change", args=[version_id]), f"version {version_id}")


@admin.register(DatasetImage)
class DatasetImageAdmin(ServiceAdmin):
    list_display = ["image", "path", "dataset", "split", "is_defective", "defect_type"]
    list_display_links = ["path"]
    list_filter = ["split", "is_defective", "dataset"]
    list_select_related = ["dataset", "asset"]
    search_fields = ["path", "=asset__sha256"]
    search_help_text = "path or whole hash"
    ordering = ("-id",)

    @admin.display(description="image")
    def image(self, row: DatasetImage) -> str:
        return "deleted" if row.asset.discarded_at else picture(reverse("dataset-thumbnail", args=[row.pk]))

    def links(self, row: DatasetImage) -> list[tuple[str, str]]:
        return [
            (reverse("dataset-picture", args=[row.pk]), "Image"),
            (reverse("dataset", args=[row.dataset_id]), "Page of the data set"),
            (f"{reverse('history')}?image_sha256={row.asset.sha256}", "Records of it"),
        ]


# ---------------------------------------------------------------- runs
def _cancel(request: HttpRequest, run: TrainingRun, values: Mapping[str, Any]) -> str:
    stopped = services.cancel_run(run_id=run.pk, actor=request.user)
    if stopped.is_open:
        return f"Run {run.pk} stops at its next step. No model will be created."
    return f"Run {run.pk} was cancelled before it started."


@admin.register(TrainingRun)
class TrainingRunAdmin(ServiceAdmin):
    list_display = ["number", "dataset", "algorithm", "status_word", "message", "version", "requested_by", "created_at"]
    list_filter = ["status", "algorithm", "dataset__category", Period]
    list_select_related = ["dataset__category", "model_version__category", "requested_by"]
    search_fields = ["dataset__name", "message", "error"]
    search_help_text = "data set, message or error"
    acts = (Act("cancel", "Cancel", Right.TRAIN, _cancel, applies=lambda run: run.is_open, is_dangerous=True),)
    fields = (
        "dataset",
        "base_version",
        "algorithm",
        "seed",
        "status",
        "message",
        "error",
        "model_version",
        "attempt",
        "worker",
        "requested_by",
        "created_at",
        "started_at",
        "finished_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingRun]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*_LONG, *ModelVersion.long_columns("model_version", in_list=True))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == "dataset__id__exact" or super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    @admin.display(description="run", ordering="pk")
    def number(self, run: TrainingRun) -> str:
        return f"run {run.pk}"

    @admin.display(description="status", ordering="status")
    def status_word(self, run: TrainingRun) -> SafeString:
        words = f"{run.get_status_display()} {percent(run.progress)}" if run.is_open else run.get_status_display()
        return tag(words, is_strong=run.status == TrainingRun.Status.SUCCEEDED)

    @admin.display(description="version", ordering="model_version")
    def version(self, run: TrainingRun) -> str:
        if run.model_version is None:
            return NONE
        return link(reverse("admin:modelzoo_modelversion_change", args=[run.model_version_id]), run.model_version)

    def links(self, run: TrainingRun) -> list[tuple[str, str]]:
        version = run.model_version_id
        return [
            (reverse("run", args=[run.pk]), "Page of the run, with its log"),
            (reverse("dataset", args=[run.dataset_id]), "Data set"),
            *([(reverse("model", args=[version]), "Model")] if version else []),
            (f"{reverse('training-new')}?like={run.pk}", "Train again like this"),
        ]

    def tables(self, run: TrainingRun) -> list[Table]:
        rule = flat(run.calibration, "threshold ")
        return [Table("What it was asked for", ("option", "value"), [*flat(run.options), *rule])]


# ---------------------------------------------------------------- evaluations
_FIGURES = {
    "figure_auroc": "metrics__image__auroc",
    "figure_aupro": "metrics__pixel__aupro",
    "figure_f1": "metrics__image__f1",
    "figure_recall": "metrics__image__recall",
    "figure_false_rejects": "metrics__image__false_reject_rate",
}


@admin.register(Evaluation)
class EvaluationAdmin(ServiceAdmin):
    list_display = ["of_version", "dataset", "auroc", "aupro", "f1", "recall", "false_rejects", "at", "created_at"]
    list_filter = ["model_version__category", Period]
    list_select_related = ["model_version__category", "dataset", "threshold"]
    search_fields = ["dataset__name", "model_version__category__name"]
    search_help_text = "data set or category"
    fields = ("model_version", "dataset", "threshold", "created_at", "created_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Evaluation]:
        rows = super().get_queryset(request).annotate(**{name: number_at(at) for name, at in _FIGURES.items()})
        rows = rows.select_related(*self.list_select_related)
        return rows.defer("metrics", "dataset__report", *ModelVersion.long_columns("model_version", in_list=True))

    @admin.display(description="version", ordering="model_version")
    def of_version(self, row: Evaluation) -> str:
        return str(row.model_version)

    @admin.display(description="AUROC", ordering=NullsLast("figure_auroc"))
    def auroc(self, row: Any) -> str:
        return measured(row.figure_auroc)

    @admin.display(description="AUPRO", ordering=NullsLast("figure_aupro"))
    def aupro(self, row: Any) -> str:
        return measured(row.figure_aupro)

    @admin.display(description="F1", ordering=NullsLast("figure_f1"))
    def f1(self, row: Any) -> str:
        return measured(row.figure_f1)

    @admin.display(description="recall", ordering=NullsLast("figure_recall"))
    def recall(self, row: Any) -> str:
        return share(row.figure_recall)

    @admin.display(description="false rejects", ordering=NullsLast("figure_false_rejects"))
    def false_rejects(self, row: Any) -> str:
        return share(row.figure_false_rejects)

    @admin.display(description="at threshold", ordering="threshold__value")
    def at(self, row: Evaluation) -> str:
        return score(row.threshold.value)

    def links(self, row: Evaluation) -> list[tuple[str, str]]:
        return [
            (reverse("evaluation", args=[row.pk]), "Report, with curves and images"),
            (reverse("model", args=[row.model_version_id]), "Model"),
            (reverse("dataset", args=[row.dataset_id]), "Data set"),
        ]

    def tables(self, row: Evaluation) -> list[Table]:
        return [
            Table(
                "Figures",
                ("figure", "value", "95 % interval"),
                [(each["words"], each["text"], each["interval"]) for each in metric_rows(row.metrics)],
            ),
            Table(
                "Detected defects",
                ("kind", "detected", "of", "95 % interval"),
                [
                    (each["words"], each["detected"], each["total"], each["interval"])
                    for each in defect_rows(row.metrics)
                ],
            ),
        ]


# ---------------------------------------------------------------- evaluating a version
class EvaluateForm(ActForm):
    """Data sets of the version's category that have test images, the newest first."""

    dataset = forms.ModelChoiceField(Dataset.objects.none(), label="Data set", empty_label=None)
    robustness = forms.BooleanField(
        required=False, help_text="Also brightness, blur, noise, shift and rotation: several times as long."
    )

    def __init__(self, data: Any = None, *, rows: Sequence[Any] = ()) -> None:
        super().__init__(data, rows=rows)
        tested = DatasetImage.objects.filter(split="test").values("dataset")
        datasets = Dataset.objects.filter(category__in=[row.category_id for row in rows], pk__in=tested)
        self.fields["dataset"].queryset = datasets.defer("report")  # type: ignore[attr-defined]


def _evaluate(request: HttpRequest, version: ModelVersion, values: Mapping[str, Any]) -> str:
    run = request_evaluation(
        version=version, dataset=values["dataset"], robustness=values["robustness"], actor=request.user
    )
    return format_html(
        'Evaluation of {} on {} was requested: <a href="{}">its page</a> says how far it is, and leads to the report.',
        version,
        values["dataset"],
        reverse("admin:training_evaluationrun_change", args=[run.pk]),
    )


ModelVersionAdmin.acts.append(
    Act(
        "evaluate",
        "Evaluate",
        Right.TRAIN,
        _evaluate,
        "A worker scores the test images of a data set at the active threshold. The figures stand beside those from "
        "before, and promotion gates look at the newest ones of their reference set.",
        form=EvaluateForm,
        is_single=True,
    )
)


@admin.register(EvaluationRun)
class EvaluationRunAdmin(ServiceAdmin):
    list_display = ["of_version", "dataset", "robustness", "status_word", "error", "requested_by", "created_at"]
    list_filter = ["status", "model_version__category", Period]
    list_select_related = ["model_version__category", "dataset", "requested_by"]
    fields = (
        *("model_version", "dataset", "robustness", "status_word", "error", "evaluation", "requested_by"),
        *("created_at", "started_at", "finished_at"),
    )
    readonly_fields = ("status_word",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[EvaluationRun]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer("dataset__report", *ModelVersion.long_columns("model_version", in_list=True))

    @admin.display(description="version", ordering="model_version")
    def of_version(self, run: EvaluationRun) -> str:
        return str(run.model_version)

    @admin.display(description="status", ordering="status")
    def status_word(self, run: EvaluationRun) -> SafeString:
        words = f"{run.get_status_display()} {percent(run.progress)}" if run.is_open else run.get_status_display()
        return tag(words, is_strong=run.status == EvaluationRun.Status.FAILED)

    def links(self, run: EvaluationRun) -> list[tuple[str, str]]:
        return [
            *([(reverse("evaluation", args=[run.evaluation_id]), "Report")] if run.evaluation_id else []),
            (reverse("model", args=[run.model_version_id]), "Model"),
            (reverse("dataset", args=[run.dataset_id]), "Data set"),
        ]
