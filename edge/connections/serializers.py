"""What the API of connections takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from edge.connections.models import MAX_NAME
from edge.connections.registry import KINDS
from edge.deliveries.models import Delivery
from modelzoo.api.serializers import choice_filter

STATES = ("disabled", "silent", "opening", "open", "failing")
SETTING_TYPES = ("string", "integer", "number", "boolean")


class _Secrets(serializers.DictField):
    child = serializers.CharField(max_length=500, trim_whitespace=False)


def _line_time() -> serializers.IntegerField:
    return serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=10,
        max_value=3_600_000,
        help_text="from the request to the moment from which on the line acts on no verdict; null: it always does",
    )


def _settings(*, required: bool = True) -> serializers.DictField:
    words = "as the kind takes them: GET /api/connection-kinds"
    return serializers.DictField(help_text=words, required=required)


def _category() -> serializers.CharField:
    return serializers.CharField(required=False, allow_null=True, max_length=100, help_text="null: all")


class ConnectionInput(serializers.Serializer):
    """Something at the line that verdicts go to, or triggers come from."""

    name = serializers.CharField(max_length=MAX_NAME)
    kind = serializers.ChoiceField(choices=sorted(KINDS))
    settings = _settings()
    secrets = _Secrets(required=False, write_only=True, help_text="never given back")
    station = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="empty: all stations")
    category = _category()
    line_time_ms = _line_time()
    enabled = serializers.BooleanField(required=False, default=True)


class ConnectionChangeInput(serializers.Serializer):
    """What is left out stays as it is; so do settings that are not named."""

    name = serializers.CharField(required=False, max_length=MAX_NAME)
    settings = _settings(required=False)
    station = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="empty: all stations")
    category = _category()
    line_time_ms = _line_time()
    enabled = serializers.BooleanField(required=False)


class SecretInput(serializers.Serializer):
    name = serializers.CharField(max_length=32, help_text="as the kind calls it")
    value = serializers.CharField(max_length=500, trim_whitespace=False, write_only=True, help_text="never given back")


class SecretEndInput(serializers.Serializer):
    name = serializers.CharField(max_length=32, help_text="as the kind calls it")


class DeliveryListInput(serializers.Serializer):
    status = choice_filter(Delivery.Status.choices)


class SecretSetOutput(serializers.Serializer):
    name = serializers.CharField()
    set_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="until when it holds beside a newer one")


class ConnectionOutput(serializers.Serializer):
    connection_id = serializers.IntegerField()
    url = serializers.CharField()
    page_url = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    station = serializers.CharField(help_text="whose verdicts it gets; empty: all stations")
    category = serializers.CharField(allow_null=True)
    settings = serializers.DictField()
    secrets = SecretSetOutput(many=True, help_text="those in force, by name; what they say is given to nobody")
    line_time_ms = serializers.IntegerField(allow_null=True)
    enabled = serializers.BooleanField()
    revision = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(allow_null=True)


class FullConnectionOutput(ConnectionOutput):
    state = serializers.ChoiceField(choices=STATES, help_text="silent: no process keeps it")
    since = serializers.DateTimeField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True, help_text="last sign of life")
    error = serializers.CharField(help_text="the last one")
    error_at = serializers.DateTimeField(allow_null=True)
    waiting = serializers.IntegerField()
    delivered = serializers.IntegerField(help_text="since it was made")
    dead_letters = serializers.IntegerField()
    oldest_waiting_at = serializers.DateTimeField(allow_null=True)
    last_delivered_at = serializers.DateTimeField(allow_null=True)
    latency_p50_ms = serializers.FloatField(allow_null=True, help_text="record to delivered, of the last 1,000")
    latency_p99_ms = serializers.FloatField(allow_null=True, help_text="record to delivered, of the last 1,000")
    figures = serializers.DictField(help_text="what its kind counts since it was opened")


class DeliveryOutput(serializers.Serializer):
    delivery_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Delivery.Status.choices, help_text="failed: a dead letter")
    event = serializers.ChoiceField(choices=Delivery.Event.choices)
    station = serializers.CharField()
    sequence = serializers.IntegerField(help_text="of its connection and station, without gaps")
    attempts = serializers.IntegerField()
    resent = serializers.BooleanField(help_text="a person sent it again")
    error = serializers.CharField()
    content = serializers.DictField(help_text="what is said about the part: docs/line.md")
    requested_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    latency_ms = serializers.FloatField(allow_null=True, help_text="record to delivered")


class ResentOutput(serializers.Serializer):
    resent = serializers.IntegerField()


class EndedSecretsOutput(serializers.Serializer):
    ended = serializers.IntegerField()


class KindSettingOutput(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    type = serializers.ChoiceField(choices=SETTING_TYPES)
    mandatory = serializers.BooleanField()
    initial_value = serializers.JSONField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())


class KindSecretOutput(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    mandatory = serializers.BooleanField()


class KindOutput(serializers.Serializer):
    kind = serializers.CharField()
    title = serializers.CharField()
    takes_verdicts = serializers.BooleanField()
    installed = serializers.BooleanField(help_text="whether what it needs is installed on the web server")
    settings = KindSettingOutput(many=True)
    secrets = KindSecretOutput(many=True)


class KindsOutput(serializers.Serializer):
    kinds = KindOutput(many=True)
