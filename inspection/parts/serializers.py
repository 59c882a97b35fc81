"""Shapes of what the API of parts takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from inspection.judging.serializers import StandingOutput, text_field
from inspection.models import Inspection, PartRequest
from inspection.parts.services import MAX_ID
from inspection.parts.verdict import ViewState

STATES = [*ViewState.choices, ("pending", "pending")]


class _PartFacts(serializers.Serializer):
    layout = serializers.CharField(max_length=100, help_text="name of a part layout")
    station = text_field()
    part_number = text_field()
    lot = text_field()
    serial_number = text_field()


class InspectPartInput(_PartFacts):
    """Beside these fields each file is a view: the name of its field is the name of the view."""

    part_id = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_ID,
        default="",
        help_text="what the line calls this inspection of the part; the same id is the same part. Empty: made from the "
        "Idempotency-Key, else new",
    )


class InspectViewInput(_PartFacts):
    part_id = serializers.CharField(
        max_length=MAX_ID, help_text="what the line calls this inspection of the part; the same id is the same part"
    )
    view = serializers.CharField(max_length=50, help_text="one of the layout's")
    image = serializers.FileField(allow_empty_file=True, max_length=None)


class PartQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    status = serializers.ChoiceField(
        choices=PartRequest.Status.choices,
        default=str(PartRequest.Status.CLOSED),
        help_text="closed: parts with a record, by what follows; open: parts whose views are gathered, all of them",
    )
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, allow_blank=True, default="")
    layout = text_field()
    part_id = text_field()
    serial_number = text_field()
    lot = text_field()
    station = text_field()


class PartViewOutput(serializers.Serializer):
    view = serializers.CharField()
    category = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES, help_text="pending: its image waits for its verdict")
    code = serializers.CharField(allow_blank=True, help_text="why it was refused or is missing")
    detail = serializers.CharField(allow_blank=True)
    inspection_id = serializers.UUIDField(allow_null=True)
    inspection_url = serializers.CharField(allow_null=True)
    page_url = serializers.CharField(allow_null=True)
    score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True)
    review = StandingOutput(allow_null=True, help_text="null: not reviewed")


class PartOutput(serializers.Serializer):
    """Defective if any view is; else not comparable if any view is that, refused or missing; else good."""

    id = serializers.UUIDField()
    part_id = serializers.CharField()
    layout = serializers.CharField()
    layout_revision = serializers.IntegerField()
    status = serializers.ChoiceField(choices=PartRequest.Status.choices)
    outcome = serializers.ChoiceField(
        choices=Inspection.Outcome.choices, allow_null=True, help_text="null: the part is open and has no verdict"
    )
    explanation = serializers.CharField(allow_blank=True, help_text="which views are not good")
    standing_outcome = serializers.ChoiceField(
        choices=Inspection.Outcome.choices, allow_null=True, help_text="the same rule over the views after reviews"
    )
    missing = serializers.ListField(child=serializers.CharField(), help_text="views that did not come, or not yet")
    views = PartViewOutput(many=True)
    source = serializers.CharField()  # type: ignore[assignment]  # a member, as of records
    station = serializers.CharField(allow_blank=True)
    part_number = serializers.CharField(allow_blank=True)
    lot = serializers.CharField(allow_blank=True)
    serial_number = serializers.CharField(allow_blank=True)
    operator = serializers.CharField(allow_null=True)
    opened_at = serializers.DateTimeField()
    closes_at = serializers.DateTimeField(help_text="no view is taken from then on")
    closed_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField()
    page_url = serializers.CharField()
    certificate_url = serializers.CharField(allow_null=True)
