"""Random audits, containments and promises of thresholds in the administration."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from common.web.administration import Period, ServiceAdmin, Table
from modelzoo.models import ModelVersion
from modelzoo.pages import flat
from quality.models import AuditedShift, Containment, PromiseResult, QueueDecision, ReviewBudget, SamplingPlan


@admin.register(SamplingPlan)
class SamplingPlanAdmin(ServiceAdmin):
    list_display = ["category", "revision", "percent", "at_least", "controls", "reason", "author", "created_at"]
    list_filter = ["category"]
    list_select_related = ["category", "author"]

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("quality"), "Random audit")]


@admin.register(AuditedShift)
class AuditedShiftAdmin(ServiceAdmin):
    list_display = ["category", "number", "starts_at", "ends_at", "passed", "rejected", "draws", "controls"]
    list_filter = ["category", Period.of("ends_at")]
    list_select_related = ["category"]

    def links(self, shift: AuditedShift) -> list[tuple[str, str]]:
        return [
            (reverse("audited-shift", args=[shift.pk]), "Page of the shift"),
            (reverse("audit-event", args=[shift.event_sequence]), "Event that closed it"),
        ]


@admin.register(Containment)
class ContainmentAdmin(ServiceAdmin):
    list_display = ["escape", "since", "until", "status", "passed", "listed", "reason", "requested_by", "created_at"]
    list_filter = ["status", "escape__category", Period]
    list_select_related = ["escape", "requested_by"]
    search_fields = ["reason"]
    search_help_text = "reason"

    def links(self, row: Containment) -> list[tuple[str, str]]:
        return [
            (reverse("containment", args=[row.pk]), "Page of the containment, with its list"),
            (reverse("inspection", args=[row.escape_id]), "Record of the escape"),
        ]

    def tables(self, row: Containment) -> list[Table]:
        return [Table("Expected further escapes", ("figure", "value"), list(flat(row.expected)))]


@admin.register(PromiseResult)
class PromiseResultAdmin(ServiceAdmin):
    list_display = ["of_threshold", "since", "until", "inspections", "reviewed", "created_at"]
    list_filter = ["threshold__model_version__category"]
    list_select_related = ["threshold__model_version__category"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PromiseResult]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*ModelVersion.long_columns("threshold__model_version", in_list=True))

    @admin.display(description="threshold", ordering="threshold")
    def of_threshold(self, row: PromiseResult) -> str:
        return str(row.threshold)

    def links(self, row: PromiseResult) -> list[tuple[str, str]]:
        return [
            (reverse("promises"), "Promises of thresholds"),
            (reverse("threshold", args=[row.threshold.model_version_id]), "Threshold"),
        ]


@admin.register(ReviewBudget)
class ReviewBudgetAdmin(ServiceAdmin):
    list_display = ["category", "revision", "per_shift", "reason", "author", "created_at"]
    list_filter = ["category"]
    list_select_related = ["category", "author"]

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("review-queue"), "Review queue")]


@admin.register(QueueDecision)
class QueueDecisionAdmin(ServiceAdmin):
    list_display = ["why", "cause", "decision", "reviewer", "created_at"]
    list_filter = ["decision", "cause", "category", Period]
    list_select_related = ["reviewer"]

    def links(self, row: QueueDecision) -> list[tuple[str, str]]:
        return [(reverse("inspection", args=[row.inspection_id]), "Record")]
