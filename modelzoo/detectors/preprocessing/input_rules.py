"""What is checked of a picture before it is judged (see `input_check`), and what follows. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIZE, ASPECT, COLOUR, LIKENESS = "size", "aspect", "colour", "likeness"
CHECKS = (SIZE, ASPECT, COLOUR, LIKENESS)
OFF, WARN, REFUSE = "off", "warn", "refuse"
ACTIONS = (OFF, WARN, REFUSE)


@dataclass(frozen=True)
class InputRules:
    """What is checked, what follows, and how much is tolerated.

    Attributes:
        size, aspect, colour, likeness: `off`, `warn` (the part is judged, the record says what is odd) or `refuse` (it
            is not comparable).
        size_factor: how many times longer or shorter than those of the training images the sides may be, more than 1.
        aspect_percent: by how many per cent the ratio of width to height may differ from theirs.
        likeness_factor: how many times the learnt limit of the distance is allowed.
    """

    size: str = REFUSE
    aspect: str = REFUSE
    colour: str = REFUSE
    likeness: str = REFUSE
    size_factor: float = 4.0
    aspect_percent: float = 5.0
    likeness_factor: float = 1.0


TOLERANCES = {"size_factor": (1.01, 100.0), "aspect_percent": (0.0, 1000.0), "likeness_factor": (0.1, 100.0)}
"""The least and the largest that each may be."""

OTHER_SIZE, OTHER_ASPECT, UNLIKE_TRAINING = "other_size", "other_aspect", "unlike_training"
GREY_PICTURE, COLOURED_PICTURE = "grey_picture", "coloured_picture"
EIGHT_BIT_PICTURE, SIXTEEN_BIT_PICTURE, OUTSIDE_WINDOW = "eight_bit_picture", "sixteen_bit_picture", "outside_window"
REASONS = (
    OTHER_SIZE,
    OTHER_ASPECT,
    GREY_PICTURE,
    COLOURED_PICTURE,
    EIGHT_BIT_PICTURE,
    SIXTEEN_BIT_PICTURE,
    OUTSIDE_WINDOW,
    UNLIKE_TRAINING,
)
"""What is odd about a picture, mostly a reason to refuse it, for programs."""
# Colourfulness below which a picture is called grey, and how many times more or less is another colour.
GREY, _CLEARLY = 0.01, 4.0
_SAMPLES = 48


def colourfulness(image: Image.Image) -> float:
    """Mean difference between the largest and the smallest channel of an RGB image, 0..1, from a sample of pixels."""
    sample = np.asarray(image.resize((_SAMPLES, _SAMPLES), Image.Resampling.NEAREST), dtype=np.int16)
    return float((sample.max(axis=2) - sample.min(axis=2)).mean() / 255)


def odd_colour(value: float, *, lowest: float, highest: float) -> str:
    """`grey_picture` among coloured ones, `coloured_picture` among grey ones, else empty.

    Args:
        found: colourfulness of a picture.
        lowest, highest: of the training images.
    """
    if lowest >= GREY and value < lowest / _CLEARLY:
        return GREY_PICTURE
    return COLOURED_PICTURE if highest < GREY and value > max(highest, GREY) * _CLEARLY else ""
