"""Scoring a past period again with another model version; the results are kept apart from the record."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q

from inspection.models import Inspection
from jobs.models import LeasedJob, sweep_index
from modelzoo.models import Deployment, ModelVersion, Threshold, finite


class RescoringRun(LeasedJob):
    """Records of the past scored again as one job. Worked on in slices under a lease, as batches are.

    The row says how far it is: a slice's results and the place that it reached are written together or not at all.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="rescorings")
    threshold = models.ForeignKey(
        Threshold, on_delete=models.PROTECT, related_name="+", help_text="in force when the run was asked for"
    )
    device_requested = models.CharField(max_length=16)
    runtime = models.CharField(max_length=16, choices=Deployment.Runtime.choices)
    precision = models.CharField(max_length=8, choices=Deployment.Precision.choices, help_text="what was asked for")
    precision_chosen = models.CharField(
        max_length=8, blank=True, help_text="by the first worker, and kept to by all that come after it"
    )
    filters = models.JSONField(help_text="which records, frozen when the run was requested")
    reason = models.CharField(max_length=500)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    total = models.PositiveIntegerField(help_text="records that the filters meant when the run was requested")
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0, help_text="of those done: the outcome is not that of the record")
    # The last record that has its result; the next ones are those after it, in this order.
    reached_at = models.DateTimeField(null=True, blank=True)
    reached_id = models.UUIDField(null=True, blank=True)
    # Records begun and not written yet, and how often. What a dead worker had begun is tried one by one.
    begun = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True)  # who claimed it last
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    rank_correlation = models.FloatField(
        null=True, blank=True, help_text="Spearman's, of the scores of the records and the new ones; set at the end"
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # "the last runs": the list, newest first
            models.Index(fields=["-created_at", "-id"], name="rescorings_newest_first"),
            sweep_index("open_rescorings_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed", "cancelled"]),
                name="rescoring_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at__isnull=True)
                | Q(status__in=["finished", "failed", "cancelled"], finished_at__isnull=False, claim__isnull=True),
                name="ended_rescoring_has_an_end",
            ),
            models.CheckConstraint(
                condition=(Q(status="failed") & ~Q(error_code="")) | (~Q(status="failed") & Q(error_code="")),
                name="failed_rescoring_says_why",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="rescoring_has_a_reason"),
            models.CheckConstraint(condition=Q(changed__lte=F("done")), name="rescoring_changed_are_done"),
            models.CheckConstraint(
                condition=Q(reached_at__isnull=True, reached_id__isnull=True)
                | Q(reached_at__isnull=False, reached_id__isnull=False),
                name="rescoring_place_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(rank_correlation__isnull=True) | Q(rank_correlation__gte=-1, rank_correlation__lte=1),
                name="rescoring_correlation_is_one",
            ),
        ]

    def __str__(self) -> str:
        return f"rescoring {self.id} with {self.model_version}"

    @property
    def runtime_options(self) -> dict[str, str]:
        """Device, runtime and precision that were asked for, as `modelzoo.loading.scoring.load_model` takes them."""
        return {"device": self.device_requested, "runtime": self.runtime, "precision": self.precision}


class Rescored(models.Model):
    """What another model says about the image of a record, or why it says nothing. The record stays what it is.

    Database triggers refuse UPDATE and DELETE, and an INSERT whose verdict does not follow from the run's threshold.
    """

    run = models.ForeignKey(RescoringRun, on_delete=models.PROTECT, related_name="results", db_index=False)
    # its index serves "what other models said about this record"
    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="rescored")
    outcome = models.CharField(max_length=16, choices=Inspection.Outcome.choices, blank=True)
    score = models.FloatField(null=True, blank=True)
    p_value = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=32, blank=True, help_text="why it cannot be compared, for programs")
    error_code = models.CharField(max_length=64, blank=True, help_text="why there is no outcome")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "rescored"
        indexes = [
            # "the results of this run", page by page
            models.Index(fields=["run", "-id"], name="rescored_of_run_in_order"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "inspection"], name="rescored_once_in_a_run"),
            models.CheckConstraint(condition=finite("score"), name="rescored_score_is_finite"),
            models.CheckConstraint(
                condition=Q(outcome__in=["good", "defective"], score__isnull=False, error_code="", reason="")
                | (Q(outcome="not_comparable", score__isnull=True, error_code="") & ~Q(reason=""))
                | (Q(outcome="", score__isnull=True, reason="") & ~Q(error_code="")),
                name="rescored_or_says_why_not",
            ),
            models.CheckConstraint(
                condition=Q(p_value__isnull=True) | Q(score__isnull=False, p_value__gt=0, p_value__lte=1),
                name="rescored_p_value_is_a_probability",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id}: {self.outcome or self.error_code}"
