"""What is left out of a data set because it is there twice, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from records.assets.images import UploadLimits
from tests.parts import encode
from tests.training.datasets.test_near_duplicates import scene
from training.datasets.layouts.entries import CategoryScan
from training.datasets.layouts.preview import category_preview
from training.datasets.layouts.scan import scan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve good parts to learn from; four good and four defective ones to test with."""
    root = tmp_path / "disc"
    for place, seeds in (("train/good", range(12)), ("test/good", range(20, 24)), ("test/dent", range(30, 34))):
        for seed in seeds:
            put(root / place / f"{seed}.png", scene(seed))
    return root


def put(path: Path, image: Image.Image, file_format: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(image, file_format))


def read(folder: Path, **arguments: Any) -> CategoryScan:
    [found] = scan(folder, UploadLimits(), **arguments)
    return found


def left_out(found: CategoryScan) -> list[tuple[str, str, str]]:
    return [(file.path, file.code, file.reason) for file in found.skipped]


def test_without_duplicates_there_is_nothing_to_say(folder: Path) -> None:
    found = read(folder)
    assert found.duplicates.document == {"group_count": 0, "image_count": 0, "left_out_count": 0, "groups": []}
    assert left_out(found) == []


@pytest.mark.parametrize("place", ["test/good", "test/dent"])
def test_a_training_image_saved_again_is_kept_out_of_the_test(folder: Path, place: str) -> None:
    put(folder / place / "again.jpg", scene(3), "JPEG")
    found = read(folder)
    assert left_out(found) == [
        (f"{place}/again.jpg", "leak", "It is nearly identical to the training image train/good/3.png.")
    ]
    document = category_preview(found)["duplicates"]
    assert (document["group_count"], document["image_count"], document["left_out_count"]) == (1, 2, 1)
    [group] = document["groups"]
    assert group["is_identical"] is False
    assert {(image["path"], image["left_out"]) for image in group["images"]} == {
        ("train/good/3.png", False),
        (f"{place}/again.jpg", True),
    }


def test_what_is_called_good_and_defective_is_kept_out(folder: Path) -> None:
    put(folder / "test/dent/both.png", ImageEnhance.Brightness(scene(21)).enhance(1.05))
    assert left_out(read(folder)) == [
        (
            "test/dent/both.png",
            "contradiction",
            "It is nearly identical to test/good/21.png, and one is called good, the other defective.",
        ),
        (
            "test/good/21.png",
            "contradiction",
            "It is nearly identical to test/dent/both.png, and one is called good, the other defective.",
        ),
    ]


@pytest.mark.parametrize("side", [5, 8])
def test_a_small_defect_on_an_image_of_a_training_part_stays_in_the_test(folder: Path, side: int) -> None:
    """As of a part that was photographed, damaged and photographed again."""
    damaged = scene(5)
    damaged.paste((20, 20, 20), (60, 60, 60 + side, 60 + side))
    put(folder / "test/dent/damaged.png", damaged)
    assert left_out(read(folder)) == []


def test_duplicates_within_a_split_stay_and_are_named(folder: Path) -> None:
    put(folder / "train/good/again.jpg", scene(3), "JPEG")
    put(folder / "test/dent/again.jpg", scene(31), "JPEG")
    found = read(folder)
    assert left_out(found) == []
    assert found.duplicates.document["group_count"] == 2
    assert "1 training image is nearly identical to another one of the same split." in found.warnings
    assert "1 test image is nearly identical to another one of the same split." in found.warnings


def test_somebody_may_keep_them_and_is_told_what_that_means(folder: Path) -> None:
    put(folder / "test/good/again.jpg", scene(3), "JPEG")
    without, with_them = read(folder), read(folder, keep_duplicates=True)
    assert left_out(with_them) == []
    assert len(with_them.entries) == len(without.entries) + 1
    assert with_them.snapshot != without.snapshot
    assert with_them.duplicates.document["left_out_count"] == 0
    assert "Training images are in the test, too: its figures are better than the model is." in with_them.warnings


def test_what_is_left_out_changes_nothing_of_the_snapshot(folder: Path) -> None:
    before = read(folder).snapshot
    put(folder / "test/good/again.jpg", scene(3), "JPEG")
    assert read(folder).snapshot == before
