"""Figures of an evaluation against scikit-learn and brute force."""

from __future__ import annotations

import itertools
import json
import math

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from modelzoo.detectors.errors import DetectorError
from modelzoo.evaluation.intervals import auroc_interval, median_interval, ranking_intervals
from modelzoo.evaluation.metrics import MetricsCollector
from modelzoo.evaluation.pixel_metrics import PixelHistogram
from modelzoo.evaluation.rank_metrics import Ranking, thin_curve

# Few distinct values, so that ties are common.
labelled = st.lists(st.tuples(st.integers(-3, 12), st.booleans()), min_size=1, max_size=60)


def evaluated(pairs, threshold=4.0):
    evaluation = MetricsCollector(threshold)
    for score, defective in pairs:
        evaluation.add(score, defective, "scratch" if defective else None)
    return evaluation.result()


@settings(deadline=None)
@given(labelled, st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_recall_at_a_false_reject_rate_is_the_best_of_all_thresholds(pairs, rate):
    scores, labels = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    recall = Ranking.of(scores, labels).recall_at(rate)
    if labels.all() or not labels.any():
        assert recall is None
        return
    decisions = [scores > threshold for threshold in (-np.inf, *np.unique(scores))]
    allowed = [decided[labels].mean() for decided in decisions if decided[~labels].mean() <= rate + 1e-9]
    assert recall == pytest.approx(max(allowed))


@settings(deadline=None)
@given(labelled, st.integers(-4, 13))
@pytest.mark.slow
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
    evaluation = MetricsCollector(0.5)
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
        "recall_interval": pytest.approx(list(scipy.stats.binomtest(1, 2).proportion_ci(method="exact")), abs=1e-6),
        "auroc": pytest.approx(sk.roc_auc_score([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.9])),
        "mean_score": pytest.approx(0.65),
    }
    assert result["per_defect"]["defective"]["auroc"] == 0.0


def test_nothing_added_gives_empty_figures():
    result = MetricsCollector(1.0).result()
    assert result["n"] == 0
    assert result["image"]["auroc"] is None
    assert result["image"]["accuracy"] is None
    assert result["per_defect"] == {}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e5]), st.booleans())
@pytest.mark.slow
def test_pixel_figures_agree_with_scikit_learn_within_the_stated_uncertainty(seed, scale, signed):
    generator = np.random.default_rng(seed)
    maps = (scale * generator.gamma(2, size=(4, 24, 30)) - (2 * scale if signed else 0)).astype(np.float32)
    masks = generator.random((4, 24, 30)) < 0.2
    masks[0] = False
    threshold = float(np.median(maps))
    evaluation = MetricsCollector(threshold)
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
    evaluation = MetricsCollector(0.5)
    evaluation.add(1.0, True, "dent", anomaly_map, mask)
    larger = cv2.resize(anomaly_map, (60, 32), interpolation=cv2.INTER_LINEAR)
    pixel = evaluation.result()["pixel"]
    assert pixel["auroc"] == pytest.approx(sk.roc_auc_score(mask.ravel() > 0, larger.ravel()), abs=1e-3)
    assert pixel["iou"] == pytest.approx(sk.jaccard_score(mask.ravel() > 0, larger.ravel() > 0.5))


def test_good_parts_without_a_mask_count_and_defective_ones_do_not():
    evaluation = MetricsCollector(0.5)
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
    before = histogram.counts.nbytes + histogram.overlap.nbytes
    generator = np.random.default_rng(0)
    for _ in range(5):
        histogram.add(generator.random((64, 64), dtype=np.float32), generator.random((64, 64)) < 0.5)
    assert histogram.counts.nbytes + histogram.overlap.nbytes == before == 24 * 2**20
    assert histogram.counts.sum() == 5 * 64 * 64


