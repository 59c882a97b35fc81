"""Size rules in templates: in words, and where figures leave them out."""

from __future__ import annotations

from django import template

from modelzoo.models import ModelVersion, Threshold
from modelzoo.scales.selectors import LEFT_OUT, have_size_rules, missing_size_rule, rule_words

register = template.Library()


@register.simple_tag
def size_rules_left_out(*versions: ModelVersion) -> str:
    """A sentence where one of the versions has a size rule, and what is shown compares scores alone."""
    return str(LEFT_OUT) if have_size_rules(version.pk for version in versions) else ""


register.filter(missing_size_rule)


@register.filter
def five_digits(value: float | None) -> str:
    """A scale with as many digits as count; a dash where there is none."""
    return "-" if value is None else f"{value:.5g}"


@register.filter
def size_rule_words(threshold: Threshold) -> list[str]:
    """A sentence for each part of the rule; none where the revision has no rule."""
    return rule_words(threshold.size_rule)
