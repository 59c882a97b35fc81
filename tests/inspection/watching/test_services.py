"""The folder watcher: when a file is complete, and that each is inspected once, whatever goes wrong in between."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from inspection.models import Inspection, InspectionRequest
from inspection.watching import services
from inspection.watching.services import (
    FileResult,
    FileStat,
    StabilityTracker,
    TemporarilyUnavailable,
    Watch,
    Watcher,
    identity,
    part_of,
)
from jobs import broker
from modelzoo.loading import scoring
from records.models import AuditEvent
from records.storage.errors import StorageFailed
from tests import parts

Inspected = list[tuple[str, str]]


# ---------------------------------------------------------------- when a file is complete
class GrowingFiles(RuleBasedStateMachine):
    """Files that appear, grow, stand still, are emptied and vanish, while somebody looks now and then."""

    names = st.sampled_from(["a.png", "b.png", "c.png"])

    @initialize(settle=st.sampled_from([0.0, 1.0, 2.5]), patience=st.sampled_from([0.0, 5.0]))
    def begin(self, settle: float, patience: float) -> None:
        self.settle, self.patience = settle, patience
        self.settling = StabilityTracker(settle, patience)
        self.now = 1000.0
        self.files: dict[str, FileStat] = {}
        self.seen_since: dict[str, float] = {}  # when somebody first looked after the last change

    @rule(name=names, size=st.integers(0, 3), later=st.booleans())
    def write(self, name: str, size: int, later: bool) -> None:
        before = self.files.get(name)
        stat = FileStat(size, (before.mtime_ns if before else 10**18) + later)
        self.files[name] = stat
        if stat != before:
            self.seen_since.pop(name, None)

    @rule(name=names)
    def vanish(self, name: str) -> None:
        self.files.pop(name, None)
        self.seen_since.pop(name, None)

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def look(self) -> None:
        complete = self.settling.look(self.files, now=self.now)
        for name in self.files:
            self.seen_since.setdefault(name, self.now)
        expected = {
            name
            for name, stat in self.files.items()
            if self.now - self.seen_since[name] >= (self.settle if stat.size else max(self.settle, self.patience))
        }
        assert set(complete) == expected
        ages = [self.files[name].mtime_ns for name in complete]
        assert ages == sorted(ages), "the oldest first"

    @invariant()
    def what_was_just_written_is_never_complete(self) -> None:
        if getattr(self, "settle", 0.0) > 0:
            unseen = {name for name in self.files if name not in self.seen_since}
            assert unseen.isdisjoint(set(self.settling.look(dict(self.files), now=self.now)) & unseen)
            for name in self.files:
                self.seen_since.setdefault(name, self.now)


TestGrowingFiles = GrowingFiles.TestCase


def test_the_identity_is_of_station_path_looks_and_content() -> None:
    stat = FileStat(10, 5 * 10**9 + 7)
    key = identity(station="A", path="x/a.png", stat=stat, sha256="0" * 64)
    assert re.fullmatch(r"watch-[0-9a-f]{64}", key)
    assert key == identity(station="A", path="x/a.png", stat=FileStat(10, 5 * 10**9 + 999), sha256="0" * 64)
    others = [
        identity(station="B", path="x/a.png", stat=stat, sha256="0" * 64),
        identity(station="A", path="x/b.png", stat=stat, sha256="0" * 64),
        identity(station="A", path="x/a.png", stat=FileStat(11, stat.mtime_ns), sha256="0" * 64),
        identity(station="A", path="x/a.png", stat=FileStat(10, 6 * 10**9), sha256="0" * 64),
        identity(station="A", path="x/a.png", stat=stat, sha256="1" * 64),
        identity(station="Ax", path="/a.png", stat=stat, sha256="0" * 64),
    ]
    assert len({key, *others}) == 7


# ---------------------------------------------------------------- a folder that is watched
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "camera"
    made.mkdir()
    return made


@pytest.fixture
def watch(folder: Path) -> Watch:
    return Watch(folder=folder, station="S1", settle=0.0, patience=0.0)


def drop(folder: Path, name: str, seed: int = 1, *, defective: bool = False, data: bytes | None = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parts.png(seed, defective=defective) if data is None else data)
    return path


def watched(watch: Watch, said: list[str] | None = None) -> list[FileResult]:
    """One look by a new watcher, as after a restart."""
    return list(Watcher(watch, (said if said is not None else []).append).round())


def briefly(result: list[FileResult]) -> Inspected:
    return [(one.path, one.status) for one in result]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


pytestmark = pytest.mark.django_db
working = pytest.mark.usefixtures("deployment", "worker")


@working
def test_files_are_inspected_and_moved(watch: Watch, folder: Path, user: User) -> None:
    drop(folder, "a.png", 1)
    drop(folder, "b.png", 2, defective=True)
    os.utime(folder / "a.png", (1_000_000_000, 1_000_000_000))
    watch = replace(watch, actor=user, pattern=re.compile(r"(?P<serial_number>\w+)\.png"))
    result = watched(watch)
    assert briefly(result) == [("a.png", "inspected"), ("b.png", "inspected")]
    assert names(folder) == ["done/a.png", "done/b.png"]
    records = {record.filename: record for record in Inspection.objects.all()}
    assert {name: record.outcome for name, record in records.items()} == {"a.png": "good", "b.png": "defective"}
    record = records["a.png"]
    assert (record.source, record.station, record.serial_number, record.operator) == ("watcher", "S1", "a", user)
    assert result[0].document["inspection_id"] == str(record.pk)
    assert watched(watch) == []


@working
def test_what_is_no_image_is_left_alone(watch: Watch, folder: Path) -> None:
    for name in (".hidden.png", "a.png.tmp", "b.part", "deep/c.png"):
        drop(folder, name)
    for name in ("notes.txt", "more.txt", "README", "Thumbs.db"):
        drop(folder, name, data=b"no image")
    (folder / "link.png").symlink_to(drop(folder.parent, "elsewhere.png"))
    (folder / "link2.png").symlink_to(folder / "link.png")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    said: list[str] = []
    assert watched(watch, said) == []
    assert sorted(re.sub(r"(link2?|deep|folder)(.png)?", "X", sentence) for sentence in said) == [
        "Files named like *.txt are left alone where they are no image files.",
        "Files without an extension are left alone where they are no image files.",
        "Folders in the X are left alone (X); --recursive looks in.",
        "Links are left alone: X.",
    ], "each kind is told once"
    assert not Inspection.objects.exists()
    assert briefly(watched(replace(watch, recursive=True))) == [("deep/c.png", "inspected")]
    assert (folder / "done" / "deep" / "c.png").exists()
    assert watched(replace(watch, recursive=True)) == [], "what is done is not watched"


@working
def test_images_are_told_by_their_content(watch: Watch, folder: Path) -> None:
    for index, name in enumerate(("blob", "a.dat", "b.jpg", "c.jfif")):
        drop(folder, name, index)
    assert sorted(briefly(watched(watch))) == [(name, "inspected") for name in ("a.dat", "b.jpg", "blob", "c.jfif")]
    assert sorted(Inspection.objects.values_list("filename", flat=True)) == ["a.dat", "b.jpg", "blob", "c.jfif"]


# ---------------------------------------------------------------- files that are still written
@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The watcher's sense of time, in seconds that the test lets pass."""
    moment = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(services, "time", SimpleNamespace(monotonic=lambda: moment.now, time=time.time))
    return moment


