"""What distances are usual at each position, against numpy, and what it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modelzoo.detectors import registry
from modelzoo.detectors.usual_distances import MIN_SHARE, NEIGHBOURS_WEIGHT, UsualDistances
from tests.modelzoo.detectors.conftest import TensorSource, textured

OPTIONS: dict[str, Any] = {"backbone": "efficientnet_lite0", "image_size": (64, 96), "sigma": 2, "device": "cpu"}


def mean_of_neighbours(values: torch.Tensor) -> torch.Tensor:
    """Of three positions in a row, as if they lay on a ring."""
    return (values.roll(1, 1) + values + values.roll(-1, 1)) / 3


def learnt(distances: np.ndarray, spreads: float = 3.0) -> UsualDistances:
    usual = UsualDistances(distances.shape[1], spreads, mean_of_neighbours)
    for part in np.array_split(distances, 3):
        usual.add(torch.from_numpy(part).float())
    return usual


def expected(distances: np.ndarray, spreads: float = 3.0) -> np.ndarray:
    n = len(distances)

    def pooled(values: np.ndarray) -> np.ndarray:
        around = (np.roll(values, 1) + values + np.roll(values, -1)) / 3
        return (n * values + NEIGHBOURS_WEIGHT * around) / (n + NEIGHBOURS_WEIGHT)

    usual = pooled(distances.mean(0)) + spreads * np.sqrt(pooled(distances.var(0, ddof=1)))
    return np.maximum(usual, MIN_SHARE * usual.mean())


def some_distances(n: int = 12) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.abs(generator.normal([5, 1, 0.2, 9, 3], [1, 0.1, 0.02, 4, 0.5], (n, 5)))


def test_it_is_mean_and_spread_with_what_the_neighbours_say():
    distances = some_distances()
    np.testing.assert_allclose(learnt(distances).of_all(), expected(distances), rtol=1e-5)


def test_an_image_that_is_left_out_is_as_if_it_had_never_been_there():
    distances = some_distances()
    without = learnt(distances).without_each(torch.from_numpy(distances).float())
    for index, usual in enumerate(without.numpy()):
        np.testing.assert_allclose(usual, expected(np.delete(distances, index, axis=0)), rtol=1e-4)


def test_a_position_at_which_nothing_ever_differs_is_not_infinitely_sensitive():
    distances = some_distances()
    distances[:, 1:4] = 0
    usual = learnt(distances).of_all()
    assert usual.min() == pytest.approx(MIN_SHARE * float(usual.mean()), rel=0.5)
    assert torch.isfinite(learnt(np.zeros((4, 5))).of_all()).all()
    assert (learnt(np.zeros((4, 5))).of_all() > 0).all()


def test_a_corner_where_good_parts_differ_does_not_decide():
    """Every image has another corner, as at the border of a fine texture. (PaDiM's covariances know of it already.)"""

    def with_noisy_corner(images: torch.Tensor, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        images = images.clone()
        images[:, :, :24, -24:] = torch.randint(0, 256, (len(images), 3, 24, 24), generator=generator).byte()
        return images

    train, good = with_noisy_corner(textured(24, 64, 96), 0), with_noisy_corner(textured(24, 64, 96, seed=7), 1)

    def share_decided_in_the_corner(position_scale: bool) -> float:
        detector = registry.create("patchcore", position_scale=position_scale, **OPTIONS).fit(TensorSource(train))
        highest = detector.score(good).maps.reshape(24, -1).argmax(1)
        rows, columns = np.unravel_index(highest, (64, 96))
        return float(((rows < 24) & (columns >= 72)).mean())

    assert share_decided_in_the_corner(False) > 0.9
    assert share_decided_in_the_corner(True) < 0.3


@pytest.mark.parametrize("algorithm", ["padim", "patchcore"])
def test_a_model_from_before_goes_on_without(algorithm):
    detector = registry.create(algorithm, position_scale=False, **OPTIONS).fit(TensorSource(textured(8, 64, 96)))
    description, state = detector.describe(), detector.state()
    del description["config"]["position_scale"], description["config"]["usual_spreads"]
    assert "usual_distances" not in state
    again = type(detector).restore(description, state)
    new = textured(3, 64, 96, seed=5)
    np.testing.assert_array_equal(again.score(new).maps, detector.score(new).maps)
    assert again.describe()["config"]["position_scale"] is False
