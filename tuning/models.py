"""Scoring a past period again, with another version or as it was scored, and training again with what was reviewed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_noop as _

from inspection.models import Inspection
from jobs.models import LeasedJob, sweep_index
from modelzoo.models import Deployment, ModelVersion, Threshold, finite
from records.models import Asset
from training.models import Dataset, DatasetImage, TrainingRun


class RescoringRun(LeasedJob):
    """Records of the past scored again as one job. Worked on in slices under a lease, as batches are.

    The row says how far it is: a slice's results and the place that it reached are written together or not at all.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="rescorings")
    threshold = models.ForeignKey(
        Threshold, on_delete=models.PROTECT, related_name="+", help_text="in force when the run was asked for"
    )
    device_requested = models.CharField(max_length=16)
    runtime = models.CharField(max_length=16, choices=Deployment.Runtime.choices, help_text="what was asked for")
    runtime_chosen = models.CharField(
        max_length=16, blank=True, help_text="by the first worker, and kept to by all that come after it"
    )
    precision = models.CharField(max_length=8, choices=Deployment.Precision.choices, help_text="what was asked for")
    precision_chosen = models.CharField(
        max_length=8, blank=True, help_text="by the first worker, and kept to by all that come after it"
    )
    filters = models.JSONField(help_text="which records, frozen when the run was requested")
    reason = models.CharField(max_length=500)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    total = models.PositiveIntegerField(help_text="records that the filters meant when the run was requested")
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0, help_text="of those done: the outcome is not that of the record")
    # The last record that has its result; the next ones are those after it, in this order.
    reached_at = models.DateTimeField(null=True, blank=True)
    reached_id = models.UUIDField(null=True, blank=True)
    # Records begun and not written yet, and how often. What a dead worker had begun is tried one by one.
    begun = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True)  # who claimed it last
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    rank_correlation = models.FloatField(
        null=True, blank=True, help_text="Spearman's, of the scores of the records and the new ones; set at the end"
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # "the last runs": the list, newest first
            models.Index(fields=["-created_at", "-id"], name="rescorings_newest_first"),
            sweep_index("open_rescorings_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed", "cancelled"]),
                name="rescoring_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at__isnull=True)
                | Q(status__in=["finished", "failed", "cancelled"], finished_at__isnull=False, claim__isnull=True),
                name="ended_rescoring_has_an_end",
            ),
            models.CheckConstraint(
                condition=(Q(status="failed") & ~Q(error_code="")) | (~Q(status="failed") & Q(error_code="")),
                name="failed_rescoring_says_why",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="rescoring_has_a_reason"),
            models.CheckConstraint(condition=Q(changed__lte=F("done")), name="rescoring_changed_are_done"),
            models.CheckConstraint(
                condition=Q(reached_at__isnull=True, reached_id__isnull=True)
                | Q(reached_at__isnull=False, reached_id__isnull=False),
                name="rescoring_place_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(rank_correlation__isnull=True) | Q(rank_correlation__gte=-1, rank_correlation__lte=1),
                name="rescoring_correlation_is_one",
            ),
        ]

    def __str__(self) -> str:
        return f"rescoring {self.id} with {self.model_version}"

    @property
    def runtime_options(self) -> dict[str, str]:
        """Device, runtime and precision that were asked for, as `modelzoo.loading.scoring.load_model` takes them."""
        return {"device": self.device_requested, "runtime": self.runtime, "precision": self.precision}


class Rescored(models.Model):
    """What another model says about the image of a record, or why it says nothing. The record stays what it is.

    Database triggers refuse UPDATE and DELETE, and an INSERT whose verdict does not follow from the run's threshold.
    """

    run = models.ForeignKey(RescoringRun, on_delete=models.PROTECT, related_name="results", db_index=False)
    # its index serves "what other models said about this record"
    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="rescored")
    outcome = models.CharField(max_length=16, choices=Inspection.Outcome.choices, blank=True)
    score = models.FloatField(null=True, blank=True)
    p_value = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=32, blank=True, help_text="why it cannot be compared, for programs")
    error_code = models.CharField(max_length=64, blank=True, help_text="why there is no outcome")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "rescored"
        indexes = [
            # "the results of this run", page by page
            models.Index(fields=["run", "-id"], name="rescored_of_run_in_order"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "inspection"], name="rescored_once_in_a_run"),
            models.CheckConstraint(condition=finite("score"), name="rescored_score_is_finite"),
            models.CheckConstraint(
                condition=Q(outcome__in=["good", "defective"], score__isnull=False, error_code="", reason="")
                | (Q(outcome="not_comparable", score__isnull=True, error_code="") & ~Q(reason=""))
                | (Q(outcome="", score__isnull=True, reason="") & ~Q(error_code="")),
                name="rescored_or_says_why_not",
            ),
            models.CheckConstraint(
                condition=Q(p_value__isnull=True) | Q(score__isnull=False, p_value__gt=0, p_value__lte=1),
                name="rescored_p_value_is_a_probability",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.inspection_id}: {self.outcome or self.error_code}"


