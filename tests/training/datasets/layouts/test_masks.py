"""Masks in every form: what is not background is defective, and what is kept reads the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from records.assets.selectors import dataset_limits
from tests import badfiles
from training.datasets.layouts.entries import MaskSource
from training.datasets.layouts.masks import WHITE, MaskUnusable, encode, lie_on_white, open_mask, read_mask

SIZE = (64, 48)


def drawn() -> np.ndarray:
    pixels = np.zeros((48, 64), bool)
    pixels[10:20, 16:32] = True
    return pixels


def palette(colours: list[int]) -> Image.Image:
    image = Image.fromarray(drawn().astype(np.uint8)).convert("P")
    image.putpalette(colours)
    return image


def labelled(*values: int) -> np.ndarray:
    """The defect in stripes of several values."""
    pixels = np.zeros((48, 64), np.uint8)
    for column, value in zip(np.array_split(np.arange(16, 32), len(values)), values, strict=True):
        pixels[10:20, column] = value
    return pixels


def rgba(colour: tuple[int, int, int]) -> np.ndarray:
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[drawn()] = (*colour, 255)
    return pixels


def jpeg_of_colour() -> Image.Image:
    return Image.fromarray(np.dstack([drawn() * np.uint8(255)] * 3))


FORMS: dict[str, tuple[Image.Image | np.ndarray, str]] = {
    "0 and 255": (labelled(255), "PNG"),
    "0 and 1": (labelled(1), "PNG"),
    "1 bit": (Image.fromarray(drawn()), "PNG"),
    "1 bit BMP": (Image.fromarray(drawn()), "BMP"),
    "TIFF": (labelled(255), "TIFF"),
    "16 bit": (Image.fromarray((drawn() * 65535).astype(np.uint16)), "PNG"),
    "16 bit, value 1": (Image.fromarray((drawn() * 1).astype(np.uint16)), "PNG"),
    "palette": (palette([0, 0, 0, 255, 0, 0]), "PNG"),
    "palette on white": (palette([255, 255, 255, 200, 0, 0]), "PNG"),
    "RGBA, white on nothing": (rgba((255, 255, 255)), "PNG"),
    "RGBA, red on nothing": (rgba((200, 10, 10)), "PNG"),
    "numbers of labels": (labelled(1, 2, 3), "PNG"),
    "numbers of labels in 16 bits": (Image.fromarray(labelled(1, 2, 3).astype(np.uint16)), "PNG"),
    "levels of labels": (labelled(85, 170, 255), "PNG"),
    "JPEG in three channels": (jpeg_of_colour(), "JPEG"),
}


@pytest.mark.parametrize(("image", "kind"), FORMS.values(), ids=FORMS)
def test_what_is_not_background_is_defective(image, kind, tmp_path: Path):
    path = tmp_path / "mask"
    path.write_bytes(badfiles.encode(image, kind))
    mask, problems = read_mask(MaskSource(files=(path,)), SIZE, dataset_limits())
    assert (problems, mask.is_soft) == ([], False)
    np.testing.assert_array_equal(open_mask(mask.data, dataset_limits()), drawn())


def test_plain_masks_are_kept_as_they_came(tmp_path: Path):
    for name in ("0 and 255", "0 and 1", "1 bit", "JPEG in three channels"):
        path = tmp_path / "mask"
        path.write_bytes(badfiles.encode(FORMS[name][0], FORMS[name][1]))
        mask, _ = read_mask(MaskSource(files=(path,)), SIZE, dataset_limits())
        assert mask.data == path.read_bytes(), name


def test_a_soft_mask_is_cut_at_half(tmp_path: Path):
    ramp = np.zeros((48, 64), np.uint8)
    ramp[10:20, :] = np.linspace(0, 200, 64).astype(np.uint8)
    path = tmp_path / "mask.png"
    path.write_bytes(badfiles.encode(ramp))
    mask, _ = read_mask(MaskSource(files=(path,)), SIZE, dataset_limits())
    assert mask.is_soft
    np.testing.assert_array_equal(open_mask(mask.data, dataset_limits()), ramp > 100)


def test_several_masks_of_one_image_are_united_and_one_that_is_damaged_is_named(tmp_path: Path):
    left, right = drawn(), drawn()
    left[:, 24:], right[:, :24] = False, False
    paths = [tmp_path / name for name in ("left.png", "right.png", "bad.png")]
    for path, data in zip(paths, (encode(left), encode(right), badfiles.truncated_png()), strict=True):
        path.write_bytes(data)
    mask, [problem] = read_mask(MaskSource(files=tuple(paths)), SIZE, dataset_limits())
    assert (problem.code, problem.path) == ("mask_unreadable", paths[2])
    np.testing.assert_array_equal(open_mask(mask.data, dataset_limits()), drawn())


def test_boxes_and_polygons():
    box = MaskSource(boxes=((16 / 64, 10 / 48, 32 / 64, 20 / 48),))
    corners = ((16, 10), (32, 10), (32, 20), (16, 20))
    polygon = MaskSource(polygons=(tuple((x / 64, y / 48) for x, y in corners),))
    for source in (box, polygon):
        mask, _ = read_mask(source, SIZE, dataset_limits())
        np.testing.assert_array_equal(open_mask(mask.data, dataset_limits()), drawn())
    with pytest.raises(MaskUnusable) as nothing:
        read_mask(MaskSource(boxes=((2, 2, 3, 3),)), SIZE, dataset_limits())
    assert nothing.value.code == "mask_empty"


@given(
    st.lists(
        st.tuples(*[st.floats(-1e6, 1e6)] * 2),
        min_size=3,
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_no_polygon_leaves_the_image(polygon):
    try:
        mask, _ = read_mask(MaskSource(polygons=(tuple(polygon),)), SIZE, dataset_limits())
    except MaskUnusable:
        return
    assert open_mask(mask.data, dataset_limits()).shape == (48, 64)


@given(hnp.arrays(bool, st.tuples(st.integers(16, 70), st.integers(16, 70))))
@settings(max_examples=40, deadline=None)
def test_what_is_encoded_comes_back(pixels):
    if pixels.any():
        np.testing.assert_array_equal(open_mask(encode(pixels), dataset_limits()), pixels)


@pytest.mark.parametrize(("form", "suffix"), [("L", "png"), ("1", "bmp"), ("L", "jpg"), ("RGB", "png")])
def test_what_is_black_on_white_is_defective(tmp_path: Path, form: str, suffix: str):
    files = []
    for number in range(4):
        files.append(tmp_path / f"{number}.{suffix}")
        Image.fromarray((~drawn() * 255).astype(np.uint8)).convert(form).save(files[-1])
    assert lie_on_white(files, dataset_limits())
    for path in files:
        mask, _ = read_mask(MaskSource((path,), background=WHITE), SIZE, dataset_limits())
        assert (open_mask(mask.data, dataset_limits()) == drawn()).all()


def test_masks_of_parts_that_are_defective_all_over_do_not_lie_on_white(tmp_path: Path):
    """Of white masks, masks that touch the border and ordinary ones; and few masks say nothing."""
    limits = dataset_limits()
    white, large, ordinary = np.ones((48, 64), bool), np.ones((48, 64), bool), drawn()
    large[:, :5] = False
    files = []
    for number, pixels in enumerate([white, large, ordinary, ordinary]):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray((pixels * 255).astype(np.uint8)).save(files[-1])
    assert not lie_on_white(files, limits)
    inverted = tmp_path / "inverted.png"
    Image.fromarray((~drawn() * 255).astype(np.uint8)).save(inverted)
    assert not lie_on_white([inverted], limits)
    assert not lie_on_white([], limits)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    assert not lie_on_white([broken] * 5, limits)
