"""The newest picture of a folder, and recipes."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.connections.kinds import SettingInvalid, Target
from edge.triggers.pictures import FolderPictures, NoPicture
from edge.triggers.recipes import category_of, read_recipes, recipe_of
from edge.triggers.services import TriggerRejected


@pytest.fixture(autouse=True)
def _roots(settings: Any, tmp_path: Path) -> None:
    settings.EDGE_TRIGGER_ROOTS = (tmp_path,)


def put(folder: Path, name: str, *, age: float = 0.0) -> None:
    path = folder / name
    path.write_bytes(name.encode())
    moment = time.time() - age
    os.utime(path, (moment, moment))


def source(folder: Path, *, max_age: float = 0.0, settle: float = 0.0) -> FolderPictures:
    return FolderPictures(folder, max_age=max_age, settle=settle)


def test_the_newest_one_that_is_young_enough(tmp_path: Path):
    put(tmp_path, "old.png", age=60)
    put(tmp_path, "young.png", age=2)
    put(tmp_path, "notes.txt")
    put(tmp_path, ".hidden.png")
    found = source(tmp_path, max_age=10).newest(since=time.monotonic(), wait=0)
    assert (found.name, found.data) == ("young.png", b"young.png")
    with pytest.raises(NoPicture):
        source(tmp_path, max_age=1).newest(since=time.monotonic(), wait=0)


def test_none_is_given_twice(tmp_path: Path):
    put(tmp_path, "1.png")
    pictures = source(tmp_path, max_age=10)
    assert pictures.newest(since=time.monotonic(), wait=0).name == "1.png"
    with pytest.raises(NoPicture):
        pictures.newest(since=time.monotonic(), wait=0)
    put(tmp_path, "1.png")
    assert pictures.newest(since=time.monotonic(), wait=0).name == "1.png", "the camera wrote it again"


def test_it_waits_for_one(tmp_path: Path):
    since = time.monotonic()
    thread = threading.Timer(0.2, put, (tmp_path, "late.png"))
    thread.start()
    assert source(tmp_path).newest(since=since, wait=20).name == "late.png"
    thread.join()


def test_a_file_that_is_still_written_is_not_taken(tmp_path: Path):
    put(tmp_path, "1.png")
    with pytest.raises(NoPicture):
        source(tmp_path, max_age=10, settle=30).newest(since=time.monotonic(), wait=0)


def test_a_link_out_of_the_roots_leads_nowhere(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    put(elsewhere, "1.png")
    folder = tmp_path / "in"
    folder.symlink_to(elsewhere)
    with pytest.raises(NoPicture, match="EDGE_TRIGGER_ROOTS"):
        source(folder, max_age=10).newest(since=time.monotonic(), wait=0)


def test_a_folder_that_is_missing_is_told(tmp_path: Path):
    with pytest.raises(NoPicture, match="cannot be read"):
        source(tmp_path / "none").newest(since=time.monotonic(), wait=0)


TARGET = Target(1, "press", "modbus", "east", "", {"recipes": "1 = bottle\n 4=cap \n\n7 = bottle"}, {}, None, 1)


def test_recipes_are_categories():
    assert read_recipes(TARGET.settings["recipes"]) == {1: "bottle", 4: "cap", 7: "bottle"}
    assert category_of(TARGET, 4) == "cap"
    assert (recipe_of(TARGET, "bottle"), recipe_of(TARGET, "ring")) == (1, None)
    with pytest.raises(TriggerRejected, match="no recipe 2"):
        category_of(TARGET, 2)
    alone = replace(TARGET, category="cap")
    assert category_of(alone, 4) == "cap"
    with pytest.raises(TriggerRejected, match="cap alone"):
        category_of(alone, 1)
    assert category_of(replace(alone, settings={"recipes": ""}), 9) == "cap"


@pytest.mark.parametrize("text", ["bottle", "1 =", "= bottle", "-1 = bottle", "70000 = bottle", "1 = a\n1 = b"])
def test_a_table_that_cannot_be_read_is_refused(text: str):
    with pytest.raises(SettingInvalid):
        read_recipes(text)