class ReplayRun(LeasedJob):
    """A sample of records recomputed from their images and artifacts, and how many came out as they are recorded.

    Which records is frozen when it is asked for, and follows from the seed: the hash of the audit chain's end.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    sample = models.PositiveIntegerField(help_text="records that were asked for")
    seed = models.CharField(max_length=64, help_text="hash of the audit chain's end, by which they were drawn")
    records = models.JSONField(help_text="ids of the records that were drawn")
    done = models.PositiveIntegerField(default=0)
    equal = models.PositiveIntegerField(default=0)
    differing = models.PositiveIntegerField(default=0)
    not_recomputed = models.PositiveIntegerField(
        default=0, help_text="their artifact or image is not what was recorded, or cannot be run here"
    )
    largest_deviation = models.FloatField(default=0.0, help_text="of scores that are equal, as a share of the score")
    largest_tolerance = models.FloatField(default=0.0, help_text="that was applied: tight on the same machine")
    findings = models.JSONField(default=list, blank=True, help_text="what was not as recorded, the first fifty")
    attempt = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            sweep_index("open_replays_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed"]), name="replay_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at__isnull=True)
                | Q(status__in=["finished", "failed"], finished_at__isnull=False, claim__isnull=True),
                name="ended_replay_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(done=F("equal") + F("differing") + F("not_recomputed")), name="replayed_records_add_up"
            ),
            models.CheckConstraint(
                condition=(Q(status="failed") & ~Q(error="")) | (~Q(status="failed") & Q(error="")),
                name="failed_replay_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"replay {self.pk}"

    @property
    def is_proof(self) -> bool:
        """Whether every record that was drawn came out as it is recorded."""
        return self.status == self.Status.FINISHED and self.equal == len(self.records)


class Retraining(models.Model):
    """A training run with production's configuration and the reviewed images besides.

    When the run has made a version, it is compared with the version that it began from.
    """

    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, related_name="retraining")
    production = models.ForeignKey(
        ModelVersion,
        on_delete=models.PROTECT,
        related_name="retrainings",
        help_text="in production when it was asked for",
    )
    added_good = models.PositiveIntegerField(help_text="reviewed good parts that are training images now")
    added_test_good = models.PositiveIntegerField(help_text="reviewed good parts that are test images now")
    added_defective = models.PositiveIntegerField(help_text="reviewed defects, which are test images always")
    not_compared = models.CharField(max_length=500, blank=True, help_text="why its version cannot be compared")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"retraining of {self.production}"


class Comparison(LeasedJob):
    """Two versions on the same images, of which neither has learnt any. A job; finished, it never changes.

    Which images, and which thresholds, is frozen when it is asked for.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    candidate = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="comparisons")
    production = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="comparisons_in_production")
    candidate_threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="+")
    production_threshold = models.ForeignKey(Threshold, on_delete=models.PROTECT, related_name="+")
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, related_name="+", help_text="its test images, besides what was reviewed"
    )
    total = models.PositiveIntegerField(help_text="images")
    left_out = models.JSONField(help_text="images that were not compared, by the reason")
    images_sha256 = models.CharField(max_length=64, help_text="over the images and what they are")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    done = models.PositiveIntegerField(default=0)
    figures = models.JSONField(default=dict, blank=True)
    error_rate_difference = models.FloatField(
        null=True, blank=True, help_text="share of wrong verdicts: the candidate's less that of production"
    )
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # "the last comparisons": the list, newest first
            models.Index(fields=["-created_at", "-id"], name="comparisons_newest_first"),
            sweep_index("open_comparisons_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed"]), name="comparison_status_is_known"
            ),
            models.CheckConstraint(
                condition=(Q(status="finished") & Q(error_rate_difference__isnull=False, done=F("total")))
                | (~Q(status="finished") & Q(error_rate_difference__isnull=True)),
                name="finished_comparison_has_its_figures",
            ),
            models.CheckConstraint(
                condition=(Q(status="failed") & ~Q(error_code="")) | (~Q(status="failed") & Q(error_code="")),
                name="failed_comparison_says_why",
            ),
            models.CheckConstraint(condition=~Q(candidate=F("production")), name="comparison_is_of_two_versions"),
            models.CheckConstraint(condition=Q(total__gte=1, done__lte=F("total")), name="comparison_has_images"),
        ]

    def __str__(self) -> str:
        return f"{self.candidate} and {self.production} on {self.total} images"

    @property
    def progress(self) -> float:
        """Share of the images that were scored, 0 to 1."""
        return self.done / self.total


class ComparedImage(models.Model):
    """An image of a comparison: what it is, and what both versions said of it. A score of null: not comparable."""

    class Source(models.TextChoices):
        TEST_SET = "test_set", _("test image")
        REVIEW = "review", _("review")

    comparison = models.ForeignKey(Comparison, on_delete=models.PROTECT, related_name="images", db_index=False)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    is_defective = models.BooleanField()
    defect_type = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=16, choices=Source.choices)
    inspection = models.ForeignKey(Inspection, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    dataset_image = models.ForeignKey(DatasetImage, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    is_scored = models.BooleanField(default=False)
    candidate_score = models.FloatField(null=True, blank=True)
    production_score = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            # also serves "the images of this comparison"
            models.UniqueConstraint(fields=["comparison", "asset"], name="compared_once"),
            models.CheckConstraint(
                condition=Q(source="review", inspection__isnull=False, dataset_image__isnull=True)
                | Q(source="test_set", inspection__isnull=True, dataset_image__isnull=False),
                name="compared_image_has_its_source",
            ),
            models.CheckConstraint(
                condition=finite("candidate_score") & finite("production_score"), name="compared_scores_are_finite"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asset_id} in {self.comparison_id}"
