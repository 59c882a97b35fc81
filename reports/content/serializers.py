"""What the API of reports takes, and the schema of what it gives."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from inspection.models import Inspection, Review
from monitoring.models import Alarm, ReferencePart
from reports.content.scope import REGULAR, Kind

ORIGINS = ("single", "batch")
AUDITED = ("lot", "shifts")
CHANGES = ("model", "threshold", "approval", "input checks")


class ReportQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    kind = serializers.ChoiceField(choices=Kind.choices, allow_blank=True, default=str(Kind.SHIFT))
    category = serializers.CharField(max_length=100, allow_blank=True, default="", help_text="none: all")
    station = serializers.CharField(max_length=100, allow_blank=True, default="", help_text="none: all")
    lot = serializers.CharField(max_length=100, allow_blank=True, default="", help_text="of a lot report")
    at = serializers.CharField(
        max_length=40,
        allow_blank=True,
        default="",
        help_text=f"a day or moment in the {', '.join(REGULAR)} that is meant; none: now. Without an offset it is of "
        "the system's time zone",
    )
    since = serializers.CharField(max_length=40, allow_blank=True, default="", help_text="of a period report")
    until = serializers.CharField(
        max_length=40, allow_blank=True, default="", help_text="of a period report: to the end of this day"
    )


class DefectRateOutput(serializers.Serializer):
    """A share with its exact 95 % interval (Clopper and Pearson); of nothing there is none."""

    found = serializers.IntegerField()
    of = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class VerdictCountsOutput(serializers.Serializer):
    records = serializers.IntegerField()
    good = serializers.IntegerField(help_text="by the model")
    defective = serializers.IntegerField(help_text="by the model")
    not_comparable = serializers.IntegerField()
    defect_rate = DefectRateOutput()
    stands_good = serializers.IntegerField(help_text="after reviews")
    stands_defective = serializers.IntegerField(help_text="after reviews")
    stands_defect_rate = DefectRateOutput()


class FailureCountOutput(serializers.Serializer):
    code = serializers.CharField()
    count = serializers.IntegerField()


class ReportCountsOutput(VerdictCountsOutput):
    failed = serializers.IntegerField(help_text="images that ended without a record")
    failures = FailureCountOutput(many=True)
    reference_inspections = serializers.IntegerField(help_text="of reference parts; in none of the other counts")
    good_by_size_rule = serializers.IntegerField(
        required=False, help_text="of good: those with a score above the threshold, whose regions a size rule ignored"
    )
    without_scale = serializers.IntegerField(
        required=False, help_text="a size rule could not be applied to them: their pictures were not calibrated"
    )


class PartCountsOutput(serializers.Serializer):
    """Parts of several views, each counted once."""

    parts = serializers.IntegerField()
    good = serializers.IntegerField(help_text="by the rule over its views, as the models judged them")
    defective = serializers.IntegerField()
    not_comparable = serializers.IntegerField()
    defect_rate = DefectRateOutput()
    stands_good = serializers.IntegerField(help_text="by the same rule after reviews")
    stands_defective = serializers.IntegerField(help_text="by the same rule after reviews")


class LayoutCountsOutput(PartCountsOutput):
    layout = serializers.CharField()


class StationCountsOutput(VerdictCountsOutput):
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)


class ModelCountsOutput(VerdictCountsOutput):
    model_version = serializers.IntegerField()
    model = serializers.CharField()
    threshold = serializers.IntegerField(help_text="id of the revision")
    revision = serializers.IntegerField()
    value = serializers.FloatField()


class OriginCountsOutput(VerdictCountsOutput):
    origin = serializers.ChoiceField(choices=ORIGINS)


class DefectTypeCountOutput(serializers.Serializer):
    defect_type = serializers.CharField(allow_blank=True)
    count = serializers.IntegerField()
    share = serializers.FloatField()
    cumulative_share = serializers.FloatField()


class ReportDefectsOutput(serializers.Serializer):
    reviewed = serializers.IntegerField(help_text="records that a review calls defective")
    unreviewed = serializers.IntegerField(help_text="judged defective, without a review, so without a type")
    overruled = serializers.IntegerField(help_text="judged defective, good by a review")
    total = serializers.IntegerField()
    rows = DefectTypeCountOutput(many=True)


class WorstImageOutput(serializers.Serializer):
    inspection_id = serializers.UUIDField()
    inspection_url = serializers.CharField()
    created_at = serializers.DateTimeField()
    filename = serializers.CharField()
    serial_number = serializers.CharField(allow_blank=True)
    lot = serializers.CharField(allow_blank=True)
    station = serializers.CharField(allow_blank=True)
    model = serializers.CharField()
    score = serializers.FloatField()
    threshold = serializers.FloatField()
    score_by_threshold = serializers.FloatField()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    region_count = serializers.IntegerField(required=False, allow_null=True)
    largest_region_px = serializers.IntegerField(required=False, allow_null=True)
    largest_region_mm2 = serializers.FloatField(required=False, allow_null=True)
    severity = serializers.CharField(required=False, allow_null=True)
    review = serializers.ChoiceField(choices=Review.Verdict.choices, allow_null=True)
    defect_type = serializers.CharField(allow_blank=True)


class ReportChangeOutput(serializers.Serializer):
    at = serializers.DateTimeField()
    what = serializers.ChoiceField(choices=CHANGES)
    category = serializers.CharField()
    sentence = serializers.CharField()
    by = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)


class ReportAlarmOutput(serializers.Serializer):
    alarm_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Alarm.Kind.choices)
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    sentence = serializers.CharField()
    charts = serializers.ListField(child=serializers.CharField(), help_text="out of limits")
    opened_at = serializers.DateTimeField()
    was_open_before = serializers.BooleanField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    resolved_by = serializers.CharField(allow_null=True)
    cause = serializers.CharField(allow_blank=True)


class PartChecksOutput(serializers.Serializer):
    category = serializers.CharField()
    serial_number = serializers.CharField()
    expected = serializers.ChoiceField(choices=ReferencePart.Expected.choices)
    station = serializers.CharField(allow_blank=True)
    inspections = serializers.IntegerField()
    passed = serializers.IntegerField()
    failed = serializers.IntegerField()


class UnprovenTimeOutput(serializers.Serializer):
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    was_proven = serializers.BooleanField(help_text="at its end; false: the shift or the window ended first")
    records = serializers.IntegerField(help_text="inspected meanwhile")


class DoubtfulTimeOutput(serializers.Serializer):
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    serial_number = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True, help_text="null: the part had never passed there")
    until = serializers.DateTimeField(allow_null=True, help_text="null: it had not passed again")


def _list_of(item: type[serializers.Serializer]) -> serializers.Serializer:
    """A list that is cut where it is too long for a report."""
    name = f"Report{item.__name__.removeprefix('Report').removesuffix('Output')}ListOutput"
    fields: dict[str, Any] = {"total": serializers.IntegerField(), "rows": item(many=True)}
    shape: type[serializers.Serializer] = type(name, (serializers.Serializer,), fields)
    return shape()


class ReportPartsOutput(serializers.Serializer):
    inspections = serializers.IntegerField()
    failed = serializers.IntegerField()
    checks = _list_of(PartChecksOutput)
    unproven_records = serializers.IntegerField()
    unproven = _list_of(UnprovenTimeOutput)
    doubts = _list_of(DoubtfulTimeOutput)


class ReportPartCountsOutput(PartCountsOutput):
    by_layout = _list_of(LayoutCountsOutput)


class ReportAuditFiguresOutput(serializers.Serializer):
    of = serializers.ChoiceField(choices=AUDITED)
    shifts = serializers.IntegerField()
    drawn = serializers.IntegerField()
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    doubtful = serializers.IntegerField()
    open = serializers.IntegerField()
    level = serializers.FloatField()
    escape_rate = serializers.FloatField(allow_null=True)
    exact_interval = serializers.ListField(child=serializers.FloatField(), allow_null=True)


class ReviewerCountsOutput(serializers.Serializer):
    reviewer = serializers.CharField()
    records = serializers.IntegerField()
    overruled = serializers.IntegerField()


class ReportReviewsOutput(serializers.Serializer):
    records = serializers.IntegerField()
    of = serializers.IntegerField()
    reviews = serializers.IntegerField()
    overruled = serializers.IntegerField()
    contested = serializers.IntegerField()
    by_person = ReviewerCountsOutput(many=True)


class ReportReplayOutput(serializers.Serializer):
    runs = serializers.IntegerField()
    records = serializers.IntegerField()
    equal = serializers.IntegerField()
    differing = serializers.IntegerField()
    not_recomputed = serializers.IntegerField()
    last_at = serializers.DateTimeField(allow_null=True)
    last_is_proof = serializers.BooleanField(allow_null=True)


class ReportAuditOutput(serializers.Serializer):
    sequence = serializers.IntegerField(help_text="of the last event when the report was made")
    head = serializers.CharField(help_text="its hash")
    checkpoint = serializers.IntegerField(allow_null=True)
    checkpoint_doubt = serializers.CharField(allow_blank=True)
    verified_at = serializers.DateTimeField(allow_null=True, help_text="the whole log, last")
    verified_events = serializers.IntegerField(allow_null=True)
    fault = serializers.CharField(allow_null=True, allow_blank=True)


class ReportScopeOutput(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Kind.choices)
    category = serializers.CharField(allow_null=True, help_text="null: all")
    station = serializers.CharField(allow_blank=True, help_text="empty: all")
    lot = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(help_text="not included")


class ReportOutput(ReportScopeOutput):
    format = serializers.CharField()
    title = serializers.CharField()
    is_over = serializers.BooleanField(help_text="false: what it says is so far")
    made_at = serializers.DateTimeField()
    time_zone = serializers.CharField()
    counts = ReportCountsOutput()
    parts = ReportPartCountsOutput(help_text="of several views; the other counts are of images")
    by_station = _list_of(StationCountsOutput)
    by_model = _list_of(ModelCountsOutput)
    by_origin = OriginCountsOutput(many=True)
    defects = ReportDefectsOutput()
    worst = WorstImageOutput(many=True)
    changes = _list_of(ReportChangeOutput)
    alarms = _list_of(ReportAlarmOutput)
    reference_parts = ReportPartsOutput()
    random_audit = ReportAuditFiguresOutput()
    reviews = ReportReviewsOutput()
    replay = ReportReplayOutput()
    audit = ReportAuditOutput()
