"""PaDiM's arithmetic against float64 oracles that share no code with it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.covariance import ledoit_wolf_shrinkage
from torch.nn import functional

from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.errors import DetectorError, TooFewImages, TrainingCancelled
from modelzoo.detectors.image_source import FileImageSource
from modelzoo.detectors.options import PadimConfig
from modelzoo.detectors.padim.detector import Padim
from modelzoo.detectors.padim.gaussians import Gaussians, LeaveBlockOut, Moments, UpperTriangular
from modelzoo.detectors.padim.reduction import PrincipalComponents, Projection, random_projection
from modelzoo.detectors.smoothing import Smoothing
from modelzoo.evaluation.metrics import MetricsCollector
from tests.modelzoo.detectors.conftest import (
    RESNET18,
    SCREW,
    TensorSource,
    needs_resnet18,
    needs_screw,
    open_rgb,
    textured,
    with_defect,
)


def test_a_blur_wider_than_the_axis_is_cut_to_it():
    smoothed = Smoothing((4, 12), (32, 96), 16)(torch.full((1, 4, 12), 3.0))
    torch.testing.assert_close(smoothed, torch.full((1, 32, 96), 3.0))


def correlated(n: int, positions: int, channels: int, seed: int) -> np.ndarray:
    """Features [P,N,C] with their own mean, scale and correlations at each position."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(positions, channels, channels)) * generator.uniform(0.1, 3, (positions, 1, 1))
    data = np.einsum("pnc,pcd->pnd", generator.normal(size=(positions, n, channels)), mixing)
    return (data + generator.normal(0, 20, (positions, 1, channels))).astype(np.float32)


def moments_of(data: np.ndarray, batch: int = 7) -> Moments:
    features = torch.from_numpy(data)
    moments = Moments(features[:, :batch].mean(1))
    for part in features.split(batch, dim=1):
        moments.add(part)
    return moments


def oracle_lift(data: np.ndarray, floor: float) -> float:
    return floor * data.astype(np.float64).var(axis=1).mean()


def oracle_distances(
    data: np.ndarray,
    new: np.ndarray,
    lift: float,
    shrinkage: np.ndarray | None = None,
    target: np.ndarray | None = None,
) -> np.ndarray:
    """Mahalanobis distances [P,B] of new [P,B,C] in float64, by explicit inverses; shrunk as scikit-learn would."""
    result = []
    for position, (rows, queries) in enumerate(zip(data.astype(np.float64), new.astype(np.float64), strict=True)):
        mean, channels = rows.mean(0), rows.shape[1]
        covariance = (rows - mean).T @ (rows - mean) / len(rows)
        weight = ledoit_wolf_shrinkage(rows) if shrinkage is None else shrinkage[position]
        variance = np.trace(covariance) / channels if target is None else target[position]
        regular = (1 - weight) * covariance + (weight * variance + lift) * np.eye(channels)
        deviations = queries - mean
        result.append(np.sqrt(np.einsum("bi,ij,bj->b", deviations, np.linalg.inv(regular), deviations)))
    return np.array(result)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_streamed_moments_are_those_of_the_whole(n, channels, seed):
    data = correlated(n, 3, channels, seed)
    moments = moments_of(data)
    exact = data.astype(np.float64)
    assert moments.n == n
    np.testing.assert_allclose(moments.mean.numpy(), exact.mean(1), rtol=1e-5, atol=1e-4)
    centred = exact - exact.mean(1, keepdims=True)
    scatter = np.einsum("pni,pnj->pij", centred, centred)
    np.testing.assert_allclose(moments.scatter(slice(0, 3)).numpy(), scatter, rtol=1e-4, atol=1e-4 * scatter.max())
    expected = [ledoit_wolf_shrinkage(rows) for rows in exact]
    if channels > 1:  # with one channel there is nothing to shrink towards
        np.testing.assert_allclose(moments.shrinkage().numpy(), expected, atol=2e-3)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 60), st.integers(2, 20), st.integers(0, 2**32 - 1))
