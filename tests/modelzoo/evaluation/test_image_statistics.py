"""What a record keeps of a picture as a whole: each number answers to what it is named after."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from modelzoo.evaluation.image_statistics import edge_direction, pixel_statistics, record_statistics
from tests import parts


def plate(angle: float = 0.0) -> np.ndarray:
    """A bright rectangle with a slot, turned by an angle, uint8 [240,320,3]."""
    grey = np.full((240, 320), 60, dtype=np.uint8)
    cv2.rectangle(grey, (90, 70), (230, 170), 180, -1)
    cv2.rectangle(grey, (120, 100), (200, 120), 30, -1)
    turn = cv2.getRotationMatrix2D((159.5, 119.5), -angle, 1.0)
    turned = cv2.warpAffine(grey, turn, (320, 240), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.repeat(np.asarray(turned, dtype=np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("angle", [-20.0, -3.0, 0.0, 3.0, 10.0])
def test_the_direction_of_the_edges_turns_with_the_part(angle: float) -> None:
    assert edge_direction(plate(angle)[..., 0]) == pytest.approx(angle, abs=1.5 if abs(angle) > 5 else 0.5)


def test_a_quarter_turn_has_the_same_direction() -> None:
    grey = plate(7.0)[..., 0]
    assert edge_direction(np.ascontiguousarray(np.rot90(grey))) == pytest.approx(edge_direction(grey), abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_tiny_and_flat_pictures_have_statistics(shape: tuple[int, int]) -> None:
    assert np.isfinite(list(record_statistics(np.full((*shape, 3), 9, dtype=np.uint8)).values())).all()


def test_each_number_answers_to_its_disturbance() -> None:
    image = np.asarray(parts.part(1)[0])
    before = record_statistics(image)
    darker = record_statistics((image * 0.9).astype(np.uint8))
    assert darker["brightness"] == pytest.approx(0.9 * before["brightness"], rel=0.02)
    assert darker["background"] < before["background"]
    assert darker["contrast"] == pytest.approx(0.9 * before["contrast"], rel=0.02)
    blurred = record_statistics(cv2.GaussianBlur(image, (0, 0), 1.0))
    assert blurred["focus"] < 0.7 * before["focus"]
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    noisy = record_statistics(np.clip(image + noise, 0, 255).astype(np.uint8))
    assert noisy["noise"] > 1.5 * before["noise"]


def test_statistics_are_those_of_plain_numpy() -> None:
    pixels = np.asarray(parts.part(2)[0].resize((200, 120), Image.Resampling.BILINEAR))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64)
    found = pixel_statistics(pixels)
    assert found["mean"] == pytest.approx(grey.mean())
    assert found["standard_deviation"] == pytest.approx(grey.std())
    assert found["median"] == pytest.approx(np.quantile(grey, 0.5), abs=1)
    highest = pixels.max(axis=2).astype(np.float64)
    saturation = 255 * (highest - pixels.min(axis=2)) / np.maximum(highest, 1)
    assert found["saturation"] == pytest.approx(saturation.mean(), abs=0.5)
