"""Shapes of what the API of reviews takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from common.api.schema import page_output
from inspection.models import RECORDED_VERDICTS, Inspection, Review
from inspection.reviews import reviewed_data, services
from modelzoo.api.fields import FiniteField, JsonObject
from modelzoo.signatures.serializers import SignatureOutput, signature_field
from training.datasets.serializers import ImportedDatasetOutput

_MAX_SIDE = 2**31 - 1


# ---------------------------------------------------------------- shapes
class MarkedRegion(serializers.Serializer):
    """A box in pixels of the image, after its EXIF orientation; it lies in the image."""

    x = serializers.IntegerField(min_value=0, max_value=_MAX_SIDE)
    y = serializers.IntegerField(min_value=0, max_value=_MAX_SIDE)
    width = serializers.IntegerField(min_value=1, max_value=_MAX_SIDE)
    height = serializers.IntegerField(min_value=1, max_value=_MAX_SIDE)


class ReviewInput(serializers.Serializer):
    verdict = serializers.ChoiceField(choices=Review.Verdict.choices)
    defect_type = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        default="",
        max_length=services.MAX_DEFECT_TYPE_LENGTH,
        help_text="of a defective part; the class it gets in data sets",
    )
    comment = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        default="",
        max_length=services.MAX_COMMENT_LENGTH,
        help_text="for people",
    )
    regions = serializers.ListField(
        child=MarkedRegion(),
        required=False,
        default=list,
        max_length=services.MAX_REGIONS,
        help_text="where the defects are; masks in data sets",
    )
    expected_reviews = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=_MAX_SIDE,
        help_text="how many reviews there were when you looked; 409 review_outdated where there are others by now",
    )
    signature = signature_field()


class ReviewOutput(serializers.Serializer):
    review_id = serializers.IntegerField()
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    category = serializers.CharField()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, help_text="what model")
    number = serializers.IntegerField(help_text="of the reviews of this record, from 1")
    verdict = serializers.ChoiceField(choices=RECORDED_VERDICTS, help_text="withdrawn: the undo of the only review")
    agrees = serializers.BooleanField(allow_null=True, help_text="with the model; null where it gave no verdict")
    defect_type = serializers.CharField(allow_blank=True)
    comment = serializers.CharField(allow_blank=True)
    regions = MarkedRegion(many=True)
    undoes = serializers.IntegerField(allow_null=True, help_text="the review that this one takes back; null: none")
    reviewer = serializers.CharField()
    created_at = serializers.DateTimeField()
    signature = SignatureOutput(allow_null=True)


ReviewPageOutput = page_output(ReviewOutput)


class RateOutput(serializers.Serializer):
    count = serializers.IntegerField()
    of = serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True, help_text="null of nothing")
    interval = serializers.ListField(
        child=serializers.FloatField(), allow_null=True, help_text="95 %, exact (Clopper-Pearson)"
    )


class VerdictCountsOutput(serializers.Serializer):
    good = serializers.IntegerField(help_text="as people said last")
    defective = serializers.IntegerField()


class AgreementConfusionOutput(serializers.Serializer):
    """By the model's outcome."""

    good = VerdictCountsOutput()
    defective = VerdictCountsOutput()
    not_comparable = VerdictCountsOutput()


class DefectTypeAgreementOutput(serializers.Serializer):
    defect_type = serializers.CharField(allow_blank=True, help_text="empty: nobody named it")
    recall = RateOutput(help_text="of those with a score: defects by the model")
    not_comparable = serializers.IntegerField()


class ModelAgreementOutput(serializers.Serializer):
    confusion = AgreementConfusionOutput()
    agreement = RateOutput()
    false_rejects = RateOutput(help_text="rejected by the model, reviewed as good")
    escapes = RateOutput(help_text="passed by the model, reviewed as defect")
    defect_types = DefectTypeAgreementOutput(many=True)


class ReviewerPairOutput(serializers.Serializer):
    reviewers = serializers.ListField(child=serializers.CharField(), min_length=2, max_length=2)
    agreement = RateOutput()
    cohen_kappa = serializers.FloatField(allow_null=True)


class ReviewerAgreementOutput(serializers.Serializer):
    records = serializers.IntegerField(help_text="that two or more people reviewed")
    unanimous = RateOutput()
    agreement = serializers.FloatField(allow_null=True, help_text="chance that two people say the same of one part")
    fleiss_kappa = serializers.FloatField(allow_null=True, help_text="agreement beyond chance; null where undefined")
    pairs = ReviewerPairOutput(many=True, help_text="at most 50, those with the most parts first")


class AgreementOutput(serializers.Serializer):
    filters = JsonObject()
    records = serializers.IntegerField(help_text="that were reviewed")
    model = ModelAgreementOutput()
    people = ReviewerAgreementOutput()


class FromReviewsInput(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    category = serializers.CharField(max_length=100)
    filters = JsonObject(required=False, default=dict, help_text="of the history, as for GET inspections")
    test_share = FiniteField(
        required=False,
        default=reviewed_data.TEST_SHARE,
        min_value=0,
        max_value=1,
        help_text="of the good parts; which ones is decided by the image's hash, for good",
    )
    include_confirmed_good = serializers.BooleanField(
        required=False, default=True, help_text="also confirmed good parts: those that no model rejected"
    )
    include_contested = serializers.BooleanField(
        required=False, default=False, help_text="also where reviews differ; the last word counts"
    )


class DatasetOfReviewsOutput(ImportedDatasetOutput):
    """`skipped`: the records that were left out, and why."""

    made_from = JsonObject(help_text="as requested")
