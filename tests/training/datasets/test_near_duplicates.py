"""Duplicates are found in whatever form people copy images; different parts in one fixture are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.parts import part
from training.datasets.near_duplicates import ImageDescription, describe_image, duplicate_groups

DATA = Path(__file__).parents[4] / "shared" / "data"
SETS = {
    "screw": "mvtec/screw/t*/*/*.png",
    "cookie": "aws_cookies/cookie/t*/*/*.jpg",
    "casting": "casting/*/*.jpeg",
    "paper": "piped/PA_BRG01_RL/*/*.bmp",
}


def saved_again(quality: int) -> Callable[[Image.Image], Image.Image]:
    def save(image: Image.Image) -> Image.Image:
        out = BytesIO()
        image.save(out, "JPEG", quality=quality)
        return Image.open(out).convert("RGB")

    return save


def moved(right: int, down: int) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, (1, 0, right, 0, 1, down))


def test_sixteen_bit_images_of_different_parts_are_none() -> None:
    def deep(seed: int, low: int) -> Image.Image:
        return Image.fromarray(np.random.default_rng(seed).integers(low, low + 400, (64, 64)).astype(np.uint16))

    images = [deep(1, 800), deep(2, 800), deep(1, 1800)]
    described = [describe_image(image, str(index) * 64) for index, image in enumerate(images)]
    assert duplicate_groups(described) == [[0, 2]]


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same pixels": lambda image: image.copy(),
    "JPEG 60": saved_again(60),
    "JPEG 90": saved_again(90),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "three quarters": lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "one pixel right": moved(1, 0),
    "one pixel right and down": moved(1, 1),
}


def scene(seed: int, side: int = 128) -> Image.Image:
    """A fixture that is in every image, and a part with its own surface, which is seen at its own angle."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    pixels = 60 + 40 * x + 80 * (np.hypot(x - 0.5, y - 0.5) < 0.35)
    for _ in range(6):
        fx, fy, phase = rng.uniform(1, 6, 3)
        pixels = pixels + 4 * np.sin(2 * np.pi * (fx * x + fy * y + phase))
    return Image.fromarray(np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)).convert("RGB")


def described(*images: Image.Image) -> list[ImageDescription]:
    return [describe_image(image, f"{index:064x}") for index, image in enumerate(images)]


# ---------------------------------------------------------------- what is found
@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("others", [10, 100])  # below and above where each is compared with all
def test_a_copy_is_found_in_any_form(copy: Callable[[Image.Image], Image.Image], others: int) -> None:
    images = [scene(seed) for seed in range(others)]
    assert duplicate_groups(described(*images, copy(images[3]))) == [[3, others]]


@pytest.mark.parametrize("copies", [1, 3])
def test_copies_are_found_where_there_is_hardly_anything_else(copies: int) -> None:
    images = [scene(1)] + [saved_again(80 - 5 * index)(scene(1)) for index in range(copies)]
    assert duplicate_groups(described(*images, scene(2), scene(3), scene(4)))[0] == list(range(copies + 1))


def test_two_images_alone_may_be_copies() -> None:
    assert duplicate_groups(described(scene(1), saved_again(80)(scene(1)))) == [[0, 1]]
    assert duplicate_groups(described(scene(1), scene(2))) == []


def test_equal_bytes_are_one_group_whatever_they_show() -> None:
    flat = Image.new("RGB", (64, 64), "white")
    rows = [describe_image(flat, sha256) for sha256 in ("a", "b", "a", "c", "b", "a")]
    assert duplicate_groups(rows) == [[0, 2, 5], [1, 4]]  # flat images tell nothing, so "a" and "b" stay apart


def test_groups_grow_from_copy_to_copy() -> None:
    images = [scene(seed) for seed in range(12)]
    jpeg = saved_again(85)(images[5])
    assert duplicate_groups(described(*images, jpeg, moved(1, 0)(jpeg))) == [[5, 12, 13]]


# ---------------------------------------------------------------- what is not
def test_different_parts_in_a_fixture_are_not_duplicates() -> None:
    assert duplicate_groups(described(*(scene(seed) for seed in range(100)))) == []


def test_parts_that_differ_by_noise_alone_are_not_duplicates() -> None:
    assert duplicate_groups(described(*(part(seed)[0] for seed in range(80)))) == []


def test_another_shape_is_another_image() -> None:
    image = scene(0)
    assert duplicate_groups(described(image, image.resize((128, 96)), *(scene(seed) for seed in range(1, 9)))) == []


def test_nothing_and_one_image_have_no_duplicates() -> None:
    assert duplicate_groups([]) == []
    assert duplicate_groups(described(scene(0))) == []


# ---------------------------------------------------------------- properties
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_images_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [scene(index) for index in range(70)]
    images += [COPIES[name](images[int(rng.integers(70))]) for name in rng.permutation(list(COPIES))[:6]]
    rows = described(*images)
    order = rng.permutation(len(rows))
    straight = {frozenset(group) for group in duplicate_groups(rows)}
    shuffled = {frozenset(int(order[k]) for k in group) for group in duplicate_groups([rows[k] for k in order])}
    assert straight == shuffled


@pytest.mark.parametrize("seed", range(3))
def test_groups_are_disjoint_ascending_and_of_several(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [scene(int(index)) for index in rng.integers(0, 20, 60)]
    rows = [describe_image(image, str(index)) for index, image in enumerate(images)]
    groups = duplicate_groups(rows)
    assert all(group == sorted(group) and len(group) > 1 for group in groups)
    assert all(not set(left) & set(right) for left, right in combinations(groups, 2))


# ---------------------------------------------------------------- real images
def _files(pattern: str) -> Iterator[Path]:
    files = sorted(DATA.glob(pattern))
    if not files:
        pytest.skip("the development data is not here")
    yield from files[::5]


@pytest.mark.parametrize("pattern", SETS.values(), ids=SETS.keys())
def test_real_parts_are_told_apart_and_their_copies_found(pattern: str) -> None:
    images = [Image.open(path).convert("RGB") for path in _files(pattern)]
    count, copied = len(images), range(0, len(images), 7)
    copies = [COPIES["JPEG 60"](images[index]) for index in copied]
    groups = duplicate_groups(described(*images, *copies))
    assert groups == [[index, count + number] for number, index in enumerate(copied)]
