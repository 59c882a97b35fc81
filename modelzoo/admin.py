from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from modelzoo.models import Category, Deployment, ModelVersion, Threshold
from records.admin import ReadOnlyAdmin, ReadOnlyInline


class ThresholdInline(ReadOnlyInline):
    model = Threshold
    fields = ("revision", "value", "method", "reason", "author", "created_at")
    readonly_fields = ("revision", "value", "method", "reason", "author", "created_at")


class DeploymentInline(ReadOnlyInline):
    model = Deployment
    fields = (
        "status",
        "device",
        "runtime",
        "precision",
        "precision_chosen",
        "worker",
        "requested_by",
        "activated_at",
        "ended_at",
    )
    readonly_fields = fields


@admin.register(Category)
class CategoryAdmin(ReadOnlyAdmin):
    list_display = ["name", "created_at"]
    search_fields = ["name"]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "category",
        "number",
        "algorithm",
        "backbone",
        "stage",
        "auroc",
        "dataset_name",
        "created_by",
        "created_at",
    ]
    list_filter = ["stage", "algorithm", "category"]
    search_fields = ["category__name", "artifact_sha256", "dataset_snapshot"]
    inlines = [ThresholdInline, DeploymentInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        return super().get_queryset(request).select_related("category", "created_by")

    @admin.display(description="image AUROC")
    def auroc(self, version: ModelVersion) -> str:
        value = version.metrics.get("image", {}).get("auroc")
        return "" if value is None else f"{value:.4f}"


@admin.register(Threshold)
class ThresholdAdmin(ReadOnlyAdmin):
    list_display = ["model_version", "revision", "value", "method", "reason", "author", "created_at"]
    list_filter = ["method", "model_version__category"]
    list_select_related = ["model_version__category", "author"]


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    list_display = [
        "category",
        "model_version",
        "status",
        "device",
        "runtime",
        "precision",
        "precision_chosen",
        "worker",
        "requested_by",
        "activated_at",
        "ended_at",
    ]
    list_filter = ["status", "category", "runtime", "precision_chosen"]
    list_select_related = ["category", "model_version__category", "requested_by"]
