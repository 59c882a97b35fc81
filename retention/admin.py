from __future__ import annotations

from django.contrib import admin

from records.admin import ReadOnlyAdmin
from retention.models import RetentionPolicy, RetentionRun


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(ReadOnlyAdmin):
    list_display = [
        "category",
        "revision",
        "good_after_days",
        "good_keep_every",
        "maps_after_days",
        "defective_after_days",
        "keep_reviewed",
        "reason",
        "author",
        "created_at",
    ]
    list_filter = ["category"]
    list_select_related = ["category", "author"]


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "subject",
        "dry_run",
        "status",
        "images",
        "maps",
        "orphans",
        "leftovers",
        "size_bytes",
        "requested_by",
        "created_at",
        "finished_at",
    ]
    list_filter = ["dry_run", "status", "policy__category"]
    list_select_related = ["policy__category", "requested_by"]
