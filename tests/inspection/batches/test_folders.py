"""Folders of the server: what may be read, and that nothing can be found out about the rest."""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from common.errors import Conflict, NotFound, UserError
from inspection.batches import folders
from records.assets.images import ImageRejected
from tests import badfiles


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    """Two roots, one of which is a link; beside them a folder that nobody may see."""
    for name in ("real/line1/lot7", "real/line2", "second/own", "outside/secret"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    (tmp_path / "root" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "alias").symlink_to(tmp_path / "real" / "line2")
    (tmp_path / "root" / "round").symlink_to(tmp_path / "root" / "round")
    (tmp_path / "root" / "file").write_text("no folder")
    (tmp_path / "roots").mkdir()
    settings.BATCH_ROOTS = (tmp_path / "root", tmp_path / "second", tmp_path / "not there")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("line1/lot7", "real/line1/lot7"),
        ("line1/./lot7/", "real/line1/lot7"),
        ("own", "second/own"),
        (".", "real"),
        ("alias", "real/line2"),
        ("{}/root/line1", "real/line1"),
        ("{}/real/line1", "real/line1"),
        ("{}/second", "second"),
    ],
)
def test_folders_inside_the_roots(root: Path, wanted: str, found: str) -> None:
    assert folders.find_folder(wanted.format(root)) == root / found


@pytest.mark.parametrize(
    "wanted",
    [
        "nowhere",
        "file",
        "round",
        "out",
        "out/secret",
        "..",
        "line1/..",
        "line1/../../outside",
        "{}/root/../outside",
        "{}/outside",
        "{}/outside/nowhere",
        "{}",
        "{}/roots",
        "/",
        "/etc",
        "~",
        "a\0b",
        "x" * 300,
        "\udcff",
    ],
)
def test_what_is_not_there_and_what_is_not_allowed_are_told_alike(root: Path, wanted: str) -> None:
    with pytest.raises(NotFound) as caught:
        folders.find_folder(wanted.format(root))
    assert caught.value.code == "folder_not_found"
    said = caught.value.detail.replace(repr(wanted.format(root)[:200]), "X")
    assert said == "There is no folder X inside the allowed roots (BATCH_ROOTS). Nothing was done."


