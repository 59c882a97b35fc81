"""What the API of retrainings and comparisons takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from tuning.models import ComparedImage, Comparison


class RetrainingOutput(serializers.Serializer):
    run_id = serializers.IntegerField()
    run_url = serializers.CharField()
    production = serializers.IntegerField(help_text="id of the version that it began from")
    dataset = serializers.CharField()
    added_good = serializers.IntegerField(help_text="reviewed good parts that are training images now")
    added_test_good = serializers.IntegerField(help_text="reviewed good parts that are test images now")
    added_defective = serializers.IntegerField(help_text="reviewed defects, which are test images")


class ComparisonInput(serializers.Serializer):
    model_version = serializers.CharField(max_length=20, help_text="id of the candidate, or latest")


class ComparisonQuery(serializers.Serializer):
    model_version = serializers.IntegerField(min_value=1, required=False, help_text="id of the candidate")


def _interval() -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="95 %")


class VersionFiguresOutput(serializers.Serializer):
    threshold = serializers.FloatField()
    auroc = serializers.FloatField(allow_null=True)
    recall = serializers.FloatField(allow_null=True)
    recall_interval = _interval()
    false_reject_rate = serializers.FloatField(allow_null=True)
    false_reject_interval = _interval()
    wrong = serializers.IntegerField(help_text="verdicts")
    error_rate = serializers.FloatField(help_text="share of wrong verdicts")
    not_comparable = serializers.IntegerField(help_text="counted as rejected")


class ComparisonFiguresOutput(serializers.Serializer):
    images = serializers.IntegerField()
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    production = VersionFiguresOutput()
    candidate = VersionFiguresOutput()
    only_production_right = serializers.IntegerField()
    only_candidate_right = serializers.IntegerField()
    mcnemar_p_value = serializers.FloatField(help_text="McNemar's exact test, two-sided")
    results_sha256 = serializers.CharField(help_text="over every image and both scores")


class ComparisonOutput(serializers.Serializer):
    comparison_id = serializers.UUIDField()
    category = serializers.CharField()
    candidate = serializers.IntegerField()
    production = serializers.IntegerField()
    candidate_threshold = serializers.FloatField()
    production_threshold = serializers.FloatField()
    dataset = serializers.CharField(help_text="whose test images are among the images")
    status = serializers.ChoiceField(choices=Comparison.Status.choices)
    progress = serializers.FloatField()
    images = serializers.IntegerField()
    images_sha256 = serializers.CharField(help_text="over the images and what they are")
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text="images, by the reason")
    figures = ComparisonFiguresOutput(allow_null=True)
    error_rate_difference = serializers.FloatField(
        allow_null=True, help_text="share of wrong verdicts: the candidate's less that of production"
    )
    error = serializers.CharField(allow_blank=True)
    requested_by = serializers.CharField(allow_null=True, help_text="null: after a retraining, by the system")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    differing_url = serializers.CharField()


class ComparedImageOutput(serializers.Serializer):
    sha256 = serializers.CharField()
    is_defective = serializers.BooleanField()
    defect_type = serializers.CharField(allow_blank=True)
    source = serializers.ChoiceField(choices=ComparedImage.Source.choices)  # type: ignore[assignment]
    inspection_id = serializers.UUIDField(allow_null=True)
    dataset_image = serializers.IntegerField(allow_null=True)
    candidate_score = serializers.FloatField(allow_null=True, help_text="null: not comparable, so rejected")
    production_score = serializers.FloatField(allow_null=True)
