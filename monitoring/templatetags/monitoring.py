"""What pages of other apps say of reference parts."""

from __future__ import annotations

from django import template

from inspection.models import Inspection
from modelzoo.models import Category
from monitoring.models import DoubtfulPeriod
from monitoring.reference_parts.selectors import PROVEN, StationState, doubts_of, station_states

register = template.Library()


@register.filter
def doubts(record: Inspection) -> list[DoubtfulPeriod]:
    """The times in doubt that a record lies in."""
    return doubts_of(record)


@register.filter
def stations_not_proven(category: Category | None) -> list[StationState]:
    """Of a category, where its reference parts have not all passed in this shift."""
    return [state for state in station_states([category]) if state.state != PROVEN] if category else []
