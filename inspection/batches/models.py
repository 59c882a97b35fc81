"""Batches: many images judged as one job."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from jobs.models import LeasedJob, sweep_index
from modelzoo.models import Deployment


class BatchRun(LeasedJob):
    """Many images judged as one job. Worked on in slices under a lease, so that single images pass in between."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="batches")
    name = models.CharField(max_length=200)
    folder = models.CharField(max_length=1000, blank=True, help_text="of this server, that its files are read from")
    warnings = models.JSONField(default=list, help_text="what was left out of it, in sentences")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    # The same key from the same caller (whose id stands before it) is the same batch. Null: none, which repeats.
    idempotency_key = models.CharField(max_length=230, null=True, blank=True)  # noqa: DJ001
    fingerprint = models.CharField(max_length=64, blank=True)

    # Not kept: whether this answer repeats an earlier one, because it was asked for with the same idempotency key.
    replayed = False

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # the list of batches, newest first
            models.Index(fields=["-created_at", "-id"], name="batches_newest_first"),
            sweep_index("open_batches_by_lease"),
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
