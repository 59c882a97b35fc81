"""From the scores of good parts to a threshold and a probability. The rule everywhere: defective is score > threshold.

The scores must come from models that have not seen the parts (`Detector.held_out_scores`): in-sample scores are
smaller than those of new parts, and a threshold from them rejects too many good ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from modelzoo.detectors.errors import DetectorError, TooFewImages
from modelzoo.evaluation.rank_metrics import Ranking

Scores = Sequence[float] | np.ndarray


def percentile_threshold(scores: Scores, percentile: float) -> float:
    """The percentile (0..100) of good scores, with linear interpolation: about 100 - percentile % lie above it.

    Raises:
        DetectorError: for no scores, scores that are not finite, or a percentile out of range.
    """
    if not 0 <= percentile <= 100:
        raise DetectorError(f"percentile={percentile!r} is not valid: it lies between 0 and 100.")
    return float(np.percentile(_checked_scores(scores), percentile))


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
    values = np.sort(_checked_scores(scores))
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


def best_f1_threshold(scores: Scores, labels: Sequence[bool] | np.ndarray) -> float:
    """The threshold with the best F1 on labelled parts; it lies halfway between the two scores that it separates.

    F1 depends on the share of defective parts, so it is the best for a mix like this one.

    Args:
        scores: of parts that the model has not seen, [n].
        labels: [n], true where the part is defective.

    Raises:
        TooFewImages: without good or without defective parts.
        DetectorError: for scores that are not finite, or labels that do not belong to them.
    """
    _, threshold = _checked_ranking(scores, labels).best_f1()
    assert threshold is not None  # there are defective parts
    return threshold


def cost_threshold(
    scores: Scores,
    labels: Sequence[bool] | np.ndarray,
    *,
    cost_false_reject: float,
    cost_escape: float,
    prevalence: float | None = None,
) -> float:
    """The threshold with the lowest expected cost per part on labelled parts; of equals the one that rejects fewest.

    The cost is (1 - prevalence) * cost_false_reject * false-reject rate + prevalence * cost_escape * escape rate.

    Args:
        scores, labels: as in `best_f1_threshold`.
        cost_false_reject: of rejecting a good part, more than 0, in any unit.
        cost_escape: of accepting a defective one, more than 0, in the same unit.
        prevalence: the share of defective parts on the line, between 0 and 1; that of `labels` by default, which is
            seldom the line's, since defective parts are collected on purpose.

    Raises:
        TooFewImages: without good or without defective parts.
        DetectorError: for costs or a prevalence out of range, and as in `best_f1_threshold`.
    """
    for name, value in (("cost_false_reject", cost_false_reject), ("cost_escape", cost_escape)):
        if not 0 < value < math.inf:
            raise DetectorError(f"{name}={value!r} is not valid: it is more than 0.")
    ranking = _checked_ranking(scores, labels)
    share = ranking.n_positive / (ranking.n_positive + ranking.n_negative) if prevalence is None else prevalence
    if not 0 < share < 1:
        raise DetectorError(f"prevalence={prevalence!r} is not valid: it lies between 0 and 1.")
    return min_cost_threshold(
        ranking,
        cost_false_reject=(1 - share) * cost_false_reject / ranking.n_negative,
        cost_escape=share * cost_escape / ranking.n_positive,
    )


def min_cost_threshold(ranking: Ranking, *, cost_false_reject: float, cost_escape: float) -> float:
    """The threshold with the least cost of the parts of a ranking, which may be weighted; of equals the highest."""
    false_rejects = np.concatenate([[0.0], np.cumsum(ranking.negatives)])
    detected = np.concatenate([[0.0], np.cumsum(ranking.positives)])
    cost = cost_false_reject * false_rejects + cost_escape * (ranking.positives.sum() - detected)
    return ranking.cut(int(np.argmin(cost)))


def p_value(score: float, held_out_scores: Scores) -> float:
    """The share of good parts at least as anomalous as this one, the part itself included: (1 + #{s >= score})/(n+1).

    For a good part it is at most x with probability at most x, for every x in 0..1; a small value speaks for a defect.

    Raises:
        DetectorError: for no scores, or scores that are not finite.
    """
    values = _checked_scores(held_out_scores)
    if not math.isfinite(score):
        raise DetectorError(f"The score {score!r} is not a finite number.")
    return float((1 + np.count_nonzero(values >= score)) / (len(values) + 1))


def _checked_scores(scores: Scores) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise DetectorError("There are no scores of good images to calibrate with.")
    if not np.isfinite(values).all():
        raise DetectorError("Some scores of good images are not finite numbers.")
    return values


def _checked_ranking(scores: Scores, labels: Sequence[bool] | np.ndarray) -> Ranking:
    values, defective = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if values.ndim != 1 or values.shape != defective.shape:
        raise DetectorError(f"There are {values.size} scores and {defective.size} labels; each score has one label.")
    if not np.isfinite(values).all():
        raise DetectorError("Some scores are not finite numbers.")
    if defective.all() or not defective.any():
        raise TooFewImages(
            f"There are {np.count_nonzero(~defective)} good parts and {np.count_nonzero(defective)} defects; this "
            "threshold needs at least one of each. Label some, or choose a threshold from good parts only."
        )
    return Ranking.of(values, defective)
