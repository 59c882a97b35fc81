from __future__ import annotations

from django.contrib import admin

from records.admin import ReadOnlyAdmin
from tuning.models import Rescored, RescoringRun


@admin.register(RescoringRun)
class RescoringRunAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "model_version",
        "status",
        "total",
        "done",
        "failed",
        "changed",
        "requested_by",
        "finished_at",
    ]
    list_filter = ["status", "model_version__category"]
    list_select_related = ["model_version__category", "requested_by"]
    search_fields = ["id", "reason"]


@admin.register(Rescored)
class RescoredAdmin(ReadOnlyAdmin):
    list_display = ["run", "inspection", "outcome", "score", "error_code"]
    list_filter = ["outcome", "error_code"]
    list_select_related = ["run__model_version__category", "inspection"]
    search_fields = ["run__id", "inspection__id"]
    show_full_result_count = False
