"""What disturbances of the image do to the scores of good parts, from the scores alone.

A part that cannot be compared has no score: NaN here. As in every evaluation it counts as rejected.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# The lamp may change until this multiple of the requested false-reject rate is passed.
MAX_RATE_FACTOR = 2.0
TEST, TRAINING = "test images", "training images"


def rejected_share(scores: np.ndarray, threshold: float) -> float:
    """The share of scores above the threshold or missing."""
    return float(np.mean(~(scores <= threshold)))


def effect(before: np.ndarray, after: np.ndarray, *, threshold: float, spread: float) -> dict[str, Any]:
    """One row of the table: what a disturbance did to the same good parts.

    Args:
        before, after: scores, float64 [n], NaN where a part is not comparable.
        spread: what a change is a multiple of: the standard deviation of held-out good scores.

    Returns:
        n, rejected and rejected_share (not comparable parts included), not_comparable; change_median and change_p95 in
        multiples of the spread, positive towards rejection, None where no part has both scores or nothing spreads.
    """
    change = after - before
    change = change[np.isfinite(change)] / spread if spread > 0 else change[:0]
    median, p95 = (float(value) for value in np.percentile(change, [50, 95])) if len(change) else (None, None)
    return {
        "n": len(after),
        "rejected": int(np.count_nonzero(~(after <= threshold))),
        "rejected_share": rejected_share(after, threshold),
        "not_comparable": int(np.count_nonzero(np.isnan(after))),
        "change_median": median,
        "change_p95": p95,
    }


def lamp_sentence(robustness: dict[str, Any]) -> str:
    """What the lamp may do before parts are rejected, in one sentence.

    Args:
        robustness: with expected_rate, expected_rate_is (`requested` or `held-out`), baseline and lamp: see
            `training.runs.execution.robustness`.
    """
    lamp, expected = robustness["lamp"], robustness["expected_rate"]
    source = "requested" if robustness["expected_rate_is"] == "requested" else "expected from the held-out scores"
    twice = f"twice the {_percent(expected)} {source}"
    limit = _percent(lamp["max_rejected_share"])
    if robustness["baseline"]["rejected_share"] > lamp["max_rejected_share"]:
        return (
            f"Without any disturbance {_percent(robustness['baseline']['rejected_share'])} of these good images are "
            f"rejected, more than {twice}: the threshold leaves no room for a change of the lamp."
        )
    darker, brighter = (_room(lamp[name], lamp["steps"], name) for name in ("darker", "brighter"))
    return f"The lamp may become {darker} and {brighter} before more than {limit} of good parts are rejected ({twice})."


def _room(largest: float, steps: list[float], direction: str) -> str:
    if largest <= 0:
        return f"not even {_percent(steps[0])} {direction}"
    at_least = "at least " if largest >= steps[-1] else ""
    return f"{at_least}{_percent(largest)} {direction}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
