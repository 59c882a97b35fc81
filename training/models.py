"""Data set snapshots, training runs, evaluations."""

from __future__ import annotations

from training.datasets.models import Dataset, DatasetImage
from training.runs.models import Evaluation, TrainingRun

__all__ = ["Dataset", "DatasetImage", "Evaluation", "TrainingRun"]
