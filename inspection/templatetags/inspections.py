"""An inspection's verdict, score bar and defect regions, as the templates draw them."""

from __future__ import annotations

from django import template

from common.numbers import millimetres
from common.web.refusals import Refusal, refusal_html
from inspection.models import Inspection
from inspection.parts.completion import ViewResult
from inspection.reviews.words import (
    among_good_parts,
    deployment_word,
    method_word,
    request_state,
    statistic_words,
    verdict_word,
)
from modelzoo.evaluation.image_statistics import WORDS

register = template.Library()
_BAR_LENGTH = 200.0

register.filter(verdict_word)
register.filter(among_good_parts)
register.filter(request_state)
register.filter(method_word)
register.filter(deployment_word)


@register.filter
def bar_length(inspection: Inspection) -> str:
    """Length of the score's bar, 0 to 200; the threshold stands at 100, twice the threshold and more at 200."""
    assert inspection.score is not None, "the bar is drawn for what was scored"
    if inspection.threshold_value <= 0:
        share = 1.0 if inspection.is_defective else 0.5
    else:
        share = min(1.0, max(0.0, inspection.score / inspection.threshold_value / 2))
    return f"{share * _BAR_LENGTH:.1f}"


@register.filter
def why_not_judged(view: ViewResult) -> str:
    """Why a view of a part was refused or has no verdict."""
    return refusal_html(Refusal(view.reason, view.explanation))


@register.filter
def square_mm(area: float | None) -> str:
    """An area with its unit; empty where it was not measured."""
    return "" if area is None else f"{millimetres(area)} mm²"


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
def statistics_rows(statistics: dict[str, float]) -> list[dict[str, str]]:
    """Image statistics in words, in the order in which they are always shown."""
    names = [name for name in WORDS if name in statistics]
    return [
        {"name": statistic_words(name, words), "value": f"{statistics[name]:.4g}{'°' if unit == 'degrees' else ''}"}
        for name, (words, unit) in ((name, WORDS[name]) for name in names)
    ]
