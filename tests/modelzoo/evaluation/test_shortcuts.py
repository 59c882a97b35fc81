"""Trivial statistics and the audit: what a shortcut would go by is found, and what is left without it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, laplace
from sklearn.metrics import roc_auc_score

from modelzoo.evaluation.image_statistics import image_statistics, pixel_statistics
from modelzoo.evaluation.metrics import MetricsCollector
from modelzoo.evaluation.shortcuts import matched_auroc, shortcut_audit


# ---------------------------------------------------------------- statistics
def test_statistics_of_a_known_image():
    pixels = np.full((64, 96, 3), 100, dtype=np.uint8)
    pixels[16:48, 24:72] = 200
    pixels[:4, :6] = 20
    found = image_statistics(Image.fromarray(pixels), 1234)
    grey = pixels[..., 0].astype(float)
    assert found == {
        "mean": pytest.approx(grey.mean()),
        "standard_deviation": pytest.approx(grey.std()),
        "median": 100,
        "dark_level": 100,
        "bright_level": 200,
        "noise": found["noise"],
        "focus": pytest.approx(laplace(grey, mode="mirror").std()),
        "corners": 80,
        "saturation": 0,
        "file_size": 1234,
        "area": 64 * 96,
    }
    # Only the eight corners of the two squares answer to the noise kernel.
    assert found["noise"] < 0.5


@pytest.mark.parametrize("sigma", [2.0, 6.0])
def test_noise_is_measured_beside_a_smooth_pattern(sigma):
    generator = np.random.default_rng(0)
    pattern = 100 + 60 * gaussian_filter(generator.normal(size=(200, 260)), 12) / 0.024
    grey = np.clip(pattern + generator.normal(0, sigma, pattern.shape), 0, 255).round().astype(np.uint8)
    assert pixel_statistics(np.repeat(grey[..., None], 3, axis=2))["noise"] == pytest.approx(sigma, rel=0.1)


def test_saturation_tells_colour_from_grey():
    red = np.zeros((8, 8, 3), dtype=np.uint8)
    red[..., 0] = 200
    assert pixel_statistics(red)["saturation"] == 255


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (3, 2, 3)])
def test_tiny_images_have_statistics(shape):
    assert np.isfinite(list(pixel_statistics(np.full(shape, 7, dtype=np.uint8)).values())).all()


# ---------------------------------------------------------------- the audit
def evaluated(scores, defective, raw, prepared):
    evaluation = MetricsCollector(0.0)
    for score, label, row, seen in zip(scores, defective, raw, prepared, strict=True):
        evaluation.add(float(score), bool(label), "dent", raw=row, prepared=seen)
    return evaluation.result()


def test_a_lamp_is_named_and_the_detector_judged_without_it():
    """The detector sees the lamp only; among parts under the same light it knows nothing."""
    generator = np.random.default_rng(1)
    defective = np.repeat([False, True], [150, 250])
    mean = generator.normal(100, 10, 400) - 15 * defective
    scores = -mean + generator.normal(0, 1, 400)
    raw = [{"mean": value, "file_size": size} for value, size in zip(mean, generator.random(400), strict=True)]
    flat = [{"mean": value} for value in generator.normal(size=400)]
    result = evaluated(scores, defective, raw, flat)
    audit = result["shortcut_audit"]
    assert json.loads(json.dumps(audit, allow_nan=False)) == audit
    assert audit["warning"] is audit["raw"]["warning"] is True
    assert audit["prepared"]["warning"] is False
    assert (audit["worst"], audit["worst_input"]) == ("mean", "raw")
    row = audit["raw"]["statistics"]["mean"]
    assert row == {"auroc": pytest.approx(roc_auc_score(defective, -mean)), "defective_are": "lower"}
    assert audit["worst_auroc"] == row["auroc"]
    assert audit["detector_auroc"] == result["image"]["auroc"] > 0.8
    # Within the caliper a little of the lamp is left.
    assert audit["matched"]["auroc"] == pytest.approx(0.5, abs=0.07)
    assert audit["matched"]["n_defective"] > 200


def test_a_detector_that_sees_the_defect_keeps_its_figure_when_matched():
    generator = np.random.default_rng(2)
    defective = np.repeat([False, True], 200)
    mean = generator.normal(100, 10, 400) - 12 * defective
    scores = generator.normal(0, 1, 400) + 3 * defective
    rows = [{"mean": value} for value in mean]
    audit = evaluated(scores, defective, rows, rows)["shortcut_audit"]
    assert audit["warning"] is False
    assert audit["matched"]["auroc"] == pytest.approx(audit["detector_auroc"], abs=0.03)


def test_kinds_that_never_look_alike_cannot_be_matched():
    defective = np.repeat([False, True], 20)
    rows = [{"mean": 100.0 + 50 * label + index % 5} for index, label in enumerate(defective)]
    audit = evaluated(np.arange(40.0), defective, rows, rows)["shortcut_audit"]
    assert audit["worst_auroc"] == 1.0
    assert audit["warning"] is True
    assert audit["matched"] | {"caliper": 0} == {
        "auroc": None,
        "reason": "too few good parts and defects are alike in it",
        "pairs": 0,
        "n_defective": 0,
        "n_good": 0,
        "caliper": 0,
    }


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(3, 25), st.integers(3, 25), st.integers(2, 30))
def test_matching_agrees_with_comparing_pair_by_pair(seed, n_good, n_bad, levels):
    generator = np.random.default_rng(seed)
    defective = generator.permutation(np.repeat([False, True], [n_good, n_bad]))
    statistic = generator.integers(0, levels, len(defective)).astype(float)
    scores = generator.integers(0, 6, len(defective)).astype(float)
    found = matched_auroc(scores, defective, statistic)
    within = [statistic[~defective] - statistic[~defective].mean(), statistic[defective] - statistic[defective].mean()]
    caliper = 0.2 * np.sqrt((np.concatenate(within) ** 2).mean())
    assert found["caliper"] == pytest.approx(caliper)
    shares, good_used, pairs = [], set(), 0
    for i in np.flatnonzero(defective):
        alike = [j for j in np.flatnonzero(~defective) if abs(statistic[i] - statistic[j]) <= caliper]
        pairs += len(alike)
        good_used |= set(alike)
        if alike:
            shares.append(np.mean([1.0 if scores[j] < scores[i] else 0.5 * (scores[j] == scores[i]) for j in alike]))
    assert (found["pairs"], found["n_defective"], found["n_good"]) == (pairs, len(shares), len(good_used))
    if min(len(shares), len(good_used)) >= 5:
        assert found["auroc"] == pytest.approx(np.mean(shares))
    else:
        assert found["auroc"] is None


def test_a_part_that_could_not_be_compared_is_audited_as_it_came_only():
    evaluation = MetricsCollector(0.0)
    for index in range(8):
        row = {"mean": float(index)}
        evaluation.add(float(index % 3), index % 2 == 0, raw=row, prepared=row)
    evaluation.add_not_comparable(True, reason="no_part_found", raw={"mean": 200.0})
    result = evaluation.result()
    audit = result["shortcut_audit"]
    assert audit["raw"]["detector_auroc"] == result["image"]["auroc"]
    assert audit["prepared"]["detector_auroc"] != result["image"]["auroc"]
    assert audit["raw"]["statistics"] != audit["prepared"]["statistics"]


def test_without_statistics_or_without_defects_there_is_no_audit():
    rows = [{"mean": 1.0}, {"mean": 2.0}]
    assert evaluated([1, 2], [False, True], [None, None], [None, None])["shortcut_audit"] is None
    assert evaluated([1, 2], [False, False], rows, rows)["shortcut_audit"] is None
    half = shortcut_audit(np.array([1.0, 2.0]), np.array([False, True]), rows, [None, None])
    assert half is not None
    assert half["prepared"] is None
    assert half["worst_input"] == "raw"
