"""What the API of statements takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from reports.content.serializers import ReportAuditOutput
from reports.statements.documents import KINDS
from reports.statements.scope import MAX_DELAY_MS, TOLERANCE_MS, Basis


def _text(words: str, max_length: int = 100) -> serializers.CharField:
    return serializers.CharField(max_length=max_length, allow_blank=True, default="", help_text=words)


class StatementQuery(serializers.Serializer):
    """An empty value asks for nothing."""

    basis = serializers.ChoiceField(choices=Basis.choices, allow_blank=True, default=str(Basis.SERIALS))
    station = _text("with serials; a counter has its own")
    first = _text("serial number; with counter: a value that it reported")
    last = _text("the same")
    counter_id = serializers.IntegerField(required=False, allow_null=True, min_value=1, help_text="with counter")
    since = _text("with counter, instead of first", 40)
    until = _text("with counter, instead of last: to the end of this day", 40)
    delay_ms = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MAX_DELAY_MS,
        help_text="passages without serial numbers: from the record to the passage; none: 0",
    )
    tolerance_ms = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MAX_DELAY_MS,
        help_text=f"give or take; none: {TOLERANCE_MS}",
    )


class StatementCountsOutput(serializers.Serializer):
    passed = serializers.IntegerField(help_text="as far as they were reported, or entered")
    inspected = serializers.IntegerField(help_text="good, defective, or judged more than once")
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    repeated = serializers.IntegerField()
    not_comparable = serializers.IntegerField()
    missing = serializers.IntegerField(help_text="without a record")
    unreported = serializers.IntegerField(help_text="counted by the line, with no message of them")
    resets = serializers.IntegerField()
    times_not_covered = serializers.IntegerField()


class StatementExceptionOutput(serializers.Serializer):
    kind = serializers.ChoiceField(choices=KINDS)
    first = serializers.CharField(allow_blank=True, help_text="serial number or value of the counter")
    last = serializers.CharField(allow_blank=True)
    count = serializers.IntegerField(allow_null=True, help_text="parts; null: not known")
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)


class StatementExceptionsOutput(serializers.Serializer):
    total = serializers.IntegerField(help_text="rows, also those that are too many to be named")
    parts = serializers.IntegerField(help_text="of the rows, as far as it is known")
    rows = StatementExceptionOutput(many=True)


class StatementRangeOutput(serializers.Serializer):
    first = serializers.CharField()
    last = serializers.CharField()
    count = serializers.IntegerField()


class StatementRangesOutput(serializers.Serializer):
    total = serializers.IntegerField()
    rows = StatementRangeOutput(many=True)


class StatementRemarkOutput(serializers.Serializer):
    serial_number = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()
    what = serializers.CharField(allow_blank=True)
    id = serializers.UUIDField(help_text="of the record or request")


class StatementRemarksOutput(serializers.Serializer):
    total = serializers.IntegerField()
    rows = StatementRemarkOutput(many=True)


class StatementModelOutput(serializers.Serializer):
    model_version = serializers.IntegerField()
    model = serializers.CharField()
    threshold = serializers.IntegerField()
    revision = serializers.IntegerField()
    value = serializers.FloatField()
    records = serializers.IntegerField()


class StatementOutput(serializers.Serializer):
    """What passed, what became of it, and what is not known."""

    format = serializers.CharField()
    title = serializers.CharField()
    statement = serializers.CharField(help_text="the sentence that is stated")
    reservations = serializers.ListField(child=serializers.CharField(), help_text="to be read with it")
    basis = serializers.ChoiceField(choices=Basis.choices)
    station = serializers.CharField(allow_blank=True)
    first = serializers.CharField()
    last = serializers.CharField()
    counter_id = serializers.IntegerField(allow_null=True)
    source = serializers.CharField(help_text="from where it is known what passed")  # type: ignore[assignment]
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    by_time = serializers.BooleanField(help_text="passages had no serial numbers")
    delay_ms = serializers.IntegerField(allow_null=True)
    tolerance_ms = serializers.IntegerField(allow_null=True)
    made_at = serializers.DateTimeField()
    made_by = serializers.CharField()
    time_zone = serializers.CharField()
    is_complete = serializers.BooleanField(help_text="false: not all exceptions are named, and it cannot be issued")
    counts = StatementCountsOutput()
    exceptions = StatementExceptionsOutput()
    repeated = StatementRangesOutput()
    ended_without_verdict = StatementRemarksOutput()
    judged_elsewhere = StatementRemarksOutput()
    judged_otherwise = StatementRemarksOutput()
    still_open = StatementRemarksOutput()
    outside = StatementRemarksOutput()
    first_record_at = serializers.DateTimeField(allow_null=True)
    last_record_at = serializers.DateTimeField(allow_null=True)
    models = StatementModelOutput(many=True)
    audit = ReportAuditOutput()


class IssuedStatementOutput(serializers.Serializer):
    statement_id = serializers.UUIDField()
    title = serializers.CharField()
    basis = serializers.ChoiceField(choices=Basis.choices)
    station = serializers.CharField(allow_blank=True)
    first = serializers.CharField()
    last = serializers.CharField()
    exceptions = serializers.IntegerField()
    issued_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    json_url = serializers.CharField()
    pdf_url = serializers.CharField()
