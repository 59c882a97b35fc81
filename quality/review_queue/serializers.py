"""What the API of the review queue takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from inspection.models import Inspection
from inspection.reviews.services import MAX_COMMENT_LENGTH, MAX_DEFECT_TYPE_LENGTH
from modelzoo.signatures.serializers import signature_field
from quality.models import Cause, QueueDecision
from quality.random_audit.shifts import MAX_SHIFTS
from quality.review_queue.models import MAX_PER_SHIFT


class ReviewBudgetInput(serializers.Serializer):
    per_shift = serializers.IntegerField(
        min_value=1, max_value=MAX_PER_SHIFT, help_text="parts, those of the random audit included"
    )
    shift_starts = serializers.ListField(
        child=serializers.CharField(max_length=5), max_length=MAX_SHIFTS, help_text="times of day, HH:MM"
    )
    reason = serializers.CharField(max_length=500)


class ReviewBudgetOutput(serializers.Serializer):
    category = serializers.CharField()
    revision = serializers.IntegerField(help_text="0: nobody set one, these are the defaults")
    per_shift = serializers.IntegerField()
    shift_starts = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField(allow_blank=True)
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)


class QueueProgressOutput(serializers.Serializer):
    category = serializers.CharField()
    budget = serializers.IntegerField(help_text="parts of this shift")
    done = serializers.IntegerField(help_text="by all people; what was skipped does not count")
    overruled = serializers.IntegerField(help_text="of those: the person said something else than the model")
    shift_starts_at = serializers.DateTimeField()
    shift_ends_at = serializers.DateTimeField()


class QueuePlaceOutput(serializers.Serializer):
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    worth = serializers.FloatField(help_text="the higher, the sooner; 0 to 3")
    cause = serializers.ChoiceField(choices=Cause.choices)
    why = serializers.CharField()


class ReviewQueueOutput(serializers.Serializer):
    progress = QueueProgressOutput()
    blind = serializers.IntegerField(help_text="parts of the random audit that the caller can review blind")
    records = QueuePlaceOutput(many=True, help_text="the first of the others, in their order")


class QueueCardOutput(serializers.Serializer):
    """The part before the caller. Of one of the random audit what the model said is not told before it is decided."""

    card_id = serializers.IntegerField()
    category = serializers.CharField()
    cause = serializers.ChoiceField(choices=Cause.choices)
    why = serializers.CharField()
    expires_at = serializers.DateTimeField(help_text="then somebody else may be given it")
    image_url = serializers.CharField()
    inspection_id = serializers.UUIDField(allow_null=True)
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, allow_null=True)
    score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True)


class NextCardOutput(serializers.Serializer):
    progress = QueueProgressOutput()
    card = QueueCardOutput(allow_null=True, help_text="null: nothing to review for the caller")


class QueueDecisionInput(serializers.Serializer):
    decision = serializers.ChoiceField(choices=QueueDecision.Decision.choices)
    defect_type = serializers.CharField(max_length=MAX_DEFECT_TYPE_LENGTH, allow_blank=True, default="")
    comment = serializers.CharField(max_length=MAX_COMMENT_LENGTH, allow_blank=True, default="")
    signature = signature_field()


class QueueDecisionOutput(serializers.Serializer):
    decision = serializers.ChoiceField(choices=QueueDecision.Decision.choices)
    cause = serializers.ChoiceField(choices=Cause.choices)
    inspection_id = serializers.UUIDField(allow_null=True, help_text="null: a skipped part of the random audit")
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, allow_null=True)
    review_id = serializers.IntegerField(allow_null=True)
    overruled = serializers.BooleanField()
    created_at = serializers.DateTimeField()
