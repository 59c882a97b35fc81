from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from inspection.models import BatchRun, Inspection, InspectionRequest, Review, SavedView, Standing
from records.admin import ReadOnlyAdmin


@admin.register(Inspection)
class InspectionAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "page",
        "outcome",
        "score",
        "threshold_value",
        "model_version",
        "station",
        "operator",
    ]
    list_filter = ["outcome", "source", "model_version__category"]
    list_select_related = ["model_version__category", "operator", "request"]
    search_fields = ["filename", "serial_number", "lot", "part_number", "asset__sha256"]
    date_hierarchy = "created_at"
    show_full_result_count = False

    @admin.display(description="image")
    def page(self, inspection: Inspection) -> str:
        return format_html('<a href="{}">{}</a>', reverse("inspection", args=[inspection.pk]), inspection.path_or_name)


@admin.register(InspectionRequest)
class InspectionRequestAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "filename", "status", "batch", "source", "attempt", "error_code"]
    list_filter = ["status", "source"]
    list_select_related = ["batch"]
    search_fields = ["filename", "id"]
    show_full_result_count = False


@admin.register(BatchRun)
class BatchRunAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "name", "status", "deployment", "requested_by", "finished_at"]
    list_filter = ["status"]
    list_select_related = ["deployment__model_version__category", "requested_by"]


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "inspection", "number", "verdict", "agrees", "defect_type", "reviewer"]
    list_filter = ["verdict", "agrees", "inspection__category"]
    list_select_related = ["inspection", "reviewer"]
    search_fields = ["inspection__id", "defect_type", "comment", "reviewer__username"]
    raw_id_fields = ["inspection"]
    show_full_result_count = False


@admin.register(Standing)
class StandingAdmin(ReadOnlyAdmin):
    list_display = ["inspected_at", "inspection", "verdict", "overruled", "contested", "reviews", "reviewer"]
    list_filter = ["verdict", "overruled", "contested"]
    list_select_related = ["inspection", "reviewer"]
    show_full_result_count = False


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "query", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username"]
