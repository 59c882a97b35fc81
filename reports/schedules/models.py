"""Schedules of reports, and the messages that carry them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from jobs.outbox import AddressedMessage
from modelzoo.models import Category
from reports.content.scope import REGULAR, Kind


class ReportSchedule(models.Model):
    """A report that is issued when each of its windows is over, and sent to people. Changed and ended by people."""

    kind = models.CharField(max_length=16, choices=[(str(kind), Kind(kind).label) for kind in REGULAR])
    category = models.ForeignKey(
        Category, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="empty: all"
    )
    station = models.CharField(max_length=100, blank=True, help_text="empty: all")
    recipients = models.JSONField(help_text="e-mail addresses")
    next_from = models.DateTimeField(help_text="beginning of the window that is issued next")
    error = models.CharField(max_length=500, blank=True, help_text="why the last one could not be made")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["shift", "day", "week", "month"]), name="report_schedule_kind_is_regular"
            ),
        ]

    def __str__(self) -> str:
        place = [self.category.name if self.category else "all categories"]
        place += [f"station {self.station}"] if self.station else []
        return f"{self.get_kind_display()} of {', '.join(place)}"


class ReportMessage(AddressedMessage):
    """An issued report on its way to one recipient."""

    report = models.ForeignKey(
        "reports.IssuedReport", on_delete=models.PROTECT, related_name="messages", db_index=False
    )

    class Meta:
        ordering = ["created_at"]
        constraints = [
            # also serves "the messages of this report"
            models.UniqueConstraint(fields=["report", "target"], name="one_message_of_a_report_to_a_recipient"),
            models.CheckConstraint(
                condition=Q(status="waiting", sent_at__isnull=True)
                | Q(status="sent", sent_at__isnull=False)
                | Q(status="failed", sent_at__isnull=True) & ~Q(error=""),
                name="report_message_ends_with_a_time_or_an_error",
            ),
        ]
        indexes = [
            # what has to be sent next
            models.Index(fields=["due_at"], condition=Q(status="waiting"), name="waiting_report_messages"),
        ]
