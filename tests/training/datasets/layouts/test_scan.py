"""Reading MVTec layout: what is found, what is skipped and why, what stops the scan, what the snapshot depends on."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from records.assets.images import ImageRejected, UploadLimits
from tests import badfiles, environment
from training.datasets.layouts.entries import CategoryScan, DatasetRejected, LabelNames, MaskSource
from training.datasets.layouts.masks import open_mask, read_mask
from training.datasets.layouts.scan import scan

LIMITS = UploadLimits()
SHARED = environment.SHARED / "data"


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def bottle(tmp_path) -> Path:
    """Three good training images, one good and two defective test images, one of them with a mask."""
    folder = tmp_path / "data" / "bottle"
    for i in range(3):
        write(folder / f"train/good/{i:03}.png", badfiles.png(seed=i))
    write(folder / "test/good/000.png", badfiles.png(seed=10))
    write(folder / "test/broken/000.png", badfiles.png(seed=20))
    write(folder / "test/broken/001.jpg", badfiles.jpeg(seed=21))
    write(folder / "ground_truth/broken/000_mask.png", badfiles.mask_png())
    return folder


def only(folder: Path, limits: UploadLimits = LIMITS) -> CategoryScan:
    (found,) = scan(folder, limits)
    return found


def paths(found: CategoryScan) -> list[str]:
    return [entry.path for entry in found.entries]


def skipped(found: CategoryScan) -> dict[str, str]:
    return {item.path: item.code for item in found.skipped}


def assert_rejected(folder: Path, code: str) -> DatasetRejected:
    with pytest.raises(DatasetRejected) as refusal:
        scan(folder, LIMITS)
    assert (refusal.value.code, refusal.value.status) == (code, 422)
    return refusal.value


# ---------------------------------------------------------------- what is found
def test_the_content_decides_and_paths_are_kept_as_they_are(bottle):
    (bottle / "train/good/000.png").rename(bottle / "train/good/000.jpg")
    (bottle / "train/good/001.png").rename(bottle / "train/good/blob")
    write(bottle / "train/good/.hidden.png", badfiles.png(seed=5))
    write(bottle / "train/good/Thumbs.db", b"x")
    write(bottle / "train/good/003.png.part", badfiles.png(seed=6))
    found = only(bottle)
    assert [path for path in paths(found) if path.startswith("train")] == [
        "train/good/000.jpg",
        "train/good/002.png",
        "train/good/blob",
    ]
    assert skipped(found) == {"train/good/003.png.part": "unfinished"}
    assert found.warnings[:2] == (
        "Left out, hidden: 1 file (train/good/.hidden.png).",
        "1 image is named for another format than its content has (train/good/000.jpg); the content counts.",
    )


def test_every_image_is_described(bottle):
    found = only(bottle)
    assert found.name == "bottle"
    assert paths(found) == [
        "test/broken/000.png",
        "test/broken/001.jpg",
        "test/good/000.png",
        "train/good/000.png",
        "train/good/001.png",
        "train/good/002.png",
    ]
    for entry in found.entries:
        data = (bottle / entry.path).read_bytes()
        assert entry.absolute_path == bottle / entry.path
        assert (entry.sha256, entry.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert (entry.width, entry.height) == (64, 48)
        split, defect_type, name = entry.path.split("/")
        assert (entry.split, entry.defect_type, entry.is_defective) == (split, defect_type, defect_type != "good")
        assert entry.format == ("JPEG" if name.endswith("jpg") else "PNG")
    masked = found.entries[0]
    assert masked.mask == MaskSource(files=(bottle / "ground_truth/broken/000_mask.png",))
    assert masked.mask_sha256 == hashlib.sha256(badfiles.mask_png()).hexdigest()
    assert [entry.mask for entry in found.entries[1:]] == [None] * 5
    assert found.skipped == ()
    assert found.warnings == (
        "1 test images with defects have no mask; pixel metrics leave them out.",
        "The test has only 1 good image: its figures are rough.",
    )


def test_many_categories_below_one_folder(bottle):
    shutil.copytree(bottle, bottle.parent / "cable")
    write(bottle.parent / "notes" / "sketch.png", badfiles.png(seed=90))
    write(bottle.parent / "license.txt", b"text")
    found = scan(bottle.parent, LIMITS)
    assert [item.name for item in found] == ["bottle", "cable"]
    assert found[0].snapshot == found[1].snapshot
    assert "Not read, because outside of the categories: notes/." in found[0].warnings


def test_one_wrapping_folder_as_archives_have_it(bottle, tmp_path):
    wrapped = tmp_path / "unpacked" / "mvtec_ad"
    wrapped.parent.mkdir()
    bottle.parent.rename(wrapped)
    write(tmp_path / "unpacked" / ".DS_Store", b"junk")
    assert only(tmp_path / "unpacked").name == "bottle"


def test_upper_case_extensions_work(bottle):
    (bottle / "train/good/000.png").rename(bottle / "train/good/000.PNG")
    (bottle / "test/broken/001.jpg").rename(bottle / "test/broken/001.JPG")
    (bottle / "ground_truth/broken/000_mask.png").rename(bottle / "ground_truth/broken/000_mask.PNG")
    found = only(bottle)
    assert len(found.entries) == 6
    assert sum(entry.mask is not None for entry in found.entries) == 1
    assert found.skipped == ()


def test_sizes_are_upright(bottle):
    write(bottle / "test/broken/000.png", b"").unlink()
    write(bottle / "test/broken/000.jpg", badfiles.rotated_jpeg(6, 64, 48))
    write(bottle / "ground_truth/broken/000_mask.png", badfiles.mask_png(48, 64))
    entry = only(bottle).entries[0]
    assert (entry.width, entry.height) == (48, 64)
    assert entry.mask is not None


def test_other_folders_and_loose_files_are_left_out_with_a_reason(bottle):
    write(bottle / "extra/good/000.png", badfiles.png(seed=30))
    write(bottle / "test/loose.png", badfiles.png(seed=32))
    write(bottle / "readme.txt", b"text")
    write(bottle / "test/broken/Thumbs.db", b"junk")
    write(bottle / "test/broken/._000.png", b"junk")
    write(bottle / "test/broken/view.py", b"print()")
    write(bottle / "test/broken/__MACOSX/000.png", badfiles.png(seed=34))
    found = only(bottle)
    assert len(found.entries) == 6
    assert skipped(found) == {
        "extra/good/000.png": "no_label",
        "test/loose.png": "no_label",
        "test/broken/view.py": "not_an_image",
    }


def test_folders_within_a_class_are_reasons_or_variants_of_it(bottle):
    write(bottle / "test/broken/deeper/000.png", badfiles.png(seed=33))
    write(bottle / "train/good/lamp-2/000.png", badfiles.png(seed=34))
    found = {entry.path: (entry.split, entry.defect_type) for entry in only(bottle).entries}
    assert found["test/broken/deeper/000.png"] == ("test", "broken")
    assert found["train/good/lamp-2/000.png"] == ("train", "good")


def test_defects_in_the_training_folder_are_for_the_test(bottle):
    write(bottle / "train/bad/000.png", badfiles.png(seed=31))
    found = only(bottle)
    assert [entry.split for entry in found.entries if entry.path.startswith("train/bad")] == ["test"]
    assert any("1 image of defects in the training folder" in warning for warning in found.warnings)


def test_progress_counts_every_image_of_every_category(bottle):
    shutil.copytree(bottle, bottle.parent / "cable")
    seen: list[tuple[int, int]] = []
    scan(bottle.parent, LIMITS, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 12) for i in range(1, 13)]


# ---------------------------------------------------------------- what is skipped
@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        ("x.png", badfiles.zero_bytes, "empty_file"),
        ("x.png", badfiles.truncated_png, "truncated_image"),
        ("x.jpg", badfiles.truncated_jpeg, "truncated_image"),
        ("x.png", badfiles.text, "not_an_image"),
        ("x.png", badfiles.elf, "not_an_image"),
        ("x.png", badfiles.sixteen_bit_png, "unsupported_mode"),
        ("x.jpg", badfiles.cmyk_jpeg, "unsupported_mode"),
        ("x.png", badfiles.apng, "multi_frame"),
        ("x.png", badfiles.decompression_bomb_png, "too_many_pixels"),
        ("x.png", badfiles.oversized_file, "file_too_large"),
        ("x.jpg", badfiles.lost_packet_jpeg, "truncated_image"),
        ("x.bmp", badfiles.rle_bmp, "unsupported_mode"),
        ("x.tiff", badfiles.multi_page_tiff, "multi_frame"),
        ("x.gif", badfiles.animated_gif, "multi_frame"),
    ],
)
def test_a_bad_image_costs_itself_only_and_says_why(bottle, name, make, code):
    before = only(bottle)
    for place in ("train/good", "test/good", "test/broken"):
        write(bottle / place / name, make())
    found = only(bottle)
    assert skipped(found) == {f"{place}/{name}": code for place in ("train/good", "test/good", "test/broken")}
    assert all(item.reason.endswith(".") for item in found.skipped)
    assert (found.entries, found.snapshot) == (before.entries, before.snapshot)


def test_sixteen_bit_images_are_read_where_they_are_taken(bottle):
    write(bottle / "train/good/deep.png", badfiles.sixteen_bit_png())
    assert "train/good/deep.png" in paths(only(bottle, UploadLimits(sixteen_bit=True)))


def test_a_file_that_fails_while_it_is_read_is_skipped(bottle, monkeypatch):
    def failing(path, _):
        if path.name == "002.png":
            raise OSError(5, "Input/output error")
        return path.read_bytes()

    monkeypatch.setattr("training.datasets.layouts.scan.read_bounded", failing)
    found = only(bottle)
    assert skipped(found) == {"train/good/002.png": "unreadable"}
    assert "Input/output error" in found.skipped[0].reason


def test_links_that_lead_outside_are_not_followed(bottle, tmp_path):
    outside = write(tmp_path / "secret" / "000.png", badfiles.png(seed=40))
    (bottle / "train/good/link.png").symlink_to(outside)
    (bottle / "test/stolen").symlink_to(outside.parent)
    (bottle / "train/good/nowhere.png").symlink_to(tmp_path / "absent")
    (bottle / "train/good/circle.png").symlink_to("circle.png")
    (bottle / "train/good/inside.png").symlink_to(bottle / "train/good/000.png")
    (bottle / "ground_truth/broken/001_mask.png").symlink_to(outside)
    found = only(bottle)
    links = ("train/good/link.png", "train/good/nowhere.png", "train/good/circle.png", "test/stolen")
    assert skipped(found) == dict.fromkeys((*links, "ground_truth/broken/001_mask.png"), "outside_folder")
    assert "train/good/inside.png" in paths(found)
    assert next(entry for entry in found.entries if entry.path == "test/broken/001.jpg").mask is None


def test_a_category_that_is_a_link_to_outside_is_not_followed(bottle, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "bottle").symlink_to(bottle)
    assert_rejected(root, "not_mvtec_layout")


def test_a_given_link_to_the_data_is_followed(bottle, tmp_path):
    (tmp_path / "link").symlink_to(bottle)
    assert only(tmp_path / "link").snapshot == only(bottle).snapshot


def test_a_pipe_is_skipped_without_waiting_for_it(bottle):
    os.mkfifo(bottle / "train/good/pipe.png")
    assert skipped(only(bottle)) == {"train/good/pipe.png": "not_a_file"}


def test_names_that_no_record_can_keep_are_skipped(bottle):
    raw = os.fsencode(bottle / "train/good") + b"/\xff\xfe.png"
    with open(raw, "wb") as file:  # noqa: PTH123 - pathlib has no names of bytes
        file.write(badfiles.png(seed=50))
    write(bottle / f"test/{'d' * 120}/000.png", badfiles.png(seed=51))
    found = only(bottle)
    assert set(skipped(found).values()) == {"bad_name"}
    assert len(found.skipped) == 2
    for item in found.skipped:
        item.path.encode()


# ---------------------------------------------------------------- leaks and contradictions
def test_a_test_image_that_is_also_a_training_image_is_left_out_of_the_test(bottle):
    shutil.copy(bottle / "train/good/001.png", bottle / "test/good/copy.png")
    shutil.copy(bottle / "train/good/002.png", bottle / "test/broken/copy.png")
    found = only(bottle)
    assert skipped(found) == {"test/good/copy.png": "leak", "test/broken/copy.png": "leak"}
    assert "train/good/002.png" in found.skipped[0].reason
    assert {"train/good/001.png", "train/good/002.png"} <= set(paths(found))


def test_bytes_called_both_good_and_defective_are_left_out_altogether(bottle):
    for place in ("test/good", "test/broken", "test/scratched"):
        write(bottle / place / "same.png", badfiles.png(seed=60))
    found = only(bottle)
    places = ("test/good", "test/broken", "test/scratched")
    assert skipped(found) == {f"{place}/same.png": "contradiction" for place in places}


def test_copies_with_one_label_stay_and_are_mentioned(bottle):
    shutil.copy(bottle / "train/good/000.png", bottle / "train/good/twin.png")
    shutil.copy(bottle / "test/broken/001.jpg", bottle / "test/broken/twin.jpg")
    found = only(bottle)
    assert len(found.entries) == 8
    assert "2 images are identical copies of another one in the same split." in found.warnings


# ---------------------------------------------------------------- masks
@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (badfiles.mask_png(32, 24), "mask_size", "The mask has 32 x 24 pixels, its image 64 x 48."),
        (badfiles.mask_png(48, 64), "mask_size", "48 x 64"),
        (b"", "mask_unreadable", "empty"),
        (badfiles.text(), "mask_unreadable", "not an image"),
        (badfiles.truncated_png(), "mask_unreadable", "cut off"),
        (badfiles.mask_png(value=0), "mask_empty", "marks nothing"),
    ],
    ids=["smaller", "turned", "no bytes", "text", "cut off", "black"],
)
def test_a_mask_that_cannot_be_used_costs_itself_and_is_named(bottle, data, code, words):
    write(bottle / "ground_truth/broken/000_mask.png", data)
    found = only(bottle)
    assert skipped(found) == {"ground_truth/broken/000_mask.png": code}
    assert words in found.skipped[0].reason
    assert "test/broken/000.png stays" in found.skipped[0].reason
    assert len(found.entries) == 6
    assert not any(entry.mask for entry in found.entries)
    assert "2 test images with defects have no mask; pixel metrics leave them out." in found.warnings


def test_a_mask_of_a_skipped_image_is_not_looked_at(bottle):
    write(bottle / "test/broken/000.png", badfiles.truncated_png())
    write(bottle / "ground_truth/broken/000_mask.png", badfiles.mask_png(32, 24))
    found = only(bottle)
    assert skipped(found) == {"test/broken/000.png": "truncated_image"}
    assert not any("to no image" in warning for warning in found.warnings)


def test_masks_without_an_image_are_counted(bottle):
    write(bottle / "ground_truth/broken/777_mask.png", badfiles.mask_png())  # no such image
    write(bottle / "ground_truth/good/000_mask.png", badfiles.mask_png())  # good parts have no defect
    found = only(bottle)
    assert "1 mask file (ground_truth/broken/777_mask.png) belongs to no image." in found.warnings
    assert next(entry for entry in found.entries if entry.path == "test/good/000.png").mask is None


def test_two_images_of_one_stem_share_a_mask_and_are_mentioned(bottle):
    write(bottle / "test/broken/000.jpg", badfiles.jpeg(seed=70))
    found = only(bottle)
    assert sum(entry.mask is not None for entry in found.entries) == 2
    assert any("share a mask" in warning for warning in found.warnings)


@given(hnp.arrays(bool, (48, 64)), st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_masks_of_two_levels_come_back_as_they_were_drawn(drawn, value):
    data = badfiles.encode((drawn * np.uint8(value)).astype(np.uint8))
    if drawn.any():
        read = open_mask(data, LIMITS)
        assert read.dtype == bool
        np.testing.assert_array_equal(read, drawn)
    else:
        with pytest.raises(DatasetRejected, match="black"):
            open_mask(data, LIMITS)


def test_masks_that_were_compressed_or_resized_come_back_but_for_their_edge(tmp_path):
    drawn = np.zeros((128, 128), bool)
    drawn[30:80, 40:90] = True
    image = Image.fromarray((drawn * 255).astype(np.uint8))
    lossy = open_mask(badfiles.encode(image, "JPEG", quality=80), LIMITS)
    np.testing.assert_array_equal(lossy, drawn)
    softened = image.resize((64, 64), Image.Resampling.LANCZOS).resize((128, 128), Image.Resampling.BILINEAR)
    read = open_mask(write(tmp_path / "mask.png", badfiles.encode(softened)), LIMITS)
    assert (read != drawn).mean() < 0.02


def test_a_mask_of_one_bit_works():
    drawn = np.zeros((32, 32), bool)
    drawn[5:9, 7:20] = True
    np.testing.assert_array_equal(open_mask(badfiles.encode(Image.fromarray(drawn)), LIMITS), drawn)


def test_a_mask_that_is_no_image_is_refused_by_the_gate():
    with pytest.raises(ImageRejected):
        open_mask(badfiles.text(), LIMITS)


# ---------------------------------------------------------------- what stops the scan
def test_a_folder_without_good_images_is_refused(bottle):
    for path in (bottle / "train/good").iterdir():
        path.unlink()
    assert "bottle" in assert_rejected(bottle, "no_good_images").detail
    shutil.rmtree(bottle / "train")
    assert_rejected(bottle, "no_good_images")


def test_a_single_good_image_is_refused(bottle):
    (bottle / "train/good/001.png").unlink()
    (bottle / "train/good/002.png").unlink()
    refusal = assert_rejected(bottle, "too_few_good_images")
    assert refusal.extra == {"readable": 1, "found": 1}


def test_good_images_that_cannot_be_read_do_not_count_and_the_reason_is_told(bottle):
    for name in ("000.png", "001.png", "002.png"):
        write(bottle / "train/good" / name, badfiles.truncated_png())
    refusal = assert_rejected(bottle, "too_few_good_images")
    assert refusal.extra == {"readable": 0, "found": 3}
    assert "train/good/000.png was refused" in refusal.detail
    write(bottle / "train/good/003.png", badfiles.png(seed=3))
    write(bottle / "train/good/004.png", badfiles.png(seed=4))
    assert len(only(bottle).skipped) == 3


def test_a_folder_in_no_known_layout_is_refused_with_what_to_do(tmp_path):
    write(tmp_path / "left" / "1.png", badfiles.png())
    write(tmp_path / "right" / "2.png", badfiles.png())
    detail = assert_rejected(tmp_path, "not_mvtec_layout").detail
    assert "expected a folder of good parts (good/, ok/, normal/, ...)" in detail
    assert "left/, right/" in detail
    assert "--good NAME" in detail


def test_empty_absent_and_plain_files_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "found nothing" in assert_rejected(tmp_path / "empty", "not_mvtec_layout").detail
    assert_rejected(tmp_path / "absent", "unreadable_folder")
    assert_rejected(write(tmp_path / "file", b"x"), "unreadable_folder")


def test_training_without_a_test_split_is_possible_and_mentioned(bottle):
    shutil.rmtree(bottle / "test")
    shutil.rmtree(bottle / "ground_truth")
    found = only(bottle)
    assert len(found.entries) == 3
    assert found.warnings == ("There are no test images: a model can be trained, but not evaluated.",)


# ---------------------------------------------------------------- the snapshot
def test_the_snapshot_does_not_depend_on_place_time_or_what_was_skipped(bottle, tmp_path):
    before = only(bottle).snapshot
    assert len(before) == 64
    copy = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(bottle, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    write(copy / "train/good/broken.png", b"")
    write(copy / "notes.txt", b"text")
    assert only(copy).snapshot == before


@pytest.mark.parametrize(
    "change",
    [
        lambda f: write(f / "train/good/000.png", badfiles.png(seed=99)),
        lambda f: write(f / "train/good/new.png", badfiles.png(seed=99)),
        lambda f: (f / "train/good/002.png").unlink(),
        lambda f: (f / "train/good/002.png").rename(f / "train/good/003.png"),
        lambda f: (f / "test/broken").rename(f / "test/cracked"),
        lambda f: (f / "test/broken/001.jpg").rename(f / "test/good/001.jpg"),
        lambda f: (f / "ground_truth/broken/000_mask.png").unlink(),
        lambda f: write(f / "ground_truth/broken/000_mask.png", badfiles.mask_png(value=1)),
        lambda f: write(f / "ground_truth/broken/001_mask.png", badfiles.mask_png()),
    ],
)
def test_every_change_of_content_or_label_is_another_snapshot(bottle, change):
    before = only(bottle).snapshot
    change(bottle)
    assert only(bottle).snapshot != before


# ---------------------------------------------------------------- real data
def real(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the development data folder ../shared/data/{name} is not here")
    return folder


@pytest.mark.slow
def test_mvtec_screw():
    found = only(real("mvtec/screw"))
    assert Counter((entry.split, entry.defect_type) for entry in found.entries) == {
        ("train", "good"): 320,
        ("test", "good"): 41,
        ("test", "manipulated_front"): 24,
        ("test", "scratch_head"): 24,
        ("test", "scratch_neck"): 25,
        ("test", "thread_side"): 23,
        ("test", "thread_top"): 23,
    }
    assert all((entry.mask is not None) == entry.is_defective for entry in found.entries)
    [same] = found.duplicates.groups  # two pictures of one screw at one place
    assert {image.path for image in same.images} == {"train/good/053.png", "train/good/173.png"}
    assert found.skipped == ()
    assert found.warnings == ("1 training image is nearly identical to another one of the same split.",)


def test_cookies():
    found = only(real("aws_cookies/cookie"))
    assert Counter((entry.split, entry.defect_type) for entry in found.entries) == {
        ("train", "good"): 31,
        ("test", "good"): 14,
        ("test", "cracked"): 32,
    }
    assert sum(entry.mask is not None for entry in found.entries) == 32
    assert (Counter(skipped(found).values()), found.warnings) == ({"no_label": 8}, ())


# ---------------------------------------------------------------- names of folders for good parts
@pytest.mark.parametrize("name", ["ok", "OK", "Good", "normal", "good parts", "gut"])
def test_other_words_for_good_are_good(bottle, name):
    for split in ("train", "test"):
        (bottle / split / "good").rename(bottle / split / name)
    found = only(bottle)
    kinds = Counter((entry.split, entry.defect_type, entry.is_defective) for entry in found.entries)
    assert kinds == {("train", "good", False): 3, ("test", "good", False): 1, ("test", "broken", True): 2}
    assert f"test/{name}/000.png" in paths(found)


def test_a_name_that_can_be_read_either_way_is_asked_about(bottle):
    write(bottle / "test/ok2/000.png", badfiles.png(seed=30))
    refusal = assert_rejected(bottle, "unclear_label")
    assert refusal.extra["folders"] == ["test/ok2"]
    assert "test/ok2/" in refusal.detail
    assert "--good ok2" in refusal.detail
    (good,) = scan(bottle, LIMITS, labels=LabelNames(good=("OK2",)))
    (bad,) = scan(bottle, LIMITS, labels=LabelNames(defect=("ok2",)))
    labels = [next(e.is_defective for e in found.entries if e.path == "test/ok2/000.png") for found in (good, bad)]
    assert labels == [False, True]
    write(bottle / "ground_truth/ok2/000_mask.png", badfiles.mask_png())
    assert only(bottle).snapshot != bad.snapshot, "its mask tells that it is a defect"


def test_defects_of_any_name_need_no_masks(bottle):
    for name in ("kratzer", "fold-2", "NOK"):
        write(bottle / f"test/{name}/000.png", badfiles.png(seed=len(name)))
    assert {"kratzer", "fold-2", "NOK"} <= {entry.defect_type for entry in only(bottle).entries if entry.is_defective}


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (LabelNames(good=("missing",)), "no_such_folder"),
        (LabelNames(good=("broken",), defect=("Broken",)), "unclear_label"),
    ],
)
def test_what_is_said_about_folders_has_to_be_possible(bottle, labels, code):
    with pytest.raises(DatasetRejected) as refusal:
        scan(bottle, LIMITS, labels=labels)
    assert refusal.value.code == code


# ---------------------------------------------------------------- test images of another kind than those learnt from
def test_test_images_of_another_colour_or_shape_are_noticed(bottle):
    assert not any("not comparable" in warning for warning in only(bottle).warnings)
    with Image.open(bottle / "test/good/000.png") as image:
        rgb = image.convert("RGB")
    rgb.convert("L").save(bottle / "test/broken/grey.png")
    rgb.resize((rgb.width * 2, rgb.height)).save(bottle / "test/broken/wide.png")
    warnings = " ".join(only(bottle).warnings)
    assert "1 of 5 test images are grey, and the training images are coloured" in warnings
    assert f"1 of 5 test images have another shape than the training images (such as {rgb.width * 2} x" in warnings


def test_test_images_of_another_depth_are_said(bottle):
    write(bottle / "test/good/deep.png", badfiles.sixteen_bit_png())
    [warning] = [text for text in only(bottle, UploadLimits(sixteen_bit=True)).warnings if "bits per pixel" in text]
    assert warning.startswith("1 of 4 test images have 16 bits per pixel")


def test_masks_on_white_are_turned_round_and_it_is_said(bottle):
    marked = np.asarray(Image.open(bottle / "ground_truth/broken/000_mask.png").convert("L")) > 0
    for number in range(3):
        write(bottle / f"test/broken/00{number}.png", badfiles.png(seed=20 + number))
        inverted = Image.fromarray(np.where(marked, 0, 255).astype(np.uint8))
        inverted.save(bottle / f"ground_truth/broken/00{number}_mask.png")
    (bottle / "test/broken/001.jpg").unlink()
    found = only(bottle)
    assert any("white where the parts are good" in warning for warning in found.warnings)
    masks = [(entry.mask, (entry.width, entry.height)) for entry in found.entries if entry.mask]
    assert len(masks) == 3
    for source, size in masks:
        kept, _ = read_mask(source, size, LIMITS)
        assert (open_mask(kept.data, LIMITS) == marked).all()
