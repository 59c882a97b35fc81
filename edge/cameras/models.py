"""How the picture of a request was taken."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from edge.connections.models import Connection
from inspection.models import InspectionRequest


class FrameDetails(models.Model):
    """Camera, exposure and gain of the frame that a request is about. Written with the request, never changed."""

    request = models.OneToOneField(InspectionRequest, on_delete=models.PROTECT, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+", db_index=False)
    camera = models.CharField(max_length=200, help_text="what the camera calls itself, or where it is")
    number = models.BigIntegerField(help_text="the camera's own count where it has one, else ours")
    taken_at = models.DateTimeField()
    exposure_us = models.FloatField(null=True, blank=True, help_text="microseconds, where the camera says so")
    gain_db = models.FloatField(null=True, blank=True, help_text="decibels, where the camera says so")
    lost_before = models.PositiveIntegerField(default=0, help_text="frames since the one before that never came")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(camera="") & Q(number__gte=1), name="frame_has_camera_and_number"),
            models.CheckConstraint(
                condition=Q(exposure_us__isnull=True) | Q(exposure_us__gte=0), name="exposure_is_not_negative"
            ),
        ]
        indexes = [
            # the last frame of a camera that was asked about: its verdict, and where a folder goes on
            models.Index(fields=["connection", "-taken_at"], name="frames_of_a_camera_by_time"),
        ]

    def __str__(self) -> str:
        return f"frame {self.number} of {self.camera}"