def test_nothing_outside_is_even_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = os.lstat

    def lstat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        looked.append(str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(NotFound):
        folders.find_folder(str(root / "outside" / "secret"))
    assert not [path for path in looked if path.startswith(str(root / "outside"))]


def test_without_roots_no_folder_may_be_read(settings: Any) -> None:
    settings.BATCH_ROOTS = ()
    with pytest.raises(Conflict, match="BATCH_ROOTS is empty") as caught:
        folders.find_folder("/")
    assert caught.value.code == "no_batch_roots"


# ---------------------------------------------------------------- what is in one
def test_images_are_found_by_what_they_hold_or_claim(root: Path) -> None:
    folder = root / "real" / "line1"
    for name in ("b.png", "a.JPG", "lot7/c.jpeg", "notes.txt", ".d.png", "e.png.part", "f", "Thumbs.db"):
        (folder / name).write_bytes(b"")
    for name in ("blob", "photo.bmp", "lot7/scan.jfif"):
        (folder / name).write_bytes(badfiles.jpeg())
    (folder / "real.bmp").write_bytes(badfiles.bmp())
    (folder / ".trash").mkdir()
    (folder / ".trash" / "g.png").write_bytes(b"")
    (folder / "up").symlink_to(folder)
    (folder / "link").symlink_to(folder / "blob")
    (root / "outside" / "picture").write_bytes(badfiles.png())
    (folder / "out").symlink_to(root / "outside" / "picture")
    os.mkfifo(folder / "pipe")
    listing = folders.images_in(folder)
    assert listing.images == [
        "a.JPG",
        "b.png",
        "blob",
        "link",
        "lot7/c.jpeg",
        "lot7/scan.jfif",
        "photo.bmp",
        "real.bmp",
    ]
    assert listing.left_out.sentences() == (
        "Left out, hidden: 2 files (.trash, .d.png).",
        "Left out, links to folders: 1 file (up).",
        "Left out, unfinished by name: 1 file (e.png.part).",
        "Left out, not an image file: 3 files (f, notes.txt, pipe).",
        "Left out, not readable: 1 file (out).",
    )


def test_a_folder_that_is_too_large_is_refused_as_a_whole(root: Path, settings: Any) -> None:
    folder = root / "real" / "line2"
    settings.BATCH_MAX_ZIP_FILES = 3
    for index in range(4):
        (folder / f"{index}.png").write_bytes(b"")
    with pytest.raises(UserError, match="more than 3 images") as caught:
        folders.images_in(folder)
    assert (caught.value.code, caught.value.status) == ("folder_too_large", 413)
    (folder / "0.png").unlink()
    assert len(folders.images_in(folder).images) == 3
    for index in range(30):
        (folder / f"{index}.txt").write_bytes(b"")
    with pytest.raises(UserError, match="more than 30 files"):
        folders.images_in(folder)


def test_a_folder_that_is_too_deep_is_refused(root: Path) -> None:
    deep = root / "real" / "line2" / "/".join("x" * 20)
    deep.mkdir(parents=True)
    assert folders.images_in(root / "real" / "line2").images == []
    (deep / "y").mkdir()
    with pytest.raises(UserError, match="20 deep"):
        folders.images_in(root / "real" / "line2")


def test_a_folder_that_cannot_be_listed_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def open_but_lot7(path: Any, *args: Any, **options: Any) -> int:
        if str(path).endswith("lot7"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", open_but_lot7)
    with pytest.raises(UserError, match="cannot be listed") as caught:
        folders.images_in(root / "real" / "line1")
    assert caught.value.code == "folder_unreadable"


# ---------------------------------------------------------------- one file
def test_only_files_inside_the_roots_are_read(root: Path) -> None:
    folder = root / "real" / "line1"
    (folder / "a.png").write_bytes(b"image")
    (folder / "link.png").symlink_to(folder / "a.png")
    (root / "outside" / "secret.png").write_bytes(b"secret")
    (folder / "out.png").symlink_to(root / "outside" / "secret.png")
    assert folders.read_in_roots(folder, "a.png") == b"image"
    assert folders.read_in_roots(folder, "link.png") == b"image"
    for path in ("out.png", "nowhere.png", "lot7", "../../outside/secret.png", "a\0.png"):
        with pytest.raises(folders.FileUnreadable):
            folders.read_in_roots(folder, path)


def test_only_regular_files_of_an_allowed_size_are_read(tmp_path: Path, settings: Any) -> None:
    settings.MAX_FILE_SIZE = 1024
    (tmp_path / "a.png").write_bytes(b"x" * 1024)
    data, seen = folders.read_file(tmp_path / "a.png")
    assert (len(data), seen.st_size) == (1024, 1024)
    (tmp_path / "b.png").write_bytes(b"x" * 1025)
    with pytest.raises(ImageRejected, match="1,025 bytes") as caught:
        folders.read_file(tmp_path / "b.png")
    assert caught.value.code == "file_too_large"
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    for name in ("pipe.png", "link.png", "none.png", "."):
        with pytest.raises(folders.FileUnreadable):
            folders.read_file(tmp_path / name)


# ---------------------------------------------------------------- while somebody swaps folders
@pytest.mark.parametrize("swapped", ["lot", "lot/inner"])
def test_no_file_from_outside_is_read_while_a_folder_is_swapped_for_a_link(root: Path, swapped: str) -> None:
    """Thousands of reads, while a folder on the way to the file is now a folder and now a link to outside.

    Now and then each state lasts, or a reader that is always too late would read nothing at all.
    """
    inside, outside = root / "second" / "own", root / "outside" / "twin"
    for base, content in ((inside / "lot", b"inside"), (outside, b"outside")):
        (base / "inner").mkdir(parents=True)
        (base / "inner" / "a.png").write_bytes(content)
    place, target = inside / swapped, outside / Path(swapped).relative_to("lot")
    aside, over = place.with_name("aside"), threading.Event()

    def swap() -> None:
        for turn in itertools.count():
            place.rename(aside)
            place.symlink_to(target)
            pause(turn)
            place.unlink()
            aside.rename(place)
            if pause(turn):
                return

    def pause(turn: int) -> bool:
        return over.wait(0.002) if turn % 10 == 0 else over.is_set()

    swapping = threading.Thread(target=swap)
    swapping.start()
    read: Counter[bytes] = Counter()
    try:
        while read.total() < 5000 or (min(read[b"inside"], read[b"refused"]) == 0 and read.total() < 100_000):
            try:
                read[folders.read_in_roots(inside, "lot/inner/a.png")] += 1
            except folders.FileUnreadable:
                read[b"refused"] += 1
    finally:
        over.set()
        swapping.join()
    assert set(read) <= {b"inside", b"refused"}, read
    assert min(read[b"inside"], read[b"refused"]) > 0, read


def test_no_name_from_outside_is_listed_while_a_folder_is_swapped_for_a_link(root: Path) -> None:
    folder = root / "second" / "own"
    (folder / "lot").mkdir()
    (folder / "lot" / "a.png").write_bytes(b"")
    (root / "outside" / "secret.png").write_bytes(b"")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (folder / "lot").rename(folder / "aside")
            (folder / "lot").symlink_to(root / "outside")
            (folder / "lot").unlink()
            (folder / "aside").rename(folder / "lot")

    swapping = threading.Thread(target=swap)
    swapping.start()
    names: set[str] = set()
    codes: set[str] = set()
    try:
        for _ in range(1000):
            try:
                names |= set(folders.images_in(folder).images)
            except UserError as error:  # a folder that was there when the names were read
                codes.add(error.code)
    finally:
        over.set()
        swapping.join()
    assert names
    assert names <= {"lot/a.png", "aside/a.png"}
    assert codes <= {"folder_unreadable"}
