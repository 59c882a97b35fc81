"""Disturbances do to an image what they say, and the same every time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests import parts
from training.runs.execution.disturbances import (
    DISTURBANCES,
    Disturbance,
    blur,
    brightness,
    jpeg,
    noise,
    rotation,
    shift,
)


@pytest.fixture
def image() -> Image.Image:
    return parts.part(1)[0]


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda one: one.name)
def test_each_gives_the_same_for_the_same_seed_and_leaves_the_image_alone(
    disturbance: Disturbance, image: Image.Image
) -> None:
    original = image.tobytes()
    once, again = (disturbance.apply(image, 7) for _ in range(2))
    assert once.tobytes() == again.tobytes() != original
    assert (once.size, once.mode) == (image.size, "RGB")
    assert image.tobytes() == original


def test_brightness_multiplies_and_stops_at_white() -> None:
    grey = Image.fromarray(np.array([[[0, 100, 250]]], dtype=np.uint8))
    assert np.asarray(brightness(1.2)(grey, 0)).tolist() == [[[0, 120, 255]]]
    assert np.asarray(brightness(0.8)(grey, 0)).tolist() == [[[0, 80, 200]]]


def test_noise_has_the_standard_deviation_that_it_says() -> None:
    flat = Image.new("RGB", (200, 200), (128, 128, 128))
    noisy = np.asarray(noise(5.0)(flat, 3), dtype=float) - 128
    assert noisy.std() == pytest.approx(5.0, rel=0.02)
    assert noisy.mean() == pytest.approx(0.0, abs=0.1)
    assert noise(5.0)(flat, 3).tobytes() != noise(5.0)(flat, 4).tobytes()


def test_a_shift_moves_all_pixels_by_that_much(image: Image.Image) -> None:
    pixels = np.asarray(image)
    moved = {
        (8, 0): pixels[:, :-8],
        (-8, 0): pixels[:, 8:],
        (0, 8): pixels[:-8],
        (0, -8): pixels[8:],
    }
    seen = set()
    for seed in range(12):
        shifted = np.asarray(shift(8)(image, seed))
        inside = {(8, 0): shifted[:, 8:], (-8, 0): shifted[:, :-8], (0, 8): shifted[8:], (0, -8): shifted[:-8]}
        [direction] = [way for way in moved if np.array_equal(inside[way], moved[way])]
        seen.add(direction)
    assert len(seen) > 1


def test_a_rotation_turns_about_the_middle_in_both_directions() -> None:
    image = Image.new("L", (101, 101))
    image.putpixel((90, 50), 255)
    image = image.convert("RGB")
    rows = set()
    for seed in range(8):
        turned = np.asarray(rotation(3.0)(image, seed))[..., 0].astype(float)
        y, x = (turned * np.indices(turned.shape)).sum(axis=(1, 2)) / turned.sum()
        assert np.hypot(x - 50, y - 50) == pytest.approx(40, abs=0.3)
        assert abs(np.degrees(np.arctan2(y - 50, x - 50))) == pytest.approx(3, abs=0.3)
        rows.add(y > 50)
    assert rows == {True, False}


def test_blur_and_jpeg_are_those_of_the_field(image: Image.Image) -> None:
    point = np.zeros((41, 41, 3), dtype=np.uint8)
    point[20, 20] = 255
    blurred = np.asarray(blur(2.0)(Image.fromarray(point), 0), dtype=float)[..., 0]
    assert blurred.max() == pytest.approx(255 / (2 * np.pi * 4), abs=1)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    assert jpeg(60)(image, 0).tobytes() == Image.open(file).convert("RGB").tobytes()
