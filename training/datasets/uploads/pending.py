"""Where an upload waits until whoever sent it has seen what it would become: one folder a person, for an hour.

The folder is found by a token and the person together: it bears a digest of both, so that nothing of an address is ever
used as a path, and the token of somebody else opens nothing. A killed process leaves it to the sweep, and what is older
than a day to retention, as everything that is called `import-...`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from common.errors import NotFound
from common.files import write_whole

KEPT = timedelta(hours=1)  # after it was sent or last looked at
_PREFIX, _TAKEN = "import-waiting-", "import-taken-"
_STATE, _PREVIEW, _PROGRESS, _LOCK = "upload.json", "preview.json", "progress.json", "lock"
_PROGRESS_SECONDS = 0.3


@dataclass(frozen=True)
class Reading:
    """How the files are to be read, where somebody decided it: fields as of `import_path`."""

    name: str = ""
    layout: str = ""
    good: tuple[str, ...] = ()
    defect: tuple[str, ...] = ()
    keep_duplicates: bool = False


@dataclass(frozen=True)
class PendingUpload:
    """Files that wait.

    Attributes:
        folder: the place; the files are in `root`, below it.
        source: what was sent, for people.
        notes: what was noticed of the files before they were read as a data set.
    """

    token: str
    folder: Path
    root: Path
    source: str
    notes: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp((self.folder / _STATE).stat().st_mtime, UTC) + KEPT

    # ---------------------------------------------------------------- preview
    def keep_preview(self, previews: list[dict[str, Any]]) -> None:
        with self._or_gone(), write_whole(self.folder / _PREVIEW, durable=False) as out:
            out.write(json.dumps(previews).encode())

    def preview(self) -> list[dict[str, Any]] | None:
        """What the files would become, if that was looked at as they are to be read now."""
        with contextlib.suppress(OSError, ValueError):
            previews: list[dict[str, Any]] = json.loads((self.folder / _PREVIEW).read_bytes())
            return previews
        return None

    @contextlib.contextmanager
    def reading_alone(self) -> Iterator[None]:
        """Thousands of images are not read twice at once because a page was loaded again."""
        with self._or_gone(), (self.folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read_differently(self, reading: Reading) -> None:
        """Forgets the preview."""
        with self._or_gone():
            (self.folder / _PREVIEW).unlink(missing_ok=True)
            _write_state(self.folder, self.root, self.source, self.notes, reading)

    # ---------------------------------------------------------------- progress
    def count_images(self) -> _ImageCount:
        return _ImageCount(self.folder)

    def progress(self) -> tuple[int, int]:
        """Images looked at, of how many; (0, 0) before that is known."""
        with contextlib.suppress(OSError, ValueError):
            done, total = json.loads((self.folder / _PROGRESS).read_bytes())
            return int(done), int(total)
        return 0, 0

    # ---------------------------------------------------------------- the end
    @contextlib.contextmanager
    def taken(self) -> Iterator[Path]:
        """The files' folder, for one who makes a data set of them; a second click finds nothing. They are removed
        afterwards, and wait again where that failed."""
        taken = self.folder.with_name(f"{_TAKEN}{secrets.token_hex(8)}")
        with self._or_gone():
            self.folder.rename(taken)
        try:
            yield taken / self.root.relative_to(self.folder)
        except BaseException:
            with contextlib.suppress(OSError):
                taken.rename(self.folder)
            raise
        shutil.rmtree(taken, ignore_errors=True)

    def drop(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    @contextlib.contextmanager
    def _or_gone() -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise _gone() from error


class _ImageCount:
    """A scan's progress, written down some times a second for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self._path, self._written = folder / _PROGRESS, 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._written >= _PROGRESS_SECONDS:
            self._written = now
            with contextlib.suppress(OSError), write_whole(self._path, durable=False) as out:
                out.write(json.dumps([done, total]).encode())


@contextlib.contextmanager
def place_for_upload(user_id: int) -> Iterator[tuple[str, Path]]:
    """A token and a folder for the files of one who has the right to send them, which `keep` makes an upload that
    waits. Left without that, the folder goes away. Whatever else of that person waited is dropped."""
    remove_expired()
    for other in _folders(f"{_PREFIX}{user_id}-*"):
        shutil.rmtree(other, ignore_errors=True)
    token = secrets.token_urlsafe(24)
    folder = _folder(token, user_id)
    folder.mkdir(parents=True)
    try:
        yield token, folder
    finally:
        if not (folder / _STATE).exists():
            shutil.rmtree(folder, ignore_errors=True)


def keep(
    *, token: str, folder: Path, root: Path, source: str, notes: tuple[str, ...], reading: Reading
) -> PendingUpload:
    """The files below `folder` wait from now on; the data set's folder among them is `root`."""
    _write_state(folder, root, source, notes, reading)
    return PendingUpload(token, folder, root, source, notes, reading)


def find_pending(token: str, user: Any) -> PendingUpload:
    """Raises `NotFound` for what was imported, dropped, is too old, or somebody else's."""
    folder = _folder(token, user.pk)
    try:
        state = json.loads((folder / _STATE).read_bytes())
        upload = PendingUpload(
            token=token,
            folder=folder,
            root=folder / state["root"],
            source=state["source"],
            notes=tuple(state["notes"]),
            reading=Reading(**{name: _plain(value) for name, value in state["reading"].items()}),
        )
        expired = upload.expires_at < datetime.now(UTC)
    except (OSError, ValueError) as error:
        raise _gone() from error
    if expired:
        upload.drop()
        raise _gone()
    return upload


def remove_expired() -> None:
    """For the sweep, which runs every few seconds."""
    limit = time.time() - KEPT.total_seconds()
    for folder in _folders(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            state = folder / _STATE
            if (state if state.exists() else folder).stat().st_mtime < limit:
                shutil.rmtree(folder, ignore_errors=True)


def _folders(pattern: str) -> Iterator[Path]:
    return Path(settings.VAR_DIR).glob(pattern)


def _folder(token: str, user_id: int) -> Path:
    digest = hashlib.sha256(f"{user_id}:{token}".encode()).hexdigest()
    return Path(settings.VAR_DIR) / f"{_PREFIX}{user_id}-{digest}"


def _write_state(folder: Path, root: Path, source: str, notes: tuple[str, ...], reading: Reading) -> None:
    state = {
        "root": root.relative_to(folder).as_posix(),
        "source": source,
        "notes": notes,
        "reading": asdict(reading),
    }
    with write_whole(folder / _STATE, durable=False) as out:
        out.write(json.dumps(state).encode())


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _gone() -> NotFound:
    return NotFound(
        "Nothing waits here any more: it was imported or dropped, replaced by a later upload, or is older than an "
        "hour. Nothing was imported by this request. Look at the list of data sets, or send the files again.",
        code="upload_not_found",
    )
