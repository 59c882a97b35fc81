"""What the API takes and gives of approvals and promotion gates."""

from __future__ import annotations

from rest_framework import serializers

from modelzoo.api.fields import FiniteField
from modelzoo.api.serializers import reason_field
from modelzoo.lifecycle.services import MAX_CHALLENGER_IMAGES
from modelzoo.models import ModelVersion
from modelzoo.signatures.serializers import SignatureOutput


class PromotionGatesInput(serializers.Serializer):
    """What a version must show to go into production; what is not sent is as it was, null is no such gate."""

    dataset_name = serializers.CharField(
        required=False, allow_blank=True, max_length=100, help_text="the reference set, of the same category"
    )
    min_recall = FiniteField(required=False, allow_null=True, help_text="0..1, on the reference set")
    max_false_reject_rate = FiniteField(required=False, allow_null=True, help_text="0..1, on the reference set")
    min_lamp_tolerance = FiniteField(
        required=False, allow_null=True, help_text="0..1, by which the lamp may change in both directions"
    )
    max_error_increase = FiniteField(
        required=False,
        allow_null=True,
        help_text="0..1, by which the share of wrong verdicts may be above production's, on the same images",
    )
    refuse_shortcut_warning = serializers.BooleanField(required=False)
    verify_artifact = serializers.BooleanField(required=False)
    min_challenger_images = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MAX_CHALLENGER_IMAGES,
        help_text="live images to be scored beside production, with every disagreement looked at",
    )
    reason = reason_field()


class PromotionGatesOutput(serializers.Serializer):
    category = serializers.CharField()
    dataset_name = serializers.CharField(allow_blank=True)
    min_recall = serializers.FloatField(allow_null=True)
    max_false_reject_rate = serializers.FloatField(allow_null=True)
    min_lamp_tolerance = serializers.FloatField(allow_null=True)
    max_error_increase = serializers.FloatField(allow_null=True)
    refuse_shortcut_warning = serializers.BooleanField()
    verify_artifact = serializers.BooleanField()
    min_challenger_images = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True, help_text="null: nobody set gates")


class ApprovalOutput(serializers.Serializer):
    reason = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    signature = SignatureOutput(allow_null=True)


class GateResultOutput(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    required = serializers.CharField()  # type: ignore[assignment]
    measured = serializers.CharField()
    passed = serializers.BooleanField()


class ReleaseOutput(serializers.Serializer):
    model_version = serializers.IntegerField()
    stage = serializers.ChoiceField(choices=ModelVersion.Stage.choices)
    approval = ApprovalOutput(allow_null=True)
    gates = GateResultOutput(many=True)
    passed = serializers.BooleanField(help_text="every gate; an approval is asked for besides where it is required")
