"""Shapes of what the API takes and gives; the OpenAPI schema is made from these."""

from __future__ import annotations

from rest_framework import serializers

from common.api.schema import page_output
from inspection.models import Inspection, Review
from modelzoo.api.fields import FiniteField, JsonObject
from modelzoo.models import Deployment, Threshold
from tuning.models import RescoringRun
from tuning.what_if.selectors import MAX_BINS

_MAX_COST = 1e12


def _score(text: str) -> FiniteField:
    return FiniteField(required=False, allow_null=True, default=None, help_text=text)


# ---------------------------------------------------------------- what if
class WhatIfInput(serializers.Serializer):
    """Beside the filters, which are those of the history."""

    threshold = _score("of the model version's own scores; default: the active one")
    compare = serializers.BooleanField(required=False, default=False, help_text="tell the same of the active one")
    cost_false_reject = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=0, max_value=_MAX_COST, help_text="of a good part"
    )
    cost_escape = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=0, max_value=_MAX_COST, help_text="in the same unit"
    )
    bins = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=MAX_BINS, help_text="of the curve, about; 0: none"
    )
    curve_from = _score("score at which the curve begins; default: the lowest")
    curve_to = _score("score at which it ends; default: the highest")
    presets = serializers.BooleanField(required=False, default=False, help_text="thresholds that suggest themselves")
    percentile = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=100,
        help_text="of the good parts held out of training, for a preset; default: THRESHOLD_PERCENTILE",
    )
    false_reject_rate = serializers.FloatField(
        required=False, default=0.05, help_text="promised by a preset; between 0 and 1, without them"
    )

    def validate_false_reject_rate(self, value: float) -> float:
        if not 0 < value < 1:
            raise serializers.ValidationError("lies between 0 and 1.")
        return value

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        if (attrs["cost_false_reject"] is None) != (attrs["cost_escape"] is None):
            raise serializers.ValidationError("Enter both costs or none: only their ratio counts.")
        return attrs


class FigureOutput(serializers.Serializer):
    value = serializers.FloatField(allow_null=True, help_text="null of nothing")
    interval = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="[low, high] at 95 %")


class OutcomeCountsOutput(serializers.Serializer):
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    not_comparable = serializers.IntegerField()


class VerdictChangesOutput(serializers.Serializer):
    to_defective = serializers.IntegerField()
    to_good = serializers.IntegerField()


class WhatIfConfusionOutput(serializers.Serializer):
    tp = serializers.IntegerField(help_text="defects that are rejected")
    fp = serializers.IntegerField(help_text="good parts that are rejected: false rejects")
    tn = serializers.IntegerField(help_text="good parts that are passed")
    fn = serializers.IntegerField(help_text="defects that are passed: escapes")


class EstimatedConfusionOutput(serializers.Serializer):
    tp = FigureOutput()
    fp = FigureOutput()
    tn = FigureOutput()
    fn = FigureOutput()


class ErrorRatesOutput(serializers.Serializer):
    precision = FigureOutput()
    recall = FigureOutput()
    f1 = FigureOutput()
    false_reject_rate = FigureOutput(help_text="share of the good parts that are rejected")
    escape_rate = FigureOutput(help_text="share of the defects that are passed")


class DefectTypeRecallOutput(serializers.Serializer):
    defect_type = serializers.CharField(allow_blank=True)
    total = serializers.IntegerField()
    found = serializers.IntegerField()
    recall = FigureOutput()


class ReviewedMetricsOutput(ErrorRatesOutput):
    total = serializers.IntegerField()
    confusion = WhatIfConfusionOutput()
    defect_types = DefectTypeRecallOutput(many=True)
    cost = serializers.FloatField(allow_null=True)


class EstimatedMetricsOutput(ErrorRatesOutput):
    confusion = EstimatedConfusionOutput()
    cost = FigureOutput(allow_null=True)


