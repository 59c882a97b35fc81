from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.errors import UserError
from common.numbers import metric
from common.rights import Right, may
from records.admin import ReadOnlyAdmin
from training.datasets import selectors
from training.models import Dataset, DatasetImage, Evaluation, TrainingRun
from training.runs import services


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "snapshot_short", "train_images", "test_images", "masks", "source", "created_at"]
    list_filter = ["category"]
    search_fields = ["name", "snapshot"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        return selectors.with_counts(super().get_queryset(request))

    @admin.display(description="snapshot")
    def snapshot_short(self, dataset: Dataset) -> str:
        return dataset.snapshot[:12]

    @admin.display(description="training images")
    def train_images(self, dataset: Dataset) -> int:
        return dataset.train_images  # type: ignore[attr-defined]

    @admin.display(description="test images")
    def test_images(self, dataset: Dataset) -> int:
        return dataset.test_images  # type: ignore[attr-defined]

    @admin.display(description="masks")
    def masks(self, dataset: Dataset) -> int:
        return dataset.masks  # type: ignore[attr-defined]


@admin.register(DatasetImage)
class DatasetImageAdmin(ReadOnlyAdmin):
    list_display = ["path", "dataset", "split", "is_defective", "defect_type"]
    list_filter = ["split", "is_defective", "dataset"]
    list_select_related = ["dataset"]
    search_fields = ["path", "asset__sha256"]


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "algorithm", "status", "progress", "message", "model_version", "created_at"]
    list_filter = ["status", "algorithm"]
    list_select_related = ["dataset", "model_version__category"]
    actions = ["cancel"]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Right.TRAIN)

    @admin.action(description="Cancel selected runs", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TrainingRun]) -> None:
        for run in queryset:
            try:
                services.cancel_run(run_id=run.pk, actor=request.user)
            except UserError as error:
                self.message_user(request, error.detail, messages.WARNING)


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ["model_version", "dataset", "auroc", "threshold", "created_at"]
    list_select_related = ["model_version__category", "dataset", "threshold__model_version__category"]

    @admin.display(description="image AUROC")
    def auroc(self, evaluation: Evaluation) -> str:
        value = evaluation.metrics["image"]["auroc"]
        return metric(value, missing="")
