"""Which values of 16-bit grey images are black and white for a model: decided from good images alone, kept with it.

Cameras for measuring, X-ray and thermal ones use a part of the 65,536 values that a file can hold, often a small one.
The window is that part. What lies outside of it is clipped, in training and on the line alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from common.pixels.sixteen_bit import Window, clipped_share, histogram, percentile_window, to_eight_bit
from modelzoo.detectors.preprocessing.input_check import Finding
from modelzoo.detectors.preprocessing.input_rules import (
    COLOUR,
    EIGHT_BIT_PICTURE,
    OFF,
    OUTSIDE_WINDOW,
    REFUSE,
    InputRules,
)

# Free room below and above the good images, as a share of their range: a defect may be darker or brighter.
MARGIN = 0.1
# With fewer grey levels a picture shows steps where the part has none.
MIN_LEVELS = 64
# Pixels outside of the window, as a share, from which on a picture is said to be clipped.
MAX_CLIPPED_SHARE = 0.02
DECIDE: Window = (0, 0)
"""The option that leaves the window to the good images."""


@dataclass(frozen=True)
class GreyWindow:
    """Black at or below `low`, white at or above `high`. `has_eight_bit`: whether there were good 8-bit images too."""

    low: int
    high: int
    has_eight_bit: bool = False

    @property
    def bounds(self) -> Window:
        return self.low, self.high

    def apply(self, image: Image.Image) -> Image.Image:
        """A 16-bit image as RGB, 8 bits."""
        return to_eight_bit(image, self.bounds).convert("RGB")

    def check_sixteen_bit(self, image: Image.Image) -> list[Finding]:
        """What is odd about a 16-bit image: that much of it is clipped."""
        share = clipped_share(histogram(image), self.bounds)
        if share <= MAX_CLIPPED_SHARE:
            return []
        sentence = (
            f"{100 * share:.0f} % of the pixels lie outside of the values {self.low} to {self.high} that the model "
            "was trained with; they count as black or white."
        )
        return [Finding(COLOUR, OUTSIDE_WINDOW, sentence, refused=False)]

    def check_eight_bit(self, rules: InputRules) -> list[Finding]:
        """What is odd about an 8-bit image: that the model only knows 16-bit ones."""
        if self.has_eight_bit or rules.colour == OFF:
            return []
        sentence = "The image has 8 bits per pixel; the training images have 16, and their window says nothing of it."
        return [Finding(COLOUR, EIGHT_BIT_PICTURE, sentence, rules.colour == REFUSE)]

    def describe(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self)

    @classmethod
    def restore(cls, description: Mapping[str, Any]) -> Self:
        """The inverse of `describe`."""
        return cls(int(description["low"]), int(description["high"]), bool(description["has_eight_bit"]))


def decide_window(
    histograms: Sequence[np.ndarray], requested: Window, *, has_eight_bit: bool
) -> tuple[GreyWindow, dict[str, Any]]:
    """The window for 16-bit good images, and why.

    Args:
        histograms: of each, int64 [65536].
        requested: low and high, or `DECIDE`.
        has_eight_bit: whether there are good 8-bit images too.
    """
    counts = np.sum(histograms, axis=0)
    low, high = percentile_window(counts)
    evidence = {"images_examined": len(histograms), "darkest": low, "brightest": high}
    if requested == DECIDE:
        room = round(MARGIN * (high - low))
        bounds = max(0, low - room), min(len(counts) - 1, high + room)
        because = f"99.8 % of the pixels of the good images lie from {low} to {high}, and defects may lie beyond"
    else:
        bounds = requested
        because = "it was requested"
    levels = _levels(counts, bounds)
    if levels < min(MIN_LEVELS, np.count_nonzero(counts) / 2):  # not where the images have no more themselves
        because += f"; only {levels} grey levels of the good images remain, so that fine differences may be lost"
    window = GreyWindow(*bounds, has_eight_bit)
    return window, {
        "chosen": f"{window.low} to {window.high}",
        "because": because,
        "low": window.low,
        "high": window.high,
        "levels": levels,
        **evidence,
    }


def _levels(counts: np.ndarray, window: Window) -> int:
    """How many of the 256 grey levels the values that occur come to lie on."""
    present = np.flatnonzero(counts).astype(np.uint16)
    return len(np.unique(np.asarray(to_eight_bit(Image.fromarray(present[None]), window))))