@working
@pytest.mark.parametrize("begun", [b"", b"\x89P", parts.png(1)[:3000], b"%PDF no image yet"])
def test_a_writer_that_pauses_is_waited_for(watch: Watch, folder: Path, clock: SimpleNamespace, begun: bytes) -> None:
    said: list[str] = []
    watcher = Watcher(replace(watch, settle=2.0, patience=300.0), said.append)
    drop(folder, "a.png", data=begun)
    for _ in range(4):
        assert list(watcher.round()) == []
        clock.now += 60
    assert names(folder) == ["a.png"]
    assert not AuditEvent.objects.filter(kind="image.refused").exists()
    assert len(said) == (begun != b""), "it is told once"
    drop(folder, "a.png", 1)
    assert list(watcher.round()) == []
    clock.now += 3
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]
    assert Inspection.objects.count() == 1
    assert names(folder) == ["done/a.png"]


@working
@pytest.mark.parametrize(("begun", "code"), [(b"", "empty_file"), (parts.png(1)[:3000], "truncated_image")])
def test_what_stays_incomplete_is_refused_in_the_end(
    watch: Watch, folder: Path, clock: SimpleNamespace, begun: bytes, code: str
) -> None:
    watcher = Watcher(replace(watch, settle=2.0, patience=300.0), print)
    drop(folder, "a.png", data=begun)
    assert list(watcher.round()) == []
    clock.now += 299
    assert list(watcher.round()) == []
    clock.now += 1
    assert [(one.path, one.details["code"]) for one in watcher.round()] == [("a.png", code)]
    assert AuditEvent.objects.filter(kind="image.refused").count() == 1


