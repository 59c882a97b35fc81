"""Requests to judge an image, and the inspection records that stay."""

from __future__ import annotations

import sys
import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inspection.batches.models import BatchRun
from modelzoo.evaluation.region_sizes import all_ignored, area_mm2
from modelzoo.models import Category, Deployment, ModelVersion, ScaleCalibration, Threshold, finite
from modelzoo.scales.selectors import ignored_words
from records.assets.formats import name_warning
from records.keys import time_ordered_key
from records.models import Asset


class InspectionRequest(models.Model):
    """One image that somebody wants judged. It ends in exactly one inspection, or in an error that says why not."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        EXPIRED = "expired"  # nobody judged it while its caller waited
        CANCELLED = "cancelled"  # its batch was called off before it was judged

    OPEN = (Status.QUEUED, Status.RUNNING)
    WITHOUT_RECORD = (Status.FAILED, Status.EXPIRED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Refused files of a batch have no asset: they were never kept. Nor have those of a folder before they are read.
    asset = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="requests")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="requests")
    # None where a version is tried by hand (`manage.py inspect`) without serving its category.
    deployment = models.ForeignKey(Deployment, null=True, blank=True, on_delete=models.PROTECT, related_name="requests")
    batch = models.ForeignKey(
        BatchRun, null=True, blank=True, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    position = models.PositiveIntegerField(default=0)
    filename = models.CharField(max_length=300)
    path = models.CharField(max_length=1000, blank=True, help_text="in the folder, zip or data set of its batch")
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
    # After that its caller has given up and no record is written, whoever is still at it. None: no end (batches).
    deadline = models.DateTimeField(null=True, blank=True)
    # The first request for the same part and the same kept image, which ended without a record.
    repeat_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="repeats", db_index=False
    )
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    # The same key from the same caller (whose id stands before it) is the same request, so the same record.
    idempotency_key = models.CharField(max_length=230, null=True, blank=True)  # noqa: DJ001
    fingerprint = models.CharField(max_length=64, blank=True, help_text="of what was asked for with that key")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "position"]
        indexes = [
            # the sweep: single requests nobody answered; and how many wait
            models.Index(
                fields=["deadline"],
                condition=Q(status__in=["queued", "running"], batch__isnull=True),
                name="open_requests_by_deadline",
            ),
            # what else waits for this model, at every image that is judged
            models.Index(
                fields=["deployment", "created_at"],
                condition=Q(status="queued", batch__isnull=True),
                name="queued_requests_by_model",
            ),
            # reports: how many images of a time ended without a record. Two: of a condition with IN, SQLite does not
            # see that a query asks for it.
            models.Index(fields=["created_at"], condition=Q(status="failed"), name="failed_requests_by_time"),
            models.Index(fields=["created_at"], condition=Q(status="expired"), name="expired_requests_by_time"),
        ]
        constraints = [
            # also serves "the next images of this batch" and "the items of this batch, in order"
            models.UniqueConstraint(
                fields=["batch", "position"], condition=Q(batch__isnull=False), name="batch_position_is_unique"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed", "expired", "cancelled"]),
                name="request_status_is_known",
            ),
            # also serves "the request of this key"
            models.UniqueConstraint(fields=["idempotency_key"], name="request_key_is_unique"),
            models.CheckConstraint(
                condition=Q(status="failed")
                | Q(asset__isnull=False)
                | (~Q(path="") & Q(status__in=["queued", "running", "cancelled"])),
                name="only_failed_and_unread_requests_lack_an_image",
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error_code=""), name="failed_request_says_why"),
            # However often "Try again" is pressed; also serves "what became of it".
            models.UniqueConstraint(
                fields=["repeat_of"],
                condition=Q(status__in=["queued", "running", "done"]),
                name="one_repeat_is_open_or_recorded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filename} ({self.status})"


# By the reason of a detector's NotComparable; the empty one is for all others.
_WHAT_NEXT = {
    "no_background": _("Clear the area around the part and check that the lighting is even."),
    "no_part_found": _("Put one part in the middle of the image, with plain background around it."),
    "several_parts": _("Put only one part in the image."),
    "part_touches_border": _("Put the whole part in the image, with some background on every side."),
    "pose_ambiguous": _("Place the part like the good parts in the training images, the same side up."),
    "unusual_shape": _("Check that it is the right part, complete, the right side up, with nothing beside it."),
    "other_size": _("Check that the camera image has the size of the training images."),
    "other_aspect": _("Check that the whole camera image is sent, not cut or stretched."),
    "grey_picture": _("Check that the camera sends colour images."),
    "coloured_picture": _("Check that the camera sends grey images."),
    "eight_bit_picture": _("Check that the camera sends 16-bit images."),
    "sixteen_bit_picture": _("Check that the camera sends 8-bit images, or train a model on 16-bit images."),
    "unlike_training": _("Check that the part and the model match, and that camera and lighting are unchanged."),
    "": _("Place the part like the good parts in the training images."),
}
_WHAT_THEN = _("Then inspect it again. If that does not help, put the part aside: no model has judged it.")


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

        @classmethod
        def of(
            cls,
            score: float,
            threshold: float,
            *,
            largest_region_px: int | None = None,
            min_region_px: float | None = None,
        ) -> Inspection.Outcome:
            """The rule everywhere: defective is score > threshold, unless a size rule ignores every region above it.

            `min_region_px`: below which area it ignores them; None: no size rule was applied.
            """
            if score > threshold and not all_ignored(largest_region_px, min_region_px):
                return cls.DEFECTIVE
            return cls.GOOD

    # That of its moment: a month is a range of keys (`inspection.partitions`). Older records have random ones.
    id = models.UUIDField(primary_key=True, default=time_ordered_key, editable=False)
    request = models.OneToOneField(InspectionRequest, on_delete=models.PROTECT, related_name="inspection")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="inspections")
    deployment = models.ForeignKey(
        Deployment, null=True, blank=True, on_delete=models.PROTECT, related_name="inspections"
    )
    # Those without an index of their own are in one with the time. (Retention asks whether any record holds a file:
    # asset and map have theirs.)
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="inspections", db_index=False
    )
    # That of the model version, kept here so that the history of one category can be asked for in order.
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="inspections", db_index=False)
    threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="inspections", db_index=False)
    threshold_value = models.FloatField()
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    score = models.FloatField(null=True, blank=True)
    p_value = models.FloatField(
        null=True, blank=True, help_text="share of good parts at least as anomalous; empty in records older than it"
    )
    reason = models.CharField(max_length=32, blank=True, help_text="why it cannot be compared, for programs")
    explanation = models.CharField(max_length=500, blank=True, help_text="why it cannot be compared, for people")
    input_findings = models.JSONField(
        null=True,
        blank=True,
        help_text="what was odd about the picture, though it was judged; empty where nothing was, and in older records",
    )
    image_statistics = models.JSONField(
        null=True,
        blank=True,
        help_text="what the picture looks like as a whole, by name; empty in records older than it",
    )
    # 16-bit greyscale PNG over the whole image; anomaly value = pixel / 65535 * map_maximum
    map = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    map_maximum = models.FloatField(null=True, blank=True)
    # Found on the map before it was reduced, so in pixels of the image. Empty in records older than them.
    regions = models.JSONField(null=True, blank=True, help_text="connected places above the threshold, highest first")
    region_count = models.PositiveIntegerField(null=True, blank=True, help_text="of all, also those not listed")
    largest_region_px = models.PositiveIntegerField(null=True, blank=True, help_text="0 where there is none")
    # With which scale regions are measured. Empty: the station had none for pictures of this size.
    calibration = models.ForeignKey(
        ScaleCalibration, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # What the size rule of the threshold's revision came to; empty where it has none, or there was no scale.
    min_region_px = models.FloatField(
        null=True, blank=True, help_text="area in pixels below which regions were ignored; empty: none was"
    )
    ignored_region_count = models.PositiveIntegerField(
        null=True, blank=True, help_text="of all regions above the threshold, those that the size rule ignored"
    )
    severity = models.CharField(  # noqa: DJ001 - null: leaves the fingerprints of older rows alone
        max_length=30, null=True, blank=True, help_text="the most severe grade of its regions; empty: none"
    )
    ignored_outlines = models.JSONField(
        null=True,
        blank=True,
        help_text="polygons of what was not judged, in the image's pixels; empty: all was judged",
    )
    filename = models.CharField(max_length=300)
    source = models.CharField(max_length=16)
    station = models.CharField(max_length=100, blank=True)
    part_number = models.CharField(max_length=100, blank=True)
    lot = models.CharField(max_length=100, blank=True)
    serial_number = models.CharField(max_length=100, blank=True)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    timings = models.JSONField(help_text="milliseconds of each step")
    device = models.CharField(max_length=16)
    worker = models.CharField(max_length=100)
    code_version = models.CharField(max_length=64)
    backbone_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()

    # Not kept: whether this answer repeats an earlier one, because it was asked for with the same idempotency key.
    replayed = False

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # All in the order of time, in which records come, and read backwards: so their pages are filled, and half
            # as many as with the newest first.
            #
            # "The last inspections": line view and history, newest first. Behind the order stands what is filtered
            # by, so that of a combination that matches little or nothing no record is read to find that out.
            models.Index(
                fields=[
                    *("created_at", "id", "category", "model_version", "threshold", "outcome", "score"),
                    *("station", "lot", "part_number", "source", "operator", "serial_number"),
                ],
                name="inspections_newest_first",
            ),
            # One filter of the history each, in its order, so that a page of it is read off the index.
            models.Index(fields=["category", "created_at", "id"], name="inspections_by_category"),
            models.Index(fields=["outcome", "created_at", "id"], name="inspections_by_outcome"),
            models.Index(fields=["model_version", "created_at", "id"], name="inspections_by_version"),
            models.Index(fields=["threshold", "created_at", "id"], name="inspections_by_threshold"),
            models.Index(fields=["station", "created_at", "id"], name="inspections_by_station"),
            models.Index(fields=["lot", "created_at", "id"], name="inspections_by_lot"),
            models.Index(fields=["part_number", "created_at", "id"], name="inspections_by_part"),
            models.Index(fields=["operator", "created_at", "id"], name="inspections_by_operator"),
            models.Index(fields=["source", "created_at", "id"], name="inspections_by_source"),
            # What-if: the counts above any threshold of one model version, read from the index alone, and the records
            # whose scores lie next to it.
            models.Index(fields=["model_version", "score", "outcome", "created_at"], name="inspections_by_score"),
            # a serial number, or how it begins (the class of operators makes PostgreSQL's LIKE use it)
            models.Index(fields=["serial_number"], opclasses=["varchar_pattern_ops"], name="inspections_by_serial"),
            # search: how a file name, a lot or a part number begins
            models.Index(fields=["filename"], opclasses=["varchar_pattern_ops"], name="inspections_by_filename"),
            models.Index(fields=["lot"], opclasses=["varchar_pattern_ops"], name="inspections_by_lot_prefix"),
            models.Index(fields=["part_number"], opclasses=["varchar_pattern_ops"], name="inspections_by_part_prefix"),
            # the history in the order of the scores, of all records or of one category
            models.Index(fields=["score", "id"], name="inspections_score_order"),
            models.Index(fields=["category", "score", "id"], name="inspections_category_score"),
            # the same of the margins
            models.Index(F("score") - F("threshold_value"), "id", name="inspections_margin_order"),
            models.Index("category", F("score") - F("threshold_value"), "id", name="inspections_category_margin"),
        ]
        constraints = [
            models.CheckConstraint(condition=finite("score"), name="score_is_finite"),
            models.CheckConstraint(condition=finite("threshold_value"), name="judged_at_a_finite_threshold"),
            models.CheckConstraint(
                condition=Q(outcome__in=["good", "defective", "not_comparable"]), name="outcome_is_known"
            ),
            models.CheckConstraint(
                condition=(
                    Q(outcome="defective", score__isnull=False, score__gt=F("threshold_value"))
                    & (
                        Q(min_region_px__isnull=True)
                        | Q(largest_region_px=0)
                        | Q(largest_region_px__gte=F("min_region_px"))
                    )
                )
                | Q(outcome="good", score__isnull=False, score__lte=F("threshold_value"))
                | Q(
                    outcome="good",
                    score__isnull=False,
                    min_region_px__isnull=False,
                    largest_region_px__gt=0,
                    largest_region_px__lt=F("min_region_px"),
                )
                | Q(outcome="not_comparable", score__isnull=True),
                name="verdict_follows_from_score",
            ),
            models.CheckConstraint(
                condition=Q(min_region_px__isnull=True, ignored_region_count__isnull=True)
                | Q(
                    min_region_px__isnull=False,
                    min_region_px__gt=0,
                    min_region_px__lte=sys.float_info.max,
                    ignored_region_count__isnull=False,
                    ignored_region_count__lte=F("region_count"),
                    calibration__isnull=False,
                    region_count__isnull=False,
                ),
                name="size_rule_was_applied_to_measured_regions",
            ),
            models.CheckConstraint(
                condition=Q(severity__isnull=True) | Q(outcome="defective", calibration__isnull=False),
                name="severity_is_that_of_a_measured_defect",
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
                    & (
                        Q(outcome="defective")
                        | Q(outcome="good", region_count=0, largest_region_px=0)
                        | Q(outcome="good", score__gt=F("threshold_value"))
                    )
                ),
                name="regions_are_those_of_a_defect",
            ),
        ]

    def __init__(self, *args: Any, **fields: Any) -> None:
        """A new record's key is of the same moment as the record; its part of a divided history asks for that."""
        if "created_at" in fields and "pk" not in fields:
            fields.setdefault("id", time_ordered_key(fields["created_at"]))
        super().__init__(*args, **fields)

    def __str__(self) -> str:
        measured = "" if self.score is None else f" ({self.score:.4g})"
        return f"{self.filename}: {self.get_outcome_display()}{measured}"

    @property
    def is_defective(self) -> bool | None:
        """The original system's verdict; None where the part cannot be compared, which is no verdict."""
        if self.outcome == self.Outcome.NOT_COMPARABLE:
            return None
        return self.outcome == self.Outcome.DEFECTIVE

    @property
    def is_judged(self) -> bool:
        """Whether the model gave a verdict."""
        return self.outcome != self.Outcome.NOT_COMPARABLE

    @property
    def is_above_threshold(self) -> bool:
        """Whether the score is; a size rule may have ignored all regions, so that the verdict is good."""
        return self.score is not None and self.score > self.threshold_value

    @property
    def largest_region_mm2(self) -> float | None:
        """Area of the largest region; None without a calibration, and in records older than regions."""
        if self.calibration is None or self.largest_region_px is None:
            return None
        return area_mm2(self.largest_region_px, self.calibration.scale)

    @property
    def size_note(self) -> str:
        """What the size rule of its threshold did to the verdict, a sentence; empty where the revision has no rule."""
        if not self.is_judged or self.threshold.size_rule.is_empty:
            return ""
        if self.calibration is None:
            sentence = _(
                "The size rule was not applied: pictures of %(size)s pixels of %(station)s are not calibrated. The "
                "verdict is that of the threshold alone."
            )
            station = _("station %(station)s") % {"station": self.station} if self.station else _("no station")
            return str(sentence) % {"station": station, "size": f"{self.asset.width} x {self.asset.height}"}
        if not self.ignored_region_count:
            return ""
        return ignored_words(self.ignored_region_count, self.threshold.min_region_mm2)

    @property
    def margin(self) -> float | None:
        """How far the score lies above the threshold, in units of the score; negative: below it."""
        return None if self.score is None else self.score - self.threshold_value

    @property
    def standing_verdict(self) -> str:
        """What the part is taken for now: the word of the person that stands, else the model's."""
        standing = getattr(self, "standing", None)
        return standing.verdict if standing else self.outcome

    @property
    def differs(self) -> bool:
        """Whether a person's word stands that is another one than the model's."""
        return self.standing_verdict != self.outcome

    @property
    def confidence(self) -> float | None:
        """The original system's measure: distance of the score from the threshold, in units of the score."""
        return None if self.score is None else abs(self.score - self.threshold_value)

    @property
    def place_among_good_parts(self) -> tuple[int, int] | None:
        """How many of the good parts held out of training score lower, and of how many."""
        if self.p_value is None:
            return None
        n = len(self.model_version.held_out_scores)
        # p is (1 + how many score at least as high) / (n + 1): the count is whole, and known exactly.
        return min(max(n + 1 - round(self.p_value * (n + 1)), 0), n), n

    @property
    def among_good_parts(self) -> str:
        """Where the score lies among the good parts held out of training, in words; no more than they can tell.

        Empty where nothing was scored, and in records older than the p-value.
        """
        place = self.place_among_good_parts
        if place is None:
            return ""
        below, n = place
        words = "all" if below == n else f"{below} of" if below else "none of"
        return f"above {words} {n} held-out good parts"

    @property
    def path_or_name(self) -> str:
        """Where the picture was in the zip, folder or data set of its batch; the name of a file that came alone.

        Two pictures of one batch may have the same name, and not the same path.
        """
        return self.request.path or self.filename

    @property
    def name_warning(self) -> str:
        """A sentence where the name of the file claims another format than was found in it; else empty."""
        return name_warning(self.filename, self.asset.image_format)

    @property
    def what_next(self) -> str:
        """What a person at the line can do about a part that cannot be compared; else empty."""
        if self.outcome != self.Outcome.NOT_COMPARABLE:
            return ""
        return f"{_WHAT_NEXT.get(self.reason, _WHAT_NEXT[''])} {_WHAT_THEN}"
