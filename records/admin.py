from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from records.models import Asset, AuditEvent, AuditVerification


class ReadOnlyAdmin(admin.ModelAdmin):
    """For what is written by services and never by hand: look, search, filter; no add, change or delete."""

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class ReadOnlyInline(admin.TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Asset)
class AssetAdmin(ReadOnlyAdmin):
    list_display = ["sha256", "content_type", "width", "height", "size_bytes", "created_at"]
    list_filter = ["content_type"]
    search_fields = ["sha256"]
    date_hierarchy = "created_at"


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["sequence", "at", "actor_name", "kind", "object_type", "object_id", "source", "address"]
    list_filter = ["source", "object_type"]
    search_fields = ["kind", "object_id", "actor_name", "request_id"]
    show_full_result_count = False


@admin.register(AuditVerification)
class AuditVerificationAdmin(ReadOnlyAdmin):
    list_display = ["id", "status", "events", "records", "broken_at", "requested_by", "created_at", "finished_at"]
    list_filter = ["status"]
    list_select_related = ["requested_by"]
