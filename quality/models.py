"""Random audits of the parts that passed, containments of escapes, promises of thresholds, and the review queue."""

from __future__ import annotations

from quality.containment.models import ContainedPart, Containment
from quality.measurement_system.models import MeasurementStudy, StudyAnswer, StudyAppraiser, StudyPart
from quality.promises.models import PromiseResult
from quality.random_audit.models import AuditedShift, BlindDecision, DrawnPart, SamplingPlan
from quality.review_queue.models import Cause, QueueDecision, Reservation, ReviewBudget

__all__ = [
    "AuditedShift",
    "BlindDecision",
    "Cause",
    "ContainedPart",
    "Containment",
    "DrawnPart",
    "MeasurementStudy",
    "PromiseResult",
    "QueueDecision",
    "Reservation",
    "ReviewBudget",
    "SamplingPlan",
    "StudyAnswer",
    "StudyAppraiser",
    "StudyPart",
]
