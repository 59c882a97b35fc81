"""Writes: inspecting files as cameras drop them into a folder, each of them once, whatever is killed in between.

A file's identity is the key of its request: station, path below the folder, size, time of change and content. Whoever
meets it again, after a crash or on another machine, finds the record that there is and only puts the file away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from common.context import acting
from common.errors import UserError
from common.files import write_whole
from common.pixels.sixteen_bit import FULL_WINDOW
from inspection.batches.folders import FileUnreadable, read_file
from inspection.judging.idempotency import own_key
from inspection.judging.services import PartContext, Submission, inspect_image
from inspection.models import Inspection, PartInspection, PartRequest
from inspection.parts.services import PartSubmission, ViewImage, ViewRefused, inspect_view
from jobs import broker
from jobs.broker import INFERENCE
from records.assets.file_tree import is_hidden, is_image, is_unfinished, read_head
from records.assets.formats import format_in_name
from records.assets.images import ImageRejected, inspect_upload
from records.assets.selectors import upload_limits
from records.assets.services import report_refusal
from records.audit.services import Actor

After = Literal["move", "mark", "keep"]
PART_FIELDS = ("lot", "serial_number", "part_number")
# With a part layout the name of a file also says of which part and which view it is.
VIEW_FIELDS = ("part", "view")
_SIDECAR = ".inspected.json"
_MAX_PAUSE_SECONDS = 60.0
# What judging may end in that is the image's fault; all else is trouble that passes, and the file waits for its end.
_IMAGE_ERRORS = frozenset({"inspection_failed", "worker_died"})
# What a file may be refused for only because it is not written to its end.
_INCOMPLETE_ERRORS = frozenset({"truncated_image", "not_an_image", "empty_file"})
_FAILED_INTERVAL = 15.0  # seconds between two looks at the refused files
# The last line of the note beside a refused file: what it looked like. A writer that goes on changes that.
_REFUSED_AS = re.compile(r"^As refused: (\d+) bytes, time of change (\d+) ns\.", re.MULTILINE)


# ---------------------------------------------------------------- when a file is complete
@dataclass(frozen=True)
class FileStat:
    """What tells a file that is still written from one that is not."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStat:
        return cls(status.st_size, status.st_mtime_ns)


class StabilityTracker:
    """Which files are complete: those that have looked the same for so many seconds, empty ones for so many more.

    The seconds are counted here: the clock of the machine that writes may be wrong.
    """

    def __init__(self, seconds: float, empty_seconds: float) -> None:
        self._seconds = seconds
        self._empty_seconds = max(seconds, empty_seconds)
        self._since: dict[str, tuple[FileStat, float]] = {}

    def look(self, listing: Mapping[str, FileStat], *, now: float) -> list[str]:
        """Those of a listing that are complete, the oldest first."""
        before = self._since
        self._since = {
            path: before[path] if path in before and before[path][0] == stat else (stat, now)
            for path, stat in listing.items()
        }
        complete = [
            path
            for path, (stat, since) in self._since.items()
            if now - since >= (self._seconds if stat.size > 0 else self._empty_seconds)
        ]
        return sorted(complete, key=lambda path: (listing[path].mtime_ns, path))

    def unchanged_for(self, path: str, *, now: float) -> float:
        """Seconds for which a file of the last listing has looked the same."""
        return now - self._since[path][1] if path in self._since else 0.0


# ---------------------------------------------------------------- one file
class TemporarilyUnavailable(Exception):
    """Nothing can be judged at present; the sentence says why. Every file stays where it is."""


class InvalidFileName(ImageRejected):
    code = "misnamed"


@dataclass(frozen=True)
class Watch:
    """What is watched, and what becomes of the files."""

    folder: Path
    station: str
    category: str = ""
    actor: Actor = None
    after: After = "move"
    done: Path | None = None  # with `move`; refused files go to `failed` beside it
    settle: float = 2.0
    patience: float = 300.0  # seconds for which a file that is cut off, empty or no image yet may still be written
    recursive: bool = False
    pattern: re.Pattern[str] | None = None
    layout: str = ""  # of parts with several views; then the pattern has the groups of `VIEW_FIELDS`

    @property
    def done_folder(self) -> Path:
        return self.done or self.folder / "done"

    @property
    def failed_folder(self) -> Path:
        return self.done_folder.parent / "failed"


