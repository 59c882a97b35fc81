"""The schema of what the API of promises gives."""

from __future__ import annotations

from rest_framework import serializers

FIGURE_NAMES = (
    *("reject_share", "false_reject_rate", "escape_rate", "inspections", "rejected", "false_rejects", "escapes"),
    "audited_escapes",
)
COMPARISONS = ("kept", "higher", "lower", "not_known")


class PromisedFigureOutput(serializers.Serializer):
    name = serializers.ChoiceField(choices=FIGURE_NAMES)
    promised = serializers.FloatField(allow_null=True)
    came = serializers.FloatField(allow_null=True)
    interval = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="of what came, 95 %")
    verdict = serializers.ChoiceField(
        choices=COMPARISONS, help_text="kept: the promise lies in the interval; higher: more came than was promised"
    )


class PromiseOutput(serializers.Serializer):
    threshold = serializers.IntegerField(help_text="id of the threshold revision")
    revision = serializers.IntegerField()
    value = serializers.FloatField()
    model_version = serializers.IntegerField()
    category = serializers.CharField()
    promised_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(help_text="when its days are over")
    compared_at = serializers.DateTimeField(allow_null=True, help_text="then what came was kept; null: so far")
    until = serializers.DateTimeField()
    inspections = serializers.IntegerField()
    reviewed = serializers.IntegerField()
    figures = PromisedFigureOutput(many=True)
