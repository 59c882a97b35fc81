"""A size rule in words."""

from __future__ import annotations

from django import template

from modelzoo.models import Threshold
from modelzoo.scales.selectors import rule_words

register = template.Library()


@register.filter
def size_rule_words(threshold: Threshold) -> list[str]:
    """A sentence for each part of the rule; none where the revision has no rule."""
    return rule_words(threshold.size_rule)