def test_ranking_of_equal_scores_is_a_coin():
    assert Ranking.of(np.ones(4), np.array([True, False, True, False])).auroc() == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(DetectorError):
        MetricsCollector(value)
    evaluation = MetricsCollector(1.0)
    with pytest.raises(DetectorError):
        evaluation.add(value, False)
    with pytest.raises(DetectorError):
        evaluation.add(1.0, True, "dent", np.array([[value]]), np.array([[1]]))
    with pytest.raises(DetectorError):
        evaluation.add(1.0, True, "dent", np.zeros((2, 2, 3)), np.zeros((2, 2)))
    assert evaluation.result()["n"] == 0


# ---------------------------------------------------------------- per-region overlap
def brute_force_aupro(maps, masks, limit=0.3):
    """At every distinct value: each region's share above it, one by one; trapezoids cut at the limit."""
    regions = []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        labels, count = scipy.ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [anomaly_map[labels == number] for number in range(1, count + 1)]
    good = maps[~masks]
    points = [(0.0, 0.0)]
    for value in np.unique(maps)[::-1]:
        points.append(((good >= value).mean(), np.mean([(region >= value).mean() for region in regions])))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 < limit < x1:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        if x1 <= limit:
            area += (x1 - x0) * (y0 + y1) / 2
    return area / limit, len(regions)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 200]), st.floats(0.02, 0.4))
def test_region_overlap_agrees_with_brute_force(seed, levels, density):
    generator = np.random.default_rng(seed)
    masks = generator.random((3, 12, 15)) < density
    masks[0] = False
    masks[1, 0, 0] = True
    # Few levels make ties; they are whole numbers, which lie in bins of their own.
    maps = generator.integers(0, levels, (3, 12, 15)).astype(np.float32) + levels // 4 * masks
    evaluation = MetricsCollector(1.0)
    for anomaly_map, mask in zip(maps, masks, strict=True):
        evaluation.add(1.0, bool(mask.any()), "hole", anomaly_map, mask)
    pixel = evaluation.result()["pixel"]
    area, regions = brute_force_aupro(maps, masks)
    assert pixel["aupro"] == pytest.approx(area)
    assert pixel["regions"] == regions
    assert pixel["pro_curve"][0] == [0, 0]
    assert pixel["pro_curve"][-1][0] == 0.3


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e5]))
def test_region_overlap_of_any_values_is_within_its_uncertainty(seed, scale):
    generator = np.random.default_rng(seed)
    masks = generator.random((2, 16, 16)) < 0.1
    maps = (scale * (generator.gamma(2, size=masks.shape) + masks)).astype(np.float32)
    histogram = PixelHistogram()
    for anomaly_map, mask in zip(maps, masks, strict=True):
        histogram.add(anomaly_map, mask)
    found = histogram.region_overlap()
    area, _ = brute_force_aupro(maps, masks)
    assert abs(found["aupro"] - area) <= found["aupro_uncertainty"] + 1e-12
    assert found["aupro_uncertainty"] < 0.02


def test_a_small_region_weighs_as_much_as_a_large_one():
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:12, 2:12] = True
    mask[15, 15] = mask[16, 16] = True  # they touch at a corner: one region
    evaluation = MetricsCollector(0.5)
    evaluation.add(1.0, True, "dent", mask.astype(np.float32) * (np.arange(20) > 13)[:, None], mask)
    pixel = evaluation.result()["pixel"]
    assert pixel["regions"] == 2
    # The small one is found at once, the large one only together with all good pixels.
    assert pixel["pro_curve"][1] == [0, 0.5]
    assert pixel["aupro"] == pytest.approx(0.5 + 0.5 * 0.3 / 2)


def test_a_peak_beside_the_defect_is_counted_as_such():
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:4, 2:4] = True
    evaluation = MetricsCollector(0.5)
    for y, x in ((2, 3), (3, 3), (4, 3)):
        anomaly_map = np.zeros((8, 8))
        anomaly_map[y, x] = 1
        evaluation.add(1.0, True, "dent", anomaly_map, mask)
    evaluation.add(0.1, False, None, np.zeros((8, 8)))
    assert evaluation.result()["pixel"]["peak_in_defect"] == pytest.approx(2 / 3)


