"""A model version, as the templates describe it."""

from __future__ import annotations

from django import template

from modelzoo.models import ModelVersion

register = template.Library()
# What a version's preprocessing decided, as (name, its words).
_STEPS = {
    "illumination": ("Lighting", {"flatfield": "flat field", "none": "not corrected"}),
    "align": ("Position", {"pose": "aligned", "none": "not aligned"}),
}


@register.filter
def preprocessing_steps(version: ModelVersion) -> list[dict[str, str]]:
    """What is done to an image before the model sees it, and why; nothing for versions older than the decisions."""
    steps = []
    for key, (name, words) in _STEPS.items():
        if decided := version.preprocessing.get(key):
            value = decided["chosen"]
            steps.append({"name": name, "chosen": words.get(value, value), "because": decided["because"]})
    return steps
