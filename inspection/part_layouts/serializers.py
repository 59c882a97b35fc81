"""Shapes of what the API of part layouts takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from inspection.judging.serializers import text_field
from inspection.part_layouts.models import MAX_SECONDS, MAX_VIEWS, MIN_SECONDS


class LayoutViewInput(serializers.Serializer):
    name = serializers.CharField(max_length=50, help_text="letters, digits, dots, dashes and underscores")
    category = serializers.CharField(max_length=100, help_text="whose model in production judges it")
    station = text_field()


class PartLayoutInput(serializers.Serializer):
    """The whole layout; it becomes a new revision."""

    time_limit_seconds = serializers.IntegerField(
        min_value=MIN_SECONDS, max_value=MAX_SECONDS, help_text="from the first view until all must be there"
    )
    views = serializers.ListField(
        child=LayoutViewInput(), min_length=1, max_length=MAX_VIEWS, help_text="in the order of the page"
    )
    reason = serializers.CharField(max_length=500)


class RetirePartLayoutInput(serializers.Serializer):
    reason = serializers.CharField(max_length=500)


class LayoutViewOutput(serializers.Serializer):
    name = serializers.CharField()
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True, help_text="empty: that of the sender")


class PartLayoutOutput(serializers.Serializer):
    name = serializers.CharField()
    revision = serializers.IntegerField()
    url = serializers.CharField()
    time_limit_seconds = serializers.IntegerField()
    in_use = serializers.BooleanField(help_text="false: retired, no new part begins")
    views = LayoutViewOutput(many=True)
    reason = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
