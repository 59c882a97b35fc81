"""Requests to judge an image, batches of them, and the inspection records that stay."""

from __future__ import annotations

from inspection.batches.models import BatchRun
from inspection.history.models import SavedView
from inspection.judging.models import Inspection, InspectionRequest
from inspection.reviews.models import RECORDED_VERDICTS, Review, Standing

__all__ = ["RECORDED_VERDICTS", "BatchRun", "Inspection", "InspectionRequest", "Review", "SavedView", "Standing"]
