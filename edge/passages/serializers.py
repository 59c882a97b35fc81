"""What the API of passages takes, and the schema of what it gives."""

from __future__ import annotations

from rest_framework import serializers

from edge.passages.counting import MAX_VALUE
from edge.passages.services import MAX_REPORTS


def _counter(words: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=0, max_value=MAX_VALUE, help_text=words
    )


class PassageInput(serializers.Serializer):
    """A part that passed: the value of the line's counter, its serial number, or both."""

    counter = _counter(
        "of the line: one more with each part. The last value again without a time: nothing has passed since"
    )
    serial_number = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)
    passed_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        help_text="null: now. With it what comes late or twice is known again",
    )


class PassagesInput(serializers.Serializer):
    """What passed a station, in its order."""

    station = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)
    passages = serializers.ListField(child=PassageInput(), min_length=1, max_length=MAX_REPORTS)
    counter_first = _counter("what comes after counter_last; null: 0")
    counter_last = _counter("the value after which the counter begins again; null: it never does")


class PassagesOutput(serializers.Serializer):
    """What became of a report."""

    counter_id = serializers.IntegerField()
    written = serializers.IntegerField()
    repeated = serializers.IntegerField(help_text="known already, or a sign that nothing passed")
    resets = serializers.IntegerField(help_text="how often the counter began anew")
    unreported = serializers.IntegerField(help_text="parts that the counter counted and nobody reported so far")
    unplaced = serializers.IntegerField(help_text="came late and fit between no two others: they closed no gap")


class PassageCounterQuery(serializers.Serializer):
    station = serializers.CharField(required=False, max_length=100, help_text="none: all")


class PassageCounterOutput(serializers.Serializer):
    counter_id = serializers.IntegerField()
    station = serializers.CharField(allow_blank=True)
    source = serializers.CharField(help_text="who counts")  # type: ignore[assignment]
    connection_id = serializers.IntegerField(allow_null=True)
    counter = serializers.IntegerField(allow_null=True, help_text="the last value")
    counter_first = serializers.IntegerField(allow_null=True)
    counter_last = serializers.IntegerField(allow_null=True)
    passed_at = serializers.DateTimeField(allow_null=True, help_text="of the last value")
    created_at = serializers.DateTimeField()


class PassageOutput(serializers.Serializer):
    counter = serializers.IntegerField(allow_null=True)
    run = serializers.IntegerField(help_text="1 and how often the counter had begun anew; 0: a serial number alone")
    serial_number = serializers.CharField(allow_blank=True)
    passed_at = serializers.DateTimeField()
    reported_at = serializers.DateTimeField()