def test_no_good_pixel_means_no_overlap_figure():
    evaluation = MetricsCollector(0.5)
    evaluation.add(1.0, True, "dent", np.ones((4, 4)), np.ones((4, 4)))
    pixel = evaluation.result()["pixel"]
    assert pixel["aupro"] is pixel["pro_curve"] is None
    assert pixel["regions"] == 1


# ---------------------------------------------------------------- intervals
@pytest.mark.parametrize("n", [0, 1, 5, 6, 7, 20, 199, 1000])
def test_the_interval_of_a_median_is_the_narrowest_that_holds_it_often_enough(n):
    values = np.random.default_rng(n).permutation(np.arange(float(n)))
    found = median_interval(list(values))

    def holds(low: int, high: int) -> float:  # of 0-based order statistics: as many below the median, and no more
        return float(scipy.stats.binom.cdf(high, n, 0.5) - scipy.stats.binom.cdf(low, n, 0.5))

    if n < 6:
        assert found is None
        return
    assert found is not None
    low, high = int(found[0]), int(found[1])
    assert low + high == n - 1
    assert holds(low, high) >= 0.95
    assert holds(low + 1, high - 1) < 0.95


@pytest.mark.parametrize(("n_good", "n_bad"), [(40, 120), (300, 30)])
@pytest.mark.slow
def test_intervals_agree_with_resampling_where_the_kinds_overlap(n_good, n_bad):
    generator = np.random.default_rng(3)
    good, bad = generator.normal(0, 1, n_good).round(1), generator.normal(1.3, 1, n_bad).round(1)
    evaluation = MetricsCollector(0.7)
    for kind, scores in ((False, good), (True, bad)):
        for score in scores:
            evaluation.add(score, kind)
    intervals = evaluation.result()["image"]["intervals"]
    labels = np.repeat([False, True], [n_good, n_bad])
    rows = []
    for _ in range(400):
        scores = np.concatenate([generator.choice(good, n_good), generator.choice(bad, n_bad)])
        figures = sk.roc_auc_score(labels, scores), sk.average_precision_score(labels, scores)
        rows.append((*figures, sk.f1_score(labels, scores > 0.7)))
    resampled = np.quantile(rows, [0.025, 0.975], axis=0).T
    for name, (low, high) in zip(("auroc", "aupr", "f1"), resampled, strict=True):
        own_low, own_high = intervals[name]
        assert own_low == pytest.approx(low, abs=0.06), name
        assert own_high == pytest.approx(high, abs=0.06), name
    for name, scores in (("recall", bad), ("false_reject_rate", good)):
        reference = scipy.stats.binomtest(int((scores > 0.7).sum()), len(scores)).proportion_ci(method="exact")
        assert intervals[name] == pytest.approx([reference.low, reference.high], abs=1e-6)


@pytest.mark.parametrize(("n_good", "n_bad"), [(14, 32), (20, 60)])
@pytest.mark.parametrize("auroc", [0.9, 0.99, 0.999])
def test_intervals_hold_the_true_figure_as_often_as_they_say(auroc, n_good, n_bad):
    """Also near 1, where resampling holds it in hardly any case: what was not drawn cannot be drawn again."""
    generator = np.random.default_rng(5)
    distance, cut, draws = math.sqrt(2) * scipy.stats.norm.ppf(auroc), 1.28, 300
    large = Ranking.of(
        np.concatenate([generator.normal(0, 1, 2000 * n_good), generator.normal(distance, 1, 2000 * n_bad)]),
        np.repeat([False, True], [2000 * n_good, 2000 * n_bad]),
    )
    recall, false = scipy.stats.norm.sf(cut - distance) * n_bad, scipy.stats.norm.sf(cut) * n_good
    truth = {"auroc": auroc, "aupr": large.aupr(), "f1": 2 * recall / (recall + false + n_bad)}
    labels = np.repeat([False, True], [n_good, n_bad])
    held = dict.fromkeys(truth, 0)
    for _ in range(draws):
        scores = np.concatenate([generator.normal(0, 1, n_good), generator.normal(distance, 1, n_bad)])
        intervals = ranking_intervals(Ranking.of(scores, labels), cut)
        for name, figure in truth.items():
            low, high = intervals[name] or (1, 0)
            held[name] += low <= figure <= high
    assert {name: count / draws for name, count in held.items() if count / draws < 0.93} == {}


