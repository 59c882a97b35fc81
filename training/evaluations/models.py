"""Evaluations that were asked for."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from jobs.models import LeasedJob, sweep_index
from modelzoo.models import ModelVersion
from training.datasets.models import Dataset
from training.runs.models import Evaluation


class EvaluationRun(LeasedJob):
    """A version scoring the test images of a data set, as a job. What came of it is an `Evaluation`."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evaluation_runs")
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="evaluation_runs")
    robustness = models.BooleanField(default=False, help_text="also measure how disturbances change good images")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    progress = models.FloatField(default=0.0)
    attempt = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    evaluation = models.OneToOneField(Evaluation, null=True, blank=True, on_delete=models.PROTECT, related_name="run")

    class Meta:
        ordering = ["-id"]
        indexes = [
            sweep_index("open_evaluations_by_lease"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "finished", "failed"]),
                name="evaluation_run_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status="finished", evaluation__isnull=False)
                | (~Q(status="finished") & Q(evaluation__isnull=True)),
                name="finished_evaluation_run_has_its_figures",
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(error=""), name="failed_evaluation_run_says_why"),
            models.CheckConstraint(
                condition=Q(progress__gte=0.0, progress__lte=1.0), name="evaluation_run_progress_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return f"evaluation of {self.model_version} on {self.dataset}"
