"""Data set snapshots, training runs, evaluations."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.names import validate_short_name
from modelzoo.models import Category, ModelVersion, Threshold
from records.models import Asset


class Dataset(models.Model):
    """An immutable snapshot of a folder in MVTec layout. A changed folder becomes another snapshot."""

    name = models.CharField(max_length=100, db_index=True, validators=[validate_short_name])
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="datasets")
    snapshot = models.CharField(max_length=64)  # hash over every image, split, label and mask
    source = models.CharField(max_length=500)
    report = models.JSONField(default=dict, help_text="what was skipped at the import, and why")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["name", "snapshot"], name="dataset_snapshot_is_unique"),
            models.CheckConstraint(condition=Q(snapshot__regex=r"^[0-9a-f]{64}$"), name="dataset_snapshot_is_hex"),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.snapshot[:8]}"

    @property
    def source_name(self) -> str:
        """Of a folder its name: where it stood matters to whoever put it there."""
        return Path(self.source).name if self.source.startswith("/") else self.source


class DatasetImage(models.Model):
    """One image of a snapshot, with what is known about it."""

    class Split(models.TextChoices):
        TRAIN = "train"
        TEST = "test"

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="images", db_index=False)
    path = models.CharField(max_length=300)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="dataset_images")
    split = models.CharField(max_length=8, choices=Split.choices)
    is_defective = models.BooleanField()
    defect_type = models.CharField(max_length=100)
    mask = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["dataset", "path"]
        constraints = [
            # also serves "the images of this data set, by path"
            models.UniqueConstraint(fields=["dataset", "path"], name="dataset_path_is_unique"),
            models.CheckConstraint(condition=Q(split__in=["train", "test"]), name="dataset_split_is_known"),
            models.CheckConstraint(
                condition=~Q(split="train") | Q(is_defective=False), name="training_images_are_good"
            ),
            models.CheckConstraint(
                condition=Q(mask__isnull=True) | Q(is_defective=True), name="only_defects_have_masks"
            ),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def filename(self) -> str:
        """The path without its folders, which say split and kind."""
        return self.path.rpartition("/")[2]


class TrainingRun(models.Model):
    """One attempt to train a detector. The row is the truth: a task claims it, renews a lease, finishes it."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (Status.QUEUED, Status.RUNNING)

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="runs")
    # Where the run does not begin anew, but lets a trained version learn from more good images.
    base_version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="extensions"
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
    cancel_requested = models.BooleanField(default=False)
    attempt = models.PositiveIntegerField(default=0)
    claim = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=100, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    model_version = models.OneToOneField(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="training_run"
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # the sweep: open runs whose lease has run out, every few seconds
            models.Index(
                fields=["lease_expires_at"], condition=Q(status__in=["queued", "running"]), name="open_runs_by_lease"
            ),
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
