"""Requests to judge an image, batches of them, and the inspection records that stay."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from modelzoo.models import Deployment, ModelVersion, Threshold, finite
from records.models import Asset


class BatchRun(models.Model):
    """Many images judged as one job. Worked on in slices under a lease, so that single images pass in between."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"

    OPEN = (Status.QUEUED, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="batches")
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    claim = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # the sweep: open batches whose lease has run out, every few seconds
            models.Index(
                fields=["lease_expires_at"], condition=Q(status__in=["queued", "running"]), name="open_batches_by_lease"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished"]), name="batch_status_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(status="finished") | Q(finished_at__isnull=False), name="finished_batch_has_an_end"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


class InspectionRequest(models.Model):
    """One image that somebody wants judged. It ends in exactly one inspection, or in an error that says why not."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        EXPIRED = "expired"  # nobody judged it while its caller waited

    OPEN = (Status.QUEUED, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Refused files of a batch have no asset: they were never kept.
    asset = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="requests")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="requests")
    # None where a version is tried by hand (`manage.py inspect`) without serving its category.
    deployment = models.ForeignKey(Deployment, null=True, blank=True, on_delete=models.PROTECT, related_name="requests")
    batch = models.ForeignKey(
        BatchRun, null=True, blank=True, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    position = models.PositiveIntegerField(default=0)
    filename = models.CharField(max_length=300)
    source = models.CharField(max_length=16)
    station = models.CharField(max_length=100, blank=True)
    part_number = models.CharField(max_length=100, blank=True)
    lot = models.CharField(max_length=100, blank=True)
    serial_number = models.CharField(max_length=100, blank=True)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    claim = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "position"]
        indexes = [
            # the sweep: single requests nobody answered
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(status__in=["queued", "running"], batch__isnull=True),
                name="open_requests_by_lease",
            ),
        ]
        constraints = [
            # also serves "the next images of this batch" and "the items of this batch, in order"
            models.UniqueConstraint(
                fields=["batch", "position"], condition=Q(batch__isnull=False), name="batch_position_is_unique"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed", "expired"]),
                name="request_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status="failed") | Q(asset__isnull=False), name="only_failed_requests_lack_an_image"
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error_code=""), name="failed_request_says_why"),
        ]

    def __str__(self) -> str:
        return f"{self.filename} ({self.status})"


class Inspection(models.Model):
    """The record: what was seen, by which model, at which threshold, with which result. Never changed, never deleted.

    Database triggers refuse UPDATE and DELETE, and an INSERT whose threshold or deployment belongs to another model
    version.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.OneToOneField(InspectionRequest, on_delete=models.PROTECT, related_name="inspection")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="inspections")
    deployment = models.ForeignKey(
        Deployment, null=True, blank=True, on_delete=models.PROTECT, related_name="inspections"
    )
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="inspections")
    threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="inspections")
    threshold_value = models.FloatField()
    score = models.FloatField()
    is_defective = models.BooleanField()
    # 16-bit greyscale PNG; anomaly value = pixel / 65535 * map_maximum
    map = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    map_maximum = models.FloatField()
    filename = models.CharField(max_length=300)
    source = models.CharField(max_length=16)
    station = models.CharField(max_length=100, blank=True)
    part_number = models.CharField(max_length=100, blank=True)
    lot = models.CharField(max_length=100, blank=True)
    serial_number = models.CharField(max_length=100, blank=True)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    timings = models.JSONField(help_text="milliseconds of each step")
    device = models.CharField(max_length=16)
    worker = models.CharField(max_length=100)
    code_version = models.CharField(max_length=64)
    backbone_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # "the last inspections": line view and history, newest first
            models.Index(fields=["-created_at", "-id"], name="inspections_newest_first"),
        ]
        constraints = [
            models.CheckConstraint(condition=finite("score"), name="score_is_finite"),
            models.CheckConstraint(condition=finite("threshold_value"), name="judged_at_a_finite_threshold"),
            models.CheckConstraint(
                condition=Q(is_defective=True, score__gt=models.F("threshold_value"))
                | Q(is_defective=False, score__lte=models.F("threshold_value")),
                name="verdict_follows_from_score",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filename}: {'defective' if self.is_defective else 'good'} ({self.score:.4g})"

    @property
    def confidence(self) -> float:
        """The seed's measure: distance of the score from the threshold, in units of the score."""
        return abs(self.score - self.threshold_value)
