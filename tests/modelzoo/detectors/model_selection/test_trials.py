"""Good images divided for a comparison, and candidates fitted and scored on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image

from modelzoo.detectors.errors import DetectorError, TooFewImages
from modelzoo.detectors.model_selection.candidates import BASELINE, Candidate, detectors, variations
from modelzoo.detectors.model_selection.trials import ImageTrials, split_images
from tests import parts

T = TypeVar("T")
PADIM = Candidate("padim")
OPTIONS = {"image_size": 64, "backbone": "efficientnet_lite0", "illumination": "none", "align": "none"}


class Images:
    def __init__(self, images: Sequence[Image.Image]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def map(self, function: Callable[[Image.Image], T], indices: Sequence[int] | None = None) -> Iterable[T]:
        return [function(self.images[index]) for index in (range(len(self)) if indices is None else indices)]


def quiet(fraction: float, sentence: str) -> None:
    """Progress of a trial that nobody follows."""


def trials(n: int = 12, **options: Any) -> ImageTrials:
    images = Images([parts.part(seed)[0] for seed in range(n)])
    return ImageTrials(images, options=OPTIONS | options, seed=0, device="cpu", minutes=8)


# ---------------------------------------------------------------- the split
def test_held_out_images_lie_in_blocks_and_nothing_is_on_both_sides() -> None:
    split = split_images(np.random.default_rng(0).normal(size=(60, 50)))
    assert not set(split.learned) & set(split.held_out)
    assert len(split.held_out) == 20
    gaps = np.diff(split.held_out)
    assert (gaps > 1).sum() == 4  # five blocks
    assert len(split.learned) == 40


def test_near_equal_images_are_not_on_both_sides() -> None:
    """Three views of each part lie side by side."""
    generator = np.random.default_rng(1)
    views = np.repeat(generator.normal(size=(20, 50)), 3, axis=0) + generator.normal(scale=0.05, size=(60, 50))
    split = split_images(views)
    assert not {index // 3 for index in split.learned} & {index // 3 for index in split.held_out}
    assert len(split.learned) >= 30


def test_copies_of_one_image_and_few_images_cannot_be_divided() -> None:
    with pytest.raises(TooFewImages, match="10 are needed"):
        split_images(np.random.default_rng(0).normal(size=(9, 50)))
    with pytest.raises(TooFewImages, match="copies"):
        split_images(np.ones((40, 50)))


# ---------------------------------------------------------------- candidates
def test_other_backbones_are_tried_with_each_detector_and_slow_ones_within_long_budgets() -> None:
    assert [one.name for one in detectors([], 8)] == ["patchcore", "padim"]
    assert [one.name for one in detectors(["resnet34"], 60)] == [
        "patchcore",
        "padim",
        "patchcore, backbone resnet34",
        "padim, backbone resnet34",
        "autoencoder",
    ]


def test_larger_inputs_are_tried_where_the_images_have_the_pixels() -> None:
    options = {"image_size": [256, 256], "sigma": 8.0, "floor": 0.5}
    sizes = [
        [
            one.options["image_size"]
            for one in variations(BASELINE, options, own, may_be_unaligned=False)
            if "image_size" in one.options
        ]
        for own in ((256.0, 256.0), (384.0, 600.0), (1024.0, 1024.0))
    ]
    assert sizes == [[], [[384, 384]], [[384, 384], [512, 512]]]


def test_own_values_are_not_tried_again_and_alignment_only_where_there_is_any() -> None:
    options: dict[str, Any] = {"image_size": [256, 256], "skip_connections": False}
    autoencoder = Candidate("autoencoder")
    found = [one.options for one in variations(autoencoder, options, (200, 200), may_be_unaligned=True)]
    assert {"skip_connections": True} in found
    assert {"align": "none"} in found
    options["skip_connections"] = True
    assert not variations(autoencoder, options, (200, 200), may_be_unaligned=False)
    assert {"align": "none"} not in [
        one.options for one in variations(BASELINE, options, (200, 200), may_be_unaligned=False)
    ]


def test_only_the_default_backbone_is_tried_where_a_run_names_it() -> None:
    assert [one.name for one in trials().detectors()] == ["patchcore", "padim"]


# ---------------------------------------------------------------- trials
def test_defects_are_found_and_the_same_ones_put_on_for_all_candidates() -> None:
    images = trials(16)
    padim = images.run(PADIM, on_all=False, progress=quiet)
    coarse = images.run(Candidate("padim", {"sigma": 2.0}), on_all=False, progress=quiet)
    assert padim.specs == coarse.specs
    assert padim.scores.clean.shape == (len(padim.specs),)
    assert padim.scores.defective.shape == (len(padim.specs), 5)
    assert padim.scores.auroc() > 0.7
    # Those that differ most are found most.
    by_contrast = padim.scores.by(padim.specs, "contrast", 0.2)
    assert by_contrast["strong"] >= by_contrast["weak"]
    again = trials(16).run(PADIM, on_all=False, progress=quiet)
    np.testing.assert_array_equal(again.scores.defective, padim.scores.defective)


def test_an_option_that_does_not_fit_is_an_error_of_the_candidate() -> None:
    with pytest.raises(DetectorError, match="sigma=40"):
        trials().run(Candidate("padim", {"sigma": 40.0}), on_all=False, progress=quiet)


def test_progress_can_end_a_trial() -> None:
    def stop(fraction: float, sentence: str) -> None:
        if "learning from image" in sentence:
            raise DetectorError("over")

    with pytest.raises(DetectorError, match="over"):
        trials().run(PADIM, on_all=False, progress=stop)


def test_examples_are_what_was_put_on() -> None:
    images = trials(16)
    images.run(BASELINE, on_all=False, progress=quiet)
    examples = images.examples(3)
    assert len(examples) == 3
    for _, pixels, mask in examples:
        assert pixels.shape == (parts.SIDE, parts.SIDE, 3)
        assert mask.any()
