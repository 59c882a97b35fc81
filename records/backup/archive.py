"""Backup and restore: one tar, whichever database and storage it is made from or goes into.

It holds, in this order, the rows of every table (`database/`), the files that rows point at (`media/`), the trained
artifacts (`artifacts/`), the public keys of checkpoints (`keys/`), then `members.jsonl` with size and SHA-256 of each
of them, and `manifest.json`, which vouches for that list. Rows are read first: files only come after them, so that
every row finds its file. Nothing secret is inside but what the tables hold: no key that signs, no password in clear.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files import File
from django.core.files.storage import default_storage, storages
from django.db import DatabaseError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from common.errors import Conflict, UserError
from common.files import write_whole
from common.version import code_version
from records.audit.chain.audited_rows import verify_all
from records.audit.chain.event_keys import event_keys, start_again
from records.audit.chain.hashes import RESTORED, ChainReport
from records.audit.chain.named_files import faults_of_files, files_besides_assets
from records.audit.chain.signing import public_key_folder
from records.audit.services import audit
from records.backup import dump
from records.models import Asset, AuditEvent
from records.storage.listing import shared_files

FORMAT = "mvtec-backup-1"
MEMBERS, MANIFEST = "members.jsonl", "manifest.json"
_STORAGES = {"media": "default", "artifacts": "artifacts"}  # which storage a folder of the tar goes into
_BLOCK = 1024 * 1024
_MAX_NAMES = 20  # of what is missing or damaged: that many names, and how many there are
# What a manifest looks like: of a list each item is as the one here.
_NOTED_SHAPE = {"count": int, "names": [str]}
_SHAPE = {
    "format": str,
    "created_at": str,
    "code_version": str,
    "database": str,
    "migrations": [str],
    "audit": {"events": int, "head": str},
    "tables": [{"model": str, "columns": [str], "rows": int, "sha256": str}],
    "members": {"count": int, "sha256": str},
    "missing": _NOTED_SHAPE,
    "damaged": _NOTED_SHAPE,
}


class BackupFailed(UserError):
    code = "backup_failed"


class BackupDamaged(Conflict):
    code = "backup_damaged"


@dataclass
class Manifest:
    """What a backup says of itself."""

    format: str
    created_at: str
    code_version: str
    database: str
    migrations: list[str]
    audit: dict[str, Any]
    tables: list[dict[str, Any]]
    members: dict[str, Any]
    # Files that a row points at and that were not there, or not as the row says, when the backup was made.
    missing: dict[str, Any] = field(default_factory=lambda: {"count": 0, "names": []})
    damaged: dict[str, Any] = field(default_factory=lambda: {"count": 0, "names": []})


class _Hashing(io.RawIOBase):
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._sha256.update(data)
        return data

    def lines(self) -> Iterator[bytes]:
        for line in self._stream:
            self._sha256.update(line)
            yield line

    def drain(self) -> str:
        while self.read(_BLOCK):
            pass
        return self.digest()

    def digest(self) -> str:
        return self._sha256.hexdigest()


def _note(summary: dict[str, Any], name: str) -> None:
    summary["count"] += 1
    if len(summary["names"]) < _MAX_NAMES:
        summary["names"].append(name)


def applied_migrations() -> list[str]:
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())


# ---------------------------------------------------------------- making one
class _Writer:
    """Members of a tar, one after another, each with its hash in the list at the end."""

    def __init__(self, target: IO[bytes], scratch: IO[bytes]) -> None:
        self._tar = tarfile.TarFile(fileobj=target, mode="w", format=tarfile.PAX_FORMAT)
        self._members, self._sha256, self._count = scratch, hashlib.sha256(), 0
        self._now = int(time.time())

    def add(self, name: str, size: int, stream: IO[bytes]) -> str:
        digest = self._put(name, size, stream)
        line = _member_line(name, size, digest)
        self._members.write(line)
        self._sha256.update(line)
        self._count += 1
        return digest

    def close(self, manifest: Manifest) -> None:
        self._members.seek(0, os.SEEK_END)
        size = self._members.tell()
        self._members.seek(0)
        self._put(MEMBERS, size, self._members)
        manifest.members = {"count": self._count, "sha256": self._sha256.hexdigest()}
        text = json.dumps(asdict(manifest), indent=1).encode() + b"\n"
        with tempfile.TemporaryFile() as out:
            out.write(text)
            out.seek(0)
            self._put(MANIFEST, len(text), out)
        self._tar.close()

    def _put(self, name: str, size: int, stream: IO[bytes]) -> str:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, self._now, 0o600
        hashing = _Hashing(stream)
        self._tar.addfile(info, hashing)
        self._tar.members.clear()  # type: ignore[attr-defined]  # it would remember every file
        return hashing.digest()


def _member_line(name: str, size: int, digest: str) -> bytes:
    return (json.dumps({"name": name, "size": size, "sha256": digest}, ensure_ascii=False) + "\n").encode()


def make_backup(target: Path) -> Manifest:
    """Write a backup to a file that must not exist yet; it appears there when it is whole.

    Raises `BackupFailed` when the disk refuses. Taking everything out is an event of the audit log, and inside.
    """
    if target.exists():
        raise BackupFailed(f"{target} already exists, and a backup never overwrites a file. Choose another name.")
    with transaction.atomic():
        audit(kind="backup.made", subject=("backup", ""), actor=None, after={"file": target.name})
    try:
        with write_whole(target) as out, tempfile.TemporaryFile(dir=target.parent) as scratch:
            writer = _Writer(out, scratch)
            manifest = _write_all(writer, target.parent)
            writer.close(manifest)
    except OSError as error:
        raise BackupFailed(
            f"The backup could not be written to {target} ({error.strerror or error}). No backup was made. "
            "Correct this and try again."
        ) from error
    return manifest


def _write_all(writer: _Writer, folder: Path) -> Manifest:
    manifest = Manifest(
        format=FORMAT,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=code_version(),
        database=connection.vendor,
        migrations=applied_migrations(),
        audit={},
        tables=[],
        members={},
    )
    with tempfile.TemporaryFile(dir=folder) as assets:
        with dump.snapshot():
            last = AuditEvent.objects.order_by("-sequence").only("sequence", "hash").first()
            assert last  # the event of this backup, at least
            manifest.audit = {"events": last.sequence, "head": last.hash}
            for model in dump.tables():
                manifest.tables.append(_write_table(writer, model, folder))
            # Names are set aside: files may take hours, and nobody needs the snapshot any more.
            _set_assets_aside(assets)
        assets.seek(0)
        for line in assets:
            _write_asset(writer, json.loads(line), manifest)
    _write_artifacts(writer)
    for label in files_besides_assets():
        for fault in faults_of_files(label):
            _note(manifest.damaged, fault)
    for path, name in _files_below(public_key_folder()):
        _write_file(writer, path, f"keys/{name}")
    return manifest


def _write_table(writer: _Writer, model: Any, folder: Path) -> dict[str, Any]:
    count = 0
    with tempfile.TemporaryFile(dir=folder) as rows:
        for line in dump.lines_of(model, dump.columns_of(model)):
            rows.write(line)
            count += 1
        size = rows.tell()
        rows.seek(0)
        digest = writer.add(f"database/{dump.label_of(model)}.jsonl", size, rows)
    return {"model": dump.label_of(model), "columns": dump.columns_of(model), "rows": count, "sha256": digest}


def _set_assets_aside(out: IO[bytes]) -> None:
    assets = Asset.objects.filter(discarded_at__isnull=True).order_by("pk").values_list("pk", "file", "sha256")
    for asset in assets.iterator(chunk_size=2000):
        out.write(json.dumps(asset).encode() + b"\n")


def _write_asset(writer: _Writer, asset: list[Any], manifest: Manifest) -> None:
    pk, name, sha256 = asset
    try:
        size = default_storage.size(name)
        with default_storage.open(name) as stored:
            digest = writer.add(f"media/{name}", size, stored)
    except FileNotFoundError:
        # Retention may have removed it meanwhile, and says so.
        if Asset.objects.filter(pk=pk, discarded_at__isnull=True).exists():
            _note(manifest.missing, name)
        return
    if digest != sha256:
        _note(manifest.damaged, name)


def _write_artifacts(writer: _Writer) -> None:
    """All of those that are stored. What is only on this machine is of versions that know no storage yet."""
    stored = set()
    for item in shared_files("artifacts"):
        with suppress(FileNotFoundError), storages["artifacts"].open(item.name) as file:
            writer.add(f"artifacts/{item.name}", item.size_bytes, file)
        stored.add(item.name)
    for path, name in _files_below(Path(settings.MODEL_PATH)):
        if name not in stored:
            _write_file(writer, path, f"artifacts/{name}")


def _write_file(writer: _Writer, path: Path, name: str) -> None:
    try:
        with path.open("rb") as stored:
            writer.add(name, os.fstat(stored.fileno()).st_size, stored)
    except FileNotFoundError:  # an artifact that no version owns was cleared away
        return


def _files_below(root: Path, prefix: str = "") -> Iterator[tuple[Path, str]]:
    """Files with their names relative to the root; hidden ones are still being written, or were given up."""
    if not root.is_dir():
        return
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield Path(entry.path), f"{prefix}{entry.name}"


# ---------------------------------------------------------------- reading one
@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What tarfile stumbles over is told as what it is."""
    try:
        yield
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BackupDamaged(f"{path} is not a complete backup ({error}). Use another one.") from error


