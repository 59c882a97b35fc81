"""Figures of an evaluation against scikit-learn and brute force."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.metrics import Evaluation, PixelHistogram, Ranking

# Few distinct values, so that ties are common.
labelled = st.lists(st.tuples(st.integers(-3, 12), st.booleans()), min_size=1, max_size=60)


def evaluated(pairs, threshold=4.0):
    evaluation = Evaluation(threshold)
    for score, defective in pairs:
        evaluation.add(score, defective, "scratch" if defective else None)
    return evaluation.result()


@settings(deadline=None)
@given(labelled, st.integers(-4, 13))
def test_image_figures_agree_with_scikit_learn(pairs, threshold):
    scores, labels = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    image = evaluated(pairs, threshold)["image"]
    decided = scores > threshold
    assert image["accuracy"] == pytest.approx(sk.accuracy_score(labels, decided))
    counts = sk.confusion_matrix(labels, decided, labels=[False, True]).ravel()
    assert [image["confusion"][name] for name in ("tn", "fp", "fn", "tp")] == counts.tolist()
    if labels.any():
        assert image["recall"] == pytest.approx(sk.recall_score(labels, decided))
        assert image["f1"] == pytest.approx(sk.f1_score(labels, decided, zero_division=0))
        assert image["aupr"] == pytest.approx(sk.average_precision_score(labels, scores))
        assert image["trivial_f1"] == pytest.approx(sk.f1_score(labels, np.ones(len(labels))))
        best = max(sk.f1_score(labels, scores >= value) for value in np.unique(scores))
        assert image["best_f1"] == pytest.approx(best)
        assert sk.f1_score(labels, scores > image["optimal_threshold"]) == pytest.approx(best)
    else:
        assert image["recall"] is image["f1"] is image["aupr"] is image["best_f1"] is image["trivial_f1"] is None
    if decided.any():
        assert image["precision"] == pytest.approx(sk.precision_score(labels, decided))
    else:
        assert image["precision"] is None
    if (~labels).any():
        assert image["false_reject_rate"] == pytest.approx(decided[~labels].mean())
    else:
        assert image["false_reject_rate"] is None
    if labels.any() and (~labels).any():
        assert image["auroc"] == pytest.approx(sk.roc_auc_score(labels, scores))
    else:
        assert image["auroc"] is None


@settings(deadline=None)
@given(labelled, st.integers(-4, 13))
def test_every_result_is_json(pairs, threshold):
    result = evaluated(pairs, threshold)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_per_defect_compares_each_kind_with_all_good_parts():
    evaluation = Evaluation(0.5)
    for score in (0.1, 0.2, 0.6):
        evaluation.add(score, False, "good")
    for score in (0.4, 0.9):
        evaluation.add(score, True, "crack")
    evaluation.add(0.05, True)
    result = evaluation.result()
    assert result["n"] == 6
    assert (result["n_good"], result["n_defective"]) == (3, 3)
    assert result["pixel"] is None
    assert set(result["per_defect"]) == {"crack", "defective"}
    assert result["per_defect"]["crack"] == {
        "n": 2,
        "recall": 0.5,
        "auroc": pytest.approx(sk.roc_auc_score([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.9])),
        "mean_score": pytest.approx(0.65),
    }
    assert result["per_defect"]["defective"]["auroc"] == 0.0


def test_nothing_added_gives_empty_figures():
    result = Evaluation(1.0).result()
    assert result["n"] == 0
    assert result["image"]["auroc"] is None
    assert result["image"]["accuracy"] is None
    assert result["per_defect"] == {}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e5]), st.booleans())
def test_pixel_figures_agree_with_scikit_learn_within_the_stated_uncertainty(seed, scale, signed):
    generator = np.random.default_rng(seed)
    maps = (scale * generator.gamma(2, size=(4, 24, 30)) - (2 * scale if signed else 0)).astype(np.float32)
    masks = generator.random((4, 24, 30)) < 0.2
    masks[0] = False
    threshold = float(np.median(maps))
    evaluation = Evaluation(threshold)
    for index in range(4):
        evaluation.add(1.0, index > 0, "hole", maps[index] + masks[index] * np.float32(scale), masks[index] * 255)
    maps += masks * np.float32(scale)
    pixel = evaluation.result()["pixel"]
    values, truth = maps.ravel().astype(float), masks.ravel()
    # The last term is the rounding of the sums themselves.
    assert abs(pixel["auroc"] - sk.roc_auc_score(truth, values)) <= pixel["auroc_uncertainty"] + 1e-12
    assert pixel["auroc_uncertainty"] < 1e-3
    assert pixel["aupr"] == pytest.approx(sk.average_precision_score(truth, values), abs=5e-3)
    assert pixel["iou"] == pytest.approx(sk.jaccard_score(truth, values > threshold))
    best = max(sk.jaccard_score(truth, values > quantile) for quantile in np.quantile(values, np.linspace(0, 1, 60)))
    assert pixel["best_iou"] >= best - 5e-3
    assert sk.jaccard_score(truth, values > pixel["best_iou_threshold"]) == pytest.approx(pixel["best_iou"])
    assert pixel["images_with_mask"] == 3


def test_a_map_is_brought_to_the_size_of_its_mask():
    generator = np.random.default_rng(0)
    anomaly_map, mask = generator.random((16, 20), dtype=np.float32), np.zeros((32, 60), dtype=np.uint8)
    mask[3:9, 20:40] = 255
    evaluation = Evaluation(0.5)
    evaluation.add(1.0, True, "dent", anomaly_map, mask)
    larger = cv2.resize(anomaly_map, (60, 32), interpolation=cv2.INTER_LINEAR)
    pixel = evaluation.result()["pixel"]
    assert pixel["auroc"] == pytest.approx(sk.roc_auc_score(mask.ravel() > 0, larger.ravel()), abs=1e-3)
    assert pixel["iou"] == pytest.approx(sk.jaccard_score(mask.ravel() > 0, larger.ravel() > 0.5))


def test_good_parts_without_a_mask_count_and_defective_ones_do_not():
    evaluation = Evaluation(0.5)
    evaluation.add(0.1, False, None, np.full((2, 2), 0.7, dtype=np.float32))
    evaluation.add(0.9, True, "dent", np.array([[0.9, 0.8], [0.1, 0.2]], dtype=np.float32), np.array([[1, 0], [0, 0]]))
    alone = evaluation.result()["pixel"]
    # 0.9 is the defect; 0.8 and four times 0.7 are wrong.
    assert alone["iou"] == pytest.approx(1 / 6)
    evaluation.add(0.9, True, "dent", np.full((2, 2), 0.99, dtype=np.float32))
    assert evaluation.result()["pixel"] == alone


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_bins_keep_the_order_and_are_narrow(values):
    histogram = PixelHistogram()
    histogram.add(np.array([values], dtype=np.float32), np.zeros((1, len(values)), dtype=bool))
    ranking = histogram.ranking()
    assert ranking.n_negative == len(values)
    assert (np.diff(ranking.values) < 0).all()
    expanded = np.repeat(ranking.values, ranking.negatives)
    exact = np.sort(np.array(values, dtype=np.float64))[::-1]
    # The lower end of the bin: at most 2^-11 of the value below it; denormal numbers have a coarser, fixed step.
    tiny = 2.0**-126 * 2**-11
    assert (expanded <= exact).all()
    assert (exact - expanded <= np.maximum(np.abs(expanded), np.abs(exact)) * 2**-11 + tiny).all()


def test_memory_for_pixels_does_not_grow():
    histogram = PixelHistogram()
    before = histogram.counts.nbytes
    generator = np.random.default_rng(0)
    for _ in range(5):
        histogram.add(generator.random((64, 64), dtype=np.float32), generator.random((64, 64)) < 0.5)
    assert histogram.counts.nbytes == before == 16 * 2**20
    assert histogram.counts.sum() == 5 * 64 * 64


def test_ranking_of_equal_scores_is_a_coin():
    assert Ranking.of(np.ones(4), np.array([True, False, True, False])).auroc() == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(DetectorError):
        Evaluation(value)
    evaluation = Evaluation(1.0)
    with pytest.raises(DetectorError):
        evaluation.add(value, False)
    with pytest.raises(DetectorError):
        evaluation.add(1.0, True, "dent", np.array([[value]]), np.array([[1]]))
    with pytest.raises(DetectorError):
        evaluation.add(1.0, True, "dent", np.zeros((2, 2, 3)), np.zeros((2, 2)))
    assert evaluation.result()["n"] == 0
