"""What the API of canaries takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from modelzoo.api.serializers import filter_field, id_field, reason_field
from modelzoo.signatures.serializers import signature_field
from rollout.challengers.serializers import VersionCountsOutput


class CanaryListInput(serializers.Serializer):
    category = filter_field()
    active = serializers.BooleanField(required=False, allow_null=True, default=None)


class CanaryInput(serializers.Serializer):
    """Let a version judge the images of one station instead of production."""

    model_version = id_field(help_text="a candidate or approved version")
    station = serializers.CharField(max_length=100, help_text="as images name it")
    reason = reason_field()
    signature = signature_field()


class CanaryOutput(serializers.Serializer):
    canary_id = serializers.IntegerField(help_text="id of its deployment")
    url = serializers.CharField()
    category = serializers.CharField()
    station = serializers.CharField()
    model_version = serializers.IntegerField()
    version_number = serializers.IntegerField()
    algorithm = serializers.CharField()
    active = serializers.BooleanField()
    reason = serializers.CharField()
    requested_by = serializers.CharField(allow_null=True)
    activated_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class FullCanaryOutput(CanaryOutput):
    of_canary = VersionCountsOutput(help_text="at its station")
    of_production = VersionCountsOutput(help_text="at all other stations in the same time")
    of_station_before = VersionCountsOutput(help_text="by production at the same station, in as long a time before")
