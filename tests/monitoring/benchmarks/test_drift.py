"""The drift benchmark: lines are drawn from numbers, and counted."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UserError
from monitoring.benchmarks import drift
from monitoring.drift.charts import Observation
from tests.monitoring.streams import statistics


def numbers(*, brightness: float = 0.0, focus: float = 0.0) -> drift.Numbers:
    rows = statistics(60, brightness=brightness, focus=focus)
    good = [Observation(1, 1, "good", 0.5 + index / 1000, row) for index, row in enumerate(rows)]
    return {False: good, True: []}


def test_a_drift_is_flagged_and_an_undisturbed_line_is_not() -> None:
    generator = np.random.default_rng(0)
    assert drift._false_alarms(numbers(), generator) <= 1
    delay, charts = drift._delay(numbers(), numbers(brightness=-17.0), (), generator)
    assert delay is not None
    assert delay <= drift.WITHIN
    assert charts == ["brightness"]
    assert drift._delay(numbers(), numbers(brightness=-17.0), ("brightness",), generator) == (None, [])
    assert drift._largest_shift(numbers()[False], numbers(focus=3.0)[False])[0] == "focus"


@pytest.mark.django_db
def test_without_a_model_there_is_nothing_to_measure() -> None:
    with pytest.raises(UserError, match="no data set"):
        drift.measure({"datasets": ["nothing"], "lines": 1, "undisturbed_lines": 1}, print)
    assert "No data set" in drift.as_text({"datasets": []})
