"""What is checked of a picture before it is judged (see `input_check`), and what follows. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

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
