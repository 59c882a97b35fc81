"""What web code needs of the detectors; none of it loads torch (`tests/test_layers.py` holds that)."""

from modelzoo.detectors.input_rules import (
    ACTIONS,
    ASPECT,
    CHECKS,
    COLOUR,
    LIKENESS,
    REASONS,
    SIZE,
    TOLERANCES,
    InputRules,
)
from modelzoo.detectors.sample_size import percentile_warning

__all__ = [
    "ACTIONS",
    "ASPECT",
    "CHECKS",
    "COLOUR",
    "LIKENESS",
    "REASONS",
    "SIZE",
    "TOLERANCES",
    "InputRules",
    "percentile_warning",
]
