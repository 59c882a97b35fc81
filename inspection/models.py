"""Requests to judge an image, batches of them, and the inspection records that stay."""

from __future__ import annotations

import math
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
    worker = models.CharField(max_length=100, blank=True)  # who claimed it last
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
            # what else waits for this model, at every image that is judged
            models.Index(
                fields=["deployment", "created_at"],
                condition=Q(status="queued", batch__isnull=True),
                name="queued_requests_by_model",
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


# By the reason of a detector's NotComparable; the empty one is for all others.
_WHAT_NEXT = {
    "no_background": "Clear the place around the part and see that the lamp lights it evenly.",
    "no_part_found": "Lay one part in the middle of the picture, with the plain background visible around it.",
    "several_parts": "Lay one part alone in the picture.",
    "part_touches_border": "Lay the part so that it lies wholly in the picture, with some background on every side.",
    "pose_ambiguous": "Lay the part as the good parts lay that the model learned from, the same side up.",
    "unusual_shape": "See that it is the right part, whole and the right side up, with nothing beside it.",
    "": "Lay the part as the good parts lay that the model learned from.",
}


class Inspection(models.Model):
    """The record: what was seen, by which model, at which threshold, with which result. Never changed, never deleted.

    A part that cannot be compared with the good ones is neither good nor defective: it has no score and no map, and
    says why. Database triggers refuse UPDATE and DELETE, and an INSERT whose threshold or deployment belongs to
    another model version.
    """

    class Outcome(models.TextChoices):
        GOOD = "good", "good"
        DEFECTIVE = "defective", "defective"
        NOT_COMPARABLE = "not_comparable", "not comparable"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.OneToOneField(InspectionRequest, on_delete=models.PROTECT, related_name="inspection")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="inspections")
    deployment = models.ForeignKey(
        Deployment, null=True, blank=True, on_delete=models.PROTECT, related_name="inspections"
    )
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="inspections")
    threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="inspections")
    threshold_value = models.FloatField()
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    score = models.FloatField(null=True, blank=True)
    p_value = models.FloatField(
        null=True, blank=True, help_text="share of good parts at least as anomalous; empty in records older than it"
    )
    reason = models.CharField(max_length=32, blank=True, help_text="why it cannot be compared, for programs")
    explanation = models.CharField(max_length=500, blank=True, help_text="why it cannot be compared, for people")
    # 16-bit greyscale PNG over the whole image; anomaly value = pixel / 65535 * map_maximum
    map = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    map_maximum = models.FloatField(null=True, blank=True)
    # Found on the map before it was reduced, so in pixels of the image. Empty in records older than them.
    regions = models.JSONField(null=True, blank=True, help_text="connected places above the threshold, highest first")
    region_count = models.PositiveIntegerField(null=True, blank=True, help_text="of all, also those not listed")
    largest_region_px = models.PositiveIntegerField(null=True, blank=True, help_text="0 where there is none")
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
                condition=Q(outcome__in=["good", "defective", "not_comparable"]), name="outcome_is_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome="defective", score__isnull=False, score__gt=models.F("threshold_value"))
                | Q(outcome="good", score__isnull=False, score__lte=models.F("threshold_value"))
                | Q(outcome="not_comparable", score__isnull=True),
                name="verdict_follows_from_score",
            ),
            models.CheckConstraint(
                condition=(Q(outcome="not_comparable") & ~Q(reason="") & ~Q(explanation=""))
                | (~Q(outcome="not_comparable") & Q(reason="", explanation="")),
                name="what_is_not_comparable_says_why",
            ),
            models.CheckConstraint(
                condition=Q(outcome="not_comparable", map__isnull=True, map_maximum__isnull=True)
                | (~Q(outcome="not_comparable") & Q(map__isnull=False, map_maximum__isnull=False)),
                name="what_was_scored_has_a_map",
            ),
            models.CheckConstraint(
                condition=Q(p_value__isnull=True) | (~Q(outcome="not_comparable") & Q(p_value__gt=0, p_value__lte=1)),
                name="p_value_is_a_probability",
            ),
            models.CheckConstraint(
                condition=Q(regions__isnull=True, region_count__isnull=True, largest_region_px__isnull=True)
                | (
                    Q(regions__isnull=False, region_count__isnull=False, largest_region_px__isnull=False)
                    & (Q(outcome="defective") | Q(outcome="good", region_count=0, largest_region_px=0))
                ),
                name="regions_are_those_of_a_defect",
            ),
        ]

    def __str__(self) -> str:
        measured = "" if self.score is None else f" ({self.score:.4g})"
        return f"{self.filename}: {self.get_outcome_display()}{measured}"

    @property
    def is_defective(self) -> bool | None:
        """The seed's verdict; None where the part cannot be compared, which is no verdict."""
        if self.outcome == self.Outcome.NOT_COMPARABLE:
            return None
        return self.outcome == self.Outcome.DEFECTIVE

    @property
    def confidence(self) -> float | None:
        """The seed's measure: distance of the score from the threshold, in units of the score."""
        return None if self.score is None else abs(self.score - self.threshold_value)

    @property
    def among_good_parts(self) -> str:
        """Where the score lies among the good parts held out of training, in words; no more than they can tell.

        Empty where nothing was scored, and in records older than the p-value.
        """
        if self.p_value is None:
            return ""
        n = len(self.model_version.held_out_scores)
        if self.p_value <= 1 / (n + 1):
            return f"above all {n} held-out good parts"
        if self.p_value >= 1:
            return f"above none of {n} held-out good parts"
        # Rounded down, with the digits that n parts are good for.
        scale = 10 if n >= 200 else 1
        percent = math.floor((1 - self.p_value) * 100 * scale + 1e-9) / scale
        return f"higher than {percent:g} % of good parts"

    @property
    def what_next(self) -> str:
        """What a person at the line can do about a part that cannot be compared; else empty."""
        if self.outcome != self.Outcome.NOT_COMPARABLE:
            return ""
        first = _WHAT_NEXT.get(self.reason, _WHAT_NEXT[""])
        return f"{first} Then inspect it again. If that does not help, put the part aside: nothing has judged it."
