"""The ELPV cells in MVTec layout: counts, determinism, no leaks, nothing half-written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from records.assets.images import UploadLimits
from tests import badfiles
from training.datasets.layouts import elpv
from training.datasets.layouts.elpv import MODULES, Cell, module_of, read_cells, write_elpv_mono
from training.datasets.layouts.scan import scan

pytest.importorskip("elpv_dataset", reason="the wheel elpv-dataset is not installed")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_elpv_mono(tmp_path_factory.mktemp("elpv"))


def groups(folder: Path) -> dict[str, set[str]]:
    return {
        kind: {path.name for path in (folder / kind).iterdir()}
        for kind in ("train/good", "test/good", "test/defective")
    }


def installed_cells() -> list[Cell]:
    return [cell for cell in read_cells(elpv._installed_data()) if cell.kind == "mono"]


def table(folder: Path, rows: list[tuple[str, float, str, bytes]]) -> Path:
    """A small data set of our own in the wheel's form."""
    (folder / "images").mkdir(parents=True)
    for name, _, _, data in rows:
        (folder / "images" / name).write_bytes(data)
    lines = [f"images/{name}  {probability}                 {kind}" for name, probability, kind, _ in rows]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_counts(written):
    assert {kind: len(names) for kind, names in groups(written).items()} == {
        "train/good": 342,
        "test/good": 246,
        "test/defective": 313,
    }


def test_every_certain_mono_cell_is_used_once_with_its_label_and_its_bytes(written):
    expected = {
        cell.path.name: (cell.probability == 1.0, hashlib.sha256(cell.path.read_bytes()).hexdigest())
        for cell in installed_cells()
        if cell.probability in (0.0, 1.0)
    }
    entries = scan(written, UploadLimits())[0].entries
    assert {Path(entry.path).name: (entry.is_defective, entry.sha256) for entry in entries} == expected
    assert len(entries) == len(expected)


def test_no_module_has_good_cells_on_both_sides_and_no_image_is_on_both(written):
    cells = {cell.path.name: cell for cell in installed_cells()}
    found = groups(written)
    learnt = {module_of(cells[name]) for name in found["train/good"]}
    tested = {module_of(cells[name]) for name in found["test/good"]}
    assert not learnt & tested
    assert learnt | tested == set(MODULES)
    pixels = {
        kind: {np.asarray(Image.open(written / kind / name)).tobytes() for name in names}
        for kind, names in found.items()
    }
    assert not pixels["train/good"] & (pixels["test/good"] | pixels["test/defective"])


def test_the_makes_that_are_tested_on_good_cells_were_learnt_and_only_their_last_module_is_held_out():
    for held_out in (module for module in MODULES if module.is_held_out):
        same = [module for module in MODULES if module.make == held_out.make]
        assert len(same) > 1
        assert same[-1] == held_out
        assert [module.is_held_out for module in same].count(True) == 1


def test_modules_are_whole():
    """Between two borders of the table lies a run of mono cells of a size that modules have."""
    sizes = {module.first_cell: 0 for module in MODULES}
    for cell in installed_cells():
        sizes[module_of(cell).first_cell] += 1
    assert set(sizes.values()) <= {48, 54, 60, 72}
    assert [first for first, size in sizes.items() if size != 60] == [1201, 2145, 2397]


@pytest.mark.slow
def test_writing_is_deterministic_and_repeatable(written, tmp_path):
    other = write_elpv_mono(tmp_path / "deep" / "er")
    first, second = scan(written, UploadLimits())[0], scan(other, UploadLimits())[0]
    assert (first.name, first.snapshot) == (second.name, second.snapshot)
    assert first.name == "elpv-mono"
    assert first.skipped == ()
    before = {path: path.stat().st_mtime_ns for path in other.rglob("*")}
    assert write_elpv_mono(other.parent) == other
    assert {path: path.stat().st_mtime_ns for path in other.rglob("*")} == before
    assert [path.name for path in other.parent.iterdir()] == ["elpv-mono"]


def test_the_source_and_the_licence_are_named_beside_the_images(written):
    text = (written / "README.txt").read_text()
    assert "CC BY-NC-SA 4.0" in text
    assert "Deitsch" in text
    assert "Buerhop-Lutz" in text


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "elpv-mono").mkdir()
    (tmp_path / "elpv-mono" / "mine.png").write_bytes(b"mine")
    with pytest.raises(UserError) as refusal:
        write_elpv_mono(tmp_path)
    assert refusal.value.code == "folder_in_use"
    assert (tmp_path / "elpv-mono" / "mine.png").read_bytes() == b"mine"


def test_test_cells_with_the_pixels_of_a_training_cell_are_left_out(tmp_path):
    picture = badfiles.pixels(32, 32, 1)
    rows = [
        ("cell0901.png", 0.0, "mono", badfiles.encode(picture)),
        ("cell0902.png", 0.0, "mono", badfiles.grey_png(32, 32, seed=1)),
        ("cell1081.png", 0.0, "mono", badfiles.encode(picture, compress_level=0)),
        ("cell1082.png", 0.0, "mono", badfiles.grey_png(32, 32, seed=2)),
        ("cell0903.png", 1.0, "mono", badfiles.encode(picture, compress_level=1)),
        ("cell0904.png", 1.0, "mono", badfiles.grey_png(32, 32, seed=3)),
        ("cell0905.png", 0.3333333333333333, "mono", badfiles.grey_png(32, 32, seed=4)),
        ("cell0061.png", 0.0, "poly", badfiles.grey_png(32, 32, seed=5)),
    ]
    folder = write_elpv_mono(tmp_path / "out", source=table(tmp_path / "source", rows))
    assert groups(folder) == {
        "train/good": {"cell0901.png", "cell0902.png"},
        "test/good": {"cell1082.png"},
        "test/defective": {"cell0904.png"},
    }


@pytest.mark.parametrize("damage", ["no folder", "no image", "no number", "not an image"])
def test_a_package_that_is_not_whole_is_one_clear_error(tmp_path, damage):
    source = tmp_path / "source"
    if damage != "no folder":
        data = b"" if damage == "not an image" else badfiles.grey_png()
        table(source, [("cell0901.png", 0.0, "mono", data)])
    if damage == "no image":
        (source / "images" / "cell0901.png").unlink()
    if damage == "no number":
        (source / "labels.csv").write_text("images/cell0901.png good mono\n")
    with pytest.raises(UserError) as refusal:
        write_elpv_mono(tmp_path / "out", source=source)
    assert refusal.value.code == "elpv_missing"
    assert "pip install elpv-dataset" in refusal.value.detail
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_not_installed_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError) as refusal:
        write_elpv_mono(tmp_path)
    assert refusal.value.code == "elpv_missing"


def test_a_disk_that_refuses_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(UserError, match="No space left") as refusal:
        write_elpv_mono(tmp_path)
    assert refusal.value.status == 507
    assert list(tmp_path.iterdir()) == []
