"""Training runs and evaluations."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from jobs.models import LeasedJob, sweep_index
from modelzoo.models import ModelVersion, Threshold
from records.models import Asset
from training.datasets.models import Dataset


class TrainingRun(LeasedJob):
    """One attempt to train a detector. The row is the truth: a task claims it, renews a lease, finishes it."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="runs")
    # Where the run does not begin anew, but lets a trained version learn from more good images.
    base_version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="extensions"
    )
    # What is not judged, white on black, and on whose mean image it was painted: without a version, on the images of
    # the data set as they are.
    ignore_mask = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    ignore_mask_version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    algorithm = models.CharField(max_length=32)
    options = models.JSONField(help_text="of the detector, frozen when the run was requested")
    calibration = models.JSONField(help_text="the rule of the first threshold, with its number")
    seed = models.BigIntegerField()
    versions = models.JSONField(default=dict)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    progress = models.FloatField(default=0.0)
    message = models.CharField(max_length=300, blank=True)
    log = models.TextField(blank=True, help_text="its last part, where it grew long")
    log_start = models.PositiveBigIntegerField(default=0, help_text="characters that were dropped before it")
    history = models.JSONField(default=list, blank=True, help_text="loss for each epoch, where there are epochs")
    selection = models.JSONField(
        default=dict, blank=True, help_text="what was compared, and why the winner, where the run chose the detector"
    )
    cancel_requested = models.BooleanField(default=False)
    attempt = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    model_version = models.OneToOneField(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="training_run"
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            sweep_index("open_runs_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "succeeded", "failed", "cancelled"]),
                name="run_status_is_known",
            ),
            models.CheckConstraint(condition=Q(progress__gte=0.0, progress__lte=1.0), name="run_progress_is_a_share"),
            models.CheckConstraint(
                condition=Q(status="succeeded", model_version__isnull=False)
                | (~Q(status="succeeded") & Q(model_version__isnull=True)),
                name="run_succeeded_means_a_version",
            ),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(claim__isnull=False, lease_expires_at__isnull=False),
                name="running_run_is_claimed",
            ),
            models.CheckConstraint(
                condition=Q(ignore_mask__isnull=False) | Q(ignore_mask_version__isnull=True),
                name="mask_of_a_version_is_a_mask",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.algorithm} on {self.dataset}"


class Evaluation(models.Model):
    """Figures of one model version on one data set at one threshold revision."""

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evaluations")
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="evaluations")
    threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="+")
    metrics = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.model_version} on {self.dataset}"
