"""Reference parts, how they were judged, and the times in which a station is in doubt."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop as _

from inspection.models import Inspection
from modelzoo.models import Category, finite
from monitoring.alarms.models import Alarm


class ReferencePart(models.Model):
    """A part that is known to be good or bad, by its serial number. It is never changed, but retired."""

    class Expected(models.TextChoices):
        GOOD = "good", _("good (golden sample)")
        DEFECTIVE = "defective", _("defect (known bad)")

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="reference_parts")
    serial_number = models.CharField(max_length=100)
    expected = models.CharField(max_length=16, choices=Expected.choices)
    lowest_score = models.FloatField(null=True, blank=True, help_text="empty: no limit")
    highest_score = models.FloatField(null=True, blank=True, help_text="empty: no limit")
    note = models.CharField(max_length=500, help_text="what it is, and how that is known")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["category__name", "serial_number"]
        constraints = [
            models.UniqueConstraint(
                fields=["category", "serial_number"],
                condition=Q(retired_at__isnull=True),
                name="one_reference_part_of_a_serial_number",
            ),
            models.CheckConstraint(
                condition=Q(expected__in=["good", "defective"]), name="reference_part_verdict_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(serial_number="") & ~Q(note=""), name="reference_part_has_a_name_and_a_note"
            ),
            models.CheckConstraint(
                condition=(Q(lowest_score__isnull=True) | finite("lowest_score"))
                & (Q(highest_score__isnull=True) | finite("highest_score"))
                & (
                    Q(lowest_score__isnull=True)
                    | Q(highest_score__isnull=True)
                    | Q(lowest_score__lt=F("highest_score"))
                ),
                name="reference_part_band_is_a_band",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.serial_number}, {self.get_expected_display()}"


class ReferenceCheck(models.Model):
    """One inspection of a reference part. Append-only."""

    part = models.ForeignKey(ReferencePart, on_delete=models.PROTECT, related_name="checks", db_index=False)
    inspection = models.OneToOneField(Inspection, on_delete=models.PROTECT, related_name="+")
    station = models.CharField(max_length=100, blank=True)
    passed = models.BooleanField()
    explanation = models.CharField(max_length=300, blank=True, help_text="why it failed")
    checked_at = models.DateTimeField()

    class Meta:
        ordering = ["-checked_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(passed=True, explanation="") | (Q(passed=False) & ~Q(explanation="")),
                name="failed_reference_check_says_why",
            ),
        ]
        indexes = [
            # the last checks of a part at a station
            models.Index(fields=["part", "station", "-checked_at"], name="reference_checks_of_part"),
        ]

    def __str__(self) -> str:
        return f"{self.part} {'passed' if self.passed else 'failed'}"


class DoubtfulPeriod(models.Model):
    """From the last time that a part passed at a station, before it failed there, until it passes again."""

    part = models.ForeignKey(ReferencePart, on_delete=models.PROTECT, related_name="doubtful_periods")
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="+", db_index=False)
    station = models.CharField(max_length=100, blank=True)
    begins_at = models.DateTimeField(null=True, blank=True, help_text="empty: it had never passed there")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="empty: it has not passed since")
    alarm = models.ForeignKey(Alarm, on_delete=models.PROTECT, related_name="doubtful_periods")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["part", "station"], condition=Q(ends_at__isnull=True), name="one_open_doubt_of_a_part"
            ),
            models.CheckConstraint(
                condition=Q(begins_at__isnull=True) | Q(ends_at__isnull=True) | Q(begins_at__lt=F("ends_at")),
                name="doubtful_period_is_a_period",
            ),
        ]
        indexes = [
            # "is this record in doubt"
            models.Index(fields=["category", "station"], name="doubtful_periods_of_station"),
        ]

    def __str__(self) -> str:
        return f"{self.part} at {self.station or 'any station'}"
