"""Containments: what one escape leads to, and the parts on the list."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop as _

from inspection.models import Inspection
from jobs.models import LeasedJob, sweep_index
from tuning.models import RescoringRun


class Containment(LeasedJob):
    """The search for parts like one that escaped, among all that passed under the same conditions. A job.

    Its conditions are frozen when it is asked for. When it is finished, its list is signed, and never changes.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")

    class Since(models.TextChoices):
        THRESHOLD = "threshold", _("the last change of the threshold")
        DEPLOYMENT = "deployment", _("the last change of the model")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    escape = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="containments")
    since = models.DateTimeField(help_text="the last change before the escape")
    since_what = models.CharField(max_length=16, choices=Since.choices)
    bounds = models.JSONField(
        null=True,
        blank=True,
        help_text="stations whose reference parts passed after that change: since when, and which; empty in "
        "containments older than it",
    )
    until = models.DateTimeField(help_text="when it was asked for")
    min_likeness = models.FloatField(
        help_text="of anomaly maps, 0 to 1: parts that are at least so alike are listed; 0: all"
    )
    rescoring = models.OneToOneField(
        RescoringRun, null=True, blank=True, on_delete=models.PROTECT, related_name="containment"
    )
    reason = models.CharField(max_length=500)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    passed = models.PositiveIntegerField(help_text="parts judged good in that time, the escape too")
    searched = models.PositiveIntegerField(default=0)
    without_map = models.PositiveIntegerField(default=0, help_text="searched, but retention removed the map")
    # The last part that was searched; the next ones are those after it, in this order.
    reached_at = models.DateTimeField(null=True, blank=True)
    reached_id = models.UUIDField(null=True, blank=True)
    listed = models.PositiveIntegerField(default=0)
    expected = models.JSONField(default=dict, blank=True, help_text="further escapes, and what that is taken from")
    list_sha256 = models.CharField(max_length=64, blank=True, help_text="of the CSV file")
    signature = models.CharField(max_length=88, blank=True, help_text="of the CSV file: Ed25519, base64")
    key_id = models.CharField(max_length=16, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # "the last containments": the list, newest first
            models.Index(fields=["-created_at", "-id"], name="containments_newest_first"),
            sweep_index("open_containments_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed"]),
                name="containment_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status="finished", finished_at__isnull=False)
                & ~Q(list_sha256="")
                & ~Q(signature="")
                & ~Q(key_id="")
                | ~Q(status="finished") & Q(list_sha256="", signature="", key_id=""),
                name="finished_containment_is_signed",
            ),
            models.CheckConstraint(
                condition=(Q(status="failed") & ~Q(error_code="")) | (~Q(status="failed") & Q(error_code="")),
                name="failed_containment_says_why",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="containment_has_a_reason"),
            models.CheckConstraint(
                condition=Q(min_likeness__gte=0, min_likeness__lte=1), name="containment_likeness_is_a_share"
            ),
            models.CheckConstraint(condition=Q(until__gte=F("since")), name="containment_ends_after_it_begins"),
        ]

    def __str__(self) -> str:
        return f"containment {self.pk}"

    @property
    def is_finished(self) -> bool:
        return self.status == self.Status.FINISHED

    @property
    def progress(self) -> float:
        """Share of the parts that were searched, 0 to 1."""
        return min(1.0, self.searched / self.passed) if self.passed else 1.0


class ContainedPart(models.Model):
    """A part on the list of a containment, and what put it there. Append-only."""

    containment = models.ForeignKey(Containment, on_delete=models.PROTECT, related_name="parts", db_index=False)
    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="contained")
    likeness = models.FloatField(null=True, blank=True, help_text="with the escape; empty where a map is gone")
    rescored_outcome = models.CharField(max_length=16, choices=Inspection.Outcome.choices, blank=True)
    rescored_score = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the parts of this containment"
            models.UniqueConstraint(fields=["containment", "inspection"], name="contained_once_in_a_list"),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id} in {self.containment}"
