"""Parts of which views are gathered, and the records of parts that stay."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from inspection.judging.models import Inspection, InspectionRequest
from inspection.part_layouts.models import LayoutView, PartLayout
from inspection.parts.verdict import JUDGED, ViewState

_JUDGED = [str(state) for state in JUDGED]


class PartRequest(models.Model):
    """One part whose views come in. It ends in exactly one record of the part, also where nothing came."""

    class Status(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    layout = models.ForeignKey(PartLayout, on_delete=models.PROTECT, related_name="part_requests")
    # That of the layout: a part id is one part whatever the revision.
    layout_name = models.CharField(max_length=100)
    part_id = models.CharField(max_length=100, help_text="what the line calls this inspection of the part")
    source = models.CharField(max_length=16)
    station = models.CharField(max_length=100, blank=True)
    part_number = models.CharField(max_length=100, blank=True)
    lot = models.CharField(max_length=100, blank=True)
    serial_number = models.CharField(max_length=100, blank=True)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    opened_at = models.DateTimeField()
    closes_at = models.DateTimeField(help_text="no view is taken from then on")

    class Meta:
        ordering = ["-opened_at", "-id"]
        indexes = [
            # the sweep: parts whose time is over; and the list of those that are gathered
            models.Index(fields=["closes_at"], condition=Q(status="open"), name="open_parts_by_end"),
        ]
        constraints = [
            # also serves "the part of this id"
            models.UniqueConstraint(fields=["layout_name", "part_id"], name="part_id_is_one_part"),
            models.CheckConstraint(condition=Q(status__in=["open", "closed"]), name="part_status_is_known"),
            models.CheckConstraint(condition=~Q(part_id=""), name="part_has_an_id"),
            models.CheckConstraint(condition=Q(closes_at__gt=F("opened_at")), name="part_ends_after_it_begins"),
        ]

    # Not kept: whether this answer repeats an earlier one.
    replayed = False

    def __str__(self) -> str:
        return f"{self.part_id} ({self.layout_name}), {self.status}"


class PartRequestView(models.Model):
    """What came for one view of a part: the request to judge its image, or why the image was refused."""

    part = models.ForeignKey(PartRequest, on_delete=models.PROTECT, related_name="views", db_index=False)
    view = models.ForeignKey(LayoutView, on_delete=models.PROTECT, related_name="+", db_index=False)
    filename = models.CharField(max_length=300)
    image_sha256 = models.CharField(max_length=64, help_text="of what was sent: the same again is the same view")
    request = models.OneToOneField(
        InspectionRequest, null=True, blank=True, on_delete=models.PROTECT, related_name="part_view"
    )
    refusal_code = models.CharField(max_length=64, blank=True)
    refusal = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["part", "view"]
        constraints = [
            # also serves "what came for this part"
            models.UniqueConstraint(fields=["part", "view"], name="view_of_a_part_comes_once"),
            models.CheckConstraint(
                condition=Q(request__isnull=False, refusal_code="", refusal="")
                | (Q(request__isnull=True) & ~Q(refusal_code="") & ~Q(refusal="")),
                name="view_is_judged_or_refused",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.view.name} of part {self.part_id}"


class PartInspection(models.Model):
    """The record of a part over the records of its views. Never changed, never deleted.

    Its verdict is `decide_part` of its views. Database triggers refuse UPDATE and DELETE.
    """

    # One id from the first view on.
    request = models.OneToOneField(PartRequest, on_delete=models.PROTECT, related_name="inspection", primary_key=True)
    layout = models.ForeignKey(PartLayout, on_delete=models.PROTECT, related_name="parts", db_index=False)
    layout_name = models.CharField(max_length=100)
    part_id = models.CharField(max_length=100)
    outcome = models.CharField(max_length=16, choices=Inspection.Outcome.choices)
    explanation = models.CharField(max_length=2000, blank=True, help_text="which views are not good, and why")
    source = models.CharField(max_length=16)
    station = models.CharField(max_length=100, blank=True)
    part_number = models.CharField(max_length=100, blank=True)
    lot = models.CharField(max_length=100, blank=True)
    serial_number = models.CharField(max_length=100, blank=True)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    opened_at = models.DateTimeField(help_text="when its first view came")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-request"]
        indexes = [
            # the list, newest first, and what it is filtered by; reports read their window from it
            models.Index(
                fields=["created_at", "request", "layout_name", "outcome", "station", "lot"], name="parts_newest_first"
            ),
            # one filter of the list each
            models.Index(fields=["outcome", "created_at"], name="parts_by_outcome"),
            models.Index(fields=["layout_name", "created_at"], name="parts_by_layout"),
            models.Index(fields=["lot", "created_at"], name="parts_by_lot"),
            models.Index(fields=["serial_number", "created_at"], name="parts_by_serial"),
            models.Index(fields=["part_id", "created_at"], name="parts_by_part_id"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=["good", "defective", "not_comparable"]), name="part_outcome_is_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome="good", explanation="") | (~Q(outcome="good") & ~Q(explanation="")),
                name="part_that_is_not_good_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.part_id} ({self.layout_name}): {self.get_outcome_display()}"


class PartInspectionView(models.Model):
    """What one view said in the record of its part. Append-only.

    A database trigger refuses one whose state is not the outcome of its record.
    """

    part = models.ForeignKey(PartInspection, on_delete=models.PROTECT, related_name="views", db_index=False)
    view = models.ForeignKey(LayoutView, on_delete=models.PROTECT, related_name="+", db_index=False)
    state = models.CharField(max_length=16, choices=ViewState.choices)
    inspection = models.OneToOneField(
        Inspection, null=True, blank=True, on_delete=models.PROTECT, related_name="part_view"
    )
    reason = models.CharField(max_length=64, blank=True, help_text="why it was not judged, for programs")
    explanation = models.CharField(max_length=500, blank=True, help_text="why it was not judged, for people")

    class Meta:
        ordering = ["part", "view"]
        constraints = [
            # also serves "the views of this part"
            models.UniqueConstraint(fields=["part", "view"], name="recorded_view_of_a_part_is_one"),
            models.CheckConstraint(
                condition=Q(state__in=_JUDGED, inspection__isnull=False, reason="", explanation="")
                | (Q(state__in=["refused", "missing"], inspection__isnull=True) & ~Q(reason="") & ~Q(explanation="")),
                name="view_has_a_record_or_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.view.name}: {self.get_state_display()}"
