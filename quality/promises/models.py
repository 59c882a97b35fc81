"""Promises of thresholds that were compared with what came. The promise itself is the evidence of the threshold."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from modelzoo.models import Threshold


class PromiseResult(models.Model):
    """What came of a threshold's promise, as far as it was known when its days were over. Append-only."""

    threshold = models.OneToOneField(Threshold, on_delete=models.PROTECT, related_name="promise_result")
    since = models.DateTimeField()
    until = models.DateTimeField(help_text="when its days were over, or another threshold took its place")
    inspections = models.PositiveIntegerField(help_text="judged at it")
    reviewed = models.PositiveIntegerField(help_text="of those, when they were compared")
    figures = models.JSONField(help_text="each as promised and as it came")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(until__gte=F("since")), name="promise_ends_after_it_begins"),
            models.CheckConstraint(condition=Q(reviewed__lte=F("inspections")), name="promise_reviewed_were_inspected"),
        ]

    def __str__(self) -> str:
        return f"promise of threshold {self.threshold_id}"
