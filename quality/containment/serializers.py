"""What the API of containments takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from inspection.models import Inspection
from inspection.record.similar import MIN_LIKENESS
from quality.models import Containment


class ContainmentInput(serializers.Serializer):
    inspection_id = serializers.UUIDField(help_text="of the escape: judged good, and defective by a review that stands")
    reason = serializers.CharField(max_length=500)
    model_version = serializers.IntegerField(
        min_value=1, required=False, allow_null=True, default=None, help_text="scores the parts again; none: not"
    )
    min_likeness = serializers.FloatField(
        min_value=0,
        max_value=1,
        default=MIN_LIKENESS,
        help_text="of anomaly maps: parts at least so alike are listed; 0: all",
    )
    use_reference_parts = serializers.BooleanField(
        default=True, help_text="search a station from when its reference parts had last passed before the escape"
    )


class StationBoundOutput(serializers.Serializer):
    station = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField()
    reference_parts = serializers.ListField(child=serializers.CharField(), help_text="serial numbers")


class ContainmentOutput(serializers.Serializer):
    containment_id = serializers.UUIDField()
    inspection_id = serializers.UUIDField(help_text="of the escape")
    category = serializers.CharField()
    model_version = serializers.IntegerField(help_text="that passed it")
    threshold = serializers.IntegerField(help_text="id of the threshold revision that passed it")
    since = serializers.DateTimeField()
    since_what = serializers.ChoiceField(choices=Containment.Since.choices, help_text="what had changed then")
    bounds = StationBoundOutput(
        many=True, help_text="stations whose reference parts passed later, before the escape: searched from then on"
    )
    until = serializers.DateTimeField()
    min_likeness = serializers.FloatField()
    rescoring_id = serializers.UUIDField(allow_null=True)
    reason = serializers.CharField()
    status = serializers.ChoiceField(choices=Containment.Status.choices)
    passed = serializers.IntegerField(help_text="parts that passed in that time, the escape too")
    searched = serializers.IntegerField()
    without_map = serializers.IntegerField(help_text="searched, but retention removed the map")
    listed = serializers.IntegerField()
    expected_escapes = serializers.FloatField(
        allow_null=True, help_text="further ones, by random audits at this threshold; null: there are none"
    )
    expected_interval = serializers.ListField(
        child=serializers.IntegerField(), allow_null=True, help_text="exact, at 95 %"
    )
    list_sha256 = serializers.CharField(allow_blank=True, help_text="of the CSV file")
    signature = serializers.CharField(allow_blank=True, help_text="of the CSV file: Ed25519, base64")
    key_id = serializers.CharField(allow_blank=True)
    code = serializers.CharField(allow_blank=True, help_text="why it failed")
    detail = serializers.CharField(allow_blank=True)
    requested_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    parts_url = serializers.CharField()
    csv_url = serializers.CharField()
    pdf_url = serializers.CharField()


class ContainedPartOutput(serializers.Serializer):
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    filename = serializers.CharField()
    serial_number = serializers.CharField(allow_blank=True)
    lot = serializers.CharField(allow_blank=True)
    station = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    score = serializers.FloatField()
    likeness = serializers.FloatField(allow_null=True, help_text="with the escape; null: a map is gone")
    rescored_outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, allow_null=True)
    rescored_score = serializers.FloatField(allow_null=True)