class PerDayOutput(serializers.Serializer):
    inspections = serializers.FloatField()
    rejected = serializers.FloatField(help_text="rejected")
    not_comparable = serializers.FloatField()
    false_rejects = FigureOutput(allow_null=True)
    escapes = FigureOutput(allow_null=True)
    cost = FigureOutput(allow_null=True)


class AtThresholdOutput(serializers.Serializer):
    threshold = serializers.FloatField()
    verdicts = OutcomeCountsOutput()
    changes = VerdictChangesOutput(help_text="against the verdicts of the records")
    reviewed = ReviewedMetricsOutput(help_text="of the reviewed records only, which are not a random sample")
    estimate = EstimatedMetricsOutput(
        allow_null=True,
        help_text="of all scored records: the reviewed ones of each recorded verdict stand for all of it; null where "
        "none of a verdict was reviewed",
    )
    per_day = PerDayOutput()


class ThresholdInForceOutput(serializers.Serializer):
    revision = serializers.IntegerField()
    value = serializers.FloatField()


class PeriodOutput(serializers.Serializer):
    first = serializers.DateTimeField(allow_null=True)
    last = serializers.DateTimeField(allow_null=True)
    days = serializers.FloatField(allow_null=True, help_text="from the first record to the last, at least 1")


class ReviewCoverageOutput(serializers.Serializer):
    recorded = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    total = serializers.IntegerField()
    reviewed = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)


class BorderlineRecordOutput(serializers.Serializer):
    inspection_id = serializers.UUIDField()
    score = serializers.FloatField()
    recorded = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    review = serializers.ChoiceField(choices=Review.Verdict.choices, allow_null=True)
    filename = serializers.CharField()
    image_removed = serializers.BooleanField(help_text="by retention; the record stays")
    created_at = serializers.DateTimeField()
    page_url = serializers.CharField()


class BorderlineOutput(serializers.Serializer):
    above = BorderlineRecordOutput(many=True, help_text="the next ones that would be rejected, nearest first")
    below = BorderlineRecordOutput(many=True, help_text="the next ones that would be passed, nearest first")


class CurveSeriesOutput(serializers.Serializer):
    recorded = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    review = serializers.ChoiceField(choices=Review.Verdict.choices, allow_null=True, help_text="null: unreviewed")
    counts = serializers.ListField(
        child=serializers.IntegerField(), help_text="between each threshold and the next, that one included"
    )
    above = serializers.ListField(child=serializers.IntegerField(), help_text="above each threshold")


class CurveOutput(serializers.Serializer):
    thresholds = serializers.ListField(child=serializers.FloatField(), help_text="evenly spaced, ascending")
    series = CurveSeriesOutput(many=True)


class ThresholdPresetOutput(serializers.Serializer):
    method = serializers.ChoiceField(choices=Threshold.Method.choices)
    parameters = serializers.DictField(child=serializers.JSONField(), help_text="and what it was taken from")
    threshold = serializers.FloatField(allow_null=True)
    unavailable = serializers.CharField(allow_blank=True, help_text="why there is none")


class WhatIfOutput(serializers.Serializer):
    model_version = serializers.IntegerField()
    version_number = serializers.IntegerField()
    category = serializers.CharField()
    filters = serializers.DictField(child=serializers.JSONField())
    threshold_in_force = ThresholdInForceOutput()
    total = serializers.IntegerField(help_text="records that meet the filters")
    recorded = OutcomeCountsOutput(help_text="as they were judged")
    period = PeriodOutput()
    coverage = ReviewCoverageOutput(many=True, help_text="how many of each recorded verdict were reviewed")
    unreviewed = serializers.IntegerField()
    asked = AtThresholdOutput()
    in_force = AtThresholdOutput(allow_null=True, help_text="with compare")
    against_in_force = VerdictChangesOutput(
        help_text="how many the asked threshold judges otherwise than the active one"
    )
    borderline = BorderlineOutput()
    curve = CurveOutput(allow_null=True, help_text="with bins")
    presets = ThresholdPresetOutput(many=True, allow_null=True)
    notes = serializers.ListField(child=serializers.CharField(), help_text="limits of the metrics, for people")


