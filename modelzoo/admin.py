from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from common.errors import UserError
from common.numbers import metric
from common.rights import Right, may
from modelzoo import documents, services
from modelzoo.models import Category, Deployment, ModelVersion, Threshold
from records.admin import ReadOnlyAdmin, ReadOnlyInline


class ThresholdInline(ReadOnlyInline):
    model = Threshold
    fields = ("revision", "value", "method", "reason", "author", "created_at")
    readonly_fields = ("revision", "value", "method", "reason", "author", "created_at")


class DeploymentInline(ReadOnlyInline):
    model = Deployment
    fields = (
        "kind",
        "reason",
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


class ReasonedActionForm(ActionForm):
    """The row above a list from which an action is chosen, with a place for its reason."""

    reason = forms.CharField(required=False, max_length=500, widget=forms.TextInput(attrs={"size": 40}))


class DeploymentAdminBase(ReadOnlyAdmin):
    """Actions that change what serves: through the services, one row after the other, each with what came of it."""

    action_form = ReasonedActionForm

    def has_deploy_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Right.DEPLOY)

    def apply_to_rows(
        self, request: HttpRequest, rows: QuerySet[Any], change: Callable[[Any, str], Deployment | None], done: str
    ) -> None:
        """`change` takes a row and the reason. A deployment that it asks for is told to a worker, not waited for."""
        reason = request.POST.get("reason", "")[:500].replace("\0", "")
        for row in rows:
            try:
                deployment = change(row, reason)
            except UserError as error:
                self.message_user(request, f"{row}: {error.detail}", messages.ERROR)
                continue
            if deployment is None or services.call_worker(deployment=deployment):
                self.message_user(request, f"{row}: {done}", messages.SUCCESS)
            else:
                deployment.refresh_from_db(fields=["error"])
                self.message_user(request, f"{row}: {deployment.error}", messages.ERROR)


@admin.register(Category)
class CategoryAdmin(DeploymentAdminBase):
    list_display = ["name", "production", "created_at"]
    search_fields = ["name"]
    actions = ["roll_back"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Category]:
        return documents.categories()

    @admin.display(description="in production")
    def production(self, category: Any) -> str:
        return ", ".join(f"v{version.number} ({version.algorithm})" for version in category.in_production)

    @admin.action(description="Roll back to the previous version (needs a reason)", permissions=["deploy"])
    def roll_back(self, request: HttpRequest, rows: QuerySet[Category]) -> None:
        def change(category: Category, reason: str) -> Deployment:
            return services.request_rollback(category=category, reason=reason, actor=request.user)

        self.apply_to_rows(
            request, rows, change, "The previous version is being loaded. See Deployments for the result."
        )


@admin.register(ModelVersion)
class ModelVersionAdmin(DeploymentAdminBase):
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
        "threshold",
    ]
    list_filter = ["stage", "algorithm", "category"]
    search_fields = ["category__name", "artifact_sha256", "dataset_snapshot"]
    inlines = [ThresholdInline, DeploymentInline]
    actions = ["promote", "archive"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        return super().get_queryset(request).select_related("category", "created_by")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = list(super().get_list_display(request))
        return columns if may(request.user, Right.TUNE) else [name for name in columns if name != "threshold"]

    @admin.display(description="image AUROC")
    def auroc(self, version: ModelVersion) -> str:
        value = version.metrics.get("image", {}).get("auroc")
        return metric(value, missing="")

    @admin.display(description="threshold")
    def threshold(self, version: ModelVersion) -> str:
        address = reverse("admin:modelzoo_threshold_add")
        return format_html('<a href="{}?model_version={}">set</a>', address, version.pk)

    @admin.action(description="Promote to production (needs a reason)", permissions=["deploy"])
    def promote(self, request: HttpRequest, rows: QuerySet[ModelVersion]) -> None:
        def change(version: ModelVersion, reason: str) -> Deployment:
            return services.request_promotion(version=version, reason=reason, actor=request.user)

        self.apply_to_rows(request, rows, change, "The version is being loaded. See Deployments for the result.")

    @admin.action(description="Archive candidates (needs a reason)", permissions=["deploy"])
    def archive(self, request: HttpRequest, rows: QuerySet[ModelVersion]) -> None:
        def change(version: ModelVersion, reason: str) -> None:
            services.archive_version(version=version, reason=reason, actor=request.user)

        self.apply_to_rows(request, rows, change, "Archived.")


class ThresholdForm(forms.ModelForm):
    """A revision by hand; number, method and author follow by themselves."""

    class Meta:
        model = Threshold
        fields = ("model_version", "value", "reason")
        widgets = {"reason": forms.TextInput(attrs={"size": 80})}


@admin.register(Threshold)
class ThresholdAdmin(ReadOnlyAdmin):
    list_display = ["model_version", "revision", "value", "method", "reason", "author", "created_at"]
    list_filter = ["method", "model_version__category"]
    list_select_related = ["model_version__category", "author"]

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return may(request.user, Right.TUNE)

    def get_form(self, request: HttpRequest, obj: Threshold | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs |= {"form": ThresholdForm, "fields": ThresholdForm.Meta.fields}
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Threshold | None = None) -> Any:
        return ThresholdForm.Meta.fields if obj is None else super().get_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: Threshold, form: Any, change: bool) -> None:
        """Django has built a row that the service writes; the page that follows names it."""
        threshold = services.set_threshold(
            version=obj.model_version,
            value=obj.value,
            method=Threshold.Method.MANUAL,
            reason=obj.reason,
            actor=request.user,
        )
        obj.pk, obj.revision = threshold.pk, threshold.revision


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    list_display = [
        "category",
        "model_version",
        "kind",
        "status",
        "reason",
        "device",
        "runtime",
        "precision",
        "precision_chosen",
        "worker",
        "requested_by",
        "activated_at",
        "ended_at",
    ]
    list_filter = ["status", "kind", "category", "runtime", "precision_chosen"]
    list_select_related = ["category", "model_version__category", "requested_by"]
