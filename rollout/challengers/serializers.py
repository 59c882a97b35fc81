"""What the API of challengers takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from inspection.models import Inspection, Review
from modelzoo.api.serializers import filter_field, id_field, reason_field
from rollout.challengers.services import MAX_COMMENT_LENGTH
from rollout.models import Challenger


class ChallengerListInput(serializers.Serializer):
    category = filter_field()


class ChallengerInput(serializers.Serializer):
    """Let a version score what production judges from now on."""

    model_version = id_field(help_text="a candidate or approved version")
    reason = reason_field()
    share = serializers.FloatField(
        required=False, default=1.0, min_value=0, max_value=1, help_text="of the live images, above 0"
    )
    max_images = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=10**9,
        help_text="after so many scored images it is finished; null: until it is stopped",
    )


class MarkInput(serializers.Serializer):
    comment = serializers.CharField(required=False, default="", allow_blank=True, max_length=MAX_COMMENT_LENGTH)


class DisagreementListInput(serializers.Serializer):
    looked_at = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="those that a person looked at, or that nobody did"
    )


class ChallengerOutput(serializers.Serializer):
    challenger_id = serializers.UUIDField()
    url = serializers.CharField()
    category = serializers.CharField()
    model_version = serializers.IntegerField()
    version_number = serializers.IntegerField()
    production = serializers.IntegerField(help_text="the model version that it is beside")
    production_number = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Challenger.Status.choices)
    share = serializers.FloatField(help_text="of the live images that are scored")
    max_images = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField()
    end_reason = serializers.CharField(allow_blank=True, help_text="why it ended")
    seen = serializers.IntegerField(help_text="live images since the start")
    scored = serializers.IntegerField()
    disagreements = serializers.IntegerField(help_text="of those scored")
    failed = serializers.IntegerField(help_text="could not be scored")
    discarded = serializers.IntegerField(help_text="retention had removed the image")
    requested_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    results_url = serializers.CharField()
    disagreements_url = serializers.CharField()
    csv_url = serializers.CharField()


class VerdictPairOutput(serializers.Serializer):
    production = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    challenger = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    count = serializers.IntegerField()


class VersionCountsOutput(serializers.Serializer):
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    not_comparable = serializers.IntegerField()
    defect_share = serializers.FloatField(allow_null=True, help_text="of the judged ones; null: there is none")
    defect_share_interval = serializers.ListField(
        child=serializers.FloatField(), allow_null=True, help_text="[low, high], exact at 95 %"
    )


class FullChallengerOutput(ChallengerOutput):
    verdicts = VerdictPairOutput(many=True)
    of_production = VersionCountsOutput()
    of_challenger = VersionCountsOutput()
    open_disagreements = serializers.IntegerField(help_text="that nobody looked at")


class VersionVerdictOutput(serializers.Serializer):
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, allow_null=True)
    score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField()


class DisagreementMarkOutput(serializers.Serializer):
    author = serializers.CharField(allow_null=True)
    comment = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class ChallengerResultOutput(serializers.Serializer):
    id = serializers.IntegerField()
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    filename = serializers.CharField()
    created_at = serializers.DateTimeField(help_text="of the record")
    production = VersionVerdictOutput(help_text="as recorded")
    challenger = VersionVerdictOutput()
    threshold = serializers.IntegerField(help_text="id of the challenger's threshold revision")
    p_value = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(allow_blank=True, help_text="why it cannot be compared")
    error_code = serializers.CharField(allow_blank=True, help_text="why there is no outcome")
    disagrees = serializers.BooleanField()
    distance = serializers.FloatField(
        help_text="between score / (score + threshold) of both, 0 to 1; 1 where one gives no score"
    )
    review = serializers.ChoiceField(choices=Review.Verdict.choices, allow_null=True, help_text="that stands")
    mark = DisagreementMarkOutput(allow_null=True, help_text="of who looked without a review")
    looked_at = serializers.BooleanField()
