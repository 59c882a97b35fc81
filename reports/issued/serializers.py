"""What the API of issued reports takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from reports.content.serializers import ReportQuery, ReportScopeOutput
from reports.models import ReportMessage


class IssueInput(ReportQuery):
    """Which report is frozen."""


class ReportMessageOutput(serializers.Serializer):
    target = serializers.CharField()
    status = serializers.ChoiceField(choices=ReportMessage.Status.choices)
    attempts = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    sent_at = serializers.DateTimeField(allow_null=True)


class IssuedReportOutput(ReportScopeOutput):
    report_id = serializers.UUIDField()
    title = serializers.CharField()
    schedule = serializers.IntegerField(allow_null=True, help_text="id; null: issued by somebody")
    issued_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    messages = ReportMessageOutput(many=True)
    json_url = serializers.CharField()
    csv_url = serializers.CharField()
    pdf_url = serializers.CharField()
