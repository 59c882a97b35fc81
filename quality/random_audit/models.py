"""Which share of the passed parts is drawn, the shifts that were closed, the parts drawn, and what people said."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from inspection.models import Inspection, Review
from modelzoo.models import Category
from records.models import Asset

MAX_CONTROLS = 1000


class SamplingPlan(models.Model):
    """One revision of how a category's shifts are audited. Append-only: a shift goes by the one in force at its start.

    With 0 % shifts are closed and nothing is drawn: their row stays without a gap.
    """

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="sampling_plans", db_index=False)
    revision = models.PositiveIntegerField()
    percent = models.DecimalField(max_digits=5, decimal_places=2, help_text="of the parts judged good")
    at_least = models.PositiveIntegerField(default=1, help_text="parts judged good, where there are as many")
    controls = models.PositiveIntegerField(
        default=0, help_text="parts judged defective that are mixed in, so that a reviewer cannot tell the verdict"
    )
    shift_starts = models.JSONField(help_text="times of day, HH:MM, in the system's time zone")
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the plan of this category"
            models.UniqueConstraint(fields=["category", "revision"], name="sampling_plan_revision_is_unique"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="sampling_plan_revision_from_one"),
            models.CheckConstraint(condition=Q(percent__gte=0, percent__lte=100), name="sampling_percent_is_a_share"),
            models.CheckConstraint(
                condition=Q(at_least__lte=MAX_CONTROLS, controls__lte=MAX_CONTROLS), name="sampling_counts_are_in_range"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="sampling_plan_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"sampling plan of {self.category.name}, revision {self.revision}"


class AuditedShift(models.Model):
    """A shift whose parts were fixed in the audit chain by one event, and drawn from by that event's hash. Append-only.

    Its parts are the records of the category that events `first_sequence` to `last_sequence` report.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="audited_shifts", db_index=False)
    plan = models.ForeignKey(SamplingPlan, on_delete=models.PROTECT, related_name="shifts")
    number = models.PositiveIntegerField(help_text="of the category's shifts, from 1, without a gap")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    first_sequence = models.PositiveBigIntegerField(help_text="of the audit events of its parts")
    last_sequence = models.PositiveBigIntegerField(help_text="one less than the first where there was no event")
    passed = models.PositiveIntegerField(help_text="parts judged good")
    rejected = models.PositiveIntegerField(help_text="parts judged defective")
    population_sha256 = models.CharField(max_length=64)
    draws = models.PositiveIntegerField(help_text="drawn of the parts judged good")
    controls = models.PositiveIntegerField(help_text="drawn of the parts judged defective")
    event_sequence = models.PositiveBigIntegerField(unique=True, help_text="of the event that closed it")
    seed = models.CharField(max_length=64, help_text="the hash of that event")

    class Meta:
        ordering = ["-ends_at", "-id"]
        indexes = [
            # "the last shifts" of the page and the API
            models.Index(fields=["-ends_at", "-id"], name="audited_shifts_newest_first"),
        ]
        constraints = [
            # also serves "the last shift of this category"
            models.UniqueConstraint(fields=["category", "number"], name="audited_shift_number_is_unique"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="audited_shift_ends_after_it_starts"),
            models.CheckConstraint(
                condition=Q(first_sequence__lte=F("last_sequence") + 1, event_sequence__gt=F("last_sequence")),
                name="audited_shift_is_closed_after_its_parts",
            ),
            models.CheckConstraint(
                condition=Q(draws__lte=F("passed"), controls__lte=F("rejected")), name="audited_shift_draws_its_own"
            ),
            models.CheckConstraint(
                condition=Q(seed__regex=r"^[0-9a-f]{64}$", population_sha256__regex=r"^[0-9a-f]{64}$"),
                name="audited_shift_hashes_are_hex",
            ),
        ]

    def __str__(self) -> str:
        return f"shift {self.number} of {self.category.name}"


class DrawnPart(models.Model):
    """A part that was drawn for blind review. Append-only. It holds its image, whatever retention says."""

    shift = models.ForeignKey(AuditedShift, on_delete=models.PROTECT, related_name="parts", db_index=False)
    position = models.PositiveIntegerField(help_text="in the order of the draw, from 1")
    inspection = models.OneToOneField(Inspection, on_delete=models.PROTECT, related_name="drawn")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the parts of this shift, in order"
            models.UniqueConstraint(fields=["shift", "position"], name="drawn_part_position_is_unique"),
            models.CheckConstraint(condition=Q(position__gte=1), name="drawn_part_position_from_one"),
        ]

    def __str__(self) -> str:
        return f"part {self.position} of {self.shift}"


class BlindDecision(models.Model):
    """What a person said of a drawn part without having seen the model's verdict. Append-only, one for each part."""

    class Verdict(models.TextChoices):
        GOOD = "good"
        DEFECTIVE = "defective"
        DOUBTFUL = "doubtful"

    part = models.OneToOneField(DrawnPart, on_delete=models.PROTECT, related_name="decision")
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    comment = models.CharField(max_length=2000, blank=True)
    # The same as a review of the record; a doubtful one says nothing that a review could.
    review = models.OneToOneField(Review, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict="doubtful", review__isnull=True)
                | Q(verdict__in=["good", "defective"], review__isnull=False),
                name="clear_decision_is_a_review",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.part}: {self.verdict}"
