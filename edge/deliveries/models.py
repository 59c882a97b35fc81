"""What has to go out, in which order, and verdicts that the line still waits for."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from edge.connections.models import Connection
from inspection.models import Inspection, InspectionRequest, PartInspection, PartRequest
from jobs.outbox import OutboxMessage
from records.models import Asset


class Lane(models.Model):
    """What goes over one connection for one station: it has an order, and its deliveries are numbered without gaps."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="lanes")
    station = models.CharField(max_length=100, blank=True)
    last_sequence = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            # also serves "the lanes of this connection"
            models.UniqueConstraint(fields=["connection", "station"], name="one_lane_for_a_connection_and_a_station"),
        ]

    def __str__(self) -> str:
        return f"{self.connection_id}, station {self.station or '-'}"


class Delivery(OutboxMessage):
    """One verdict for one connection. Its id is the key by which a receiver knows it again.

    `failed` is a dead letter: it waits for a person.
    """

    class Event(models.TextChoices):
        VERDICT = "verdict"  # there is a record
        NO_VERDICT = "no_verdict"  # there is none, or not in time

    lane = models.ForeignKey(Lane, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    sequence = models.BigIntegerField(help_text="place in its lane, from 1")
    event = models.CharField(max_length=10, choices=Event.choices)
    request = models.ForeignKey(
        InspectionRequest, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    inspection = models.ForeignKey(Inspection, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    part_request = models.ForeignKey(
        PartRequest,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        help_text="a part of several views, instead of a single image",
    )
    part = models.ForeignKey(
        PartInspection, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    content = models.JSONField(help_text="what is said about the part, as it was when this was written")
    requested_at = models.DateTimeField(help_text="from when on the line waited")
    recorded_at = models.DateTimeField(help_text="when the record, or that there is none, was written")
    give_up_at = models.DateTimeField(help_text="what has not been sent until then is a dead letter")
    # Wider than others have it: a line that is away is called again every few seconds, for days.
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0, help_text="attempts that count towards giving up")
    may_have_arrived = models.BooleanField(default=False, help_text="an attempt began whose end is not known")
    is_resent = models.BooleanField(default=False, help_text="a person sent it again, out of its order")
    latency_ms = models.FloatField(null=True, blank=True, help_text="from recorded_at to taken by the other side")

    class Meta:
        ordering = ["lane", "sequence"]
        constraints = [
            models.UniqueConstraint(fields=["lane", "sequence"], name="delivery_sequence_is_unique_in_its_lane"),
            # also serves "what became of this request"
            models.UniqueConstraint(
                fields=["request", "lane", "event"],
                condition=Q(request__isnull=False),
                name="a_request_is_said_once_of_an_event",
            ),
            # also serves "what became of this part"
            models.UniqueConstraint(
                fields=["part_request", "lane", "event"],
                condition=Q(part_request__isnull=False),
                name="a_part_is_said_once_of_an_event",
            ),
            models.CheckConstraint(
                condition=Q(event="verdict", inspection__isnull=False, part__isnull=True, part_request__isnull=True)
                | Q(event="verdict", inspection__isnull=True, part__isnull=False, part_request__isnull=False)
                | Q(event="no_verdict", inspection__isnull=True, part__isnull=True),
                name="a_verdict_has_its_record",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", sent_at__isnull=True)
                | Q(status="sent", sent_at__isnull=False, latency_ms__isnull=False)
                | Q(status="failed", sent_at__isnull=True) & ~Q(error=""),
                name="delivery_ends_with_a_time_or_an_error",
            ),
        ]
        indexes = [
            # what has to be sent next, in order
            models.Index(fields=["lane", "sequence"], condition=Q(status="waiting"), name="waiting_deliveries"),
            # dead letters, newest first
            models.Index(fields=["lane", "created_at"], condition=Q(status="failed"), name="dead_letters"),
            # the last delivered ones: latency, and what retention removes
            models.Index(fields=["lane", "sent_at"], condition=Q(status="sent"), name="sent_deliveries"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} ({self.event}): {self.status}"


class ExpectedVerdict(models.Model):
    """A verdict that the line waits for at one connection. It goes with the record, or with the line's time.

    Of a single image from its request on; of a part of several views from when all of them had come.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+", db_index=False)
    request = models.ForeignKey(InspectionRequest, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    part_request = models.ForeignKey(PartRequest, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField(help_text="from when on the line waits")
    due_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "request"], name="a_verdict_is_expected_once"),
            models.UniqueConstraint(fields=["connection", "part_request"], name="verdict_of_a_part_is_expected_once"),
            models.CheckConstraint(
                condition=Q(request__isnull=False, part_request__isnull=True)
                | Q(request__isnull=True, part_request__isnull=False),
                name="expected_of_an_image_or_of_a_part",
            ),
        ]
        indexes = [
            # whose time is over
            models.Index(fields=["due_at"], name="expected_verdicts_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id or self.part_request_id} by {self.due_at}"


class HeldFile(models.Model):
    """A file that has still to go out with a delivery. Retention lets none go that something refers to, so not this."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="held_files")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"file {self.asset_id} for delivery {self.delivery_id}"
