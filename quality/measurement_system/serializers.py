"""What the API takes and gives of measurement studies."""

from __future__ import annotations

from rest_framework import serializers

from inspection.models import Review
from inspection.reviews.serializers import RateOutput
from quality.measurement_system.models import (
    MAX_APPRAISERS,
    MAX_NEAR,
    MAX_PARTS,
    MAX_TRIALS,
    MIN_APPRAISERS,
    MIN_NEAR,
    MIN_PARTS,
    MIN_TRIALS,
    MeasurementStudy,
)

_VERDICT = "acceptable, marginal or unacceptable; empty where nothing could be rated"


class MeasurementStudyInput(serializers.Serializer):
    category = serializers.CharField(max_length=100)
    appraisers = serializers.ListField(
        child=serializers.CharField(max_length=150),
        min_length=MIN_APPRAISERS,
        max_length=MAX_APPRAISERS,
        help_text="user names",
    )
    expert = serializers.CharField(
        max_length=150,
        required=False,
        allow_blank=True,
        default="",
        help_text="whose word is the standard; empty: the settled reviews of the records",
    )
    parts = serializers.IntegerField(min_value=MIN_PARTS, max_value=MAX_PARTS, required=False, default=50)
    trials = serializers.IntegerField(min_value=MIN_TRIALS, max_value=MAX_TRIALS, required=False, default=3)
    near_percent = serializers.IntegerField(
        min_value=MIN_NEAR, max_value=MAX_NEAR, required=False, default=40, help_text="of the parts near the threshold"
    )
    reason = serializers.CharField(max_length=500, help_text="why; kept with the study")


class MeasurementStudyOutput(serializers.Serializer):
    study_id = serializers.UUIDField()
    category = serializers.CharField()
    parts = serializers.IntegerField()
    trials = serializers.IntegerField()
    near_percent = serializers.IntegerField()
    standard = serializers.ChoiceField(choices=MeasurementStudy.Standard.choices)
    expert = serializers.CharField(allow_null=True)
    candidates = serializers.IntegerField()
    population_sha256 = serializers.CharField()
    event_sequence = serializers.IntegerField()
    seed = serializers.CharField(help_text="hash of that event")
    reason = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    results_sha256 = serializers.CharField(allow_blank=True)
    signature = serializers.CharField(allow_blank=True)
    key_id = serializers.CharField(allow_blank=True)
    pdf_url = serializers.CharField()


class StudyProgressOutput(serializers.Serializer):
    name = serializers.CharField()
    done = serializers.IntegerField()
    of = serializers.IntegerField()


class StudyShareOutput(RateOutput):
    """Of parts or decisions, with its exact 95 % interval."""

    rate = None  # type: ignore[assignment]
    share = serializers.FloatField(allow_null=True)


class _KappaOutput(serializers.Serializer):
    kappa = serializers.FloatField(allow_null=True, help_text="null where it is not defined")
    kappa_interval = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    verdict = serializers.CharField(allow_blank=True, help_text=_VERDICT)


class WithinAppraiserOutput(_KappaOutput):
    agreement = StudyShareOutput()


class AppraiserPairOutput(_KappaOutput):
    appraisers = serializers.ListField(child=serializers.CharField())


class BetweenAppraisersOutput(_KappaOutput):
    agreement = StudyShareOutput()
    pairs = AppraiserPairOutput(many=True)


class AgainstStandardOutput(_KappaOutput):
    effectiveness = StudyShareOutput(help_text="parts judged rightly in every trial")
    misses = StudyShareOutput(help_text="defective parts called good")
    false_alarms = StudyShareOutput(help_text="good parts called defective")


class StudyAppraiserOutput(serializers.Serializer):
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=[("person", "person"), ("model", "model")])
    threshold = serializers.FloatField(allow_null=True, help_text="of a model version")
    within = WithinAppraiserOutput(allow_null=True, help_text="null: a model says the same each time")
    against_standard = AgainstStandardOutput()


class StudyResultsOutput(serializers.Serializer):
    study = serializers.UUIDField()
    seed = serializers.CharField()
    parts = serializers.IntegerField()
    defective_parts = serializers.IntegerField()
    near_threshold = serializers.IntegerField()
    trials = serializers.IntegerField()
    appraisers = StudyAppraiserOutput(many=True)
    between = BetweenAppraisersOutput()
    verdict = serializers.CharField(help_text="the worst of the people's")


class WholeMeasurementStudyOutput(MeasurementStudyOutput):
    progress = StudyProgressOutput(many=True)
    results = StudyResultsOutput(allow_null=True)


class StudyTaskOutput(serializers.Serializer):
    study_id = serializers.UUIDField()
    task = serializers.IntegerField(allow_null=True, help_text="send it with the answer; null: nothing to judge now")
    left = serializers.IntegerField()
    image_url = serializers.CharField(allow_null=True)


class StudyAnswerInput(serializers.Serializer):
    task = serializers.IntegerField(min_value=0, max_value=10**9)
    verdict = serializers.ChoiceField(choices=Review.Verdict.choices)