@dataclass(frozen=True)
class FileResult:
    """What became of one file: `inspected` (or `again`: there was a record already), `refused` or `unreadable`."""

    path: str
    status: Literal["inspected", "again", "refused", "unreadable"]
    details: dict[str, Any]  # of the record, or code and detail
    now_at: str = ""

    @property
    def document(self) -> dict[str, Any]:
        return {
            "file": _printable(self.path),
            "status": self.status,
            **self.details,
            "now_at": _printable(self.now_at) or None,
        }


def identity(*, station: str, path: str, stat: FileStat, sha256: str) -> str:
    """The key of a file's request: the same on every machine that watches the same folder for the same station.

    Of the time the whole seconds count: not every file system and network share tells more.
    """
    parts = (station.encode(), os.fsencode(path), str(stat.size).encode(), str(stat.mtime_ns // 10**9).encode())
    return f"watch-{hashlib.sha256(bytes(1).join((*parts, sha256.encode()))).hexdigest()}"


def part_of(name: str, watch: Watch) -> PartContext:
    """What the station, and the file's name where there is a pattern, say about the part."""
    fields = _fields_of(name, watch)
    return PartContext(station=watch.station, **{key: fields[key] for key in PART_FIELDS if key in fields})


def _fields_of(name: str, watch: Watch) -> dict[str, str]:
    """What the groups of the pattern found in the name of a file."""
    match = watch.pattern.search(name) if watch.pattern else None
    fields = {key: _printable(value) for key, value in (match.groupdict() if match else {}).items() if value}
    for key, value in fields.items():
        if len(value) > 100:
            raise InvalidFileName(f"The name of the file gives a {key} of more than 100 characters.")
    return fields


def _view_of(name: str, watch: Watch) -> tuple[str, str]:
    """Part id and view of a file. Raises `InvalidFileName`: it is kept apart, and its part misses it."""
    fields = _fields_of(name, watch)
    missing = [key for key in VIEW_FIELDS if key not in fields]
    if missing:
        raise InvalidFileName(f"The name of the file does not say {' and '.join(missing)} as --pattern has it.")
    return fields["part"], fields["view"]


def _printable(text: str) -> str:
    """As it can be stored and printed: a name that is no UTF-8 has question marks."""
    return text.encode("utf-8", "replace").decode()


@dataclass
class Watcher:
    """Looks at a folder again and again. `say` gets sentences for people."""

    watch: Watch
    say: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._stability = StabilityTracker(self.watch.settle, self.watch.patience)
        self._finished: dict[str, FileStat] = {}  # files that stay where they are, and are done with
        self._incomplete: dict[str, FileStat] = {}  # files that may still be written
        self._not_images: dict[str, FileStat] = {}  # by content; read once
        self._failed_check_due = 0.0  # when refused files are looked at again
        self._is_once = False
        self._retries: dict[str, tuple[float, float]] = {}  # files that make trouble: not before, pause
        self._sentences: set[str] = set()

    # ------------------------------------------------------------ again and again
    def run(self, *, poll: float) -> Iterator[FileResult]:
        """Until `stop` is set. What keeps it from judging is waited for, with growing pauses."""
        pause, trouble = 0.0, ""
        while not self.stop.is_set():
            try:
                for result in self.round():
                    pause, trouble = 0.0, ""
                    yield result
            except TemporarilyUnavailable as error:
                pause = _next_pause(pause)
                if str(error) != trouble:
                    trouble = str(error)
                    self.say(
                        f"{trouble} Files stay where they are; tried again, after {_MAX_PAUSE_SECONDS:g} s at most."
                    )
            else:
                if trouble:
                    self.say("Goes on.")
                pause, trouble = 0.0, ""
            self.stop.wait(max(poll, pause))

    def once(self) -> Iterator[FileResult]:
        """What is complete now. Raises `TemporarilyUnavailable` when the rest must wait.

        How long a file has not changed is told by the clock of its folder here, as there was no earlier look.
        """
        self._is_once = True
        self._restore_changed()
        self.complete_files()
        self.stop.wait(self.watch.settle)
        yield from self.round()

    def round(self) -> Iterator[FileResult]:
        """One look at the folder, and every file that is complete and was not handled yet."""
        _renew_connection()
        self._restore_changed()
        complete = self.complete_files()
        waiting = [(path, stat) for path, stat in complete.items() if self._is_due(path, stat)]
        checked = False
        for path, stat in waiting:
            if self.stop.is_set():
                return
            if self._is_marked(path, stat):
                self._finished[path] = stat
                continue
            if not checked:
                _require_worker()
                checked = True
            with acting("command"), _as_temporary():
                result = self._process(path, stat)
            if result:
                yield result

    def complete_files(self) -> dict[str, FileStat]:
        """The complete files, the oldest first."""
        listing = self._listing()
        self._finished = {path: stat for path, stat in self._finished.items() if path in listing}
        self._retries = {path: later for path, later in self._retries.items() if path in listing}
        self._incomplete = {path: stat for path, stat in self._incomplete.items() if path in listing}
        return {path: listing[path] for path in self._stability.look(listing, now=time.monotonic())}

    def left(self) -> list[str]:
        """Files that are there and not handled: incomplete, or in trouble."""
        return [path for path, stat in self._listing().items() if self._finished.get(path) != stat]

    def _is_due(self, path: str, stat: FileStat) -> bool:
        if self._incomplete.get(path) == stat and self._age(path, stat) < self.watch.patience:
            return False
        return self._finished.get(path) != stat and self._retries.get(path, (0.0, 0.0))[0] <= time.monotonic()

    # ------------------------------------------------------------ what is there
    def _listing(self) -> dict[str, FileStat]:
        """Every image by its path below the folder. Links, hidden files and our own folders are left out."""
        images: dict[str, FileStat] = {}
        others: dict[str, FileStat] = {}
        own = {self.watch.done_folder, self.watch.failed_folder}
        folders = [self.watch.folder]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    listed = list(entries)
            except OSError as error:
                if folder == self.watch.folder:
                    raise TemporarilyUnavailable(f"The folder {folder} cannot be read ({error.strerror}).") from error
                self._tell(f"The folder {folder} cannot be read ({error.strerror}); it is looked at again.")
                continue
            for entry in listed:
                path = str(Path(entry.path).relative_to(self.watch.folder))
                try:
                    if is_hidden(entry.name) or Path(entry.path) in own:
                        continue
                    if entry.is_symlink():
                        self._tell(f"Links are left alone: {_printable(path)}.", kind="link")
                    elif entry.is_dir():
                        if self.watch.recursive:
                            folders.append(Path(entry.path))
                        else:
                            sentence = (
                                f"Folders in the folder are left alone ({_printable(path)}); --recursive looks in."
                            )
                            self._tell(sentence, kind="folder")
                    elif entry.is_file():
                        stat = FileStat.of(entry.stat(follow_symlinks=False))
                        (images if self._is_image_file(path, stat) else others)[path] = stat
                except FileNotFoundError:
                    continue  # it vanished meanwhile
                except OSError as error:  # a share does that for moments
                    self._tell(f"{_printable(path)} cannot be looked at ({error.strerror}); it is looked at again.")
        self._not_images = {path: stat for path, stat in self._not_images.items() if others.get(path) == stat}
        return images

    def _is_image_file(self, path: str, stat: FileStat) -> bool:
        """Whether a file is an image by its content, or claims to be one by its name."""
        name = Path(path).name
        if is_unfinished(name) or name.endswith(_SIDECAR):
            return False
        if format_in_name(name):
            return True
        if self._not_images.get(path) == stat or stat.size == 0:
            return False
        try:
            if is_image(name, read_head(self.watch.folder / path)):
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            self._tell(f"{_printable(path)} cannot be read ({error.strerror}); it is looked at again.")
            return False
        self._not_images[path] = stat
        kind = Path(name).suffix.lower()
        which = f"named like *{_printable(kind)}" if kind else "without an extension"
        self._tell(f"Files {which} are left alone where they are no image files.")
        return False

    def _tell(self, sentence: str, *, kind: str = "") -> None:
        """Say something once; of a kind, the first only."""
        if (kind or sentence) not in self._sentences:
            self._sentences.add(kind or sentence)
            self.say(sentence)

    def _age(self, path: str, stat: FileStat) -> float:
        """Seconds since a file has changed, as far as they were counted here."""
        counted = self._stability.unchanged_for(path, now=time.monotonic())
        return max(counted, time.time() - stat.mtime_ns / 1e9) if self._is_once else counted

    def _restore_changed(self) -> None:
        """Refused files that somebody went on to write are put back where they came from, as new ones."""
        began = time.monotonic()
        if self.watch.after != "move" or began < self._failed_check_due:
            return
        failed = self.watch.failed_folder
        notes: list[Path] = []
        with contextlib.suppress(OSError):  # a share that is away for a moment
            notes = sorted(failed.rglob("*.txt")) if failed.is_dir() else []
        for note in notes:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                refused = note.with_suffix("")
                refused_as = _REFUSED_AS.search(note.read_text("utf-8"))
                stat = FileStat.of(refused.lstat())
                source = self.watch.folder / refused.relative_to(failed)
                if (
                    not refused_as
                    or stat == FileStat(int(refused_as[1]), int(refused_as[2]))
                    or os.path.lexists(source)
                ):
                    continue
                source.parent.mkdir(parents=True, exist_ok=True)
                _move(refused, source)
                note.unlink(missing_ok=True)
                self.say(
                    f"{_printable(str(refused.relative_to(failed)))} has changed since it was refused; looked at again."
                )
        ended = time.monotonic()
        self._failed_check_due = ended + max(
            _FAILED_INTERVAL, 20 * (ended - began)
        )  # a slow share is not kept busy by it

    # ------------------------------------------------------------ judging
    def _process(self, path: str, stat: FileStat) -> FileResult | None:
        """Have one file judged and put it away. None when it is gone, or not complete after all."""
        name = Path(path).name
        data = b""
        try:
            data, status = read_file(self.watch.folder / path)
            if FileStat.of(status) != stat or len(data) != stat.size:
                return None
            if self._is_still_written(path, stat, data):
                return None
            key = self._key(path, stat, data)
            existing = _record_of(key, self.watch.actor)
            record = existing or self._inspect(name, data, key)
        except FileUnreadable as error:
            return self._try_later(path, error)
        except UserError as error:
            if isinstance(error, ImageRejected):
                if not data or isinstance(error, InvalidFileName):  # else upload validation told so
                    report_refusal(filename=name, size=stat.size, refusal=error, actor=self.watch.actor)
            elif error.code not in _IMAGE_ERRORS and not isinstance(error, ViewRefused):
                raise TemporarilyUnavailable(error.detail) from error
            refused = FileResult(path, "refused", {"code": error.code, "detail": error.detail})
            return self._put_away(refused, stat, self._key(path, stat, data))
        return self._put_away(FileResult(path, "again" if existing else "inspected", _result_of(record)), stat, key)

    def _is_still_written(self, path: str, stat: FileStat, data: bytes) -> bool:
        """Whether a young file is no image yet. Nothing is kept of that: it is no refusal."""
        if self._age(path, stat) >= self.watch.patience:
            return False
        try:
            inspect_upload(data, path, upload_limits(window=FULL_WINDOW))
        except ImageRejected as refusal:
            if refusal.code not in _INCOMPLETE_ERRORS:
                return False
            if path not in self._incomplete:
                self.say(
                    f"{_printable(path)} is not complete yet; refused if it stays so for {self.watch.patience:g} s."
                )
            self._incomplete[path] = stat
            return True
        return False

    def _key(self, path: str, stat: FileStat, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        return identity(station=self.watch.station, path=path, stat=stat, sha256=sha256)

    def _inspect(self, name: str, data: bytes, key: str) -> Inspection:
        if self.watch.layout:
            part_id, view = _view_of(name, self.watch)
            submission = PartSubmission(
                layout=self.watch.layout,
                part_id=part_id,
                source="watcher",
                actor=self.watch.actor,
                part=part_of(name, self.watch),
            )
            return inspect_view(submission=submission, image=ViewImage(view, name, data), idempotency_key=key)[1]
        return inspect_image(
            data=data,
            submission=Submission(
                filename=name,
                source="watcher",
                actor=self.watch.actor,
                part=part_of(name, self.watch),
                idempotency_key=key,
            ),
            category=self.watch.category,
        )

    def _try_later(self, path: str, error: UserError) -> FileResult | None:
        if isinstance(error.__cause__, FileNotFoundError):
            return None  # somebody took it away, perhaps another watcher
        unreadable = FileResult(path, "unreadable", {"code": error.code, "detail": error.detail})
        return unreadable if self._postpone(path) else None

    def _postpone(self, path: str) -> bool:
        """Try a file again after a pause, longer each time. Whether this is the first time."""
        first = path not in self._retries
        pause = _next_pause(self._retries.get(path, (0.0, 0.0))[1])
        self._retries[path] = (time.monotonic() + pause, pause)
        return first

    # ------------------------------------------------------------ putting away
    def _put_away(self, result: FileResult, stat: FileStat, key: str) -> FileResult | None:
        """Move or mark what was handled. When that fails, the file is met again, and so is its record."""
        source = self.watch.folder / result.path
        try:
            if FileStat.of(source.lstat()) != stat:
                return result  # written anew meanwhile: another part, which is inspected when it is complete
            if self.watch.after == "move":
                target = self._target(result, key)
                note = target.with_name(f"{target.name}.txt")
                if result.status == "refused":
                    _write(note, _note(result, stat))
                is_copy = _move(source, target)
                if is_copy and result.status == "refused":  # another file system may keep times less exactly
                    _write(note, _note(result, FileStat.of(target.lstat())))
                return FileResult(result.path, result.status, result.details, now_at=str(target))
            if self.watch.after == "mark":
                details = {"size": stat.size, "mtime_ns": stat.mtime_ns, "status": result.status, **result.details}
                _write(source.with_name(source.name + _SIDECAR), json.dumps(details, indent=1) + "\n")
        except FileNotFoundError:
            return result  # another watcher put it away
        except OSError as error:
            self._tell(f"{_printable(result.path)} cannot be put away ({error.strerror}); tried again.")
            return result if self._postpone(result.path) else None
        self._finished[result.path] = stat
        return result

    def _target(self, result: FileResult, key: str) -> Path:
        """Where it goes; beside a file of the same name that went before, under a name that only it has."""
        refused = result.status == "refused"
        target = (self.watch.failed_folder if refused else self.watch.done_folder) / result.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            return target
        return target.with_name(f"{target.stem}-{key[-16:]}{target.suffix}")

    def _is_marked(self, path: str, stat: FileStat) -> bool:
        if self.watch.after != "mark":
            return False
        try:
            mark = json.loads((self.watch.folder / f"{path}{_SIDECAR}").read_text("utf-8"))
            return (mark["size"], mark["mtime_ns"]) == (stat.size, stat.mtime_ns)
        except (OSError, ValueError, KeyError, TypeError):
            return False  # none that tells: the database knows


def _next_pause(pause: float) -> float:
    return min(_MAX_PAUSE_SECONDS, max(1.0, pause * 2))


def _renew_connection() -> None:
    """As Django does before each request: a connection that was lost is made anew, one that is old as well."""
    if not connection.in_atomic_block:
        close_old_connections()


def _require_worker() -> None:
    """So that images do not pile up as requests that nobody answered, while nobody is there."""
    if not any(INFERENCE in queues for queues in broker.live_workers().values()):
        reason = "No worker judges images" if broker.is_reachable() else "The broker does not answer"
        raise TemporarilyUnavailable(f"{reason} (make run starts both).")


@contextlib.contextmanager
def _as_temporary() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise TemporarilyUnavailable("The database does not answer.") from error


def _record_of(key: str, actor: Actor) -> Inspection | None:
    """What was recorded for the key, whatever was said about the part then."""
    request_key = own_key(key, actor=actor)
    return Inspection.objects.select_related("threshold").filter(request__idempotency_key=request_key).first()


def _result_of(record: Inspection) -> dict[str, Any]:
    return {
        "inspection_id": str(record.pk),
        "outcome": record.outcome,
        "score": record.score,
        "threshold": record.threshold_value,
        "explanation": record.explanation,
        "station": record.station,
        "lot": record.lot,
        "serial_number": record.serial_number,
        "part_number": record.part_number,
        **_part_result_of(record),
    }


def _part_result_of(record: Inspection) -> dict[str, Any]:
    """Of a view of a part: which part, and its verdict once it has one."""
    part = PartRequest.objects.filter(views__request=record.request_id).first()
    if part is None:
        return {}
    verdict = PartInspection.objects.filter(pk=part.pk).values_list("outcome", flat=True).first()
    return {"part": str(part.pk), "part_id": part.part_id, "part_outcome": verdict}


def _note(result: FileResult, stat: FileStat) -> str:
    """What lies beside a refused file, for people; the last line is read again."""
    return (
        "{code}: {detail}\n".format(**result.details)
        + f"As refused: {stat.size} bytes, time of change {stat.mtime_ns} ns. If the file changes here, it is put "
        "back and looked at again.\n"
    )


def _write(target: Path, text: str) -> None:
    """Not durable: it is written again for an image that is looked at again."""
    with write_whole(target, durable=False) as out:
        out.write(text.encode())


def _move(source: Path, target: Path) -> bool:
    """Also to another file system: there the copy is whole before it has its name, and then the original goes.

    Returns whether it is a copy.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with source.open("rb") as original, write_whole(target) as copy:
            shutil.copyfileobj(original, copy)
            copy.flush()  # what is written later would change its time
            shutil.copystat(source, copy.name)
        source.unlink()
        return True
    return False