def test_distances_agree_with_the_float64_oracle(n, channels, seed):
    data, new = correlated(n, 4, channels, seed), correlated(5, 4, channels, seed + 1)
    gaussians = Gaussians.estimate(moments_of(data), 0.5).compact()
    ours = gaussians.distances(torch.from_numpy(new)).T.numpy()
    np.testing.assert_allclose(ours, oracle_distances(data, new, oracle_lift(data, 0.5)), rtol=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(1, 4), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_left_out_distances_are_those_of_a_model_fitted_without_the_block(blocks, block, group, channels, seed):
    """The oracle really removes the images; shrinkage, its target and the floor stay those of all of them."""
    data = correlated(blocks * block * group, 2, channels, seed)
    moments = moments_of(data)
    moments.count_groups(group)
    shrinkage, target = moments.shrinkage().double().numpy(), moments.variances().numpy()
    lift = oracle_lift(data, 0.5)
    left_out = LeaveBlockOut(moments, 0.5, block, group)
    for first in range(0, data.shape[1], block * group):
        out = data[:, first : first + block * group]
        rest = np.delete(data, range(first, first + block * group), axis=1)
        ours = left_out.distances(torch.from_numpy(out)).T.numpy()
        expected = oracle_distances(rest, out[:, ::group], lift, shrinkage, target)
        np.testing.assert_allclose(ours, expected, rtol=3e-3)


def test_an_image_and_its_copies_count_as_one_image():
    """Mean and covariance are those of the images; only the shrinkage counts copies as observations of their own."""
    data = correlated(24, 3, 6, seed=1)
    once, groups = moments_of(data), moments_of(data.repeat(5, axis=1))
    groups.count_groups(5)
    assert groups.n == 24
    torch.testing.assert_close(groups.mean, once.mean)
    positions = slice(0, 3)
    torch.testing.assert_close(groups.scatter(positions), once.scatter(positions), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(5 * groups.shrinkage(), once.shrinkage(), rtol=1e-3, atol=1e-4)
    expected = [ledoit_wolf_shrinkage(rows) for rows in data.repeat(5, axis=1).astype(np.float64)]
    np.testing.assert_allclose(groups.shrinkage().numpy(), expected, atol=2e-3)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(1, 20), st.integers(2, 20), st.integers(0, 2**32 - 1))
def test_moments_go_on_from_a_stored_model(n, more, channels, seed):
    """What a model rounded to half precision still tells of its moments, and what becomes of them with new images."""
    data = correlated(n + more, 3, channels, seed)
    whole, gaussians = moments_of(data), Gaussians.estimate(moments_of(data[:, :n]), 0.5)
    # What the shrinkage took away entirely no model can tell; the next test is about that.
    assume(gaussians.partial_state.shrinkage.max() < 0.9)
    moments = gaussians.compact().moments()
    moments.add(torch.from_numpy(data[:, n:]))
    assert moments.n == n + more
    np.testing.assert_allclose(moments.mean.numpy(), whole.mean.numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(moments.variances().numpy(), whole.variances().numpy(), rtol=1e-4)
    new = torch.from_numpy(correlated(5, 3, channels, seed + 1))
    ours = Gaussians.estimate(moments, 0.5).distances(new).numpy()
    np.testing.assert_allclose(ours, Gaussians.estimate(whole, 0.5).distances(new).numpy(), rtol=0.02)


def test_where_all_was_shrunk_away_the_variance_goes_on():
    data = correlated(3, 4, 6, seed=0)
    moments = moments_of(data)
    gaussians = Gaussians.estimate(moments, 0.5)
    gaussians.partial_state.shrinkage.fill_(1)
    told = gaussians.moments()
    spherical = 3 * moments.variances()[:, None, None].float() * torch.eye(6)
    torch.testing.assert_close(told.scatter(slice(0, 4)), spherical)
    torch.testing.assert_close(told.variances(), moments.variances(), rtol=1e-4, atol=0)


def test_identical_images_give_finite_distances():
    data = np.full((2, 6, 3), 5.0, dtype=np.float32)
    gaussians = Gaussians.estimate(moments_of(data), 0.5)
    assert gaussians.distances(torch.from_numpy(data)).abs().max() == 0
    assert torch.isfinite(gaussians.distances(torch.from_numpy(data) + 1)).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([0.0, 0.4, 1.5, 4.0]), st.integers(0, 2**32 - 1))
def test_smoothing_is_interpolation_then_a_gaussian_filter(height, width, sigma, seed):
    maps = torch.from_numpy(np.random.default_rng(seed).random((2, height, width), dtype=np.float32))
    ours = Smoothing((height, width), (36, 50), sigma)(maps).numpy()
    upsampled = functional.interpolate(maps[:, None].double(), (36, 50), mode="bilinear", align_corners=False)[:, 0]
    expected = [ndimage.gaussian_filter(m, sigma, mode="mirror", truncate=4) if sigma else m for m in upsampled.numpy()]
    np.testing.assert_allclose(ours, np.array(expected), atol=1e-5)


def by_position(detector: Padim, images: torch.Tensor) -> torch.Tensor:
    """Features [P,B,C]."""
    return detector._features(images).flatten(2).permute(2, 0, 1)


def small(**options) -> Padim:
    """Without copies of the images, unless they are asked for."""
    options = {
        "copies_below": 0,
        "backbone": "efficientnet_lite0",
        "image_size": (64, 96),
        "n_features": 24,
        "sigma": 2,
    } | options
    detector = registry.create("padim", device="cpu", **options)
    assert isinstance(detector, Padim)
    return detector


def test_positions_grow_with_large_inputs_rather_than_their_number():
    config = PadimConfig()
    grids = {side: config.grid((side, side)) for side in (256, 512, 1024, 2048)}
    assert grids == {256: (64, 64), 512: (128, 128), 1024: (128, 128), 2048: (128, 128)}
    assert config.grid((512, 8192)) == (32, 512)


def test_matrices_that_would_take_too_much_memory_are_refused():
    config = PadimConfig(patch_size=4)
    assert config.grid((1024, 1024)) == (256, 256)
    with pytest.raises(DetectorError, match=r"262144 positions .* 13 GB .* patch_size"):
        config.grid((2048, 2048))


@pytest.mark.parametrize("patch_size", [4, 8, 6, 32])
def test_the_grid_follows_the_patch_size(patch_size):
    detector = small(patch_size=patch_size).fit(TensorSource(textured(6, 64, 96)))
    grid = (-(-64 // patch_size), -(-96 // patch_size))
    assert detector.state()["mean"].shape == (grid[0] * grid[1], 24)
    assert detector.score(textured(1, 64, 96, seed=1)).maps.shape == (1, 64, 96)


def test_the_map_is_highest_where_the_defect_is():
    detector = small().fit(TensorSource(textured(24, 64, 96)))
    scored = detector.score(with_defect(textured(2, 64, 96, seed=5)))
    for anomaly_map in scored.maps:
        row, column = np.unravel_index(anomaly_map.argmax(), anomaly_map.shape)
        assert 14 <= row <= 30
        assert 30 <= column <= 46


def test_held_out_scores_are_those_of_new_parts_and_training_scores_are_not():
    detector = small().fit(TensorSource(textured(60, 64, 96)))
    new = detector.score(textured(60, 64, 96, seed=9)).scores
    in_sample = detector.score(textured(60, 64, 96)).scores
    spread = new.std()
    assert abs(np.median(detector.held_out_scores) - np.median(new)) < spread
    assert np.median(in_sample) < np.median(new) - spread


def test_the_learning_curve_is_that_of_detectors_fitted_on_fewer_images():
    images = textured(18, 64, 96, seed=3)
    detector = small(seed=5, position_scale=False).fit(TensorSource(images))
    order = np.random.default_rng(5).permutation(18)
    judged = sorted(order[9:].tolist())
    for (size, score), expected in zip(detector.learning_curve[:-1], (4, 9), strict=True):
        assert size == expected
        alone = small(seed=5, position_scale=False).fit(TensorSource(images[sorted(order[:size].tolist())]))
        assert score == pytest.approx(float(alone.score(images[judged]).scores.mean()), rel=0.01)
    assert detector.learning_curve[-1] == (15, pytest.approx(float(detector.held_out_scores[judged].mean())))


def test_few_images_are_learnt_with_copies_of_them():
    """Held-out scores are those of new images: an image's copies are left out with it."""
    images, new = textured(12, 64, 96), textured(40, 64, 96, seed=3)
    source = TensorSource(images)
    with_copies = small(copies_below=13).fit(source)
    plain = small(copies_below=12).fit(TensorSource(images))
    assert with_copies.n_train == plain.n_train == len(with_copies.held_out_scores) == 12
    assert [size for size, _ in with_copies.learning_curve] == [size for size, _ in plain.learning_curve]
    assert not np.array_equal(with_copies.score(new).maps, plain.score(new).maps)
    scores = with_copies.score(new).scores
    assert abs(np.median(with_copies.held_out_scores) - np.median(scores)) < 2 * scores.std()
    # The images themselves, which the model has seen, score far less.
    assert with_copies.score(images).scores.max() < with_copies.held_out_scores.min()
    again = small(copies_below=13).fit(TensorSource(images))
    np.testing.assert_array_equal(again.held_out_scores, with_copies.held_out_scores)
    assert with_copies.score(with_defect(new)).scores.min() > scores.max()


def test_more_images_are_taken_in_as_they_are():
    images, more = textured(12, 64, 96), textured(16, 64, 96, seed=5)
    detector = small(copies_below=13).fit(TensorSource(images))
    source = TensorSource(more)
    assert detector.partial_fit(source).n_train == 28
    assert source.reads.tolist() == [1] * 16
    assert len(detector.held_out_scores) == 28


def test_a_learning_curve_has_what_so_few_images_allow():
    for n, sizes in ((2, []), (7, []), (8, [4, 7]), (10, [5, 8])):
        curve = small().fit(TensorSource(textured(n, 64, 96))).learning_curve
        assert [size for size, _ in curve] == sizes


@pytest.mark.parametrize("reduction", ["orthogonal", "random"])
def test_the_reduction_depends_on_the_seed_and_is_stored(reduction):
    def stored(seed):
        detector = small(seed=seed, reduction=reduction)
        return detector.fit(TensorSource(textured(4, 64, 96))).state()["reduction"]

    first = stored(0)
    assert torch.equal(first, stored(0))
    assert not torch.equal(first, stored(1))
    if reduction == "random":
        assert len(set(first.tolist())) == 24
    else:
        torch.testing.assert_close(first.T @ first, torch.eye(24), rtol=0, atol=1e-5)


def test_principal_components_are_those_of_the_whole():
    """Against the singular vectors of all features at once: the same subspace, in the same order."""
    generator = torch.Generator().manual_seed(0)
    layers = [
        torch.randn(10, 5, 8, 6, generator=generator) * torch.tensor([9.0, 1, 4, 0.5, 0.1])[:, None, None] + 30,
        torch.randn(10, 3, 4, 3, generator=generator) * torch.tensor([2.0, 0.3, 6])[:, None, None] - 7,
    ]
    components = PrincipalComponents()
    for first in range(0, 10, 3):
        components.add([features[first : first + 3] for features in layers], (8, 6))
    joined = torch.cat([layers[0], functional.interpolate(layers[1], (8, 6), mode="nearest")], dim=1)
    rows = joined.permute(0, 2, 3, 1).reshape(-1, 8).double().numpy()
    expected = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:4]
    ours = components.projection(4).tensor.numpy().T
    np.testing.assert_allclose(np.abs((ours * expected).sum(1)), 1, atol=1e-3)


def test_projecting_each_layer_is_projecting_what_they_make_together():
    projection = random_projection(8, 3, seed=1)
    np.testing.assert_allclose(projection.tensor.T @ projection.tensor, torch.eye(3), atol=1e-6)
    layers = [torch.randn(2, 5, 8, 6), torch.randn(2, 3, 4, 3)]
    joined = torch.cat([layers[0], functional.interpolate(layers[1], (8, 6), mode="nearest")], dim=1)
    expected = torch.einsum("bdhw,dc->bchw", joined, projection.tensor)
    np.testing.assert_allclose(Projection(projection.tensor)(layers, (8, 6)), expected, atol=1e-5)


@pytest.mark.parametrize("reduction", ["random", "orthogonal", "pca"])
def test_every_reduction_finds_the_defect_after_a_restart(reduction):
    detector = small(reduction=reduction, n_features=12).fit(TensorSource(textured(16, 64, 96)))
    again = Padim.restore(detector.describe(), detector.state())
    good = textured(4, 64, 96, seed=3)
    assert again.score(with_defect(good)).scores.min() > again.score(good).scores.max()
    np.testing.assert_array_equal(again.score(good).maps, detector.score(good).maps)


@pytest.mark.parametrize("stored", [False, True], ids=["fresh", "stored"])
def test_partial_fit_is_a_fit_on_everything(stored):
    images = textured(40, 64, 96)
    first = small(position_scale=False).fit(TensorSource(images[:24]))
    detector = Padim.restore(first.describe(), first.state()) if stored else first
    old = detector.held_out_scores
    source = TensorSource(images[24:])
    assert detector.partial_fit(source) is detector
    assert source.reads.tolist() == [1] * 16
    whole = small(position_scale=False).fit(TensorSource(images))
    assert detector.n_train == whole.n_train == 40
    good = textured(8, 64, 96, seed=3)
    for new in (good, with_defect(good)):
        np.testing.assert_allclose(detector.score(new).maps, whole.score(new).maps, rtol=0.01)
    np.testing.assert_array_equal(detector.held_out_scores[:24], old)
    # Left out in other blocks than those of the whole, hence not the same numbers.
    np.testing.assert_allclose(detector.held_out_scores[24:], whole.held_out_scores[24:], rtol=0.1)
    again = Padim.restore(detector.describe(), detector.state())
    np.testing.assert_array_equal(again.score(good).maps, detector.score(good).maps)


def test_image_by_image_is_as_good_as_at_once():
    images = textured(24, 64, 96)
    detector = small(position_scale=False).fit(TensorSource(images[:12]))
    for image in images[12:]:
        detector.partial_fit(TensorSource(image[None]))
    new = textured(8, 64, 96, seed=3)
    whole = small(position_scale=False).fit(TensorSource(images))
    np.testing.assert_allclose(detector.score(new).maps, whole.score(new).maps, rtol=0.02)


def test_a_model_that_is_extended_keeps_what_is_usual():
    images = textured(40, 64, 96)
    detector = small().fit(TensorSource(images[:24]))
    usual = detector.state()["usual_distances"]
    detector.partial_fit(TensorSource(images[24:]))
    assert torch.equal(detector.state()["usual_distances"], usual)
    assert len(detector.held_out_scores) == 40
    new = detector.score(textured(40, 64, 96, seed=9)).scores
    assert abs(np.median(detector.held_out_scores) - np.median(new)) < new.std()


def test_tiles_take_in_more_images_too():
    """With as much overlap as the tiles disturb each other nothing differs from the whole input at once."""
    images, options = textured(16, 96, 160), {"image_size": (96, 160), "layers": ["layer1"], "n_features": 8}
    whole, tiled = small(**options), small(tile=96, tile_overlap=64, **options)
    for detector in (whole, tiled):
        detector.fit(TensorSource(images[:10])).partial_fit(TensorSource(images[10:]))
    np.testing.assert_allclose(tiled.held_out_scores, whole.held_out_scores, rtol=1e-3)
    np.testing.assert_allclose(tiled.score(images).maps, whole.score(images).maps, rtol=1e-3, atol=1e-3)


def test_a_partial_fit_that_is_stopped_leaves_the_model_as_it_was():
    detector = small().fit(TensorSource(textured(8, 64, 96)))
    new = textured(2, 64, 96, seed=3)
    before, held_out = detector.score(new).maps, detector.held_out_scores

    def stop(fraction: float, sentence: str) -> None:
        if fraction > 0.9:
            raise TrainingCancelled("enough")

    with pytest.raises(TrainingCancelled):
        detector.partial_fit(TensorSource(textured(8, 64, 96, seed=1)), progress=stop)
    with pytest.raises(TooFewImages, match="did not change"):
        detector.partial_fit(TensorSource(textured(0, 64, 96)))
    assert detector.n_train == 8
    np.testing.assert_array_equal(detector.score(new).maps, before)
    np.testing.assert_array_equal(detector.held_out_scores, held_out)


def test_an_unfitted_detector_has_nothing_to_go_on_from():
    with pytest.raises(DetectorError, match="not fitted"):
        small().partial_fit(TensorSource(textured(4, 64, 96)))


def test_each_image_is_read_once():
    source = TensorSource(textured(20, 64, 96))
    small().fit(source)
    assert source.reads.tolist() == [1] * 20


def test_more_features_than_channels_is_an_error():
    with pytest.raises(DetectorError, match="24 channels"):
        small(layers=["layer1"], n_features=25).fit(TensorSource(textured(4, 64, 96)))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images(n):
    with pytest.raises(TooFewImages, match=f"there are {n}"):
        small().fit(TensorSource(textured(n, 64, 96)))


def test_two_images_are_enough():
    assert np.isfinite(small().fit(TensorSource(textured(2, 64, 96))).held_out_scores).all()


@pytest.fixture(scope="module")
def screws():
    """All training images, decoded once."""
    preprocessing = registry.create("padim", device="cpu", align="none", illumination="none", sigma=4).preprocessing
    good = sorted((SCREW / "train" / "good").glob("*.png"))
    return TensorSource(torch.cat(list(FileImageSource(good, preprocessing, open_image=open_rgb).batches(16))))


@pytest.fixture(scope="module")
def screw_detector(screws):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKBONE_WEIGHTS_DIR", str(RESNET18.parent))
        return registry.create("padim", device="cpu", align="none", illumination="none", sigma=4).fit(screws)


@needs_screw
@needs_resnet18
@pytest.mark.slow
class TestScrew:
    """The reference behaviour on a public data set, without alignment."""

    @pytest.mark.slow
    def test_separation(self, screw_detector):
        detector = screw_detector
        evaluation = MetricsCollector(float(np.percentile(detector.held_out_scores, 90)))
        for path in sorted((SCREW / "test").glob("*/*.png")):
            prepared = detector.prepare(open_rgb(path))
            scored = detector.score(prepared.pixels[None])
            kind = path.parent.name
            mask_path = SCREW / "ground_truth" / kind / f"{path.stem}_mask.png"
            mask = np.array(open_rgb(mask_path))[..., 0] if kind != "good" else None
            anomaly_map = prepared.frame.to_original(scored.maps[0])
            evaluation.add(float(scored.scores[0]), kind != "good", kind, anomaly_map, mask)
        result = evaluation.result()
        assert result["n"] == 160
        assert 0.73 <= result["image"]["auroc"] <= 0.87
        assert result["pixel"]["auroc"] >= 0.95
        assert result["image"]["false_reject_rate"] < 0.25

    @pytest.mark.slow
    def test_five_images_agree_with_the_oracle_after_saving_too(self, screws, screw_detector, tmp_path):
        """Recompute the features of all training images and invert every 37th position's covariance in float64."""
        detector = screw_detector
        artifacts.save(detector, tmp_path / "model", {})
        restored = artifacts.load(tmp_path / "model")
        assert isinstance(restored, Padim)
        tests = sorted((SCREW / "test").glob("*/000.png"))[:5]
        some = slice(0, None, 37)
        with torch.inference_mode():
            data = torch.cat([by_position(detector, batch)[some] for batch in screws.batches(16)], dim=1)
            images = next(FileImageSource(tests, detector.preprocessing, open_image=open_rgb).batches(5))
            new = by_position(detector, images)
            ours = [model._gaussians.distances(new).T[some].numpy() for model in (detector, restored)]
        mean_variance = float(detector.state()["floor"]) / detector.config.floor
        assert mean_variance == pytest.approx(float(data.double().var(1, unbiased=False).mean()), rel=0.1)
        expected = oracle_distances(data.numpy(), new[some].numpy(), float(detector.state()["floor"]))
        for distances in ours:
            np.testing.assert_allclose(distances, expected, rtol=1e-3)
        np.testing.assert_array_equal(detector.score(images).maps, restored.score(images).maps)

    def test_artifact_is_small(self, screw_detector, tmp_path):
        assert artifacts.save(screw_detector, tmp_path / "model", {}).size_bytes <= 60e6


MEMORY = """
import resource, sys, torch
from modelzoo.detectors import registry
from tests.modelzoo.detectors.conftest import textured

class Repeated:
    def __init__(self, n): self.n = n
    def __len__(self): return self.n
    def batches(self, size, indices=None):
        for first in range(0, self.n, size):
            yield textured(min(size, self.n - first), 64, 64, seed=first)

for n in (100, 400):
    registry.create("padim", backbone="efficientnet_lite0", image_size=64, device="cpu").fit(Repeated(n))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_number_of_images():
    """One that keeps the features grows by 100 kB with each image."""
    answer = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    few, many = map(int, answer.stdout.split())
    assert many - few <= 20_000


@given(st.integers(1, 13), st.integers(1, 300), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_triangular_matrices_are_as_good_as_whole_ones(channels, positions, rows):
    generator = torch.Generator().manual_seed(channels * 1000 + positions)
    whole = torch.randn(positions, channels, channels, generator=generator).triu()
    kept = UpperTriangular.empty(positions, channels)
    kept.put(slice(None), whole)
    x = torch.randn(positions, rows, channels, generator=generator)
    torch.testing.assert_close(
        torch.cat(list(kept.products(x)), dim=1).transpose(1, 2), x @ whole, rtol=1e-4, atol=1e-5
    )
    assert torch.equal(kept.get(slice(None)), whole)
    assert torch.equal(UpperTriangular.unpack(kept.pack(), channels).get(slice(None)), whole.half().float())
    squares = UpperTriangular.zeros(positions, channels)
    squares.add_squares(x)
    squares.add_squares(x)
    torch.testing.assert_close(squares.symmetric(slice(None)), 2 * x.transpose(1, 2) @ x, rtol=1e-4, atol=1e-4)
