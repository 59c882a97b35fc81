"""Shapes of what the API of monitoring takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from modelzoo.api.fields import FiniteField
from monitoring.models import Alarm, ReferencePart
from monitoring.reference_parts.selectors import FAILED, PROVEN, UNPROVEN

CHART_STATUS = ("learning", "in control", "out of control")
STATION_STATES = (UNPROVEN, PROVEN, FAILED)
ALARM_FILTERS = ("", "unresolved", *Alarm.Status.values)


class AlarmOutput(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Alarm.Kind.choices)
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    sentence = serializers.CharField(help_text="what was found")
    details = serializers.DictField(child=serializers.JSONField(), help_text="what it was found in")
    status = serializers.ChoiceField(choices=Alarm.Status.choices)
    opened_at = serializers.DateTimeField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField(allow_null=True)
    resolved_at = serializers.DateTimeField(allow_null=True)
    resolved_by = serializers.CharField(allow_null=True)
    cause = serializers.CharField(allow_blank=True)
    is_new_normal = serializers.BooleanField(help_text="charts began anew with what was measured then")
    page_url = serializers.CharField()


class AlarmCommentOutput(serializers.Serializer):
    text = serializers.CharField()
    author = serializers.CharField(allow_null=True, help_text="null: the system")
    created_at = serializers.DateTimeField()


class WholeAlarmOutput(AlarmOutput):
    comments = AlarmCommentOutput(many=True)


class AlarmQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    status = serializers.ChoiceField(
        choices=ALARM_FILTERS, allow_blank=True, default="", help_text="unresolved: open or acknowledged"
    )


class AlarmCommentInput(serializers.Serializer):
    text = serializers.CharField(max_length=1000)


class AlarmResolveInput(serializers.Serializer):
    cause = serializers.CharField(max_length=500)
    is_new_normal = serializers.BooleanField(
        default=False, help_text="the next 100 parts become the new reference of the charts that are out of control"
    )


class DriftMonitorOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    of_batches = serializers.BooleanField(help_text="of images that came in batches, not one by one")
    model_version = serializers.IntegerField(help_text="of the newest record")
    records = serializers.IntegerField()
    last_record_at = serializers.DateTimeField()
    alarm = serializers.IntegerField(allow_null=True, help_text="the unresolved one; null: none")


class DriftChartOutput(serializers.Serializer):
    kind = serializers.CharField(help_text="see docs/drift.md")
    unit = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=CHART_STATUS)
    reference_parts = serializers.IntegerField(help_text="so far; complete at 100")
    average = serializers.FloatField(allow_null=True, help_text="moving average; of shares that of the last 50 parts")
    centre = serializers.FloatField(allow_null=True)
    lower_limit = serializers.FloatField(allow_null=True)
    upper_limit = serializers.FloatField(allow_null=True)
    stability_index = serializers.FloatField(
        allow_null=True, help_text="population stability index of the last 100 inspections against training"
    )
    differs_from_training = serializers.BooleanField()


class WholeDriftMonitorOutput(DriftMonitorOutput):
    charts = DriftChartOutput(many=True)


class DriftMonitorQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")


class DriftRestartInput(serializers.Serializer):
    reason = serializers.CharField(max_length=500)


class ReferencePartInput(serializers.Serializer):
    category = serializers.CharField(max_length=100)
    serial_number = serializers.CharField(max_length=100)
    expected = serializers.ChoiceField(choices=ReferencePart.Expected.choices)
    lowest_score = FiniteField(allow_null=True, default=None)
    highest_score = FiniteField(allow_null=True, default=None)
    note = serializers.CharField(max_length=500, help_text="what it is, and how that is known")


class ReferencePartOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField()
    serial_number = serializers.CharField()
    expected = serializers.ChoiceField(choices=ReferencePart.Expected.choices)
    lowest_score = serializers.FloatField(allow_null=True)
    highest_score = serializers.FloatField(allow_null=True)
    note = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)


class ReferenceCheckOutput(serializers.Serializer):
    inspection_id = serializers.UUIDField()
    station = serializers.CharField(allow_blank=True)
    score = serializers.FloatField(allow_null=True)
    passed = serializers.BooleanField()
    explanation = serializers.CharField(allow_blank=True, help_text="why it failed")
    checked_at = serializers.DateTimeField()


class WholeReferencePartOutput(ReferencePartOutput):
    checks = ReferenceCheckOutput(many=True, help_text="the last 100, newest first")


class ReferencePartQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")


class ReferencePartRetireInput(serializers.Serializer):
    reason = serializers.CharField(max_length=500)


class StationStateOutput(serializers.Serializer):
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=STATION_STATES)
    since = serializers.DateTimeField(help_text="when the shift began")
    missing = serializers.ListField(child=serializers.CharField(), help_text="serial numbers that did not pass since")


class StationStatesOutput(serializers.Serializer):
    stations = StationStateOutput(many=True)
