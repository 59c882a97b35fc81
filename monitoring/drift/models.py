"""The state of the control charts, and up to which record they were evaluated."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from modelzoo.models import Category, ModelVersion
from monitoring.alarms.models import Alarm


class DriftMonitor(models.Model):
    """The charts of one stream: the records of a category at a station, or those of its batches."""

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="drift_monitors", db_index=False)
    station = models.CharField(max_length=100, blank=True)
    of_batches = models.BooleanField(default=False, help_text="of images that came in batches, not one by one")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="+", help_text="of the newest record"
    )
    records = models.PositiveIntegerField(default=0)
    last_record_at = models.DateTimeField()
    alarm = models.ForeignKey(
        Alarm, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="until it is resolved"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["category__name", "station"]
        constraints = [
            # also serves "the monitor of this stream"
            models.UniqueConstraint(fields=["category", "station", "of_batches"], name="one_drift_monitor_of_a_stream"),
        ]

    def __str__(self) -> str:
        station = f", station {self.station}" if self.station else ""
        return f"{self.category.name}{station}{', batches' if self.of_batches else ''}"


class DriftChart(models.Model):
    """One control chart of a monitor: `state` is that of `charts.Chart`."""

    monitor = models.ForeignKey(DriftMonitor, on_delete=models.PROTECT, related_name="charts", db_index=False)
    kind = models.CharField(max_length=32)
    state = models.JSONField()
    began_at = models.DateTimeField(help_text="time of the first record of its reference")

    class Meta:
        ordering = ["id"]
        constraints = [
            # also serves "the charts of this monitor"
            models.UniqueConstraint(fields=["monitor", "kind"], name="one_drift_chart_of_a_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.monitor}"


class DriftCursor(models.Model):
    """The newest record that charts have taken in. There is one row, made with the first evaluation."""

    record_at = models.DateTimeField()
    record_id = models.UUIDField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_drift_cursor")]

    def __str__(self) -> str:
        return f"evaluated until {self.record_at:%Y-%m-%d %H:%M:%S}"
