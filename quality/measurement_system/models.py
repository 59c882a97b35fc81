"""A study, its parts, who judges them, and what they said. All but the end of a study is append-only."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from inspection.models import Inspection, Review
from modelzoo.models import Category
from records.models import Asset

MIN_PARTS, MAX_PARTS = 20, 500
MIN_APPRAISERS, MAX_APPRAISERS = 2, 10
MIN_TRIALS, MAX_TRIALS = 2, 10
MIN_NEAR, MAX_NEAR = 30, 50


class MeasurementStudy(models.Model):
    """Which parts are judged how often by whom. The last answer finishes it: it is signed then, and never changes."""

    class Standard(models.TextChoices):
        REVIEWS = "reviews", _("the settled reviews of the records")
        EXPERT = "expert", _("an expert, who judges each part once, after everybody else")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="measurement_studies")
    part_count = models.PositiveIntegerField()
    trials = models.PositiveIntegerField(help_text="how often each person judges each part")
    near_percent = models.PositiveIntegerField(help_text="share of the parts whose score is near the threshold")
    standard = models.CharField(max_length=8, choices=Standard.choices)
    expert = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    candidates = models.PositiveIntegerField(help_text="records that the parts were drawn from")
    population_sha256 = models.CharField(max_length=64)
    event_sequence = models.PositiveBigIntegerField(unique=True, help_text="of the event that fixed the candidates")
    seed = models.CharField(max_length=64, help_text="the hash of that event")
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    results = models.TextField(blank=True, help_text="JSON: the text that is signed")
    results_sha256 = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=88, blank=True, help_text="of the results: Ed25519, base64")
    key_id = models.CharField(max_length=16, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "measurement studies"
        indexes = [
            # "the last studies" of the page and the API
            models.Index(fields=["-created_at", "-id"], name="studies_newest_first"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    part_count__gte=MIN_PARTS,
                    part_count__lte=MAX_PARTS,
                    trials__gte=MIN_TRIALS,
                    trials__lte=MAX_TRIALS,
                    near_percent__gte=MIN_NEAR,
                    near_percent__lte=MAX_NEAR,
                ),
                name="study_is_large_enough",
            ),
            models.CheckConstraint(
                condition=Q(standard="reviews", expert__isnull=True) | Q(standard="expert", expert__isnull=False),
                name="study_by_an_expert_names_them",
            ),
            models.CheckConstraint(
                condition=Q(seed__regex=r"^[0-9a-f]{64}$", population_sha256__regex=r"^[0-9a-f]{64}$"),
                name="study_hashes_are_hex",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True, results="", results_sha256="", signature="", key_id="")
                | Q(finished_at__isnull=False) & ~Q(results="") & ~Q(signature="") & ~Q(key_id=""),
                name="finished_study_is_signed",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="study_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"measurement study of {self.category.name} of {self.created_at:%Y-%m-%d}"

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None


class StudyPart(models.Model):
    """A part of a study. Append-only. It holds its image, whatever retention says."""

    study = models.ForeignKey(MeasurementStudy, on_delete=models.PROTECT, related_name="parts", db_index=False)
    number = models.PositiveIntegerField(help_text="in the order of the draw, from 1")
    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="study_parts")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    is_near = models.BooleanField(help_text="the score is near the threshold that it was judged at")
    reference = models.CharField(max_length=16, choices=Review.Verdict.choices, blank=True, help_text="of the reviews")

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the parts of this study"
            models.UniqueConstraint(fields=["study", "number"], name="study_part_number_is_unique"),
            models.UniqueConstraint(fields=["study", "asset"], name="study_shows_an_image_once"),
        ]

    def __str__(self) -> str:
        return f"part {self.number} of {self.study}"


class StudyAppraiser(models.Model):
    """A person who judges the parts of a study. Append-only."""

    study = models.ForeignKey(MeasurementStudy, on_delete=models.PROTECT, related_name="appraisers", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["study", "user"], name="study_appraiser_is_named_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.study}"


class StudyAnswer(models.Model):
    """What a person said of a part in one trial; trial 0 is the expert's, which is the standard. Append-only."""

    part = models.ForeignKey(StudyPart, on_delete=models.PROTECT, related_name="answers", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    trial = models.PositiveIntegerField(help_text="from 1; 0: the expert's word")
    verdict = models.CharField(max_length=16, choices=Review.Verdict.choices)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the answers of these parts"
            models.UniqueConstraint(fields=["part", "user", "trial"], name="study_part_is_answered_once"),
            models.CheckConstraint(condition=Q(verdict__in=["good", "defective"]), name="study_answer_is_clear"),
        ]

    def __str__(self) -> str:
        return f"{self.part}, trial {self.trial}: {self.verdict}"
