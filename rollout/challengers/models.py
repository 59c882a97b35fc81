"""Challengers, their results in slices, and marks of people on disagreements."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop as _

from inspection.models import Inspection
from jobs.models import LeasedJob, sweep_index
from modelzoo.models import Category, ModelVersion, Threshold, finite


class Challenger(LeasedJob):
    """A version that scores what production judges, from its start until it ends. A job that waits for records.

    The records are those of the line that `production` judged, in the order of the audit chain. A slice's results and
    the event that it reached are written together or not at all.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("starting")
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The constraint below serves what is asked of a category.
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="challengers", db_index=False)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="challengers")
    production = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="+", help_text="in production when it was started"
    )
    share = models.FloatField(default=1.0, help_text="of the live images that are scored")
    max_images = models.PositiveIntegerField(
        null=True, blank=True, help_text="after so many scored images it is finished; null: until it is stopped"
    )
    reason = models.CharField(max_length=500)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    end_reason = models.CharField(max_length=500, blank=True, help_text="why it ended")
    reached_sequence = models.PositiveBigIntegerField(
        help_text="audit event up to which the records have their results; first that of the start"
    )
    seen = models.PositiveIntegerField(default=0, help_text="live images since the start")
    scored = models.PositiveIntegerField(default=0, help_text="with a verdict of both, not comparable too")
    disagreements = models.PositiveIntegerField(default=0, help_text="of those scored: the verdicts differ")
    failed = models.PositiveIntegerField(default=0, help_text="could not be scored")
    discarded = models.PositiveIntegerField(default=0, help_text="retention had removed the image")
    # Records begun and not written yet, and how often. What a dead worker had begun is tried one by one.
    begun = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # "the last challengers": the list, newest first
            models.Index(fields=["-created_at", "-id"], name="challengers_newest_first"),
            sweep_index("open_challengers_by_lease"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["category"],
                condition=Q(status__in=["queued", "running"]),
                name="one_running_challenger_per_category",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "stopped", "failed"]),
                name="challenger_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at__isnull=True, end_reason="")
                | (
                    Q(status__in=["finished", "stopped", "failed"], finished_at__isnull=False, claim__isnull=True)
                    & ~Q(end_reason="")
                ),
                name="ended_challenger_says_why",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="challenger_has_a_reason"),
            models.CheckConstraint(condition=Q(share__gt=0, share__lte=1), name="challenger_share_is_a_share"),
            models.CheckConstraint(
                condition=Q(max_images__isnull=True) | Q(max_images__gte=1), name="challenger_ends_after_an_image"
            ),
            models.CheckConstraint(condition=~Q(model_version=F("production")), name="challenger_is_not_production"),
            models.CheckConstraint(
                condition=Q(disagreements__lte=F("scored"), seen__gte=F("scored") + F("failed") + F("discarded")),
                name="challenger_counts_add_up",
            ),
        ]

    def __str__(self) -> str:
        return f"challenger {self.model_version}"


class ChallengerSlice(models.Model):
    """Results that were written together, attested by one audit event. Append-only."""

    challenger = models.ForeignKey(Challenger, on_delete=models.PROTECT, related_name="slices", db_index=False)
    number = models.PositiveIntegerField(help_text="of the challenger's slices, from 1")
    reached_sequence = models.PositiveBigIntegerField(help_text="audit event up to which records have their results")
    seen = models.PositiveIntegerField()
    discarded = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the slices of this challenger"
            models.UniqueConstraint(fields=["challenger", "number"], name="challenger_slice_number_is_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="challenger_slice_number_from_one"),
        ]

    def __str__(self) -> str:
        return f"slice {self.number} of {self.challenger_id}"


class ChallengerResult(models.Model):
    """What a challenger says about the image of a record, or why it says nothing. Append-only."""

    challenger = models.ForeignKey(Challenger, on_delete=models.PROTECT, related_name="results", db_index=False)
    slice = models.ForeignKey(ChallengerSlice, on_delete=models.PROTECT, related_name="results")
    # its index serves "what challengers said about this record"
    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="challenger_results")
    # The challenger's revision in force when it was scored.
    threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="+", db_index=False)
    threshold_value = models.FloatField()
    outcome = models.CharField(max_length=16, choices=Inspection.Outcome.choices, blank=True)
    score = models.FloatField(null=True, blank=True)
    p_value = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=32, blank=True, help_text="why it cannot be compared, for programs")
    error_code = models.CharField(max_length=64, blank=True, help_text="why there is no outcome")
    disagrees = models.BooleanField(help_text="its verdict is not that of the record")
    distance = models.FloatField(
        help_text="between score / (score + threshold) of both, 0 to 1; 1 where one gives no score"
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            # "the results of this challenger", page by page
            models.Index(fields=["challenger", "-id"], name="challenger_results_in_order"),
            # "the disagreements", the farthest apart first
            models.Index(
                fields=["challenger", "-distance", "-id"],
                condition=Q(disagrees=True),
                name="challenger_disagreements",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["challenger", "inspection"], name="one_challenger_result_of_a_record"),
            models.CheckConstraint(condition=finite("score"), name="challenger_score_is_finite"),
            models.CheckConstraint(
                condition=Q(outcome="defective", score__gt=F("threshold_value"), error_code="", reason="")
                | Q(outcome="good", score__lte=F("threshold_value"), error_code="", reason="")
                | (Q(outcome="not_comparable", score__isnull=True, error_code="") & ~Q(reason=""))
                | (Q(outcome="", score__isnull=True, reason="", disagrees=False) & ~Q(error_code="")),
                name="challenger_result_says_why_not",
            ),
            models.CheckConstraint(
                condition=Q(p_value__isnull=True) | Q(score__isnull=False, p_value__gt=0, p_value__lte=1),
                name="challenger_p_value_is_a_probability",
            ),
            models.CheckConstraint(
                condition=Q(distance__gte=0, distance__lte=1), name="challenger_distance_is_from_0_to_1"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id}: {self.outcome or self.error_code}"


class DisagreementMark(models.Model):
    """Somebody looked at a disagreement without reviewing the record. Append-only."""

    result = models.OneToOneField(ChallengerResult, on_delete=models.PROTECT, related_name="mark")
    comment = models.CharField(max_length=500, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.result_id} looked at"
