"""What pages of other rooms show of quality."""

from __future__ import annotations

from typing import Any

from django import template

from modelzoo.models import ModelVersion, Threshold
from quality.random_audit.pages import threshold_audit

register = template.Library()


@register.inclusion_tag("quality/_threshold_audit.html")
def random_audit(version: ModelVersion, threshold: Threshold) -> dict[str, Any]:
    """What random audits tell of the parts that passed."""
    return threshold_audit(version, threshold)
