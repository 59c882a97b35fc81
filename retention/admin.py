"""Rules of retention and their runs in the administration."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from common.web.administration import Period, ServiceAdmin, Table
from retention.models import RetentionPolicy, RetentionRun


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(ServiceAdmin):
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

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("retention"), "Set rules and run them")]

    def links(self, policy: RetentionPolicy) -> list[tuple[str, str]]:
        return [(reverse("retention"), "Set rules and run them")]


@admin.register(RetentionRun)
class RetentionRunAdmin(ServiceAdmin):
    list_display = [
        "id",
        "subject",
        "dry_run",
        "status",
        "images",
        "maps",
        "orphans",
        "leftovers",
        "size",
        "requested_by",
        "created_at",
        "finished_at",
    ]
    list_filter = ["dry_run", "status", "policy__category", Period]
    list_select_related = ["policy__category", "requested_by"]

    @admin.display(description="size", ordering="size_bytes")
    def size(self, run: RetentionRun) -> str:
        return filesizeformat(run.size_bytes)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("retention"), "Set rules and run them")]

    def tables(self, run: RetentionRun) -> list[Table]:
        rows = [(each["what"], each["name"], filesizeformat(each["size_bytes"])) for each in run.examples]
        return [Table("Examples", ("what", "name", "size"), rows)]
