"""Issued reports: what a report said when it was frozen."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from modelzoo.models import Category
from reports.content.scope import Kind, Scope
from reports.schedules.models import ReportSchedule


class IssuedReport(models.Model):
    """A report as it was when somebody, or a schedule, issued it. Append-only.

    The files are kept as they are, not made again: another release of the program would draw other ones.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    category = models.ForeignKey(
        Category, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="empty: all"
    )
    station = models.CharField(max_length=100, blank=True, help_text="empty: all")
    lot = models.CharField(max_length=100, blank=True)
    since = models.DateTimeField()
    until = models.DateTimeField(help_text="not included")
    document = models.TextField(help_text="the report as JSON")
    table = models.TextField(help_text="the CSV file")
    pdf = models.BinaryField()
    schedule = models.ForeignKey(
        ReportSchedule, null=True, blank=True, on_delete=models.PROTECT, related_name="reports", db_index=False
    )
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # the list of issued reports, newest first
            models.Index(fields=["-created_at", "-id"], name="issued_reports_newest_first"),
        ]
        constraints = [
            # also serves "the last report of this schedule"
            models.UniqueConstraint(
                fields=["schedule", "since"], condition=Q(schedule__isnull=False), name="one_report_of_a_window"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["shift", "day", "week", "month", "period", "lot"]),
                name="issued_report_kind_is_known",
            ),
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="issued_report_ends_after_it_begins"),
            models.CheckConstraint(condition=~Q(document="") & ~Q(table=""), name="issued_report_says_something"),
        ]

    # Long, and wanted by the report's own page and files alone.
    FILES = ("document", "table", "pdf")

    def __str__(self) -> str:
        return f"report {self.pk}"

    @property
    def scope(self) -> Scope:
        return Scope(self.kind, self.since, self.until, self.category, self.station, self.lot)

    @property
    def title(self) -> str:
        return self.scope.title

    def file(self, form: str) -> bytes:
        """One of its files; the same bytes for ever."""
        return bytes(self.pdf) if form == "pdf" else {"csv": self.table, "json": self.document}[form].encode()


MEDIA_TYPES = {"pdf": "application/pdf", "csv": "text/csv; charset=utf-8", "json": "application/json"}
