"""What the API of random audits takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from inspection.models import Inspection
from inspection.reviews.services import MAX_COMMENT_LENGTH, MAX_DEFECT_TYPE_LENGTH
from modelzoo.signatures.serializers import signature_field
from quality.models import BlindDecision
from quality.random_audit.models import MAX_CONTROLS
from quality.random_audit.shifts import MAX_SHIFTS


class SamplingPlanInput(serializers.Serializer):
    category = serializers.CharField(max_length=100)
    percent = serializers.DecimalField(
        max_digits=5,
        decimal_places=2,
        min_value=0,
        max_value=100,
        help_text="of the parts judged good; 0: draw nothing",
    )
    at_least = serializers.IntegerField(
        min_value=0,
        max_value=MAX_CONTROLS,
        default=1,
        help_text="parts judged good in a shift, where there are as many",
    )
    controls = serializers.IntegerField(
        min_value=0,
        max_value=MAX_CONTROLS,
        default=0,
        help_text="parts judged defective that are mixed in, so that a reviewer cannot tell the verdict",
    )
    shift_starts = serializers.ListField(
        child=serializers.CharField(max_length=5), max_length=MAX_SHIFTS, help_text="times of day, HH:MM"
    )
    reason = serializers.CharField(max_length=500)


class SamplingPlanOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField()
    revision = serializers.IntegerField()
    percent = serializers.FloatField()
    at_least = serializers.IntegerField()
    controls = serializers.IntegerField()
    shift_starts = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


class SamplingPlanQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    in_force = serializers.BooleanField(default=False, help_text="only the highest revision of each category")


class AuditedShiftQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")


class ControlOutput(serializers.Serializer):
    """Parts judged defective that were mixed in."""

    drawn = serializers.IntegerField()
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    doubtful = serializers.IntegerField()


def _interval(help_text: str) -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text=help_text)


class AuditFiguresOutput(serializers.Serializer):
    """Of parts that the model judged good and that were drawn at random."""

    drawn = serializers.IntegerField()
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    doubtful = serializers.IntegerField()
    open = serializers.IntegerField(help_text="drawn and not reviewed yet")
    level = serializers.FloatField()
    escape_rate = serializers.FloatField(
        allow_null=True, help_text="share of defective parts among the clearly decided ones"
    )
    interval = _interval("of the share of defective parts among all that passed: mid-P, about the level on average")
    exact_interval = _interval("the same, exact: holds the truth in at least `level` of all cases")
    escapes = serializers.ListField(
        child=serializers.IntegerField(), allow_null=True, help_text="`interval` as numbers of parts; of one shift only"
    )
    exact_escapes = serializers.ListField(child=serializers.IntegerField(), allow_null=True)
    passed = serializers.IntegerField(allow_null=True, help_text="parts judged good; of one shift only")
    shifts = serializers.IntegerField(allow_null=True, help_text="with drawn parts; over several shifts only")
    control = ControlOutput()


class AuditedShiftOutput(serializers.Serializer):
    shift_id = serializers.UUIDField()
    category = serializers.CharField()
    number = serializers.IntegerField(help_text="of the category's shifts, without a gap")
    plan = serializers.IntegerField(help_text="id of the sampling plan")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    first_sequence = serializers.IntegerField(help_text="of the audit events of its parts")
    last_sequence = serializers.IntegerField()
    passed = serializers.IntegerField()
    rejected = serializers.IntegerField()
    population_sha256 = serializers.CharField()
    draws = serializers.IntegerField()
    controls = serializers.IntegerField()
    event_sequence = serializers.IntegerField(help_text="of the audit event that closed it")
    seed = serializers.CharField(help_text="the hash of that event")
    export_url = serializers.CharField()


class AuditedShiftFiguresOutput(AuditedShiftOutput):
    figures = AuditFiguresOutput()


class RandomAuditQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    category = serializers.CharField(max_length=100, allow_blank=True, default="")
    model_version = serializers.IntegerField(min_value=1, required=False)
    threshold = serializers.IntegerField(min_value=1, required=False, help_text="id of a threshold revision")
    since = serializers.DateTimeField(required=False, help_text="shifts that ended after this moment")


class BlindPartOutput(serializers.Serializer):
    """A part to review. What the model said of it is not told before it is decided."""

    part_id = serializers.IntegerField()
    category = serializers.CharField()
    shift_ends_at = serializers.DateTimeField()
    image_url = serializers.CharField()


class BlindDecisionInput(serializers.Serializer):
    verdict = serializers.ChoiceField(choices=BlindDecision.Verdict.choices)
    defect_type = serializers.CharField(max_length=MAX_DEFECT_TYPE_LENGTH, allow_blank=True, default="")
    comment = serializers.CharField(max_length=MAX_COMMENT_LENGTH, allow_blank=True, default="")
    signature = signature_field()


class BlindDecisionOutput(serializers.Serializer):
    part_id = serializers.IntegerField()
    shift_id = serializers.UUIDField()
    position = serializers.IntegerField()
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices, help_text="the model's verdict")
    verdict = serializers.ChoiceField(choices=BlindDecision.Verdict.choices)
    comment = serializers.CharField(allow_blank=True)
    review_id = serializers.IntegerField(allow_null=True, help_text="null: doubtful")
    reviewer = serializers.CharField()
    created_at = serializers.DateTimeField()


class HashedEventOutput(serializers.Serializer):
    """An audit event as its hash covers it."""

    sequence = serializers.IntegerField()
    at = serializers.CharField()
    actor_id = serializers.IntegerField(allow_null=True)
    actor_name = serializers.CharField()
    kind = serializers.CharField()
    object_type = serializers.CharField()
    object_id = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    request_id = serializers.CharField(allow_blank=True)
    address = serializers.CharField(allow_blank=True)
    previous_hash = serializers.CharField()
    attests = serializers.CharField(allow_null=True)
    key_id = serializers.CharField(allow_null=True)
    hash = serializers.CharField()
    authenticator = serializers.CharField(allow_null=True)


class PopulationMemberOutput(serializers.Serializer):
    inspection_id = serializers.CharField()
    outcome = serializers.CharField()
    event_hash = serializers.CharField(help_text="of the audit event that reports the record")


class ExportedDecisionOutput(serializers.Serializer):
    inspection_id = serializers.CharField()
    verdict = serializers.ChoiceField(choices=BlindDecision.Verdict.choices)


class ChainHeadOutput(serializers.Serializer):
    sequence = serializers.IntegerField()
    hash = serializers.CharField()


class RandomAuditExportOutput(serializers.Serializer):
    """For `scripts/verify_random_audit.py`."""

    format = serializers.CharField()
    made_by = serializers.CharField()
    shift = AuditedShiftOutput()
    closing_event = HashedEventOutput()
    population = PopulationMemberOutput(many=True)
    seed = serializers.CharField()
    drawn = serializers.ListField(child=serializers.CharField())
    decisions = ExportedDecisionOutput(many=True)
    decision_events = HashedEventOutput(many=True)
    figures = AuditFiguresOutput()
    head = ChainHeadOutput()
