"""Shapes of the audit log in the API."""

from __future__ import annotations

from rest_framework import serializers


class AuditFilters(serializers.Serializer):
    """Query parameters; an event must meet all that are given."""

    actor = serializers.CharField(
        default="", allow_blank=True, help_text="user name, or the source where nobody was signed in"
    )
    kind = serializers.CharField(default="", allow_blank=True, help_text="such as threshold.set")
    object_type = serializers.CharField(default="", allow_blank=True, help_text="such as inspection.inspection")
    object_id = serializers.CharField(
        default="", allow_blank=True, help_text="needs object_type; of an inspection, with the events of its reviews"
    )
    source = serializers.CharField(default="", allow_blank=True, help_text="api, web, admin, command, worker, system")  # type: ignore[assignment]
    request_id = serializers.CharField(default="", allow_blank=True, help_text="X-Request-ID of the request")
    since = serializers.DateTimeField(default=None, help_text="at or after")
    until = serializers.DateTimeField(default=None, help_text="before")


class AuditEventOutput(serializers.Serializer):
    sequence = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField(help_text="user name, or the source where nobody was signed in")
    actor_id = serializers.IntegerField(allow_null=True)
    kind = serializers.CharField()
    object_type = serializers.CharField()
    object_id = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]
    request_id = serializers.CharField()
    address = serializers.CharField()
    previous_hash = serializers.CharField()
    hash = serializers.CharField()
    url = serializers.CharField()


class FieldChangeOutput(serializers.Serializer):
    field = serializers.CharField(help_text="with dots between names where values lie within each other")
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class AuditEventDetailOutput(AuditEventOutput):
    changes = FieldChangeOutput(many=True)


class CheckpointOutput(serializers.Serializer):
    """As in the file that `manage.py audit_checkpoint` writes."""

    format = serializers.CharField()
    sequence = serializers.IntegerField(help_text="of the last event that it covers")
    head = serializers.CharField(help_text="hash of that event")
    events = serializers.IntegerField()
    at = serializers.CharField()
    key_id = serializers.CharField()
    signature = serializers.CharField(help_text="Ed25519 over the text of docs/audit.md, base64")
    authenticated_from = serializers.IntegerField(
        required=False, help_text="the first event that must carry an authenticator; absent before there were any"
    )
