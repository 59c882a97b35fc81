"""Every layout that is recognised, by a small example of each: counts, labels, splits and masks."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from records.assets.selectors import dataset_limits
from tests import badfiles, environment, layouts
from tests.layouts import EXAMPLES, Example
from training.datasets.layouts.entries import CategoryScan, DatasetRejected, LabelNames
from training.datasets.layouts.families import LAYOUTS
from training.datasets.layouts.masks import open_mask, read_mask
from training.datasets.layouts.preview import category_preview
from training.datasets.layouts.scan import scan

CASES = environment.SHARED / "cases"
DATA = environment.SHARED / "data"


def only(folder: Path, *, labels: LabelNames | None = None, layout: str = "") -> CategoryScan:
    (found,) = scan(folder, dataset_limits(), labels=labels, layout=layout)
    return found


def counts(found: CategoryScan) -> dict[str, int]:
    return dict(Counter(f"{entry.split}/{entry.defect_type}" for entry in found.entries))


def masks(found: CategoryScan) -> int:
    return sum(entry.mask_sha256 is not None for entry in found.entries)


@pytest.fixture(params=list(EXAMPLES.values()), ids=list(EXAMPLES))
def example(request: pytest.FixtureRequest) -> Example:
    found: Example = request.param
    return found


def test_every_layout_is_recognised_by_an_example(example: Example, tmp_path: Path) -> None:
    found = only(example.write(tmp_path / "part"))
    assert found.layout.name == example.layout
    assert found.layout.sentence.endswith(".")
    assert (counts(found), masks(found)) == (example.images, example.masks)
    assert all(entry.split == "test" for entry in found.entries if entry.is_defective)
    for entry in found.entries:
        if entry.mask:
            kept, problems = read_mask(entry.mask, (entry.width, entry.height), dataset_limits())
            assert problems == []
            assert kept.sha256 == entry.mask_sha256
            expected = layouts.marked() > 0
            assert np.array_equal(open_mask(kept.data, dataset_limits()), expected), entry.path


def test_a_layout_can_be_named(example: Example, tmp_path: Path) -> None:
    folder = example.write(tmp_path / "part")
    by_itself, named = only(folder), only(folder, layout=example.layout)
    assert (named.layout, named.snapshot) == (by_itself.layout, by_itself.snapshot)


def test_there_is_an_example_of_every_layout() -> None:
    assert {example.layout for example in EXAMPLES.values()} == set(LAYOUTS)


def test_the_same_folder_elsewhere_and_in_another_order_is_split_alike(tmp_path: Path) -> None:
    folder = EXAMPLES["ok_and_ng"].write(tmp_path / "part")
    before = only(folder)
    renamed = tmp_path / "elsewhere"
    shutil.copytree(folder, renamed)
    for number, path in enumerate(sorted((renamed / "OK").iterdir(), reverse=True)):
        path.rename(path.with_name(f"x{number}{path.name[:3]}.png"))
    held_out = [{entry.sha256 for entry in found.entries if entry.split == "test"} for found in (before, only(renamed))]
    assert held_out[0] == held_out[1]


def test_another_layout_than_the_recognised_one(tmp_path: Path) -> None:
    folder = EXAMPLES["one_flat_folder"].write(tmp_path / "part")
    with pytest.raises(DatasetRejected, match="expected a folder of good parts and others of defects"):
        only(folder, layout="class-folders")
    with pytest.raises(DatasetRejected, match="no layout 'mvtec'; there are: mvtec-ad, mvtec-3d"):
        only(folder, layout="mvtec")


# ---------------------------------------------------------------- names in any language
def test_folders_in_any_language_by_naming_them(tmp_path: Path) -> None:
    layouts.images(tmp_path / "part/mazuri", 9)
    layouts.images(tmp_path / "part/mbaya", 2)
    with pytest.raises(DatasetRejected) as refusal:
        only(tmp_path / "part")
    assert refusal.value.code == "not_mvtec_layout"
    found = only(tmp_path / "part", labels=LabelNames(good=("Mazuri",), defect=("mbaya",)))
    assert counts(found) == {"train/good": 6, "test/good": 3, "test/mbaya": 2}


def test_two_folders_that_resemble_good_are_asked_about(tmp_path: Path) -> None:
    for name in ("ok2", "MT_Free", "crack"):
        layouts.images(tmp_path / "part" / name, 3)
    with pytest.raises(DatasetRejected):
        only(tmp_path / "part")
    found = only(tmp_path / "part", labels=LabelNames(good=("ok2", "MT_Free")))
    assert counts(found) == {"train/good": 4, "test/good": 2, "test/crack": 3}


def test_values_of_a_table_can_be_named(tmp_path: Path) -> None:
    root = tmp_path / "part"
    layouts.images(root, 9)
    rows = "".join(f"{number:03}.png,{'A' if number < 7 else 'C'}\n" for number in range(9))
    layouts.put(root / "grades.csv", "file,grade\n" + rows)
    found = only(root, labels=LabelNames(good=("A",)), layout="label-table")
    assert counts(found) == {"train/good": 5, "test/good": 2, "test/C": 2}


def test_a_readme_that_names_a_file_is_no_table(tmp_path: Path) -> None:
    folder = EXAMPLES["one_flat_folder"].write(tmp_path / "part")
    layouts.put(folder / "README.txt", "000.png ok as it is\n001.png ok too\n")
    assert only(folder).layout.name == "good-folder"


def test_a_flat_folder_of_defects_is_not_taken_for_good_parts(tmp_path: Path) -> None:
    layouts.images(tmp_path / "NG", 6)
    with pytest.raises(DatasetRejected):
        only(tmp_path / "NG")


# ---------------------------------------------------------------- what lies among the images
def test_junk_among_the_images_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    folder = EXAMPLES["ok_and_ng"].write(tmp_path / "part")
    before = only(folder)
    layouts.put(folder / "OK/Thumbs.db", b"x")
    layouts.put(folder / "OK/__MACOSX/._000.png", b"x")
    layouts.put(folder / "OK/.hidden.png", badfiles.png(seed=70))
    layouts.put(folder / "OK/one.png", b"x")
    layouts.put(folder / "OK/train.py", "print()")
    layouts.put(folder / "OK/notes.txt", "good")
    layouts.put(folder / "NG/cut.png", badfiles.truncated_png())
    found = only(folder)
    assert found.snapshot == before.snapshot
    reasons = {row["code"]: (row["count"], row["examples"]) for row in category_preview(found)["left_out"]}
    assert reasons == {
        "not_an_image": (3, ["OK/notes.txt", "OK/one.png", "OK/train.py"]),
        "truncated_image": (1, ["NG/cut.png"]),
    }
    assert "Left out, hidden: 1 file (OK/.hidden.png)." in found.warnings


# ---------------------------------------------------------------- cases and real data
@pytest.mark.parametrize(
    ("case", "images", "masked"),
    [
        ("layouts-refused/btad", {"train/good": 6, "test/good": 2, "test/ko": 2}, 2),
        ("layouts-refused/class_folders", {"train/good": 4, "test/good": 2, "test/broken": 2}, 0),
        ("layouts-refused/flat", {"train/good": 6}, 0),
        ("layouts-refused/mvtec3d", {"train/good": 6, "test/good": 2, "test/broken": 2}, 2),
        ("layouts-refused/OK_NG", {"train/good": 4, "test/good": 2, "test/NG": 2}, 0),
        ("layouts-refused/train_ok", {"train/good": 6, "test/good": 2, "test/ng": 2}, 0),
        *(
            (f"masks-dropped/{name}", {"train/good": 6, "test/good": 2, "test/broken": 2}, 2)
            for name in ("loco_nested", "masks_folder", "same_name", "upper")
        ),
        *(
            (f"one-mask-stops-import/{name}", {"train/good": 6, "test/good": 2, "test/broken": 2}, masked)
            for name, masked in {
                "bits16": 2,
                "bmp": 2,
                "half_size": 0,
                "multi_class": 2,
                "one_empty": 1,
                "rgba": 2,
                "soft": 2,
            }.items()
        ),
        ("test-ok-counted-defective/part", {"train/good": 6, "test/good": 2, "test/broken": 2}, 2),
        ("test-ok-counted-defective/part_capital", {"train/good": 6, "test/good": 2, "test/broken": 2}, 2),
    ],
)
def test_folders_as_people_had_them(case: str, images: dict[str, int], masked: int) -> None:
    if not (CASES / case).is_dir():
        pytest.skip(f"the case ../shared/cases/{case} is not here")
    found = only(CASES / case)
    assert (counts(found), masks(found)) == (images, masked)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "good", "defects", "masked"),
    [("casting", 330, 130, 0), ("magnetic_tile", 420, 212, 210), ("piped", 144, 144, 144), ("wood", 140, 71, 71)],
)
def test_real_folders(name: str, good: int, defects: int, masked: int) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"the development data folder ../shared/data/{name} is not here")
    found = scan(DATA / name, dataset_limits(), keep_duplicates=True)
    entries = [entry for one in found for entry in one.entries]
    assert sum(not entry.is_defective for entry in entries) == good
    assert sum(entry.is_defective for entry in entries) == defects
    assert sum(entry.mask_sha256 is not None for entry in entries) == masked
