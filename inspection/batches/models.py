"""Batches: many images judged as one job."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from modelzoo.models import Deployment


class BatchRun(models.Model):
    """Many images judged as one job. Worked on in slices under a lease, so that single images pass in between."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        CANCELLED = "cancelled"

    OPEN = (Status.QUEUED, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="batches")
    name = models.CharField(max_length=200)
    folder = models.CharField(max_length=1000, blank=True, help_text="of this server, that its files are read from")
    warnings = models.JSONField(default=list, help_text="what was left out of it, in sentences")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    claim = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # The same key from the same caller (whose id stands before it) is the same batch. Null: none, which repeats.
    idempotency_key = models.CharField(max_length=230, null=True, blank=True)  # noqa: DJ001
    fingerprint = models.CharField(max_length=64, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    # Not kept: whether this answer repeats an earlier one, because it was asked for with the same idempotency key.
    replayed = False

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # the list of batches, newest first
            models.Index(fields=["-created_at", "-id"], name="batches_newest_first"),
            # the sweep: open batches whose lease has run out, every few seconds
            models.Index(
                fields=["lease_expires_at"], condition=Q(status__in=["queued", "running"]), name="open_batches_by_lease"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "cancelled"]), name="batch_status_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["finished", "cancelled"]) | Q(finished_at__isnull=False),
                name="finished_batch_has_an_end",
            ),
            # also serves "the batch of this key"
            models.UniqueConstraint(fields=["idempotency_key"], name="batch_key_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"
