"""Masks of what is ignored: from what a person painted to the model's pixels, with and without pose alignment."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.preprocessing.ignore_mask import IgnoreMask, PaintedMask
from modelzoo.detectors.preprocessing.pipeline import Preprocessing
from tests.modelzoo.detectors.preprocessing.test_alignment import Pictures, lying_anywhere, nail


def rectangle(width: int, height: int, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
    return mask


def plain_pictures(n: int = 5, width: int = 90, height: int = 60) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(90, 120, (height, width, 3), dtype=np.uint8)) for _ in range(n)]


def mask_of(preprocessing: Preprocessing) -> IgnoreMask:
    assert preprocessing.ignore_mask is not None
    return preprocessing.ignore_mask


@pytest.mark.parametrize("factor", [1, 4])
def test_a_mask_of_the_images_is_scaled_to_the_model(factor):
    painted = PaintedMask(rectangle(90 * factor, 60 * factor, 0, 0.5, 0.5, 1))
    fitted = Preprocessing(32, 64).fit(Pictures(plain_pictures()), painted)
    expected = rectangle(64, 32, 0, 0.5, 0.5, 1)
    assert mask_of(fitted).ignored.shape == (32, 64)
    assert (mask_of(fitted).ignored != expected).mean() < 0.03
    assert mask_of(fitted).agreement == 1


def test_a_mask_is_cropped_with_the_region():
    painted = PaintedMask(rectangle(90, 60, 0, 0, 0.5, 1))
    fitted = Preprocessing(32, 64, region=(0.25, 0, 0.75, 1)).fit(Pictures(plain_pictures()), painted)
    assert (mask_of(fitted).ignored != rectangle(64, 32, 0, 0, 0.5, 1)).mean() < 0.03


def test_below_the_mask_every_picture_is_the_mean_good_one():
    painted = PaintedMask(rectangle(90, 60, 0, 0, 0.5, 1))
    pictures = plain_pictures()
    fitted = Preprocessing(32, 64).fit(Pictures(pictures), painted)
    ignored = mask_of(fitted).ignored
    white = fitted.prepare(Image.new("RGB", (90, 60), "white"))
    seen = white.pixels.permute(1, 2, 0).numpy()
    assert np.abs(seen[ignored].mean() - 104.5) < 2
    assert (seen[~ignored] == 255).all()
    original = white.ignored_in_original()
    assert original is not None
    assert np.mean(original != painted.pixels) < 0.03
    # The check of the kind of picture does not look below it either.
    half = Image.new("RGB", (90, 60), "white")
    half.paste(Image.new("RGB", (43, 60), "black"), (0, 0))
    np.testing.assert_array_equal(fitted.prepare(half).view, white.view)


def test_it_survives_being_stored_and_old_descriptions_have_none():
    fitted = Preprocessing(32, 64).fit(Pictures(plain_pictures()), PaintedMask(rectangle(90, 60, 0, 0, 0.5, 1)))
    description = json.loads(json.dumps(fitted.describe()))
    again = Preprocessing.restore(description, fitted.tensors())
    np.testing.assert_array_equal(mask_of(again).ignored, mask_of(fitted).ignored)
    np.testing.assert_array_equal(mask_of(again).fill, mask_of(fitted).fill)
    del description["ignore_mask"]
    assert Preprocessing.restore(description, {}).ignore_mask is None


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (rectangle(60, 90, 0, 0, 0.5, 1), "another shape"),
        (rectangle(90, 60, 0, 0, 0, 0), "is empty"),
        (rectangle(90, 60, 0, 0, 1, 1), "nothing would be judged"),
    ],
    ids=["shape", "empty", "everything"],
)
def test_masks_that_make_no_sense_are_refused(mask, sentence):
    with pytest.raises(DetectorError, match=sentence):
        Preprocessing(32, 64).fit(Pictures(plain_pictures()), PaintedMask(mask))


@pytest.fixture(scope="module")
def aligned() -> Preprocessing:
    return Preprocessing(128, 128, align="pose").fit(Pictures(lying_anywhere()))


def mark_in_model(preprocessing: Preprocessing) -> np.ndarray:
    """Where the mark of the nail lies in the aligned picture, bool [H,W], with some room around it."""
    grey = preprocessing.prepare(nail(0.3)).pixels[0].numpy().astype(int)
    mark = (grey > 95) & (grey < 125)
    rows, columns = np.nonzero(mark[:, : mark.shape[1]])
    middle = np.median(rows), np.median(columns)
    mask = np.zeros(grey.shape, dtype=bool)
    mask[int(middle[0]) - 8 : int(middle[0]) + 9, int(middle[1]) - 10 : int(middle[1]) + 11] = True
    return mask


def test_a_mask_on_the_aligned_mean_turns_with_the_part(aligned):
    """It was painted on another model's mean image; the new one is of other images, size and lighting."""
    painted = PaintedMask(mark_in_model(aligned), aligned)
    fitted = Preprocessing(160, 160, align="pose", illumination="auto").fit(Pictures(lying_anywhere(seed=7)), painted)
    assert mask_of(fitted).agreement > 0.8
    for angle in (0.0, 1.0, 2.5, -2.0):
        good, marked = nail(angle), nail(angle)
        blackened = np.array(marked)
        c, s = math.cos(angle), math.sin(angle)
        x, y = round(96 - 16 * c), round(96 - 16 * s)  # the middle of the mark
        blackened[y - 2 : y + 3, x - 2 : x + 3] = 255
        ignored = fitted.prepare(good).ignored_in_original()
        assert ignored is not None
        assert ignored[y - 2 : y + 3, x - 2 : x + 3].all(), angle
        assert ignored.mean() < 0.05
        before, after = (
            fitted.prepare(image).pixels.numpy().astype(int) for image in (good, Image.fromarray(blackened))
        )
        assert np.abs(before - after).max() <= 12, angle  # the pose may move by a fraction of a pixel


def test_a_mask_of_images_whose_parts_lie_alike_goes_to_the_aligned_part():
    random = np.random.default_rng(3)
    pictures = [nail(random.normal(0, 0.03), 96 + random.normal(0, 1), 96, seed=i) for i in range(12)]
    painted = PaintedMask(rectangle(192, 192, 0.35, 0.42, 0.5, 0.58))
    fitted = Preprocessing(128, 128, align="pose").fit(Pictures(pictures), painted)
    assert mask_of(fitted).agreement > 0.7
    back = fitted.prepare(nail(0.0)).ignored_in_original()
    assert (back & painted.pixels).sum() / (back | painted.pixels).sum() > 0.8


def test_a_mask_of_images_whose_parts_lie_anywhere_is_refused():
    painted = PaintedMask(rectangle(192, 192, 0.3, 0.42, 0.42, 0.58))
    with pytest.raises(DetectorError, match="aligned mean image"):
        Preprocessing(128, 128, align="pose").fit(Pictures(lying_anywhere()), painted)
