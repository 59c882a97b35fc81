"""Data set snapshots, training runs, evaluations and the jobs that make them."""

from __future__ import annotations

from training.datasets.models import Dataset, DatasetImage
from training.evaluations.models import EvaluationRun
from training.runs.models import Evaluation, TrainingRun

__all__ = ["Dataset", "DatasetImage", "Evaluation", "EvaluationRun", "TrainingRun"]
