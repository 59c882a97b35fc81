"""Small helpers of the pages' drawings and wordings."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils.timesince import timesince

from common.numbers import score_text
from common.web.toasts import undo_of
from inspection.judging.documents import VERDICT_WORDS
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from records.models import Asset

register = template.Library()
_LENGTH = 200.0
# What a version's preprocessing decided, as (name, its words).
_STEPS = {
    "illumination": ("Lighting", {"flatfield": "flat field", "none": "not corrected"}),
    "align": ("Position", {"pose": "aligned", "none": "not aligned"}),
}


register.filter(undo_of)


@register.filter
def score(value: float | None, beside: float = 0.0) -> str:
    """A score or a threshold, in the one precision that it has on pages: that of the threshold `beside` it."""
    return "" if value is None else score_text(value, beside)


@register.filter
def signed(value: float, beside: float = 0.0) -> str:
    """A difference of scores, with its sign; as `score`."""
    sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
    return sign + score_text(abs(value), beside)


@register.filter
def verdict_word(verdict: str) -> str:
    """A verdict as the one word that all pages have for it."""
    return VERDICT_WORDS[verdict]


@register.filter
def ago(moment: datetime) -> str:
    """How long ago, with the largest unit alone; the exact time stands in the title."""
    words = str(naturaltime(moment))
    return f"{words.partition(',')[0]} ago" if "," in words else words


@register.filter
def lasted(begin: datetime, end: datetime) -> str:
    """A span of time: seconds below two minutes, else its two largest units."""
    seconds = (end - begin).total_seconds()
    return f"{seconds:.0f} seconds" if seconds < 120 else timesince(begin, end)


@register.filter
def bar_length(inspection: Inspection) -> str:
    """Length of the score's bar, 0 to 200; the threshold stands at 100, twice the threshold and more at 200."""
    assert inspection.score is not None, "the bar is drawn for what was scored"
    if inspection.threshold_value <= 0:
        share = 1.0 if inspection.is_defective else 0.5
    else:
        share = min(1.0, max(0.0, inspection.score / inspection.threshold_value / 2))
    return f"{share * _LENGTH:.1f}"


@register.filter
def kept(asset: Asset | None) -> bool:
    """Whether there is a file, and retention has not removed it."""
    return asset is not None and asset.discarded_at is None


@register.filter
def region_boxes(inspection: Inspection) -> list[dict[str, int]]:
    """Boxes around the defect regions to draw over the image, in its pixels.

    They stand off by a hundredth of the image, so that a spot of three pixels can be seen as well. `text` is the size
    of the number at the box; it stands at `left`, `baseline`: above the box, or below where there is no room.
    """
    width, height = inspection.asset.width, inspection.asset.height
    off, text = max(1, max(width, height) // 100), max(3, max(width, height) // 28)
    boxes = []
    for region in inspection.regions or []:
        x, y = max(0, region["x"] - off), max(0, region["y"] - off)
        right = min(width, region["x"] + region["width"] + off)
        bottom = min(height, region["y"] + region["height"] + off)
        baseline = y - off if y - off >= text else min(height - 1, bottom + off + text)
        left = max(0, min(x, width - 3 * text // 2))
        box = {"x": x, "y": y, "width": right - x, "height": bottom - y}
        boxes.append(box | {"text": text, "left": left, "baseline": baseline})
    return boxes


@register.filter
def preprocessing_steps(version: ModelVersion) -> list[dict[str, str]]:
    """What is done to an image before the model sees it, and why; nothing for versions older than the decisions."""
    steps = []
    for key, (name, words) in _STEPS.items():
        if decided := version.preprocessing.get(key):
            chosen = decided["chosen"]
            steps.append({"name": name, "chosen": words.get(chosen, chosen), "because": decided["because"]})
    return steps


@register.filter
def share(value: float | None) -> str:
    """A share of one in percent."""
    return "not known" if value is None else f"{100 * value:.1f} %"