@working
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_refused_file_that_is_written_on_is_inspected_once(
    watch: Watch, folder: Path, clock: SimpleNamespace, is_restarted: bool
) -> None:
    said: list[str] = []
    watcher = Watcher(watch, said.append)
    whole = parts.png(1)
    with (folder / "a.png").open("wb") as writer:
        writer.write(whole[:3000])
        writer.flush()
        assert briefly(list(watcher.round())) == [("a.png", "refused")]
        clock.now += 20
        assert list(watcher.round()) == [], "it did not change"
        writer.write(whole[3000:])
    watcher = Watcher(watch, said.append) if is_restarted else watcher
    clock.now += 20
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]
    assert said[-1] == "a.png has changed since it was refused; looked at again."
    assert names(folder) == ["done/a.png"]
    assert Inspection.objects.count() == 1


@working
def test_a_single_look_leaves_what_is_young_for_the_next_one(watch: Watch, folder: Path) -> None:
    young, old = (drop(folder, name, data=parts.png(1)[:3000]) for name in ("young.png", "old.png"))
    os.utime(old, (1_000_000_000, 1_000_000_000))
    watcher = Watcher(replace(watch, patience=300.0), print)
    assert briefly(list(watcher.once())) == [("old.png", "refused")]
    assert watcher.left() == [young.name]


@working
def test_a_file_that_gets_its_name_when_it_is_complete(watch: Watch, folder: Path) -> None:
    watcher = Watcher(watch, print)
    written = drop(folder, "a.png.part", 1)
    assert list(watcher.round()) == []
    written.rename(folder / "a.png")
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]


@working
def test_the_same_picture_of_two_parts_is_two_inspections(watch: Watch, folder: Path) -> None:
    drop(folder, "a.png", 1)
    drop(folder, "b.png", 1)
    assert len(watched(watch)) == 2
    assert Inspection.objects.count() == 2
    drop(folder, "a.png", 1)
    os.utime(folder / "a.png", (2_000_000_000, 2_000_000_000))
    assert briefly(watched(watch)) == [("a.png", "inspected")], "written anew: another part"
    assert len(names(folder)) == 3
    assert (folder / "done" / "a.png").exists()


