"""Requests to judge an image, batches of them, parts of several views, and the records that stay."""

from __future__ import annotations

from inspection.batches.models import BatchRun
from inspection.history.models import SavedView
from inspection.judging.models import Inspection, InspectionRequest
from inspection.part_layouts.models import LayoutView, PartLayout
from inspection.parts.models import PartInspection, PartInspectionView, PartRequest, PartRequestView
from inspection.reviews.models import RECORDED_VERDICTS, Review, Standing

__all__ = [
    "RECORDED_VERDICTS",
    "BatchRun",
    "Inspection",
    "InspectionRequest",
    "LayoutView",
    "PartInspection",
    "PartInspectionView",
    "PartLayout",
    "PartRequest",
    "PartRequestView",
    "Review",
    "SavedView",
    "Standing",
]
