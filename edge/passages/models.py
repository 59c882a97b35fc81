"""What passed, as the line reports it: counters, passages, and when a counter was heard."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from edge.connections.models import Connection


class PassageCounter(models.Model):
    """Who counts the parts that pass a station: a connection, or a person's program. Each counts for itself.

    What one of them did not report is not made good by another: a gap in the one stays a gap.
    """

    station = models.CharField(max_length=100, blank=True)
    connection = models.ForeignKey(
        Connection, null=True, blank=True, on_delete=models.PROTECT, related_name="passage_counters", db_index=False
    )
    reporter = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # Where it wraps around; as the last report said.
    first_value = models.BigIntegerField(null=True, blank=True, help_text="after the last value; empty: never")
    last_value = models.BigIntegerField(null=True, blank=True, help_text="before it wraps around; empty: never")
    run = models.PositiveIntegerField(default=0, help_text="1 and how often it began anew, as far as was seen")
    position = models.BigIntegerField(default=0, help_text="of the last passage in its run")
    value = models.BigIntegerField(null=True, blank=True, help_text="of the last passage")
    passed_at = models.DateTimeField(null=True, blank=True, help_text="of the last passage")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["station", "id"]
        constraints = [
            # also serves "the counters of this station"
            models.UniqueConstraint(
                fields=["station", "connection"],
                condition=Q(connection__isnull=False),
                name="one_counter_of_a_connection_at_a_station",
            ),
            models.UniqueConstraint(
                fields=["station", "reporter"],
                condition=Q(reporter__isnull=False),
                name="one_counter_of_a_reporter_at_a_station",
            ),
            models.CheckConstraint(
                condition=Q(connection__isnull=False, reporter__isnull=True)
                | Q(connection__isnull=True, reporter__isnull=False),
                name="counter_is_of_a_connection_or_a_reporter",
            ),
            models.CheckConstraint(
                condition=Q(first_value__isnull=True, last_value__isnull=True)
                | Q(first_value__isnull=False, last_value__gt=F("first_value")),
                name="counter_wraps_around_at_two_values",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} at station {self.station or '-'}"

    @property
    def source(self) -> str:
        """Who counts, for people."""
        if self.connection is not None:
            return f"connection {self.connection.name}"
        return f"reports of {self.reporter.get_username()}" if self.reporter else "?"


class Passage(models.Model):
    """One part that passed, as it was reported; or where a counter stood at the first look. Append-only."""

    counter = models.ForeignKey(PassageCounter, on_delete=models.PROTECT, related_name="passages", db_index=False)
    run = models.PositiveIntegerField(default=0, help_text="of the counter; 0: a serial number alone")
    position = models.BigIntegerField(null=True, blank=True, help_text="in its run; goes on where the value wraps")
    value = models.BigIntegerField(null=True, blank=True, help_text="of the counter, as reported")
    serial_number = models.CharField(max_length=100, blank=True)
    passed_at = models.DateTimeField(help_text="as reported, else when the report came")
    is_timed = models.BooleanField(help_text="whether the report said when")
    is_mark = models.BooleanField(default=False, help_text="no part: where the counter stood when it was looked at")
    reported_at = models.DateTimeField()

    class Meta:
        ordering = ["counter", "passed_at", "id"]
        constraints = [
            # also serves "the passages of a run in the order of the counter"
            models.UniqueConstraint(fields=["counter", "run", "position"], name="a_position_passes_once"),
            models.UniqueConstraint(
                fields=["counter", "serial_number", "passed_at"],
                condition=Q(position__isnull=True),
                name="a_serial_number_passes_once_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(position__isnull=False, value__isnull=False, run__gt=0)
                | (Q(position__isnull=True, value__isnull=True, run=0, is_mark=False) & ~Q(serial_number="")),
                name="a_passage_has_a_count_or_a_serial_number",
            ),
        ]
        indexes = [
            # the passages of a window; those before and after a moment
            models.Index(fields=["counter", "passed_at", "id"], name="passages_by_time"),
            # which of these serial numbers passed
            models.Index(fields=["counter", "serial_number"], name="passages_by_serial"),
        ]

    def __str__(self) -> str:
        return f"{self.serial_number or self.value} at {self.passed_at}"


class HeardPeriod(models.Model):
    """A time in which a counter was heard again and again; what lies between two of them is not covered."""

    counter = models.ForeignKey(PassageCounter, on_delete=models.PROTECT, related_name="heard", db_index=False)
    since = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        ordering = ["counter", "since"]
        constraints = [
            # also serves "the periods of a window" and "the last one"
            models.UniqueConstraint(fields=["counter", "since"], name="heard_period_begins_once"),
            models.CheckConstraint(condition=Q(until__gte=F("since")), name="heard_period_ends_after_it_begins"),
        ]

    def __str__(self) -> str:
        return f"{self.since} to {self.until}"
