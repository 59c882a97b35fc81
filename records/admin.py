"""Stored files and the audit log in the administration."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from common.web.administration import Period, RecentWords, ServiceAdmin, Table
from records.audit.sentences import names_in, sentence_of
from records.models import Asset, AuditCheckpoint, AuditEvent, AuditVerification


@admin.register(Asset)
class AssetAdmin(ServiceAdmin):
    list_display = ["short", "content_type", "width", "height", "size_bytes", "created_at", "discarded_at"]
    search_fields = ["sha256__startswith"]
    search_help_text = "how the hash begins"
    ordering = ("-id",)

    @admin.display(description="hash", ordering="sha256")
    def short(self, asset: Asset) -> str:
        return asset.sha256[:12]

    def links(self, asset: Asset) -> list[tuple[str, str]]:
        return [(f"{reverse('history')}?image_sha256={asset.sha256}", "Records of it")]


@admin.register(AuditEvent)
class AuditEventAdmin(ServiceAdmin):
    list_display = ["sequence", "at", "what", "kind", "source", "address"]
    list_filter = [RecentWords.of("source"), Period.of("at")]
    search_fields = ["kind", "actor_name", "request_id"]
    search_help_text = "kind, name or request"
    fields = (
        "sequence",
        "at",
        "actor_name",
        "kind",
        "object_type",
        "object_id",
        "source",
        "request_id",
        "address",
        "previous_hash",
        "hash",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Whole words, each by an index of the log."""
        if not search_term:
            return queryset, False
        return queryset.filter(Q(kind=search_term) | Q(actor_name=search_term) | Q(request_id=search_term)), False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With what the objects of its events are called, asked for once."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        names = names_in(changelist.result_list)
        for event in changelist.result_list:
            event.sentence = str(sentence_of(event, names))
        return changelist

    @admin.display(description="what happened")
    def what(self, event: Any) -> str:
        return str(event.sentence)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("audit"), "Audit log: search, verify, export")]

    def links(self, event: AuditEvent) -> list[tuple[str, str]]:
        return [(reverse("audit-event", args=[event.pk]), "Event on its page")]

    def tables(self, event: AuditEvent) -> list[Table]:
        before, after = (json.loads(text) or {} for text in (event.before, event.after))
        names = sorted({*_mapping(before), *_mapping(after)})
        rows = [(name, _short(_mapping(before).get(name)), _short(_mapping(after).get(name))) for name in names]
        sentence = str(sentence_of(event, names_in([event])))
        return [Table(sentence, ("what", "before", "after"), rows)]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _short(value: Any) -> str:
    return "" if value is None else str(value)[:200]


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ServiceAdmin):
    list_display = ["sequence", "at", "events", "key_id", "head"]


@admin.register(AuditVerification)
class AuditVerificationAdmin(ServiceAdmin):
    list_display = ["id", "status", "events", "records", "broken_at", "requested_by", "created_at", "finished_at"]
    list_filter = ["status"]
    list_select_related = ["requested_by"]

    def links(self, verification: AuditVerification) -> list[tuple[str, str]]:
        return [(reverse("audit-verification", args=[verification.pk]), "Page of the verification")]
