"""Small helpers of the pages' drawings."""

from __future__ import annotations

from django import template

from inspection.models import Inspection

register = template.Library()
_LENGTH = 200.0


@register.filter
def bar_length(inspection: Inspection) -> str:
    """Length of the score's bar, 0 to 200; the threshold stands at 100, twice the threshold and more at 200."""
    if inspection.threshold_value <= 0:
        share = 1.0 if inspection.is_defective else 0.5
    else:
        share = min(1.0, max(0.0, inspection.score / inspection.threshold_value / 2))
    return f"{share * _LENGTH:.1f}"
