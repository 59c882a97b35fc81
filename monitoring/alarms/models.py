"""Alarms, what people said about them, and the messages that went out."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from jobs.outbox import AddressedMessage
from modelzoo.models import Category


class Alarm(models.Model):
    """Something at a station that somebody has to look at. It ends with its cause."""

    class Kind(models.TextChoices):
        DRIFT = "drift", _("drift")
        BATCH_DRIFT = "batch_drift", _("drift in batches")
        REFERENCE_PART = "reference_part", _("reference part")

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        ACKNOWLEDGED = "acknowledged", _("Acknowledged")
        RESOLVED = "resolved", _("Resolved")

    UNRESOLVED = (Status.OPEN, Status.ACKNOWLEDGED)

    kind = models.CharField(max_length=16, choices=Kind.choices)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="alarms", db_index=False)
    station = models.CharField(max_length=100, blank=True)
    sentence = models.CharField(max_length=500, help_text="what was found")
    details = models.JSONField(default=dict, blank=True, help_text="what it was found in")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    opened_at = models.DateTimeField(auto_now_add=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    cause = models.CharField(max_length=500, blank=True)
    is_new_normal = models.BooleanField(default=False, help_text="charts begin anew with what is measured now")

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "what is unresolved", for the strip and the list
            models.UniqueConstraint(
                fields=["category", "station", "kind"],
                condition=Q(status__in=["open", "acknowledged"]),
                name="one_unresolved_alarm_of_a_kind",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["drift", "batch_drift", "reference_part"]), name="alarm_kind_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status="open", acknowledged_at__isnull=True, resolved_at__isnull=True)
                | Q(status="acknowledged", acknowledged_at__isnull=False, resolved_at__isnull=True)
                | Q(status="resolved", resolved_at__isnull=False),
                name="alarm_status_has_its_time",
            ),
            models.CheckConstraint(
                condition=Q(status="resolved") & ~Q(cause="")
                | ~Q(status="resolved") & Q(cause="", is_new_normal=False),
                name="resolved_alarm_has_a_cause",
            ),
        ]
        indexes = [
            # the list of a category, newest first
            models.Index(fields=["category", "-id"], name="alarms_of_category"),
        ]

    def __str__(self) -> str:
        return f"alarm {self.pk}: {self.sentence}"

    @property
    def is_unresolved(self) -> bool:
        return self.status in self.UNRESOLVED


class AlarmComment(models.Model):
    """What a person, or the system (no author), adds to an alarm. Append-only."""

    alarm = models.ForeignKey(Alarm, on_delete=models.PROTECT, related_name="comments")
    text = models.CharField(max_length=1000)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="alarm_comment_says_something")]

    def __str__(self) -> str:
        return self.text


class AlarmMessage(AddressedMessage):
    """One message about an alarm to one address, until it was taken or given up."""

    class Channel(models.TextChoices):
        EMAIL = "email", "e-mail"
        WEBHOOK = "webhook", "webhook"

    alarm = models.ForeignKey(Alarm, on_delete=models.PROTECT, related_name="messages")
    event = models.CharField(max_length=16)  # opened, resolved
    channel = models.CharField(max_length=8, choices=Channel.choices)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(event__in=["opened", "resolved"]), name="alarm_message_event_is_known"),
            models.CheckConstraint(
                condition=Q(channel__in=["email", "webhook"]), name="alarm_message_channel_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", sent_at__isnull=True)
                | Q(status="sent", sent_at__isnull=False)
                | Q(status="failed", sent_at__isnull=True) & ~Q(error=""),
                name="alarm_message_ends_with_a_time_or_an_error",
            ),
        ]
        indexes = [
            # what has to be sent next
            models.Index(fields=["due_at"], condition=Q(status="waiting"), name="waiting_alarm_messages"),
        ]

    def __str__(self) -> str:
        return f"{self.channel} to {self.target}: {self.status}"
