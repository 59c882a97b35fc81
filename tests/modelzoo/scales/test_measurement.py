"""Millimetres per pixel: from points that are known, and from pictures of checkerboards whose scale is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelzoo.scales.measurement import (
    MAX_VARIATION_PERCENT,
    ScaleError,
    find_corners,
    scale_from_checkerboard,
    scale_from_length,
)
from tests.boards import photograph


# ---------------------------------------------------------------- a known length
@given(
    x=st.floats(0, 4000),
    y=st.floats(0, 3000),
    angle=st.floats(0, 2 * math.pi),
    length_px=st.floats(50, 4000),
    mm_per_px=st.floats(0.001, 10),
)
def test_a_length_gives_its_scale_wherever_it_lies(
    x: float, y: float, angle: float, length_px: float, mm_per_px: float
) -> None:
    end = (x + length_px * math.cos(angle), y + length_px * math.sin(angle))
    scale = scale_from_length((x, y), end, length_mm=length_px * mm_per_px)
    assert scale.mm_per_px == pytest.approx(mm_per_px, rel=1e-9)
    assert scale == scale_from_length(end, (x, y), length_mm=length_px * mm_per_px)
    assert scale.uncertainty_percent == pytest.approx(100 * math.sqrt(2) / length_px, rel=1e-6)
    assert scale.variation_percent is None


def test_the_uncertainty_covers_points_that_are_off() -> None:
    """Of points that are really off by one pixel (one sigma), two of three scales lie within the uncertainty."""
    rng = np.random.default_rng(3)
    deviations, uncertainty = [], 0.0
    for _ in range(4000):
        first, second = rng.normal((100, 100), 1.0), rng.normal((700, 400), 1.0)
        length_mm = math.hypot(600, 300) * 0.05 * (1 + rng.normal(0, 0.002))
        scale = scale_from_length(
            tuple(first), tuple(second), length_mm=length_mm, length_error_mm=length_mm * 0.002, point_error_px=1.0
        )
        uncertainty = scale.uncertainty_percent
        deviations.append(100 * (scale.mm_per_px / 0.05 - 1))
    assert np.std(deviations) == pytest.approx(uncertainty, rel=0.05)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"length_mm": 0.0}, "above 0"),
        ({"length_mm": float("nan")}, "above 0"),
        ({"length_mm": 10.0, "length_error_mm": 5.0}, "half of the length"),
        ({"length_mm": 10.0, "length_error_mm": -0.1}, "half of the length"),
        ({"length_mm": 10.0, "point_error_px": 0.0}, "0.1 to 100"),
        ({"length_mm": 10.0, "point_error_px": 60.0}, "too near"),
    ],
)
def test_what_gives_no_scale_is_told(options: dict[str, float], problem: str) -> None:
    with pytest.raises(ScaleError, match=problem):
        scale_from_length((0, 0), (200, 0), **options)
    with pytest.raises(ScaleError, match="too near"):
        scale_from_length((5, 5), (9, 9), length_mm=1.0)


# ---------------------------------------------------------------- a checkerboard
@settings(max_examples=20)
@given(
    square_px=st.floats(14, 46),
    degrees=st.floats(0, 360),
    noise=st.floats(0, 8),
    square_mm=st.floats(0.5, 30),
    seed=st.integers(0, 1000),
)
@example(square_px=14, degrees=45, noise=8, square_mm=5, seed=1)
def test_a_board_gives_its_scale_at_any_angle(
    square_px: float, degrees: float, noise: float, square_mm: float, seed: int
) -> None:
    picture = photograph(square_px=square_px, degrees=degrees, noise=noise, seed=seed)
    scale = scale_from_checkerboard(picture, columns=9, rows=6, square_mm=square_mm)
    assert scale.mm_per_px == pytest.approx(square_mm / square_px, rel=0.003)
    assert scale.uncertainty_percent < 0.6
    assert scale.variation_percent is not None
    assert scale.variation_percent < MAX_VARIATION_PERCENT, "a camera that looks straight down is not warned of"
    assert scale.squares == 40


def test_a_colour_picture_and_a_large_one_give_the_same() -> None:
    grey = photograph(square_px=40, degrees=7)
    scale = scale_from_checkerboard(grey, columns=9, rows=6, square_mm=5)
    assert scale == scale_from_checkerboard(np.dstack([grey] * 3), columns=9, rows=6, square_mm=5)
    large = photograph(square_px=170, degrees=7, size=(3200, 2400))
    assert scale_from_checkerboard(large, columns=9, rows=6, square_mm=5).mm_per_px == pytest.approx(5 / 170, rel=1e-3)


@pytest.mark.parametrize("tilt", [0.03, 0.08])
def test_a_tilted_camera_is_told(tilt: float) -> None:
    scale = scale_from_checkerboard(photograph(tilt=tilt, noise=3), columns=9, rows=6, square_mm=5)
    assert scale.variation_percent is not None
    assert scale.variation_percent > MAX_VARIATION_PERCENT
    assert scale.mm_per_px == pytest.approx(5 / 40, rel=0.02), "in the middle it is right"
    # The uncertainty admits it: what lies at the edge is off by about as much.
    assert scale.uncertainty_percent > 100 * tilt / 4


@pytest.mark.parametrize("distortion", [-0.06, 0.06])
def test_a_lens_that_distorts_is_told(distortion: float) -> None:
    scale = scale_from_checkerboard(photograph(distortion=distortion, noise=3), columns=9, rows=6, square_mm=5)
    assert scale.variation_percent is not None
    assert scale.variation_percent > MAX_VARIATION_PERCENT


def test_corners_are_where_they_were_drawn() -> None:
    corners = find_corners(photograph(square_px=40), columns=9, rows=6)
    assert corners is not None
    assert corners.shape == (6, 9, 2)
    x, y = np.sort(corners[..., 0].ravel()), np.sort(corners[..., 1].ravel())
    expected = 399.5 + (np.arange(9) - 4) * 40
    assert np.abs(x.reshape(9, 6) - expected[:, None]).max() < 0.05
    assert np.abs(y.reshape(6, 9) - (299.5 + (np.arange(6) - 2.5) * 40)[:, None]).max() < 0.05


def test_a_picture_without_the_board_is_refused() -> None:
    empty = np.full((300, 400), 128, np.uint8)
    with pytest.raises(ScaleError, match="No checkerboard with 9 x 6 inner corners"):
        scale_from_checkerboard(empty, columns=9, rows=6, square_mm=5)
    with pytest.raises(ScaleError, match="No checkerboard with 8 x 8"):
        scale_from_checkerboard(photograph(), columns=8, rows=8, square_mm=5)
    with pytest.raises(ScaleError, match="3 to 60 inner corners"):
        scale_from_checkerboard(photograph(), columns=2, rows=6, square_mm=5)
    with pytest.raises(ScaleError, match="above 0"):
        scale_from_checkerboard(photograph(), columns=9, rows=6, square_mm=0)
