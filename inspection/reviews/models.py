"""What people said about records, and what stands after it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from inspection.judging.models import Inspection


class Review(models.Model):
    """What a person said about a record after looking at it. Append-only: a later review stands beside, not instead.

    Database triggers refuse UPDATE and DELETE.
    """

    class Verdict(models.TextChoices):
        GOOD = "good"
        DEFECTIVE = "defective"

    # What the undo of a record's only review says: nobody's verdict stands any more.
    WITHDRAWN = "withdrawn"

    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="reviews", db_index=False)
    number = models.PositiveIntegerField(help_text="of the reviews of this record, from 1")
    verdict = models.CharField(max_length=16, choices=[*Verdict.choices, (WITHDRAWN, "Withdrawn")])
    # The review before it, which was the newest then; what stood before that one is restored.
    undoes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="undone_by", help_text="null: no undo"
    )
    # None where the model gave no verdict to agree with.
    agrees = models.BooleanField(null=True, help_text="with the verdict of the record")
    defect_type = models.CharField(max_length=100, blank=True)
    comment = models.TextField(blank=True, max_length=2000)
    regions = models.JSONField(default=list, blank=True, help_text="where it is: x, y, width, height in image pixels")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the reviews of this record, in order"
            models.UniqueConstraint(fields=["inspection", "number"], name="review_number_is_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="review_number_from_one"),
            models.CheckConstraint(
                condition=Q(verdict__in=["good", "defective", "withdrawn"]), name="review_verdict_is_known"
            ),
            models.CheckConstraint(
                condition=Q(undoes__isnull=False) | ~Q(verdict="withdrawn"), name="only_an_undo_withdraws"
            ),
            models.CheckConstraint(
                condition=Q(verdict="defective") | Q(defect_type="", regions=[]),
                name="only_defects_have_a_type_and_place",
            ),
        ]

    def __str__(self) -> str:
        return f"review {self.number} of {self.inspection_id}: {self.verdict}"


# For the API's schema: what a review says, an undo too.
RECORDED_VERDICTS = [*Review.Verdict.choices, (Review.WITHDRAWN, "Withdrawn")]


class Standing(models.Model):
    """Where a reviewed record stands now: the last review that was not undone, at hand for filters.

    Derived from the reviews alone; a record whose only review was undone has none.
    """

    inspection = models.OneToOneField(Inspection, on_delete=models.PROTECT, related_name="standing", primary_key=True)
    last_review = models.OneToOneField(Review, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=Review.Verdict.choices)
    defect_type = models.CharField(max_length=100, blank=True)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    overruled = models.BooleanField(help_text="that review and the model's verdict differ")
    contested = models.BooleanField(help_text="its reviews differ among themselves")
    reviews = models.PositiveIntegerField(help_text="how many there are")
    inspected_at = models.DateTimeField(help_text="when the record was written, for the history's order")

    class Meta:
        ordering = ["-inspected_at", "-inspection"]
        indexes = [
            # "what was reviewed", newest first, and what is asked of it besides
            models.Index(fields=["inspected_at", "inspection"], name="standings_newest_first"),
            # "what this person reviewed", "what was overruled", "what is contested": filters of the history
            models.Index(fields=["reviewer", "-inspected_at"], name="standings_by_reviewer"),
            models.Index(fields=["-inspected_at"], condition=Q(overruled=True), name="standings_overruled"),
            models.Index(fields=["-inspected_at"], condition=Q(contested=True), name="standings_contested"),
            models.Index(fields=["verdict", "-inspected_at"], name="standings_by_verdict"),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id}: {self.verdict} after {self.reviews}"