@settings(deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.floats(0, 1),
)
def test_the_bounds_of_an_auroc_lie_where_the_score_test_just_accepts(n_positive, n_negative, auroc):
    low, high = auroc_interval(auroc, n_positive, n_negative)
    assert 0 <= low <= auroc <= high <= 1
    assert high - low > 0.01
    for bound in (low, high):
        if not 0 < bound < 1:
            continue
        # Hanley and McNeil's variance with both numbers of images set to their mean, in its usual form.
        q1, q2, mean = bound / (2 - bound), 2 * bound**2 / (1 + bound), (n_positive + n_negative) / 2
        variance = (bound * (1 - bound) + (mean - 1) * (q1 - bound**2 + q2 - bound**2)) / (n_positive * n_negative)
        assert (auroc - bound) ** 2 == pytest.approx(1.959963984540054**2 * variance, rel=1e-3, abs=1e-9)


def test_images_told_apart_without_an_error_are_no_proof_of_perfection():
    intervals = evaluated([(1.0, False)] * 14 + [(9.0, True)] * 32)["image"]["intervals"]
    assert intervals["auroc"] == [pytest.approx(0.894, abs=0.003), 1.0]
    assert intervals["aupr"] == [pytest.approx(0.025 ** (1 / 32), abs=1e-6), 1.0]
    jaccard = 0.025 ** (1 / 32)
    assert intervals["f1"] == [pytest.approx(2 * jaccard / (1 + jaccard), abs=1e-6), 1.0]


# ---------------------------------------------------------------- curves and histogram
def test_curves_hold_every_point_of_scikit_learn_when_they_are_short():
    pairs = [(1, False), (2, True), (2, False), (3, False), (4, True), (5, True), (6, True)]
    image = evaluated(pairs)["image"]
    scores, labels = np.array(pairs, dtype=float).T
    false, true, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    assert np.array(image["roc_curve"]) == pytest.approx(np.stack([false, true], axis=1), abs=1e-6)
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    # scikit-learn goes from the loosest threshold up and adds the point (0, 1), which no threshold gives.
    assert np.array(image["pr_curve"]) == pytest.approx(np.stack([recall, precision], axis=1)[-2::-1], abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(201, 3000))
def test_thinning_keeps_the_ends_and_strays_little(seed, size):
    generator = np.random.default_rng(seed)
    x, y = np.sort(generator.beta(0.3, 0.3, (2, size)), axis=1)
    points = np.array(thin_curve(x, y))
    assert len(points) <= 200
    assert points[[0, -1]] == pytest.approx(np.stack([x, y], axis=1)[[0, -1]], abs=1e-6)
    everyone = np.stack([x, y], axis=1)
    distance = np.abs(everyone[:, None] - points[None]).sum(-1).min(1)
    assert distance.max() <= 2 / 199 + 2e-6


def test_histogram_counts_every_image_and_holds_the_threshold():
    histogram = evaluated([(1, False), (2, False), (9, True), (5, True)], threshold=11.0)["histogram"]
    assert sum(histogram["good"]) == sum(histogram["defective"]) == 2
    assert histogram["edges"][0] == 1
    assert histogram["edges"][-1] == 11
    assert len(histogram["edges"]) == len(histogram["good"]) + 1 == len(histogram["defective"]) + 1
    assert evaluated([])["histogram"] is None


