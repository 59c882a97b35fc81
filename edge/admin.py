"""Connections, their deliveries and lanes in the administration: to look at."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from common.web.administration import Period, ServiceAdmin, Table, tag
from edge.models import Connection, Delivery, EdgeNode, ForwardedRecord, NodeAnchor
from modelzoo.pages import flat


@admin.register(Connection)
class ConnectionAdmin(ServiceAdmin):
    list_display = ["name", "kind", "station", "category", "line_time_ms", "enabled", "revision", "created_at"]
    list_filter = ["kind", "is_enabled", "category"]
    list_select_related = ["category"]
    search_fields = ["name", "station"]
    search_help_text = "name or station"

    @admin.display(description="enabled", ordering="is_enabled")
    def enabled(self, connection: Connection) -> SafeString:
        return tag("enabled" if connection.is_enabled else "disabled", is_strong=connection.is_enabled)

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("connections"), "Connections and how they are")]

    def links(self, connection: Connection) -> list[tuple[str, str]]:
        return [(reverse("connection", args=[connection.pk]), "Change, disable, dead letters")]

    def tables(self, connection: Connection) -> list[Table]:
        secrets = connection.secrets.select_related("created_by")
        return [
            Table("Settings", ("setting", "value"), list(flat(connection.settings))),
            Table(
                "Secrets, whose values are shown to nobody",
                ("name", "set", "by", "holds until"),
                [(row.name, row.created_at, row.created_by, row.ends_at) for row in secrets],
            ),
        ]


@admin.register(Delivery)
class DeliveryAdmin(ServiceAdmin):
    list_display = ["id", "lane", "sequence", "event", "status", "attempts", "error", "recorded_at", "sent_at"]
    list_filter = ["status", "event", "lane__connection", Period.of("recorded_at")]
    list_select_related = ["lane__connection"]


@admin.register(EdgeNode)
class EdgeNodeAdmin(ServiceAdmin):
    list_display = ["name", "station", "user", "is_enabled", "last_contact_at", "waiting", "refusal_code", "created_at"]
    list_filter = ["is_enabled"]
    list_select_related = ["user"]
    search_fields = ["name", "station"]
    search_help_text = "name or station"

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("edge-nodes"), "Edge nodes and how they are")]


@admin.register(ForwardedRecord)
class ForwardedRecordAdmin(ServiceAdmin):
    list_display = ["record_id", "node", "sequence", "inspection", "received_at"]
    list_filter = ["node", Period.of("received_at")]
    list_select_related = ["node", "inspection"]


@admin.register(NodeAnchor)
class NodeAnchorAdmin(ServiceAdmin):
    list_display = ["node", "first", "sequence", "head", "created_at"]
    list_filter = ["node", Period.of("created_at")]
    list_select_related = ["node"]
