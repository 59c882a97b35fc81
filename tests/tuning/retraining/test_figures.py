"""Two sets of verdicts on the same images, against an independent calculation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from tuning.retraining.figures import Verdicts, compare, mcnemar_exact


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_a_binomial_test_of_the_discordant_pairs(one, other):
    expected = binomtest(one, one + other, 0.5).pvalue if one + other else 1.0
    assert mcnemar_exact(one, other) == pytest.approx(expected)
    assert mcnemar_exact(other, one) == mcnemar_exact(one, other)


_SCORES = st.one_of(st.none(), st.floats(0, 10))


@given(
    st.lists(st.tuples(st.booleans(), _SCORES, _SCORES), min_size=1, max_size=30), st.floats(0, 10), st.floats(0, 10)
)
def test_every_figure_counted_one_by_one(rows, limit, other_limit):
    truth = [row[0] for row in rows]
    figures = compare(truth, Verdicts([row[1] for row in rows], limit), Verdicts([row[2] for row in rows], other_limit))

    def rejects(score, threshold):
        return score is None or score > threshold

    production = [rejects(row[1], limit) == row[0] for row in rows]
    candidate = [rejects(row[2], other_limit) == row[0] for row in rows]
    pairs = list(zip(production, candidate, strict=True))
    assert figures["production"]["wrong"] == production.count(False)
    assert figures["candidate"]["error_rate"] == pytest.approx(candidate.count(False) / len(rows))
    assert (figures["only_production_right"], figures["only_candidate_right"]) == (
        pairs.count((True, False)),
        pairs.count((False, True)),
    )
    good = [rejects(row[1], limit) for row in rows if not row[0]]
    assert figures["production"]["false_reject_rate"] == (pytest.approx(np.mean(good)) if good else None)
    bad = [rejects(row[2], other_limit) for row in rows if row[0]]
    assert figures["candidate"]["recall"] == (pytest.approx(np.mean(bad)) if bad else None)
    if good and bad:
        values = [1e9 if row[1] is None else row[1] for row in rows]
        assert figures["production"]["auroc"] == pytest.approx(roc_auc_score(truth, values))
    else:
        assert figures["production"]["auroc"] is None
