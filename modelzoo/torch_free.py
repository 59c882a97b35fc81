"""What web code needs of the detectors; none of it loads torch (`tests/test_layers.py` holds that)."""

from modelzoo.detectors.preprocessing.input_rules import (
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
from modelzoo.evaluation.sample_size import percentile_warning

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
