"""From the scores of good parts to a threshold and a probability. The rule everywhere: defective is score > threshold.

The scores must come from models that have not seen the parts (`Detector.held_out_scores`): in-sample scores are
smaller than those of new parts, and a threshold from them rejects too many good ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from modelzoo.detectors.errors import DetectorError, TooFewImages

Scores = Sequence[float] | np.ndarray


def percentile_threshold(scores: Scores, percentile: float) -> float:
    """The percentile (0..100) of good scores, with linear interpolation: about 100 - percentile % lie above it.

    Raises:
        DetectorError: for no scores, scores that are not finite, or a percentile out of range.
    """
    if not 0 <= percentile <= 100:
        raise DetectorError(f"percentile={percentile!r} is not valid: it lies between 0 and 100.")
    return float(np.percentile(_good(scores), percentile))


def conformal_threshold(scores: Scores, false_reject_rate: float) -> float:
    """The split-conformal threshold (Vovk et al. 2005; Lei et al. 2018).

    A new good part, exchangeable with those of `scores`, scores above it with probability at most
    `false_reject_rate`, whatever the distribution. It is the k-th smallest of n scores, k = ceil((n+1)(1-rate)).

    Raises:
        TooFewImages: when n is too small for such a promise: it needs 1 / rate - 1 scores at least.
        DetectorError: for scores that are not finite, or a rate that is not between 0 and 1.
    """
    if not 0 < false_reject_rate < 1:
        raise DetectorError(f"false_reject_rate={false_reject_rate!r} is not valid: it lies between 0 and 1.")
    values = np.sort(_good(scores))
    n = len(values)
    # How many of n + 1 exchangeable scores may lie above; the small term forgives the rounding of 0.1 * 20.
    above = math.floor((n + 1) * false_reject_rate + 1e-9)
    if above < 1:
        needed = math.ceil(1 / false_reject_rate - 1e-9) - 1
        raise TooFewImages(
            f"A false-reject rate of {false_reject_rate:.3g} can only be promised with at least {needed} held-out "
            f"good images, there are {n}. Take more good images or allow a higher rate."
        )
    return float(values[n - above])


def p_value(score: float, held_out_scores: Scores) -> float:
    """The share of good parts at least as anomalous as this one, the part itself included: (1 + #{s >= score})/(n+1).

    For a good part it is at most x with probability at most x, for every x in 0..1; a small value speaks for a defect.

    Raises:
        DetectorError: for no scores, or scores that are not finite.
    """
    values = _good(held_out_scores)
    if not math.isfinite(score):
        raise DetectorError(f"The score {score!r} is not a finite number.")
    return float((1 + np.count_nonzero(values >= score)) / (len(values) + 1))


def _good(scores: Scores) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise DetectorError("There are no scores of good images to calibrate with.")
    if not np.isfinite(values).all():
        raise DetectorError("Some scores of good images are not finite numbers.")
    return values
