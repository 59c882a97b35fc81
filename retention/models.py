"""How long what is kept: policies, and the runs that carry them out."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from jobs.models import LeasedJob, sweep_index
from modelzoo.models import Category

MAX_DAYS = 36_500
MAX_KEEP_EVERY = 1_000_000
_DAYS = [MinValueValidator(1), MaxValueValidator(MAX_DAYS)]


def _days(field: str) -> Q:
    return Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gte": 1, f"{field}__lte": MAX_DAYS})


class RetentionPolicy(models.Model):
    """One revision of how long the files of a category are kept. Append-only: the highest revision is in force.

    It is about files only. Records stay for ever, and so do the files of a category that has no policy.
    """

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="retention_policies", db_index=False)
    revision = models.PositiveIntegerField()
    good_after_days = models.PositiveIntegerField(
        null=True, blank=True, validators=_DAYS, help_text="then images of good parts may go; empty: never"
    )
    good_keep_every = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(MAX_KEEP_EVERY)], help_text="of those, one in so many stays; 0: none"
    )
    maps_after_days = models.PositiveIntegerField(
        null=True, blank=True, validators=_DAYS, help_text="then maps of good parts may go; empty: with their images"
    )
    defective_after_days = models.PositiveIntegerField(
        null=True, blank=True, validators=_DAYS, help_text="the same for all that was not judged good; empty: never"
    )
    keep_reviewed = models.BooleanField(default=True, help_text="what a person looked at stays, whatever it is")
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "retention policies"
        constraints = [
            # also serves "the policy in force of this category"
            models.UniqueConstraint(fields=["category", "revision"], name="retention_revision_is_unique"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="retention_revision_from_one"),
            models.CheckConstraint(
                condition=_days("good_after_days") & _days("maps_after_days") & _days("defective_after_days"),
                name="retention_days_from_one",
            ),
            models.CheckConstraint(
                condition=Q(good_keep_every__gte=0, good_keep_every__lte=MAX_KEEP_EVERY),
                name="retention_keeps_one_in_some",
            ),
        ]

    def __str__(self) -> str:
        return f"retention of {self.category.name}, revision {self.revision}"


class RetentionRun(LeasedJob):
    """One walk over all files that a policy is about, or over those that belong to nobody (no policy).

    A dry run counts what would go; a real one removes it. The row is the truth: whoever works on it claims it and
    renews a lease, and a run whose worker died goes on where it was.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"

    policy = models.ForeignKey(RetentionPolicy, null=True, blank=True, on_delete=models.PROTECT, related_name="runs")
    orphan_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="ORPHAN_DAYS when it began, where it is about what belongs to nobody"
    )
    dry_run = models.BooleanField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    last_asset = models.BigIntegerField(default=0, help_text="files up to this id were looked at")
    folders_done = models.PositiveSmallIntegerField(default=0, help_text="folders of the storage that were looked at")
    images = models.PositiveIntegerField(default=0)
    maps = models.PositiveIntegerField(default=0)
    orphans = models.PositiveIntegerField(default=0, help_text="images that no record refers to")
    leftovers = models.PositiveIntegerField(default=0, help_text="files and folders that no row refers to")
    size_bytes = models.PositiveBigIntegerField(default=0)
    oldest = models.DateTimeField(null=True, blank=True)
    examples = models.JSONField(default=list, help_text="the first few")
    first_sha256 = models.CharField(max_length=64, blank=True)
    last_sha256 = models.CharField(max_length=64, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True, help_text="ages are counted back from here")

    class Meta:
        ordering = ["-id"]
        indexes = [
            sweep_index("open_retention_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed"]),
                name="retention_run_status_is_known",
            ),
            models.UniqueConstraint(
                fields=["status"], condition=Q(status="running"), name="one_retention_run_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(policy__isnull=True, orphan_days__isnull=False)
                | Q(policy__isnull=False, orphan_days__isnull=True),
                name="retention_run_has_one_subject",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["finished", "failed"]) | Q(finished_at__isnull=False),
                name="retention_run_that_ended_has_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(status="failed") | ~Q(error_code=""), name="failed_retention_run_says_why"
            ),
        ]

    def __str__(self) -> str:
        return f"{'dry ' if self.dry_run else ''}run {self.pk}: {self.subject}"

    @property
    def subject(self) -> str:
        return str(self.policy) if self.policy else "orphaned files"

    def before(self, days: int) -> datetime:
        """What is older than so many days is older than this."""
        return self.created_at - timedelta(days=days)
