"""`manage.py watch_folder`: its options, its answers and its endings."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from inspection.models import Inspection
from inspection.watching.services import FileResult, Watcher
from jobs import broker
from tests import parts

pytestmark = pytest.mark.django_db
working = pytest.mark.usefixtures("deployment", "worker")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "camera"
    made.mkdir()
    return made


def run(folder: Path, *words: str) -> None:
    call_command("watch_folder", str(folder), "--station", "S1", "--settle", "0", "--poll", "0", *words)


@working
def test_once_inspects_what_is_there_and_prints_one_document(
    folder: Path, user: User, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "L7_1.png").write_bytes(parts.png(1))
    (folder / "L8_2.png").write_bytes(parts.png(2, defective=True))
    run(folder, "--once", "--json", "--user", "olga", "--category", "disc", "--pattern", r"(?P<lot>L\d+)_")
    said = capsys.readouterr()
    document = json.loads(said.out)
    files = document.pop("files")
    assert document == {
        **{"inspected": 2, "again": 0, "refused": 0, "unreadable": 0},
        **{"good": 1, "defective": 1, "not_comparable": 0, "left": 0, "trouble": None},
    }
    assert {(file["file"], file["lot"], file["outcome"]) for file in files} == {
        ("L7_1.png", "L7", "good"),
        ("L8_2.png", "L8", "defective"),
    }
    assert "L7_1.png: good, score" in said.err
    assert set(Inspection.objects.values_list("operator__username", "lot")) == {("olga", "L7"), ("olga", "L8")}
    run(folder, "--once", "--json")
    assert json.loads(capsys.readouterr().out)["files"] == []


@working
def test_once_ends_badly_where_a_file_has_no_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.png").write_bytes(parts.png(1))
    (folder / "bad.png").write_bytes(b"junk")
    words = ("--once", "--json", "--done-dir", str(folder.with_name("done")))
    run(folder, *words)
    document = json.loads(capsys.readouterr().out)
    assert (document["inspected"], document["refused"], document["left"]) == (1, 0, 1), "it may still be written"
    with pytest.raises(CommandError, match="1 of 1 files have no record"):
        run(folder, *words, "--patience", "0")
    assert json.loads(capsys.readouterr().out)["refused"] == 1
    assert (folder.parent / "done" / "a.png").exists()
    assert (folder.parent / "failed" / "bad.png.txt").exists()


@pytest.mark.usefixtures("deployment")
def test_once_without_a_worker_leaves_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.png").write_bytes(parts.png(1))
    with pytest.raises(CommandError, match="The broker does not answer"):
        run(folder, "--once", "--json")
    document = json.loads(capsys.readouterr().out)
    assert (document["left"], document["files"]) == (None, [])
    assert document["trouble"].startswith("The broker")
    assert (folder / "a.png").exists()


@working
def test_it_runs_until_it_is_told_to_stop(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM while a file is in hand: it is finished, no other is begun, and the handlers are what they were."""
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(parts.png(seed))
    before = signal.getsignal(signal.SIGTERM)
    real = Watcher._put_away

    def terminated(self: Watcher, *args: Any) -> FileResult | None:
        told = signal.getsignal(signal.SIGTERM)  # a real signal ends a real process in tests/stack/test_watch.py
        assert callable(told)
        told(signal.SIGTERM, None)
        return real(self, *args)

    monkeypatch.setattr(Watcher, "_put_away", terminated)
    run(folder, "--json")
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    assert json.loads(line)["status"] == "inspected"
    assert "Stopped." in said.err
    assert Inspection.objects.count() == 1
    assert len(list((folder / "done").iterdir())) == 1
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--pattern", "("), "not a regular expression"),
        (("--pattern", r"(?P<colour>\w)"), "must have groups named"),
        (("--pattern", r"\w"), "must have groups named"),
        (("--user", "nobody"), "no user nobody"),
        (("--user", "audrey"), "right to inspect"),
        (("--station", " "), "1 to 100 characters"),
        (("--station", "s" * 101), "1 to 100 characters"),
        (("--settle", "-1"), "0 to 3600"),
        (("--poll", "nan"), "0 to 3600"),
        (("--done-dir", "."), "--done-dir"),
    ],
)
def test_options_that_make_no_sense(
    folder: Path, auditor: User, words: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(CommandError, match=sentence):
        run(folder, *words)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is not a folder"):
        run(tmp_path / "nowhere", "--once")
    assert broker.live_workers() == {}
