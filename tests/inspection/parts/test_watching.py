"""Views of parts that cameras drop into a folder: the name of the file says of which part and which view it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from inspection.models import Inspection, PartInspection, PartLayout, PartRequest
from inspection.part_layouts.services import retire_layout
from inspection.parts.completion import sweep_parts
from inspection.watching.services import FileResult, Watch, Watcher
from tests import parts
from tests.inspection.parts.test_services import let_time_pass, states

pytestmark = pytest.mark.django_db
PATTERN = r"(?P<lot>L\d+)_(?P<part>\w+?)_(?P<view>[a-z]+)\.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "camera"
    made.mkdir()
    return made


def drop(folder: Path, name: str, seed: int = 1, *, defective: bool = False, data: bytes | None = None) -> None:
    (folder / name).write_bytes(parts.png(seed, defective=defective) if data is None else data)


def watched(folder: Path, actor: User) -> list[FileResult]:
    """One look by a new watcher, as after a restart."""
    watch = Watch(
        folder=folder,
        station="S1",
        settle=0.0,
        patience=0.0,
        actor=actor,
        pattern=re.compile(PATTERN),
        layout="housing",
    )
    sentences: list[str] = []
    return list(Watcher(watch, sentences.append).round())


def test_three_files_are_one_part(layout: PartLayout, worker: None, folder: Path, user: User) -> None:
    drop(folder, "L1_P1_top.png", 1)
    drop(folder, "L1_P1_left.png", 2, defective=True)
    first = watched(folder, user)
    assert [(one.details["part_id"], one.details["part_outcome"]) for one in first] == [("P1", None)] * 2
    drop(folder, "L1_P1_right.png", 3)
    [last] = watched(folder, user)
    assert last.details["part_outcome"] == "defective"
    part = PartInspection.objects.get()
    assert (part.part_id, part.lot, part.station, part.source, part.operator) == ("P1", "L1", "S1", "watcher", user)
    assert states(part) == {"top": "good", "left": "defective", "right": "good"}
    assert sorted(path.name for path in (folder / "done").iterdir()) == [
        "L1_P1_left.png",
        "L1_P1_right.png",
        "L1_P1_top.png",
    ]


def test_what_is_no_view_of_a_part_goes_to_failed(layout: PartLayout, worker: None, folder: Path, user: User) -> None:
    drop(folder, "L1_P1_top.png", 1)
    assert [one.status for one in watched(folder, user)] == ["inspected"]
    drop(folder, "anything.png")
    drop(folder, "L1_P1_bottom.png")
    drop(folder, "L2_P1_left.png")
    (folder / "L1_P1_top.png").write_bytes(parts.png(9))
    codes = {one.path: one.details["code"] for one in watched(folder, user)}
    assert codes == {
        "anything.png": "misnamed",
        "L1_P1_bottom.png": "unknown_view",
        "L2_P1_left.png": "part_differs",
        "L1_P1_top.png": "view_sent_already",
    }
    let_time_pass("P1")
    sweep_parts()
    drop(folder, "L1_P1_left.png", 2)
    [late] = watched(folder, user)
    assert (late.status, late.details["code"]) == ("refused", "part_closed")
    assert "takes no more views" in (folder / "failed" / "L1_P1_left.png.txt").read_text()
    assert PartInspection.objects.get().explanation == "Missing: left, right."
    assert Inspection.objects.count() == 1


def test_a_damaged_file_is_a_refused_view(layout: PartLayout, worker: None, folder: Path, user: User) -> None:
    drop(folder, "L1_P1_top.png", 1)
    drop(folder, "L1_P1_left.png", data=b"no image")
    drop(folder, "L1_P1_right.png", 3)
    assert sorted(one.status for one in watched(folder, user)) == ["inspected", "inspected", "refused"]
    part = PartInspection.objects.get()
    assert (part.outcome, part.explanation) == ("not_comparable", "Refused: left.")


def test_a_watcher_that_died_before_the_file_was_moved_meets_its_record(
    layout: PartLayout, worker: None, folder: Path, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, "L1_P1_top.png", 1)
    with monkeypatch.context() as dying:
        dying.setattr(Watcher, "_put_away", lambda self, result, stat, key: result)
        watched(folder, user)
    [again] = watched(folder, user)
    assert (again.status, again.details["part_id"]) == ("again", "P1")
    assert (Inspection.objects.count(), PartRequest.objects.count()) == (1, 1)


# ---------------------------------------------------------------- the command
def run(folder: Path, *words: str) -> None:
    call_command("watch_folder", str(folder), "--station", "S1", "--settle", "0", "--poll", "0", "--once", *words)


def test_the_command_watches_for_views(
    layout: PartLayout, worker: None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, view in enumerate(("top", "left", "right")):
        drop(folder, f"L1_P1_{view}.png", seed)
    run(folder, "--json", "--layout", "housing", "--pattern", PATTERN)
    told = capsys.readouterr()
    files = json.loads(told.out)["files"]
    assert sorted(file["part_outcome"] or "" for file in files) == ["", "", "good"]
    assert "part P1: open" in told.err
    assert "part P1: good" in told.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--layout", "housing"], "needs --pattern"),
        (["--layout", "housing", "--pattern", r"(?P<part>\d+)"], "must have the groups part, view"),
        (["--layout", "housing", "--pattern", r"(?P<colour>\d+)"], "must have groups named"),
        (["--pattern", r"(?P<part>\d+)_(?P<view>\w+)"], "must have groups named"),
        (["--layout", "other", "--pattern", PATTERN], "no part layout"),
        (["--layout", "housing", "--pattern", PATTERN, "--category", "disc"], "leave --category out"),
    ],
)
def test_what_cannot_be_watched_is_told(
    layout: PartLayout, worker: None, folder: Path, words: list[str], says: str
) -> None:
    with pytest.raises(CommandError, match=says):
        run(folder, *words)


def test_a_retired_layout_is_not_watched(layout: PartLayout, worker: Any, folder: Path, user: User) -> None:
    retire_layout(name="housing", reason="over", actor=user)
    with pytest.raises(CommandError, match="retired"):
        run(folder, "--layout", "housing", "--pattern", PATTERN)
