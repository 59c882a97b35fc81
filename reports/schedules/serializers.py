"""What the API of schedules takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from reports.content.scope import REGULAR
from reports.schedules.services import MAX_RECIPIENTS

KINDS = tuple(str(kind) for kind in REGULAR)


class ReportScheduleInput(serializers.Serializer):
    kind = serializers.ChoiceField(choices=KINDS)
    category = serializers.CharField(max_length=100, allow_null=True, default=None, help_text="null: all")
    station = serializers.CharField(max_length=100, allow_blank=True, default="", help_text="empty: all")
    recipients = serializers.ListField(
        child=serializers.CharField(max_length=254), max_length=MAX_RECIPIENTS, help_text="e-mail addresses"
    )


class ReportScheduleOutput(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=KINDS)
    category = serializers.CharField(allow_null=True, help_text="null: all")
    station = serializers.CharField(allow_blank=True, help_text="empty: all")
    recipients = serializers.ListField(child=serializers.CharField())
    next_since = serializers.DateTimeField(help_text="of the window that is issued next")
    next_until = serializers.DateTimeField()
    error = serializers.CharField(allow_blank=True, help_text="why the last one could not be made")
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
