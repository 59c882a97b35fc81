"""PatchCore's parts against brute force in float64, and what the whole promises."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from modelzoo.detectors import registry
from modelzoo.detectors.errors import DetectorError, TrainingCancelled
from modelzoo.detectors.options import GREEDY, RANDOM
from modelzoo.detectors.patchcore.coreset import project, select_coreset
from modelzoo.detectors.patchcore.detector import PatchCore
from modelzoo.detectors.patchcore.memory_bank import MemoryBank
from modelzoo.detectors.smoothing import Smoothing
from tests.modelzoo.detectors.conftest import TensorSource, textured, with_defect

SIZE = (64, 96)


def points(n: int, dimensions: int, seed: int, clusters: int = 6) -> torch.Tensor:
    """float32 [n,d] around a few centres, far from the origin as features are."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(5, 3, (clusters, dimensions))
    drawn = centres[generator.integers(clusters, size=n)] + generator.normal(0, 0.5, (n, dimensions))
    return torch.from_numpy(drawn.astype(np.float32))


def ignore(done: int) -> None:
    """Nobody watches."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(**options) -> PatchCore:
    options = {"backbone": "efficientnet_lite0", "image_size": SIZE, "sigma": 2} | options
    detector = registry.create("patchcore", device="cpu", **options)
    assert isinstance(detector, PatchCore)
    return detector


class TestMemory:
    @settings(deadline=None, max_examples=25)
    @given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
    def test_exact_is_brute_force(self, rows, queries, dimensions, seed):
        memory_bank = MemoryBank.exact(points(rows, dimensions, seed))
        asked = points(queries, dimensions, seed + 1)
        distances, indices = memory_bank.nearest(asked, 1)
        expected = cdist(asked.double(), memory_bank.rows.double())
        np.testing.assert_allclose(distances, expected.min(1), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(expected[range(queries), indices], distances, rtol=1e-4, atol=1e-4)

    @settings(deadline=None, max_examples=25)
    @given(st.integers(1, 200), st.integers(0, 2**32 - 1))
    def test_cells_hold_every_row_once_and_all_of_them_are_exact(self, rows, seed):
        given_rows = points(rows, 5, seed)
        memory_bank = MemoryBank.with_ivf(given_rows, seeded(seed))
        assert sorted(memory_bank.rows.tolist()) == sorted(given_rows.half().float().tolist())
        asked = points(20, 5, seed + 1)
        distances, _ = memory_bank.nearest(asked, len(memory_bank.sizes))
        expected = cdist(asked.double(), memory_bank.rows.double()).min(1)
        np.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-4)

    def test_a_few_cells_nearly_always_hold_the_nearest_and_a_distance_is_never_too_small(self):
        memory_bank = MemoryBank.with_ivf(points(2500, 16, 0, clusters=40), seeded())
        asked = points(500, 16, 0, clusters=40) + 0.2 * torch.randn(500, 16, generator=seeded())
        exact = cdist(asked.double(), memory_bank.rows.double()).min(1)
        few = {probes: memory_bank.nearest(asked, probes)[0].double().numpy() for probes in (1, 8)}
        for distances in few.values():
            assert (distances >= exact - 1e-4).all()
        assert np.isclose(few[8], exact, rtol=1e-4).mean() >= 0.99
        assert np.isclose(few[1], exact, rtol=1e-4).mean() < np.isclose(few[8], exact, rtol=1e-4).mean()

    def test_many_queries_are_searched_in_parts(self, monkeypatch):
        memory_bank, asked = MemoryBank.with_ivf(points(300, 4, 0), seeded()), points(100, 4, 1)
        whole = memory_bank.nearest(asked, 4)
        monkeypatch.setattr("modelzoo.detectors.patchcore.memory_bank.MAX_DISTANCES", 500)
        for ours, expected in zip(memory_bank.nearest(asked, 4), whole, strict=True):
            torch.testing.assert_close(ours, expected)

    @settings(deadline=None, max_examples=25)
    @given(st.integers(2, 40), st.integers(2, 9), st.integers(0, 2**32 - 1))
    def test_weights_are_equation_7(self, rows, neighbours, seed):
        memory_bank, asked = MemoryBank.exact(points(rows, 3, seed)), points(4, 3, seed + 1)
        neighbours = min(rows, neighbours)
        _, indices = memory_bank.nearest(asked, 1)
        reweighting_factor = memory_bank.reweighting_factor(asked, indices, neighbours)
        stored = memory_bank.rows.double().numpy()
        for query, index, weight in zip(asked.double().numpy(), indices, reweighting_factor, strict=True):
            around = np.argsort(((stored - stored[index]) ** 2).sum(1), kind="stable")[:neighbours]
            exponentials = np.exp(np.sqrt(((stored[around] - query) ** 2).sum(1)))
            nearest = np.exp(np.sqrt(((stored[index] - query) ** 2).sum()))
            assert weight == pytest.approx(1 - nearest / exponentials.sum(), abs=1e-4)


def covering_radius(drawn: np.ndarray, chosen: list[int]) -> float:
    return float(cdist(drawn, drawn[chosen]).min(1).max())


class TestCoreset:
    @settings(deadline=None, max_examples=25)
    @given(st.integers(3, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
    def test_greedy_always_takes_the_farthest(self, n, size, seed):
        drawn = points(n, 4, seed)
        chosen = select_coreset(GREEDY, drawn, size, seeded(seed), ignore).tolist()
        assert len(chosen) == len(set(chosen)) == min(n, size)
        exact = cdist(drawn.double(), drawn.double())
        for count in range(1, len(chosen)):
            nearest = exact[:, chosen[:count]].min(1)
            assert nearest[chosen[count]] == pytest.approx(nearest.max(), rel=1e-3, abs=1e-3)

    @pytest.mark.parametrize("seed", range(5))
    def test_greedy_covers_at_most_twice_as_badly_as_the_best_choice(self, seed):
        drawn = points(12, 3, seed)
        ours = covering_radius(drawn.numpy(), select_coreset(GREEDY, drawn, 3, seeded(seed), ignore).tolist())
        best = min(covering_radius(drawn.numpy(), list(chosen)) for chosen in combinations(range(12), 3))
        assert best - 1e-6 <= ours <= 2 * best + 1e-6

    def test_greedy_remembers_what_is_rare_and_random_does_not(self):
        drawn = torch.cat([points(3000, 8, 0), 20 + points(5, 8, 1)])
        radii = {
            sampling: covering_radius(drawn.numpy(), select_coreset(sampling, drawn, 100, seeded(), ignore).tolist())
            for sampling in (GREEDY, RANDOM)
        }
        assert radii[GREEDY] < 0.2 * radii[RANDOM]

    def test_equal_points_are_taken_once(self):
        drawn = points(5, 3, 0).repeat(20, 1)
        assert len(select_coreset(GREEDY, drawn, 50, seeded(), ignore)) == 5

    def test_whoever_watches_may_stop_it(self):
        def stop(done: int) -> None:
            raise TrainingCancelled("enough")

        with pytest.raises(TrainingCancelled):
            select_coreset(GREEDY, points(2000, 3, 0), 1000, seeded(), stop)

    def test_the_projection_keeps_distances(self):
        drawn = points(60, 400, 0)
        before, after = cdist(drawn, drawn), cdist(*[project(drawn.half(), 64, seeded())] * 2)
        pairs = np.triu_indices(60, 1)
        ratios = after[pairs] / before[pairs]
        assert ratios.mean() == pytest.approx(1, abs=0.1)
        assert ratios.std() < 0.15
        np.testing.assert_array_equal(project(drawn, 400, seeded()), drawn)


class TestDetector:
    def test_maps_are_smoothed_distances_to_the_nearest_of_all_patches(self):
        """With everything remembered and no re-weighting there is nothing but brute force."""
        images, new = textured(6, *SIZE), with_defect(textured(2, *SIZE, seed=5))
        detector = small(coreset=1, probes=0, position_scale=False).fit(TensorSource(images))
        with torch.inference_mode():
            train, tests = (detector._features(part).flatten(2).transpose(1, 2) for part in (images, new))
        rows = train.reshape(-1, train.shape[2]).half().double()
        distances = np.stack([cdist(test.double(), rows).min(1) for test in tests]).reshape(2, 8, 12)
        expected = Smoothing((8, 12), SIZE, 2)(torch.from_numpy(distances).float())
        np.testing.assert_allclose(detector.score(new).maps, expected, rtol=1e-3)

    def test_held_out_scores_are_those_of_models_fitted_without_the_image(self):
        images = textured(10, *SIZE)
        options = {"coreset": 1, "probes": 0, "folds": 5, "position_scale": False, "neighbours": 9}
        held_out = small(**options).fit(TensorSource(images)).held_out_scores
        for fold in (0, 3):
            first, end = 2 * fold, 2 * fold + 2
            rest = small(**options).fit(TensorSource(torch.cat([images[:first], images[end:]])))
            np.testing.assert_allclose(held_out[first:end], rest.score(images[first:end]).scores, rtol=1e-3)

    def test_held_out_scores_are_those_of_new_parts(self):
        detector = small().fit(TensorSource(textured(40, *SIZE)))
        new = detector.score(textured(40, *SIZE, seed=9)).scores
        assert abs(np.median(detector.held_out_scores) - np.median(new)) < new.std()

    def test_parts_need_not_lie_still(self):
        """Good parts shifted by any amount are good; a detector that compares position by position cannot tell."""

        def shifted(images: torch.Tensor, seed: int) -> torch.Tensor:
            generator = np.random.default_rng(seed)
            return torch.stack([image.roll(int(generator.integers(50)), dims=2) for image in images])

        train = TensorSource(shifted(textured(40, 64, 100), 0))
        good, bad = shifted(textured(10, 64, 100, seed=1), 1), shifted(with_defect(textured(10, 64, 100, seed=2)), 2)
        detector = small(image_size=(64, 100)).fit(train)
        assert detector.score(bad).scores.min() > detector.score(good).scores.max()
        assert detector.score(bad).scores.min() > detector.held_out_scores.max()

    def test_re_weighting_scales_the_whole_map(self):
        detector = small(neighbours=9).fit(TensorSource(textured(8, *SIZE)))
        plain = small().fit(TensorSource(textured(8, *SIZE)))
        new = with_defect(textured(3, *SIZE, seed=5))
        # Its held-out scores are re-weighted as well: what is usual is the same for both.
        assert torch.equal(detector.state()["usual_distances"], plain.state()["usual_distances"])
        ratio = detector.score(new).maps / plain.score(new).maps
        np.testing.assert_allclose(ratio.min((1, 2)), ratio.max((1, 2)), rtol=1e-4)
        assert ratio.max() < 1

    @pytest.mark.parametrize("sampling", [GREEDY, RANDOM])
    def test_the_memory_is_bounded_and_comes_from_all_images(self, sampling):
        images = textured(30, *SIZE)
        detector = small(memory_limit=200, coreset=0.5, sampling=sampling).fit(TensorSource(images))
        memory_bank = detector.state()["memory"]
        assert memory_bank.dtype == torch.float16
        assert len(memory_bank) == 100
        with torch.inference_mode():
            rows = detector._features(images).half().flatten(2).transpose(1, 2)
        images_of = {int((rows == row).all(2).any(1).nonzero()[0, 0]) for row in memory_bank}
        assert len(images_of) >= 20

    def test_each_image_is_read_twice(self):
        source = TensorSource(textured(12, *SIZE))
        small().fit(source)
        assert source.reads.tolist() == [2] * 12

    def test_a_patch_averages_its_neighbourhood_and_nothing_beyond_the_border(self):
        detector = small(layers=["layer2"], neighbourhood=3)
        features = torch.randn(1, 2, 8, 12, generator=seeded())
        ours = detector._describe_patches([features])
        assert ours[0, 1, 4, 5].item() == pytest.approx(features[0, 1, 3:6, 4:7].mean().item(), abs=1e-5)
        assert ours[0, 1, 0, 0].item() == pytest.approx(features[0, 1, :2, :2].mean().item(), abs=1e-5)

    @pytest.mark.parametrize(("layers", "grid"), [(["layer3"], (4, 6)), (["layer1", "layer3"], (16, 24))])
    def test_the_finest_layer_gives_the_grid(self, layers, grid):
        detector = small(layers=layers).fit(TensorSource(textured(3, *SIZE)))
        assert detector.grid == grid
        assert detector.score(textured(1, *SIZE)).maps.shape == (1, *SIZE)

    def test_sizes_that_no_stride_divides(self):
        detector = small(image_size=(50, 77)).fit(TensorSource(textured(3, 50, 77)))
        assert detector.score(textured(1, 50, 77)).maps.shape == (1, 50, 77)

    def test_an_even_neighbourhood_is_an_error(self):
        with pytest.raises(DetectorError, match="odd"):
            small(neighbourhood=4)
