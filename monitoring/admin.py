"""Stations, alarms and reference parts in the administration."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from common.web.administration import Period, ServiceAdmin, Table, tag
from modelzoo.models import ModelVersion
from modelzoo.pages import flat
from monitoring.models import Alarm, AlarmMessage, DoubtfulPeriod, DriftMonitor, ReferenceCheck, ReferencePart

_LATEST = 10


@admin.register(Alarm)
class AlarmAdmin(ServiceAdmin):
    list_display = ["id", "kind", "category", "station", "sentence", "status_word", "opened_at", "resolved_at", "cause"]
    list_filter = ["status", "kind", "category", Period.of("opened_at")]
    list_select_related = ["category"]
    search_fields = ["sentence", "cause", "station"]
    search_help_text = "sentence, cause or station"

    @admin.display(description="status", ordering="status")
    def status_word(self, alarm: Alarm) -> SafeString:
        return tag(alarm.get_status_display(), is_strong=alarm.is_unresolved)

    def links(self, alarm: Alarm) -> list[tuple[str, str]]:
        return [(reverse("alarm", args=[alarm.pk]), "Acknowledge, comment, resolve")]

    def tables(self, alarm: Alarm) -> list[Table]:
        comments = alarm.comments.select_related("author")
        return [
            Table("What it was found in", ("what", "value"), list(flat(alarm.details))),
            Table("Comments", ("text", "by", "when"), [(row.text, row.author, row.created_at) for row in comments]),
            Table(
                "Messages",
                ("to", "channel", "status", "tries", "error", "sent"),
                [
                    (
                        row.target,
                        row.get_channel_display(),
                        row.get_status_display(),
                        row.attempts,
                        row.error,
                        row.sent_at,
                    )
                    for row in alarm.messages.all()[:_LATEST]
                ],
            ),
        ]


@admin.register(AlarmMessage)
class AlarmMessageAdmin(ServiceAdmin):
    list_display = ["target", "channel", "event", "alarm", "status", "attempts", "due_at", "sent_at", "error"]
    list_filter = ["status", "channel"]
    list_select_related = ["alarm"]


@admin.register(DriftMonitor)
class DriftMonitorAdmin(ServiceAdmin):
    list_display = ["category", "station_name", "model_version", "records", "last_record_at", "alarm"]
    list_filter = ["category"]
    list_select_related = ["category", "model_version__category", "alarm"]
    search_fields = ["station", "category__name"]
    search_help_text = "station or category"

    def get_queryset(self, request: HttpRequest) -> QuerySet[DriftMonitor]:
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        return rows.defer(*ModelVersion.long_columns("model_version", in_list=True))

    @admin.display(description="station", ordering="station")
    def station_name(self, monitor: DriftMonitor) -> str:
        return monitor.station or "(no station)"

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(reverse("monitoring"), "Monitoring")]

    def links(self, monitor: DriftMonitor) -> list[tuple[str, str]]:
        return [
            (reverse("drift-monitor", args=[monitor.pk]), "Control charts"),
            (f"{reverse('history')}?category={monitor.category.name}&station={monitor.station}", "Records"),
        ]


@admin.register(ReferencePart)
class ReferencePartAdmin(ServiceAdmin):
    list_display = [
        "serial_number",
        "category",
        "expected",
        "lowest_score",
        "highest_score",
        "note",
        "author",
        "retired_at",
    ]
    list_filter = ["category", "expected"]
    list_select_related = ["category", "author"]
    search_fields = ["serial_number", "note"]
    search_help_text = "serial number or note"

    def links(self, part: ReferencePart) -> list[tuple[str, str]]:
        return [(reverse("reference-part", args=[part.pk]), "Page of the part, with its chart")]


@admin.register(ReferenceCheck)
class ReferenceCheckAdmin(ServiceAdmin):
    list_display = ["part", "station", "passed", "explanation", "checked_at"]
    list_filter = ["passed", "part__category", Period.of("checked_at")]
    list_select_related = ["part"]

    def links(self, check: ReferenceCheck) -> list[tuple[str, str]]:
        return [(reverse("inspection", args=[check.inspection_id]), "Record")]


@admin.register(DoubtfulPeriod)
class DoubtfulPeriodAdmin(ServiceAdmin):
    list_display = ["part", "category", "station", "begins_at", "ends_at", "alarm"]
    list_filter = ["category"]
    list_select_related = ["part", "category", "alarm"]