@working
@pytest.mark.parametrize("after", ["move", "mark", "keep"])
def test_killed_between_record_and_putting_away(
    watch: Watch, folder: Path, after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = replace(watch, after=after)
    drop(folder, "a.png")

    class Killed(BaseException):
        """As kill -9: nothing handles it."""

    def killed(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Watcher, "_put_away", killed)
        with pytest.raises(Killed):
            watched(watch)
    assert Inspection.objects.count() == 1
    assert names(folder) == ["a.png"]
    assert briefly(watched(watch)) == [("a.png", "again")]
    assert Inspection.objects.count() == 1
    assert (
        names(folder) == {"move": ["done/a.png"], "mark": ["a.png", "a.png.inspected.json"], "keep": ["a.png"]}[after]
    )


@working
def test_a_request_that_was_killed_before_its_record_is_taken_up(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", lambda *words: False)
        patch.setattr(broker, "wait_until", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            watched(watch)
    assert InspectionRequest.objects.get().status == "queued"
    assert briefly(watched(watch)) == [("a.png", "inspected")]
    assert InspectionRequest.objects.count() == Inspection.objects.count() == 1


def _interrupted(*args: Any, **options: Any) -> bool:
    raise KeyboardInterrupt


@working
def test_marked_files_are_not_read_again_until_they_change(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = replace(watch, after="mark")
    drop(folder, "a.png")
    drop(folder, "bad.png", data=b"junk")
    assert sorted(briefly(watched(watch))) == [("a.png", "inspected"), ("bad.png", "refused")]
    said = json.loads((folder / "a.png.inspected.json").read_text())
    assert said["inspection_id"] == str(Inspection.objects.get().pk)
    assert json.loads((folder / "bad.png.inspected.json").read_text())["code"] == "not_an_image"
    with monkeypatch.context() as patch:
        patch.setattr(services, "read_file", _interrupted)
        assert watched(watch) == []
    drop(folder, "a.png", 5)
    assert briefly(watched(watch)) == [("a.png", "inspected")]
    (folder / "a.png.inspected.json").write_text("[]")
    assert briefly(watched(watch)) == [("a.png", "again")], "without a mark the database knows"
    assert Inspection.objects.count() == 2


@working
def test_kept_files_are_remembered(watch: Watch, folder: Path) -> None:
    watch = replace(watch, after="keep")
    drop(folder, "a.png")
    watcher = Watcher(watch, print)
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]
    assert list(watcher.round()) == []
    assert briefly(watched(watch)) == [("a.png", "again")]
    assert watcher.left() == []


@working
def test_two_watchers_on_one_folder(watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first has judged and not yet moved; both see the same record."""
    drop(folder, "a.png")
    others: list[FileResult] = []
    real = Watcher._put_away

    def meanwhile(self: Watcher, *args: Any) -> Any:
        if not others:
            others.append(FileResult("", "again", {}))
            others[:] = watched(watch)
        return real(self, *args)

    monkeypatch.setattr(Watcher, "_put_away", meanwhile)
    mine = watched(watch)
    assert briefly(others) == [("a.png", "again")]
    assert briefly(mine) == [("a.png", "inspected")]
    assert Inspection.objects.count() == 1
    assert names(folder) == ["done/a.png"]


@working
def test_a_watcher_with_another_pattern_finds_the_record_too(watch: Watch, folder: Path) -> None:
    watch = replace(watch, after="keep")
    drop(folder, "L7_a.png")
    watched(watch)
    other = replace(watch, pattern=re.compile(r"(?P<lot>L\d)_"))
    assert briefly(watched(other)) == [("L7_a.png", "again")]
    assert Inspection.objects.get().lot == ""


@working
def test_a_refused_file_gets_a_sentence(watch: Watch, folder: Path, settings: Any) -> None:
    drop(folder, "bad.png", data=b"junk")
    jpeg = parts.encode(parts.part(1)[0], "JPEG")
    drop(folder, "damaged.jpg", data=jpeg[: len(jpeg) // 2] + b"\xff\xd9")
    settings.MAX_FILE_SIZE = 200_000
    drop(folder, "huge.png", data=b"x" * 200_001)
    result = {one.path: one for one in watched(watch)}
    assert {path: one.details["code"] for path, one in result.items()} == {
        "bad.png": "not_an_image",
        "damaged.jpg": "truncated_image",
        "huge.png": "file_too_large",
    }
    assert names(folder) == sorted(f"failed/{name}{end}" for name in result for end in ("", ".txt"))
    assert (folder / "failed" / "damaged.jpg.txt").read_text().startswith("truncated_image: The JPEG file is cut off")
    assert not Inspection.objects.exists()
    assert AuditEvent.objects.filter(kind="image.refused").count() == 3


@working
def test_a_name_that_says_too_much_is_refused(watch: Watch, folder: Path) -> None:
    watch = replace(watch, pattern=re.compile(r"(?P<lot>L+)"))
    drop(folder, "L" * 101 + ".png")
    drop(folder, "other.png")
    assert {(one.status, one.details.get("code")) for one in watched(watch)} == {
        ("refused", "misnamed"),
        ("inspected", None),
    }
    assert AuditEvent.objects.filter(kind="image.refused").count() == 1


def test_what_a_name_says_about_the_part(watch: Watch) -> None:
    watch = replace(watch, pattern=re.compile(r"(?P<part_number>P\d+)_(?P<lot>L\d+)?_(?P<serial_number>[^.]+)"))
    part = part_of("P12_L7_s\udcff9.png", watch)
    assert vars(part) == {"station": "S1", "part_number": "P12", "lot": "L7", "serial_number": "s?9"}
    assert vars(part_of("P12__s.png", watch))["lot"] == ""
    assert vars(part_of("else.png", watch)) == {"station": "S1", "part_number": "", "lot": "", "serial_number": ""}


@working
def test_a_name_that_is_no_utf8(watch: Watch, folder: Path) -> None:
    try:
        drop(folder, os.fsdecode(b"a\xff.png"))
    except OSError:
        pytest.skip("this file system takes no such name")
    (result,) = watched(watch)
    assert result.status == "inspected"
    json.dumps(result.document)
    assert Inspection.objects.get().filename == "a.png"
    assert len(list((folder / "done").iterdir())) == 1


@working
def test_an_image_that_cannot_be_judged_is_put_aside_alone(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, "a.png", 1)
    real = scoring.score

    def fail(held: Any, images: Any) -> Any:
        raise RuntimeError("poison")

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score", fail)
        assert [one.details["code"] for one in watched(watch)] == ["inspection_failed"]
    assert scoring.score is real
    assert (folder / "failed" / "a.png").exists()
    (folder / "failed" / "a.png").rename(folder / "a.png")
    assert briefly(watched(watch)) == [("a.png", "inspected")], "put back by hand it gets another try"


@working
def test_a_file_that_grows_while_it_is_read_waits(watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(folder, "a.png")
    real = services.read_file

    def growing(path: Path) -> Any:
        data, seen = real(path)
        return data[:-1], seen

    monkeypatch.setattr(services, "read_file", growing)
    assert watched(watch) == []
    assert names(folder) == ["a.png"]
    assert not InspectionRequest.objects.exists()


@working
def test_a_file_written_anew_while_it_is_judged_is_not_moved(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(folder, "a.png", 1)
    real = services.inspect_image

    def overwritten(**options: Any) -> Inspection:
        record = real(**options)
        drop(folder, "a.png", 2)
        os.utime(path, (2_000_000_000, 2_000_000_000))
        return record

    with monkeypatch.context() as patch:
        patch.setattr(services, "inspect_image", overwritten)
        (result,) = watched(watch)
    assert result.now_at == ""
    assert names(folder) == ["a.png"]
    assert briefly(watched(watch)) == [("a.png", "inspected")]
    assert set(Inspection.objects.values_list("asset__sha256", flat=True).distinct()) == {
        Inspection.objects.order_by("created_at")[0].asset.sha256,
        Inspection.objects.order_by("created_at")[1].asset.sha256,
    }
    assert Inspection.objects.count() == 2


@working
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_file_that_may_not_be_read_is_tried_again(watch: Watch, folder: Path) -> None:
    path = drop(folder, "a.png")
    path.chmod(0)
    watcher = Watcher(watch, print)
    assert briefly(list(watcher.round())) == [("a.png", "unreadable")]
    path.chmod(0o600)
    watcher._retries.clear()
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]


@working
def test_trouble_with_one_file_is_told_once_and_tried_again(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, "a.png", 1)
    drop(folder, "b.png", 2)
    real = os.open

    def open_but_a(path: Any, *args: Any) -> int:
        if str(path).endswith("camera/a.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args)

    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(services, "time", clock)
    watcher = Watcher(watch, print)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_but_a)
        assert sorted(briefly(list(watcher.round()))) == [("a.png", "unreadable"), ("b.png", "inspected")]
        assert list(watcher.round()) == [], "not before its pause is over"
        clock.monotonic = lambda: 1001.5
        assert list(watcher.round()) == [], "tried, and not told again"
    clock.monotonic = lambda: 1003.0
    assert list(watcher.round()) == [], "pauses grow"
    clock.monotonic = lambda: 1004.0
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]


@working
def test_a_file_that_cannot_be_put_away_is_inspected_once(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(folder, "a.png")
    (folder / "done").write_text("in the way")
    said: list[str] = []
    watcher = Watcher(watch, said.append)
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]
    assert "cannot be put away" in said[-1]
    (folder / "done").unlink()
    watcher._retries.clear()
    assert briefly(list(watcher.round())) == [("a.png", "again")]
    assert Inspection.objects.count() == 1
    assert names(folder) == ["done/a.png"]


@working
def test_another_file_system_gets_a_copy(watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = drop(folder, "a.png").read_bytes()
    real = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OSError(18, "Invalid cross-device link")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", across)
    watched(watch)
    assert names(folder) == ["done/a.png"]
    assert (folder / "done" / "a.png").read_bytes() == data


# ---------------------------------------------------------------- what is waited for
@pytest.mark.usefixtures("deployment")
def test_without_a_worker_nothing_is_asked_for(watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(folder, "a.png")
    with pytest.raises(TemporarilyUnavailable, match="broker does not answer"):
        watched(watch)
    monkeypatch.setattr(broker, "is_reachable", lambda: True)
    with pytest.raises(TemporarilyUnavailable, match="No worker judges"):
        watched(watch)
    assert not InspectionRequest.objects.exists()
    assert names(folder) == ["a.png"]


@pytest.mark.usefixtures("deployment")
def test_a_worker_that_does_not_answer(
    watch: Watch, folder: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    settings.ANSWER_TIMEOUT = 0.1
    monkeypatch.setattr(broker, "live_workers", lambda: {"one": ["inference"]})
    drop(folder, "a.png")
    with pytest.raises(TemporarilyUnavailable, match="did not answer within"):
        watched(watch)
    assert InspectionRequest.objects.get().status == "expired"
    request.getfixturevalue("worker")
    settings.ANSWER_TIMEOUT = 30.0
    assert briefly(watched(watch)) == [("a.png", "inspected")]


@pytest.mark.usefixtures("worker")
def test_without_a_model_it_waits(watch: Watch, folder: Path) -> None:
    drop(folder, "a.png")
    with pytest.raises(TemporarilyUnavailable, match="No model is loaded"):
        watched(watch)
    assert names(folder) == ["a.png"]


@working
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OperationalError("gone"), "The database does not answer"),
        (StorageFailed("The file could not be stored."), "could not be stored"),
        (scoring.ModelUnusable("It cannot be loaded."), "cannot be loaded"),
    ],
)
def test_trouble_of_the_system_leaves_files_alone(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(**options: Any) -> Any:
        raise error

    drop(folder, "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(services, "inspect_image", fail)
        with pytest.raises(TemporarilyUnavailable, match=sentence):
            watched(watch)
    assert names(folder) == ["a.png"]
    assert briefly(watched(watch)) == [("a.png", "inspected")]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_went_away_is_asked_again(request: pytest.FixtureRequest, watch: Watch, folder: Path) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("there is no server that could go away")
    request.getfixturevalue("deployment")
    request.getfixturevalue("worker")
    watcher = Watcher(watch, print)
    assert list(watcher.round()) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    drop(folder, "a.png")
    keeper = connection.copy("keeper")
    with keeper.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    keeper.close()
    connection.health_check_done = True  # type: ignore[attr-defined]  # it went away after it was looked at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "close_old_connections", lambda: None)
        with pytest.raises(TemporarilyUnavailable, match="The database does not answer"):
            list(watcher.round())
    assert names(folder) == ["a.png"]
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]


@working
def test_it_goes_on_when_what_was_away_is_back(watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder goes, then the workers; each is told once, however often it is looked at, and pauses grow."""
    drop(folder, "a.png")
    said: list[str] = []
    watcher = Watcher(watch, said.append)
    pauses: list[float] = []
    away = folder.with_name("away")
    folder.rename(away)
    monkeypatch.setattr(broker, "live_workers", dict)

    def passes(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 3:
            away.rename(folder)
        if len(pauses) == 5:
            monkeypatch.setattr(broker, "live_workers", lambda: {"one": ["inference", "training"]})
        return False

    monkeypatch.setattr(watcher.stop, "wait", passes)
    result = _first(watcher.run(poll=0.5))
    assert (result.path, result.status) == ("a.png", "inspected")
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert [sentence.split(" (")[0] for sentence in said] == [
        f"The folder {folder} cannot be read",
        "The broker does not answer",
    ]


def _first(result: Iterator[FileResult]) -> FileResult:
    return next(result)


def test_it_stops_when_it_is_told(watch: Watch) -> None:
    watcher = Watcher(watch, print)
    watcher.stop.set()
    assert list(watcher.run(poll=3600)) == []


@working
def test_it_stops_after_the_file_in_hand(watch: Watch, folder: Path) -> None:
    drop(folder, "a.png", 1)
    drop(folder, "b.png", 2)
    watcher = Watcher(watch, print)
    for _ in watcher.run(poll=0):
        watcher.stop.set()
    assert Inspection.objects.count() == 1


@working
def test_a_share_that_fails_for_a_moment_costs_one_file_a_moment(
    watch: Watch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither looking at a file nor at the refused ones ends the watching."""
    drop(folder, "a.png", 1)
    drop(folder, "b.png", 2)
    drop(folder, "failed/c.png", data=b"no image")
    real = os.scandir

    class Stale:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.name, self.path, self.is_symlink = entry.name, entry.path, entry.is_symlink

        def is_dir(self) -> bool:
            raise OSError(errno.ESTALE, "Stale file handle")

    @contextlib.contextmanager
    def scandir(path: Any) -> Iterator[Any]:
        if "failed" in str(path):
            raise OSError(errno.EIO, "Input/output error")
        with real(path) as entries:
            yield [Stale(entry) if entry.name == "a.png" else entry for entry in entries]

    said: list[str] = []
    watcher = Watcher(watch, said.append)
    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", scandir)
        assert briefly(list(watcher.round())) == [("b.png", "inspected")]
    assert said == ["a.png cannot be looked at (Stale file handle); it is looked at again."]
    assert briefly(list(watcher.round())) == [("a.png", "inspected")]
