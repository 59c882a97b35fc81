"""The rooms' models, where Django and everybody else look for them."""

from monitoring.alarms.models import Alarm, AlarmComment, AlarmMessage
from monitoring.drift.models import DriftChart, DriftCursor, DriftMonitor
from monitoring.reference_parts.models import DoubtfulPeriod, ReferenceCheck, ReferencePart

__all__ = [
    "Alarm",
    "AlarmComment",
    "AlarmMessage",
    "DoubtfulPeriod",
    "DriftChart",
    "DriftCursor",
    "DriftMonitor",
    "ReferenceCheck",
    "ReferencePart",
]
