"""Effects of disturbances, against what one counts by hand, and the sentence about the lamp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelzoo.evaluation.robustness import effect, lamp_sentence, rejected_share

NAN = float("nan")


def test_an_effect_is_counted_over_all_and_measured_over_those_with_both_scores() -> None:
    before = np.array([1.0, 2.0, 3.0, 4.0, NAN])
    after = np.array([2.0, 5.0, 2.0, NAN, 9.0])
    row = effect(before, after, threshold=4.5, spread=2.0)
    assert (row["n"], row["rejected"], row["rejected_share"], row["not_comparable"]) == (5, 3, 0.6, 1)
    changes = [0.5, 1.5, -0.5]
    assert row["change_median"] == pytest.approx(np.median(changes))
    assert row["change_p95"] == pytest.approx(np.percentile(changes, 95))
    assert rejected_share(before, 4.5) == pytest.approx(0.2)


def test_a_score_at_the_threshold_is_accepted() -> None:
    assert rejected_share(np.array([4.5, 4.6]), 4.5) == 0.5


@pytest.mark.parametrize(("after", "spread"), [([NAN, NAN], 1.0), ([1.0, 2.0], 0.0)])
def test_where_there_is_nothing_to_measure_a_change_by_there_is_none(after: list[float], spread: float) -> None:
    row = effect(np.array([1.0, 1.0]), np.array(after), threshold=3.0, spread=spread)
    assert row["change_median"] is row["change_p95"] is None


def measured(darker: float, brighter: float, *, before: float = 0.05, source: str = "requested") -> dict[str, Any]:
    lamp = {"steps": [0.05, 0.1, 0.5], "max_rejected_share": 0.2, "darker": darker, "brighter": brighter}
    return {"baseline": {"rejected_share": before}, "lamp": lamp, "expected_rate": 0.1, "expected_rate_is": source}


def test_the_sentence_says_what_the_lamp_may_do() -> None:
    assert lamp_sentence(measured(0.1, 0.0)) == (
        "The lamp may become 10 % darker and not even 5 % brighter before more than 20 % of good parts are rejected "
        "(twice the 10 % requested)."
    )
    assert "at least 50 % darker and at least 50 % brighter" in lamp_sentence(measured(0.5, 0.5))
    assert "(twice the 10 % expected from the held-out scores)" in lamp_sentence(measured(0.5, 0.5, source="held-out"))
    none = lamp_sentence(measured(0.0, 0.0, before=0.25))
    assert none.startswith("Without any disturbance 25 % of these good images are rejected, more than twice the 10 %")