# ---------------------------------------------------------------- scoring the past again
class RescoringInput(serializers.Serializer):
    model_version = serializers.CharField(max_length=20, help_text="an id, or 'latest'")
    category = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=100,
        default="",
        help_text="the category whose latest version is used",
    )
    filters = JsonObject(required=False, default=dict, help_text="which records: the filters of the history, by name")
    reason = serializers.CharField(max_length=500)
    device = serializers.ChoiceField(choices=["auto", "cpu", "cuda"], required=False, allow_null=True, default=None)
    runtime = serializers.ChoiceField(
        choices=Deployment.Runtime.choices, required=False, allow_null=True, default=None, help_text="default: RUNTIME"
    )
    precision = serializers.ChoiceField(
        choices=Deployment.Precision.choices,
        required=False,
        allow_null=True,
        default=None,
        help_text="default: PRECISION",
    )


class RescoringOutput(serializers.Serializer):
    rescoring_id = serializers.UUIDField()
    url = serializers.CharField()
    results_url = serializers.CharField()
    status = serializers.ChoiceField(choices=RescoringRun.Status.choices)
    model_version = serializers.IntegerField()
    version_number = serializers.IntegerField()
    category = serializers.CharField()
    threshold = serializers.FloatField(help_text="active when the run was requested")
    threshold_revision = serializers.IntegerField()
    device = serializers.CharField()
    runtime = serializers.CharField(help_text="as requested")
    runtime_chosen = serializers.CharField(allow_blank=True, help_text="what runs it, all of the run")
    precision = serializers.CharField(help_text="as requested")
    precision_chosen = serializers.CharField(allow_blank=True, help_text="what all of the run is scored in")
    filters = serializers.DictField(child=serializers.JSONField())
    reason = serializers.CharField()
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    changed = serializers.IntegerField(help_text="of those done: the outcome is not that of the record")
    progress = serializers.FloatField()
    error_code = serializers.CharField(allow_blank=True)
    error = serializers.CharField(allow_blank=True)
    requested_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class OutcomePairOutput(serializers.Serializer):
    recorded = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    rescored = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    count = serializers.IntegerField()


class RescoringFailureOutput(serializers.Serializer):
    code = serializers.CharField()
    count = serializers.IntegerField()


class RescoringAgainstReviewsOutput(serializers.Serializer):
    total = serializers.IntegerField()
    right_before = serializers.IntegerField()
    right_after = serializers.IntegerField()
    became_right = serializers.IntegerField()
    became_wrong = serializers.IntegerField(help_text="not comparable included: it agrees with no review")


class RescoringSummaryOutput(serializers.Serializer):
    verdicts = OutcomePairOutput(many=True)
    failures = RescoringFailureOutput(many=True)
    reviewed = RescoringAgainstReviewsOutput()
    rank_correlation = serializers.FloatField(allow_null=True, help_text="Spearman's, of the scores; at the end")


class RescoringDetailOutput(RescoringOutput):
    summary = RescoringSummaryOutput()


class RecordedResultOutput(serializers.Serializer):
    model_version = serializers.IntegerField()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField()
    p_value = serializers.FloatField(allow_null=True)


class RescoredOutput(serializers.Serializer):
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    filename = serializers.CharField()
    created_at = serializers.DateTimeField(help_text="of the record")
    recorded = RecordedResultOutput()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, allow_null=True)
    score = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(allow_blank=True, help_text="why it is not comparable")
    error_code = serializers.CharField(allow_blank=True, help_text="why there is no outcome")
    changed = serializers.BooleanField()
    review = serializers.ChoiceField(choices=Review.Verdict.choices, allow_null=True)


RescoringPageOutput = page_output(RescoringOutput)
RescoredPageOutput = page_output(RescoredOutput)
