"""The budget of reviews of a shift, which part somebody is looking at now, and what came of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from inspection.models import Inspection, Review
from modelzoo.models import Category
from quality.random_audit.models import DrawnPart

MAX_PER_SHIFT = 1000


class Cause(models.TextChoices):
    """What put a part into the queue."""

    THRESHOLD = "threshold", _("near the threshold")
    NOVELTY = "novelty", _("unlike what was reviewed")
    DISAGREEMENT = "disagreement", _("another version disagrees")
    RANDOM_AUDIT = "random_audit", _("random audit")


class ReviewBudget(models.Model):
    """How many parts of a category people review in a shift. Append-only: the highest revision is in force.

    A category without a row has the defaults of `selectors.Budget`.
    """

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="review_budgets", db_index=False)
    revision = models.PositiveIntegerField()
    per_shift = models.PositiveIntegerField(help_text="parts, those of the random audit included")
    shift_starts = models.JSONField(help_text="times of day, HH:MM, in the system's time zone")
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the budget of this category"
            models.UniqueConstraint(fields=["category", "revision"], name="review_budget_revision_is_unique"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="review_budget_revision_from_one"),
            models.CheckConstraint(
                condition=Q(per_shift__gte=1, per_shift__lte=MAX_PER_SHIFT), name="review_budget_is_in_range"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="review_budget_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"review budget of {self.category.name}, revision {self.revision}"


class Reservation(models.Model):
    """The part that a person has before them. It lapses, so that one who goes away keeps nobody from it.

    Like a claim of a worker it is no part of the record: what stays is the decision.
    """

    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="+", db_index=False)
    inspection = models.OneToOneField(Inspection, on_delete=models.CASCADE, related_name="+")
    part = models.ForeignKey(
        DrawnPart, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text="of the random audit"
    )
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    cause = models.CharField(max_length=16, choices=Cause.choices)
    why = models.CharField(max_length=300)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "what this person has before them"
            models.UniqueConstraint(fields=["category", "reviewer"], name="one_part_reserved_for_a_reviewer"),
            models.CheckConstraint(
                condition=Q(cause="random_audit", part__isnull=False)
                | (Q(part__isnull=True) & ~Q(cause="random_audit")),
                name="reserved_audit_part_is_named",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id} for {self.reviewer_id}"


class QueueDecision(models.Model):
    """What a person said of a part that the queue gave them. Append-only. Good and defective are a review as well."""

    class Decision(models.TextChoices):
        GOOD = "good"
        DEFECTIVE = "defective"
        UNCLEAR = "unclear"
        SKIPPED = "skipped"

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="+", db_index=False)
    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=16, choices=Decision.choices)
    cause = models.CharField(max_length=16, choices=Cause.choices)
    why = models.CharField(max_length=300)
    review = models.OneToOneField(Review, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            # "how many of this shift" (selectors.progress_of)
            models.Index(fields=["category", "created_at"], name="queue_decisions_of_shift"),
        ]
        constraints = [
            # also serves "what this person was given before"
            models.UniqueConstraint(fields=["reviewer", "inspection"], name="queue_asks_a_person_once"),
            models.CheckConstraint(
                condition=Q(decision__in=["good", "defective"], review__isnull=False)
                | Q(decision__in=["unclear", "skipped"], review__isnull=True),
                name="clear_queue_decision_is_a_review",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id}: {self.decision}"