def _members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, size and content of each member in order, in constant memory."""
    with tarfile.open(path, mode="r|") as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            if content is None or not _is_ours(info.name):
                raise BackupDamaged(f"{path} contains {info.name!r}, which does not belong to a backup.")
            yield info.name, info.size, content
            tar.members.clear()  # type: ignore[attr-defined]


def _is_ours(name: str) -> bool:
    """Whether a member has its place, and none outside the folders that it is written below."""
    parts = name.split("/")
    if len(parts) == 1:
        return name in (MEMBERS, MANIFEST)
    below = parts[0] in ("database", "media", "artifacts", "keys") and not {"", ".", ".."} & set(parts)
    return below and "\\" not in name and "\0" not in name


def verify_backup(path: Path) -> Manifest:
    """Read a backup to its end and compare every member with the list, and the list with the manifest.

    Raises `BackupDamaged`, which names the first member that differs.
    """
    try:
        with _readable(path):
            return _verify_members(path)
    except OSError as error:
        raise BackupFailed(f"{path} cannot be read ({error.strerror or error}).") from error


def _verify_members(path: Path) -> Manifest:
    manifest: Manifest | None = None
    listed = ""
    tables = set()
    wrong: list[str] = []
    with tempfile.TemporaryFile() as scratch:
        for name, size, content in _members(path):
            if manifest:
                raise BackupDamaged(f"{path} continues after its manifest. Use another one.")
            hashing = _Hashing(content)
            if name == MEMBERS:
                scratch.seek(0)
                _compare(path, hashing.lines(), scratch)
                listed = hashing.digest()
            elif name == MANIFEST:
                manifest = _manifest(path, content.read())
            else:
                digest = hashing.drain()
                scratch.write(_member_line(name, size, digest))
                if _is_another_file(name, digest):
                    wrong.append(name)
                if name.startswith("database/"):
                    tables.add(name)
    if manifest is None:
        raise BackupDamaged(f"{path} ends before its manifest: it was cut off. Use another one.")
    if manifest.members.get("sha256") != listed:
        raise BackupDamaged(f"The list of members in {path} is not the one that its manifest names. Use another one.")
    if unexpected := sorted(tables ^ set(_by_member(manifest))):
        raise BackupDamaged(f"{path} and its manifest differ about {unexpected[0]}. Use another one.")
    if len(wrong) > manifest.damaged["count"]:
        raise BackupDamaged(f"{wrong[0]} in {path} is another file than its name says. Use another one.")
    return manifest


def _is_another_file(name: str, digest: str) -> bool:
    """Images and maps are named by their hash."""
    stem = name.rpartition("/")[2].partition(".")[0]
    return name.startswith("media/assets/") and len(stem) == len(digest) and stem != digest


def _by_member(manifest: Manifest) -> dict[str, dict[str, Any]]:
    return {f"database/{table['model']}.jsonl": table for table in manifest.tables}


def _compare(path: Path, listed: Iterable[bytes], lines: Iterable[bytes]) -> None:
    members = iter(lines)
    for line in listed:
        if line != next(members, b""):
            raise BackupDamaged(f"{_name_in(line)} in {path} is missing or was changed. Use another one.")
    if extra := next(members, b""):
        raise BackupDamaged(f"{_name_in(extra)} in {path} is not in its list. Use another one.")


def _name_in(line: bytes) -> str:
    """The member that a line of the list speaks of; the list itself, where the line is what was changed."""
    try:
        return str(json.loads(line)["name"])
    except (ValueError, TypeError, KeyError):
        return MEMBERS


def _manifest(path: Path, text: bytes) -> Manifest:
    try:
        manifest_document = json.loads(text)
        form = manifest_document["format"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise BackupDamaged(f"The manifest of {path} cannot be read ({error}). Use another one.") from error
    if form != FORMAT:
        raise BackupFailed(f"{path} is a backup of another form ({form}) than this version reads ({FORMAT}).")
    if not _fits(manifest_document, _SHAPE):
        raise BackupDamaged(f"The manifest of {path} is not of the form that it names. Use another one.")
    return Manifest(**manifest_document)


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, dict):
        return (
            isinstance(value, dict)
            and value.keys() == shape.keys()
            and all(_fits(value[key], shape[key]) for key in shape)
        )
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(item, shape[0]) for item in value)
    return type(value) is shape


# ---------------------------------------------------------------- restoring one
def restore_backup(path: Path) -> tuple[Manifest, ChainReport]:
    """Bring an empty installation to the state of a backup, verified before and after.

    Files are put in place as they come; they stay when something fails later, and a repeated restore finds them there.
    Rows stay only when every table, written out again, is what it was and the audit chain ends as the manifest says.
    The report is that of `verify_audit --records`: a chain that was broken before is restored as it was, and told.

    Raises:
        BackupFailed: the target is not empty, or is of another version. Nothing was changed.
        BackupDamaged: the backup, or what came of it, differs from what its manifest says. No row was kept.
    """
    manifest = verify_backup(path)
    if manifest.migrations != applied_migrations():
        raise BackupFailed(
            f"The backup was made by version {manifest.code_version}, whose tables are others than those of "
            f"{code_version()}. Nothing was changed. Restore it with that version, then upgrade."
        )
    if nonempty := dump.not_empty():
        raise BackupFailed(
            f"This installation is not empty ({', '.join(nonempty[:3])}). Nothing was changed. Restore into a new "
            "VAR_DIR or database."
        )
    tables = _by_member(manifest)
    try:
        with _readable(path), transaction.atomic():
            dump.make_room()
            for name, _, content in _members(path):
                if name in tables:
                    _load(path, tables[name], content)
                elif name.startswith("database/"):
                    raise BackupDamaged(f"{name} in {path} is not in its manifest. No row was kept. Use another one.")
                elif name not in (MEMBERS, MANIFEST):
                    _place(name, content)
            dump.settle()
            _go_on_authenticated()
            report = _check_restored(manifest)
            audit(
                kind=RESTORED,
                subject=("backup", ""),
                actor=None,
                after={"file": path.name, "created_at": manifest.created_at, **manifest.audit},
            )
    except DatabaseError as error:
        raise BackupFailed(f"The database refused a row of the backup: {error}. No row was kept.".strip()) from error
    except OSError as error:
        raise BackupFailed(
            f"A file could not be written ({error}). No row was kept. Correct this and try again."
        ) from error
    return manifest, report


def _load(path: Path, table: dict[str, Any], rows: IO[bytes]) -> None:
    try:
        dump.load(apps.get_model(table["model"]), table["columns"], rows)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError, ValidationError) as error:
        raise BackupDamaged(
            f"The rows of {table['model']} in {path} cannot be read ({error}). No row was kept. Use another one."
        ) from error


def _place(name: str, content: IO[bytes]) -> None:
    """Put a file where it belongs, and read it back."""
    root, _, path = name.partition("/")
    hashing = _Hashing(content)
    if root in _STORAGES:
        storage = storages[_STORAGES[root]]
        try:
            stored = storage.save(path, File(hashing, name=path))  # type: ignore[arg-type]  # it is read from, and no more
        except SuspiciousFileOperation as error:
            raise BackupDamaged(f"The backup holds a file with an impossible name ({path}).") from error
        digest = hashing.drain()
        with storage.open(stored) as back:
            same = stored == path and _Hashing(back).drain() == digest
    else:
        target = public_key_folder() / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            with write_whole(target) as out:
                while block := hashing.read(_BLOCK):
                    out.write(block)
        digest = hashing.drain()
        with target.open("rb") as back:
            same = _Hashing(back).drain() == digest
    if not same:
        raise BackupFailed(f"Another file is at the place of {name} already. No row was kept. Move it away.")


def _go_on_authenticated() -> None:
    """The keys of the chain are in no backup. Where they were not brought along, a new one begins after its end."""
    last = AuditEvent.objects.order_by("-sequence").only("sequence", "key_id").first()
    known = event_keys()
    if last is not None and last.key_id is not None and (known is None or last.key_id not in known.keys):
        start_again(starts=last.sequence + 1)


def _check_restored(manifest: Manifest) -> ChainReport:
    for table in manifest.tables:
        sha256 = hashlib.sha256()
        for line in dump.lines_of(apps.get_model(table["model"]), table["columns"]):
            sha256.update(line)
        if sha256.hexdigest() != table["sha256"]:
            raise BackupDamaged(f"The rows of {table['model']} came back otherwise than they were. No row was kept.")
    last = AuditEvent.objects.order_by("-sequence").only("sequence", "hash").first()
    if last is None or {"events": last.sequence, "head": last.hash} != manifest.audit:
        raise BackupDamaged("The audit chain in the backup is not the one that its manifest names. No row was kept.")
    report = verify_all()
    faults = [fault for label in files_besides_assets() for fault in faults_of_files(label)]
    return replace(report, findings=(*report.findings, *faults))
