"""What the API of edge nodes takes, and the schema of what it gives; and the row of a record as a node sends it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from edge.nodes.models import MAX_NAME
from edge.nodes.wire import MAX_EVENTS, SCHEMA
from inspection.models import Inspection


def _text(max_length: int) -> serializers.CharField:
    return serializers.CharField(
        max_length=max_length, required=False, default="", allow_blank=True, trim_whitespace=False
    )


class NodeInput(serializers.Serializer):
    """A small PC at the line that judges by itself."""

    name = serializers.RegexField(r"^[a-z0-9][a-z0-9-]*$", max_length=MAX_NAME, help_text="small letters, digits, -")
    station = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=100, help_text="empty: any"
    )


class NodeChangeInput(serializers.Serializer):
    """What is left out stays as it is."""

    station = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="empty: any")
    enabled = serializers.BooleanField(required=False)


class NodeOutput(serializers.Serializer):
    node_id = serializers.IntegerField()
    url = serializers.CharField()
    name = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    enabled = serializers.BooleanField()
    account = serializers.CharField(help_text="its user, who has no role")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(allow_null=True)
    last_contact_at = serializers.DateTimeField(allow_null=True)
    waiting = serializers.IntegerField(allow_null=True, help_text="records that it has still to forward, as it says")
    oldest_waiting_at = serializers.DateTimeField(allow_null=True)
    records = serializers.IntegerField(help_text="of it that are here")
    anchored_event = serializers.IntegerField(help_text="of its audit chain; 0: none yet")
    anchored_head = serializers.CharField(help_text="hash of that event")
    anchored_at = serializers.DateTimeField(allow_null=True)
    refusal_code = serializers.CharField(allow_blank=True, help_text="of what was last not taken")
    refusal = serializers.CharField(allow_blank=True)
    refused_at = serializers.DateTimeField(allow_null=True)


class NodeWithTokenOutput(NodeOutput):
    token = serializers.CharField(help_text="shown this once")


class ContactInput(serializers.Serializer):
    node = serializers.CharField(max_length=MAX_NAME, help_text="the name that the node has been given")
    waiting = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    oldest_waiting_at = serializers.DateTimeField(required=False, allow_null=True)


class RecordInput(serializers.Serializer):
    """A record of a node. `record`: JSON, see docs/edge-node.md."""

    record = serializers.CharField(max_length=900_000, trim_whitespace=False, help_text="JSON: node-record/1")
    image = serializers.FileField(help_text="as it was judged")
    map = serializers.FileField(required=False, help_text="the anomaly map as the node keeps it")


class TakenOutput(serializers.Serializer):
    record_id = serializers.CharField(help_text="on the node")
    inspection_id = serializers.CharField(help_text="here")
    url = serializers.CharField()
    repeated = serializers.BooleanField(help_text="it was here already, the very same")


class EventsInput(serializers.Serializer):
    events = serializers.ListField(
        child=serializers.JSONField(),
        min_length=1,
        max_length=MAX_EVENTS,
        help_text="of the node's audit chain from the last anchor on, each as the array that is hashed",
    )


class ReceiptOutput(serializers.Serializer):
    """The centre's signed word that the node's audit chain stood there."""

    node = serializers.CharField()
    sequence = serializers.IntegerField()
    head = serializers.CharField()
    at = serializers.CharField()
    centre_event = serializers.IntegerField(help_text="event of the centre's own chain that says so")
    key_id = serializers.CharField()
    signature = serializers.CharField(help_text="Ed25519, base64")
    public_key = serializers.CharField(help_text="PEM")


class ContactOutput(serializers.Serializer):
    node = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    sequence = serializers.IntegerField(help_text="the last event of its audit chain that is anchored; 0: none")
    head = serializers.CharField(help_text="hash of that event")
    receipt = ReceiptOutput(allow_null=True, help_text="of that anchor; null: none yet")


class AnchorOutput(serializers.Serializer):
    first = serializers.IntegerField()
    sequence = serializers.IntegerField()
    head = serializers.CharField()
    created_at = serializers.DateTimeField()


class NodeRecordOutput(serializers.Serializer):
    record_id = serializers.CharField()
    inspection_id = serializers.CharField()
    sequence = serializers.IntegerField(help_text="of the event that reports it in the node's audit chain")
    row_sha256 = serializers.CharField()
    event_sha256 = serializers.CharField()
    image_sha256 = serializers.CharField()
    map_sha256 = serializers.CharField(allow_null=True)
    received_at = serializers.DateTimeField()


# ---------------------------------------------------------------- what `record` says
class RecordDocument(serializers.Serializer):
    schema = serializers.ChoiceField(choices=[SCHEMA])
    record_id = serializers.UUIDField()
    row = serializers.CharField(max_length=800_000, trim_whitespace=False)
    event = serializers.ListField(child=serializers.JSONField(allow_null=True), max_length=20)
    artifact_sha256 = serializers.RegexField(r"^[0-9a-f]{64}$")
    category = serializers.CharField(max_length=100)
    min_region_mm2 = serializers.FloatField(required=False, allow_null=True, default=None)
    severity_grades = serializers.JSONField(required=False, allow_null=True, default=None)
    mm_per_px = serializers.FloatField(required=False, allow_null=True, default=None)
    operator = _text(150)


class RegionDocument(serializers.Serializer):
    x = serializers.FloatField()
    y = serializers.FloatField()
    width = serializers.FloatField()
    height = serializers.FloatField()
    area_px = serializers.FloatField()
    peak = serializers.FloatField()
    peak_x = serializers.FloatField()
    peak_y = serializers.FloatField()


def _number(**fields: Any) -> serializers.FloatField:
    return serializers.FloatField(required=False, default=None, **fields)


def _count() -> serializers.FloatField:
    return _number(min_value=0, max_value=2**31 - 1)


class RowDocument(serializers.Serializer):
    """Of the row of a record what stands for itself; ids of the node's own rows mean nothing here."""

    id = serializers.UUIDField()
    threshold_value = serializers.FloatField()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    score = _number()
    p_value = _number()
    reason = _text(32)
    explanation = _text(500)
    input_findings = serializers.ListField(child=serializers.DictField(), required=False, default=None)
    image_statistics = serializers.DictField(child=serializers.FloatField(), required=False, default=None)
    map_maximum = _number()
    regions = RegionDocument(many=True, required=False, default=None)
    region_count = _count()
    largest_region_px = _count()
    min_region_px = _number()
    ignored_region_count = _count()
    severity = serializers.CharField(max_length=30, required=False, default=None)
    ignored_outlines = serializers.ListField(child=serializers.JSONField(), required=False, default=None)
    filename = _text(300)
    source = _text(16)  # type: ignore[assignment]  # a field of this name, as elsewhere
    station = _text(100)
    part_number = _text(100)
    lot = _text(100)
    serial_number = _text(100)
    timings = serializers.DictField(child=serializers.JSONField())
    device = _text(16)
    worker = _text(100)
    code_version = _text(64)
    created_at = serializers.DateTimeField()
