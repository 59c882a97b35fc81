"""What the row of every kind of long work says. Abstract: the tables belong to the apps whose work it is."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class LeasedJob(models.Model):
    """Long work as a row: asked for, claimed by a worker under a lease, worked on, over. `jobs.engine` moves it on.

    A model that extends it declares its own `Status`, with these two and the ways that its work can end, and what its
    work needs: how far it is, why it failed.
    """

    QUEUED = "queued"
    RUNNING = "running"
    OPEN: ClassVar[tuple[str, ...]] = (QUEUED, RUNNING)

    status = models.CharField(max_length=16, default=QUEUED)
    claim = models.UUIDField(null=True, blank=True)  # of whoever works on it; whoever has another one writes nothing
    lease_expires_at = models.DateTimeField(null=True, blank=True)  # then others may take it; null: it is over
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN


def sweep_index(name: str) -> models.Index:
    """For the sweep, which looks for open jobs whose lease has run out every few seconds."""
    return models.Index(fields=["lease_expires_at"], condition=Q(status__in=["queued", "running"]), name=name)
