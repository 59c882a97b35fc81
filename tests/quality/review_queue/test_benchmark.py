"""What the order is worth: counted on made-up parts, whose answer can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.benchmarks import review_queue
from quality.benchmarks.review_queue import Part, compare, suggested_threshold
from quality.review_queue.order import Model


def test_wrong_verdicts_near_the_threshold_are_found():
    parts = [Part(score, False, {}) for score in np.linspace(0, 8, 40)] + [Part(9.9, True, {}), Part(9.8, True, {})]
    parts += [Part(score, True, {}) for score in np.linspace(20, 30, 20)]
    found = compare(parts, Model(10.0, [1.0, 2.0, 3.0]), budget=4, draws=20)
    assert (found["wrong"], found["wrong_at_best_threshold"]) == (2, 0)
    assert found["queue"] == {"found": 2.0, "wrong_after": 0.0}
    assert found["random"]["found"] < 1
    assert found["score"] == {"found": 0.0, "wrong_after": 2.0}


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), min_size=1, max_size=12), st.floats(0, 10))
def test_the_suggested_threshold_is_the_best_one(rows, present):
    scores, truth = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    suggested = suggested_threshold(scores, truth, present)
    grid = [*scores, *(scores - 1e-7), -1.0, 11.0, present]
    least = min(int(((scores > value) != truth).sum()) for value in grid)
    assert int(((scores > suggested) != truth).sum()) <= least
    if int(((scores > present) != truth).sum()) == least:
        assert suggested == present


def test_the_text_names_the_worst_set():
    part = Part(1.0, True, {})
    row = {"dataset": "disc"} | compare([part, Part(0.0, False, {})], Model(2.0, [1.0]), budget=1, draws=2)
    worst = {"dataset": "disc", "found_less_random": 0.5}
    text = review_queue.as_text({"budget": 1, "rows": [row], "worst": worst})
    assert "Least gain over random: disc, +0.5" in text
    assert row["queue"]["found"] == pytest.approx(1.0)
