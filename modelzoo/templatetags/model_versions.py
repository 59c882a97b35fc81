"""A model version, as the templates describe it."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.utils.translation import gettext_noop as _

from modelzoo.models import ModelVersion

register = template.Library()
# What a version's preprocessing decided, as (name, its words).
_STEPS: dict[str, tuple[str, dict[str, str]]] = {
    "window": (_("16-bit values"), {}),
    "illumination": (_("Lighting"), {"flatfield": _("flat field"), "none": _("not corrected")}),
    "align": (_("Position"), {"pose": _("aligned"), "none": _("not aligned")}),
    "size": (_("Input size"), {}),
}


@register.filter
def svg_path(polygons: Iterable[Iterable[tuple[int, int]]]) -> str:
    """Closed polygons as the `d` of an SVG path."""
    return "".join("M" + "L".join(f"{x} {y}" for x, y in polygon) + "Z" for polygon in polygons)


@register.filter
def hatch_step(width: int, height: int) -> str:
    """The distance of the lines of a hatching, in a picture's pixels: some sixty on its longer side."""
    return f"{max(width, height) / 60:.2f}"


@register.filter
def preprocessing_steps(version: ModelVersion) -> list[dict[str, str]]:
    """What is done to an image before the model sees it, and why; nothing for versions older than the decisions."""
    steps = []
    for key, (name, words) in _STEPS.items():
        if decided := version.preprocessing.get(key):
            value = decided["chosen"]
            steps.append({"name": name, "chosen": words.get(value, value), "because": decided["because"]})
    return steps
