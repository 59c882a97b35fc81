"""Synthetic defects: seeded, on the part, clearly there, with an exact mask."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.synthetic_defects.defects import CONTRASTS, KINDS, SIZES, DefectSpec, make_defect
from modelzoo.detectors.synthetic_defects.parts import Part
from tests.parts import part as disc_image

EVERY_SPEC = [DefectSpec(*chosen, seed=7) for chosen in product(KINDS, SIZES, CONTRASTS)]


def disc(seed: int = 0) -> np.ndarray:
    """A disc before a plain background."""
    return np.asarray(disc_image(seed)[0].resize((192, 192)))


def texture(seed: int = 0) -> np.ndarray:
    """Coarse noise that fills the picture."""
    cells = np.random.default_rng(seed).integers(90, 170, (24, 32, 3))
    return np.kron(cells, np.ones((6, 6, 1))).astype(np.uint8)


def words(spec: DefectSpec) -> str:
    return f"{spec.kind}-{spec.size}-{spec.contrast}"


@pytest.mark.parametrize("spec", EVERY_SPEC, ids=words)
@pytest.mark.parametrize("pixels", [disc(), texture()], ids=["disc", "texture"])
def test_a_defect_changes_the_pixels_of_its_mask_and_no_others(pixels: np.ndarray, spec: DefectSpec) -> None:
    part = Part.find(pixels)
    defect = make_defect(pixels, part, spec)
    changed = (defect.on(pixels) != pixels).any(axis=2)
    mask = defect.whole_mask(*pixels.shape[:2])
    assert mask.any()
    np.testing.assert_array_equal(mask, changed)
    assert not (mask & ~part.mask).any()


@pytest.mark.parametrize("pixels", [disc(), texture()], ids=["disc", "texture"])
def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(pixels: np.ndarray) -> None:
    part = Part.find(pixels)
    for spec in EVERY_SPEC:
        first, again = make_defect(pixels, part, spec), make_defect(pixels, part, spec)
        np.testing.assert_array_equal(first.on(pixels), again.on(pixels))
        other = make_defect(pixels, part, DefectSpec(spec.kind, spec.size, spec.contrast, seed=8))
        assert (other.on(pixels) != first.on(pixels)).any()


def mean_change(pixels: np.ndarray, spec: DefectSpec) -> float:
    defect = make_defect(pixels, Part.find(pixels), spec)
    change = np.abs(defect.on(pixels).astype(float) - pixels).mean(axis=2)
    return float(change[defect.whole_mask(*pixels.shape[:2])].mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_a_strong_defect_differs_more_than_a_weak_one_and_both_can_be_seen(kind: str, size: str) -> None:
    for picture in (disc, texture):
        weak, strong = (
            np.mean([mean_change(picture(seed), DefectSpec(kind, size, contrast, seed)) for seed in range(6)])
            for contrast in ("weak", "strong")
        )
        assert strong > weak > 2.5


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_shares_of_the_part(kind: str) -> None:
    pixels = texture()
    part = Part.find(pixels)
    areas = [
        np.mean([make_defect(pixels, part, DefectSpec(kind, size, "strong", seed)).mask.sum() for seed in range(8)])
        for size in SIZES
    ]
    assert areas == sorted(areas)
    assert areas[-1] < 0.1 * part.mask.size


def test_the_part_is_what_stands_before_a_plain_background() -> None:
    part = Part.find(disc())
    assert part.background is not None
    assert part.mask.mean() == pytest.approx(np.pi * 34**2 / 96**2, rel=0.1)
    assert not part.mask[:20].any()
    everything = Part.find(texture())
    assert everything.background is None
    assert everything.mask.all()


def test_a_missing_piece_shows_the_background() -> None:
    pixels = disc()
    defect = make_defect(pixels, Part.find(pixels), DefectSpec("missing", "large", "strong", 3))
    mask = defect.whole_mask(*pixels.shape[:2])
    assert defect.on(pixels)[mask].mean() == pytest.approx(42, abs=8)


def test_nothing_is_put_where_nobody_looks() -> None:
    pixels = disc()
    inspected = np.zeros(pixels.shape[:2], dtype=bool)
    inspected[:, :96] = True
    part = Part.find(pixels, inspected)
    for spec in EVERY_SPEC:
        assert not make_defect(pixels, part, spec).whole_mask(*pixels.shape[:2])[:, 96:].any()


def test_thin_line_scan_images_and_the_smallest_ones_have_defects_too() -> None:
    for shape in ((20, 320), (320, 20), (16, 16)):
        pixels = np.random.default_rng(0).integers(80, 160, (*shape, 3), dtype=np.uint8)
        part = Part.find(pixels)
        assert all(make_defect(pixels, part, spec).mask.any() for spec in EVERY_SPEC)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DetectorError, match="dent"):
        make_defect(texture(), Part.find(texture()), DefectSpec("dent", "small", "weak", 0))