def test_a_large_evaluation_stays_a_small_document():
    generator = np.random.default_rng(0)
    evaluation = MetricsCollector(1.0)
    statistics = dict.fromkeys("abcdefghijk", 1 / 3)
    for index in range(3000):
        mask = (generator.random((4, 4)) < 0.3) * (index % 2)
        values = generator.random((4, 4))
        evaluation.add(
            generator.random(), bool(index % 2), f"kind {index % 40}", values, mask, raw=statistics, prepared=statistics
        )
    assert len(json.dumps(evaluation.result())) < 60_000


# ---------------------------------------------------------------- parts that could not be compared
def test_a_part_that_could_not_be_compared_is_never_accepted():
    evaluation, written_out = MetricsCollector(4.0), MetricsCollector(4.0)
    for collector in (evaluation, written_out):
        for score in (1, 2, 5):
            collector.add(score, False)
        for score in (3, 6, 7):
            collector.add(score, True, "dent")
    evaluation.add_not_comparable(False, reason="no_part_found")
    evaluation.add_not_comparable(True, "dent", reason="several_parts")
    evaluation.add_not_comparable(True, "dent", reason="no_part_found")
    # The same by hand: a score that no other reaches.
    for defective in (False, True, True):
        written_out.add(1e9, defective, "dent")
    found, expected = evaluation.result(), written_out.result()
    assert found["not_comparable"] == {"good": 1, "defective": 2, "reasons": {"no_part_found": 2, "several_parts": 1}}
    assert found["image"] == expected["image"]
    assert found["image"]["confusion"] == {"tp": 4, "fp": 2, "tn": 2, "fn": 1}
    row = found["per_defect"]["dent"]
    assert (row["n"], row["recall"], row["auroc"]) == (5, 0.8, expected["per_defect"]["dent"]["auroc"])
    assert row["mean_score"] == pytest.approx(16 / 3)
    assert sum(found["histogram"]["good"]) == sum(found["histogram"]["defective"]) == 3
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_thresholds_stay_finite_when_only_the_incomparable_are_best_rejected():
    evaluation = MetricsCollector(4.0)
    evaluation.add(1.0, False)
    evaluation.add(2.0, False)
    evaluation.add_not_comparable(True, reason="no_part_found")
    image = evaluation.result()["image"]
    assert (image["best_f1"], image["optimal_threshold"]) == (1.0, 2.0)
    assert image["auroc"] == 1.0
    alone = MetricsCollector(4.0)
    alone.add_not_comparable(True, reason="no_part_found")
    image = alone.result()["image"]
    assert (image["recall"], image["optimal_threshold"]) == (1.0, None)


def test_what_is_ignored_is_left_out_of_the_pixel_figures():
    ignored = np.zeros((20, 20), dtype=bool)
    ignored[:, :5] = True
    evaluation = MetricsCollector(0.5)
    maps = np.where(ignored, 0, np.random.default_rng(0).uniform(0.1, 0.4, (3, 20, 20))).astype(np.float32)
    defect_below, defect_beside = np.zeros((2, 20, 20), dtype=bool)
    defect_below[4:8, 1:4] = True
    defect_beside[4:8, 3:9] = True  # reaches out of the mask
    maps[2, 4:8, 5:9] = 0.9
    evaluation.add(0.4, False, anomaly_map=maps[0], ignored=ignored)
    evaluation.add(0.4, True, "stain", anomaly_map=maps[1], mask=defect_below, ignored=ignored)
    evaluation.add(0.9, True, "stain", anomaly_map=maps[2], mask=defect_beside, ignored=ignored)
    result = evaluation.result()
    assert result["ignored"] == {"share": 0.25, "images_with_no_judged_defect": 1}
    pixel = result["pixel"]
    assert (pixel["auroc"], pixel["iou"], pixel["regions"], pixel["images_with_mask"]) == (1.0, 1.0, 1, 1)
    assert result["image"]["recall"] == 0.5
    assert evaluated([(0.1, False), (0.9, True)], 0)["ignored"] is None
