"""backup, verify_backup and restore: a round trip between installations of their own, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from records.backup.archive import BackupDamaged, _member_line, verify_backup
from tests import parts
from tests.object_storage import new_bucket
from tests.stack.conftest import DISC, Stack, migrated, new_stack, peopled, trained

# On PostgreSQL the source and one of the targets are PostgreSQL databases.
pytestmark = [pytest.mark.slow, pytest.mark.postgresql_too]

PEOPLE = """
from django.contrib.auth.models import User
from inspection.models import Inspection
from inspection.reviews.services import record_review
ina = User.objects.get(username="ina")
record_review(inspection=Inspection.objects.latest("created_at"), verdict="defective", actor=ina, defect_type="Kratzer")
"""


IN_MONTHS = """
from inspection.partitions import catalog
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute(f"SELECT count(*) FROM {catalog.TIMED}")
    print(cursor.fetchone()[0])
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An installation with a trained detector, records, a review and a checkpoint. Nothing runs in it."""
    folder = tmp_path_factory.mktemp("images")
    with new_stack(trained()) as made:
        for defective in (False, True):
            image = folder / f"{defective}.png"
            image.write_bytes(parts.png(1, defective=defective))
            made.manage("inspect", str(image), "--model-version", str(made.trained["model_version"]))
        made.manage("shell", "--verbosity", "0", "--command", PEOPLE)
        made.manage("audit_checkpoint")
        yield made


@pytest.fixture(scope="module")
def backup(source: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = source.json("backup", "--output", str(tmp_path_factory.mktemp("backup")))
    assert made["missing"]["count"] == made["damaged"]["count"] == 0
    return Path(made["file"])


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Makes installations that nobody has used yet."""
    with ExitStack() as stack:

        def make(name: str = "var", *, engine: str = "sqlite") -> Stack:
            if engine == "postgresql" or not ENGINES[1:]:
                return stack.enter_context(migrated().copied(tmp_path / name))
            made = Stack(tmp_path / name, 0, os.environ | {"VAR_DIR": str(tmp_path / name), "DATABASE_URL": ""})
            made.manage("migrate", "--verbosity", "0")
            return made

        yield make


def contents(path: Path) -> dict[str, str]:
    """Hash of every member, but for the audit log, which grows with every backup and restore."""
    with tarfile.open(path) as tar:
        lines = tar.extractfile("members.jsonl")
        assert lines
        listed = {member["name"]: member["sha256"] for member in map(json.loads, lines)}
    del listed["database/records.auditevent.jsonl"]
    return listed


ENGINES = ["sqlite", "postgresql"] if os.environ.get("DATABASE_URL") else ["sqlite"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_round_trip(source: Stack, backup: Path, tmp_path: Path, engine: str, empty: Callable[..., Stack]) -> None:
    original = source.json("verify_backup", str(backup))
    target = empty(engine=engine)
    restored = target.json("restore", str(backup), "--yes")
    assert restored["verified"]["broken_at"] is None
    assert restored["verified"]["head"] == original["audit"]["head"]
    assert restored["verified"]["checkpoints"] == 1
    assert restored["verified"]["records"] == source.json("verify_audit", "--records")["records"]
    assert restored["verified"]["records"] > 4, "two inspections, a review, a threshold, and what events attest"

    # All rows and files are the same: a backup of it says so.
    again = target.json("backup", "--output", str(tmp_path))
    assert contents(Path(again["file"])) == contents(backup)
    assert {table["model"]: table["rows"] for table in again["tables"]}["inspection.inspection"] == 2

    # It goes on from there: numbers of rows, the chain, the model.
    image = tmp_path / "next.png"
    image.write_bytes(parts.png(5))
    [judged] = target.json("inspect", str(image))["results"]
    assert judged["inspection_id"]
    target.manage("create_token", "ina", "after")
    report = target.json("verify_audit", "--records")
    assert report["broken_at"] is None
    assert report["records"] >= restored["verified"]["records"] + 2, "at least a record and a token"
    log = target.manage("export_audit").stdout
    kinds = [json.loads(line)["kind"] for line in log.splitlines()]
    assert kinds[original["audit"]["events"] :][:2] == ["backup.restored", "backup.made"]

    # A second restore finds it filled.
    refused = target.manage("restore", str(backup), "--yes", check=False)
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr

    # And back, to the other engine where there is one.
    other = next((name for name in ENGINES if name != engine), "sqlite")
    back = empty("back", engine=other)
    assert back.json("restore", again["file"], "--yes")["verified"]["broken_at"] is None


@pytest.mark.skipif(not ENGINES[1:], reason="only PostgreSQL divides tables")
def test_a_round_trip_by_a_history_that_is_divided_by_month(
    backup: Path, tmp_path: Path, empty: Callable[..., Stack]
) -> None:
    """Restored into one, each record lies in its month; a backup of that comes back into one table, and into SQLite."""
    divided = empty(engine="postgresql")
    divided.manage("partition_history", "--from", f"{datetime.now(UTC) - timedelta(days=28):%Y-%m}")
    assert divided.json("restore", str(backup), "--yes")["verified"]["broken_at"] is None
    assert int(divided.manage("shell", "--verbosity", "0", "--command", IN_MONTHS).stdout) == 2
    assert divided.json("verify_audit", "--records")["broken_at"] is None
    again = divided.json("backup", "--output", str(tmp_path))
    assert contents(Path(again["file"])) == contents(backup)
    for engine in ENGINES:
        back = empty(f"back-{engine}", engine=engine)
        assert back.json("restore", again["file"], "--yes")["verified"]["broken_at"] is None


@pytest.mark.sqlite_is_enough
def test_restoring_wants_to_be_meant(backup: Path, tmp_path: Path, empty: Callable[..., Stack]) -> None:
    target = empty()
    refused = target.manage("restore", str(backup), check=False)
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert not (tmp_path / "var" / "media").exists()


@pytest.mark.sqlite_is_enough
def test_a_backup_replaces_nothing(source: Stack, backup: Path) -> None:
    refused = source.manage("backup", "--output", str(backup), check=False)
    assert (refused.returncode, "already exists" in refused.stderr) == (1, True)
    refused = source.manage("backup", "--output", str(backup.parent / "none" / "x.tar"), check=False)
    assert (refused.returncode, "could not be written" in refused.stderr) == (1, True)
    assert list(backup.parent.iterdir()) == [backup], "nothing is left of what failed"


@pytest.mark.sqlite_is_enough
def test_lost_and_changed_files_are_told(backup: Path, tmp_path: Path, empty: Callable[..., Stack]) -> None:
    target = empty()
    target.manage("restore", str(backup), "--yes")
    lost, changed = sorted((tmp_path / "var" / "media").rglob("*.png"))[:2]
    lost.unlink()
    changed.write_bytes(b"x" * changed.stat().st_size)
    done = target.manage("backup", "--output", str(tmp_path / "b.tar"), "--json", check=False)
    assert done.returncode == 1
    assert "files that records point at" in done.stderr
    manifest = json.loads(done.stdout)
    assert [Path(name).name for name in manifest["missing"]["names"]] == [lost.name]
    assert [Path(name).name for name in manifest["damaged"]["names"]] == [changed.name]
    checked = target.manage("verify_backup", str(tmp_path / "b.tar"), check=False)
    assert checked.returncode == 1
    assert "files that records point at" in checked.stderr, "as written, and not all that there was"


# ---------------------------------------------------------------- damaged backups
def flipped(source: Path, target: Path, member: str) -> str:
    """A copy with one byte of the first member of this kind changed; its name."""
    with tarfile.open(source) as tar:
        info = next(info for info in tar if info.name.startswith(member) and info.size)
    data = bytearray(source.read_bytes())
    data[info.offset_data + info.size // 2] ^= 1
    target.write_bytes(data)
    return info.name


def rebuilt(source: Path, target: Path, edit: Callable[[str, bytes], list[tuple[str, bytes]]]) -> None:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for info in old:
            content = old.extractfile(info)
            assert content
            for name, data in edit(info.name, content.read()):
                changed = tarfile.TarInfo(name)
                changed.size = len(data)
                new.addfile(changed, BytesIO(data))


@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize("member", ["media/", "artifacts/", "database/inspection.inspection", "keys/", "members.jsonl"])
def test_a_changed_byte_is_found_and_nothing_is_restored(backup: Path, tmp_path: Path, member: str) -> None:
    name = flipped(backup, tmp_path / "bad.tar", member)
    with pytest.raises(BackupDamaged) as found:
        verify_backup(tmp_path / "bad.tar")
    assert name in found.value.detail or member == "members.jsonl"


@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda name, data: [] if name.startswith("keys/") else [(name, data)], "is missing or was changed"),
        (lambda name, data: [(name, data), ("media/more", b"x")] if "user" in name else [(name, data)], "was changed"),
        (lambda name, data: [] if name == "manifest.json" else [(name, data)], "ends before its manifest"),
        (lambda name, data: [(name, data), ("../outside", b"x")], "which does not belong to a backup"),
        (lambda name, data: [(name, data), ("media/../../outside", b"x")], "which does not belong to a backup"),
        (lambda name, data: [(name, data), ("artifacts//tmp/x", b"x")], "which does not belong to a backup"),
        (lambda name, data: [(name, data), ("keys/./x", b"x")], "which does not belong to a backup"),
        (lambda name, data: [(name, data), ("database/", b"x")], "which does not belong to a backup"),
        (lambda name, data: [(name, data), (name, data)], "is missing or was changed|after its manifest"),
        (lambda name, data: [(name, data.replace(b"backup-1", b"backup-9"))], "another form"),
        (lambda name, data: [(name, b"{}" if name == "manifest.json" else data)], "cannot be read"),
        (lambda name, data: [(name, b"[" * 10**5 if name == "manifest.json" else data)], "cannot be read"),
    ],
)  # fmt: skip
def test_an_edited_backup_is_found(backup: Path, tmp_path: Path, edit: Any, match: str) -> None:
    rebuilt(backup, tmp_path / "bad.tar", edit)
    with pytest.raises(UserError, match=match):
        verify_backup(tmp_path / "bad.tar")


@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize(
    "change",
    [
        {"tables": None},
        {"tables": ["x"]},
        {"tables": [{"model": "auth.user"}]},
        {"members": []},
        {"members": {"sha256": "0" * 64}},
        {"audit": {"events": True, "head": "0" * 64}},
        {"missing": {"count": 0, "names": [1]}},
        {"more": 1},
    ],
)
def test_a_manifest_of_another_shape_is_found(backup: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    bad = rebuilt_manifest(backup, tmp_path / "bad.tar", **change)
    with pytest.raises(BackupDamaged, match="is not of the form that it names"):
        verify_backup(bad)


def forged(source: Path, target: Path, more: dict[str, bytes]) -> None:
    """A copy with more members, whose list and manifest vouch for them."""
    listed = b""

    def edit(name: str, data: bytes) -> list[tuple[str, bytes]]:
        nonlocal listed
        if name == "members.jsonl":
            listed = data + b"".join(_member_line(new, len(x), sha256(x).hexdigest()) for new, x in more.items())
            return [*more.items(), (name, listed)]
        if name == "manifest.json":
            data = json.dumps(
                json.loads(data) | {"members": {"count": 0, "sha256": sha256(listed).hexdigest()}}
            ).encode()
        return [(name, data)]

    rebuilt(source, target, edit)


@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("artifacts//tmp/x", "which does not belong to a backup"),
        ("database/records.more.jsonl", "its manifest differ about database/records.more.jsonl"),
    ],
)
def test_a_forged_backup_writes_nowhere_else(backup: Path, tmp_path: Path, name: str, match: str) -> None:
    forged(backup, tmp_path / "bad.tar", {"artifacts/new": b"x"})
    verify_backup(tmp_path / "bad.tar")
    forged(backup, tmp_path / "bad.tar", {name: b"x"})
    with pytest.raises(BackupDamaged, match=match):
        verify_backup(tmp_path / "bad.tar")


@pytest.mark.sqlite_is_enough
def test_rows_that_are_none_are_told_and_no_row_is_kept(
    backup: Path, tmp_path: Path, empty: Callable[..., Stack]
) -> None:
    target = empty()
    impossible = b'[1, "x", "never", true, "ina", "", "", "", true, true, "never"]'
    for rows in (b"\xff", b"7", b"[]", b"[" * 10**5, impossible):
        bad = reworded(backup, tmp_path / "bad.tar", "auth.user", rows + b"\n")
        refused = target.manage("restore", str(bad), "--yes", check=False)
        assert (refused.returncode, "The rows of auth.user in" in refused.stderr) == (1, True), refused.stderr
    with tarfile.open(backup) as tar:
        content = tar.extractfile("manifest.json")
        assert content
        tables = json.load(content)["tables"]
    tables = [table | {"columns": ["none"]} if table["model"] == "auth.user" else table for table in tables]
    bad = rebuilt_manifest(backup, tmp_path / "bad.tar", tables=tables)
    refused = target.manage("restore", str(bad), "--yes", check=False)
    assert (refused.returncode, "The rows of auth.user in" in refused.stderr) == (1, True), refused.stderr
    assert target.json("verify_audit")["events"] == 0


def reworded(source: Path, target: Path, model: str, rows: bytes, **table: Any) -> Path:
    """A copy with other rows of a table, whose list and manifest (`table`: what it says there) vouch for them."""
    name, listed = f"database/{model}.jsonl", b""

    def edit(member: str, data: bytes) -> list[tuple[str, bytes]]:
        nonlocal listed
        if member == name:
            data = rows
        if member == "members.jsonl":
            lines = data.splitlines(keepends=True)
            line = _member_line(name, len(rows), sha256(rows).hexdigest())
            data = listed = b"".join(line if json.loads(old)["name"] == name else old for old in lines)
        if member == "manifest.json":
            manifest = json.loads(data)
            manifest["members"]["sha256"] = sha256(listed).hexdigest()
            for entry in manifest["tables"]:
                entry.update(table if entry["model"] == model else {})
            data = json.dumps(manifest).encode()
        return [(member, data)]

    rebuilt(source, target, edit)
    return target


@pytest.mark.sqlite_is_enough
def test_columns_in_another_order_come_back(backup: Path, tmp_path: Path, empty: Callable[..., Stack]) -> None:
    """A backup of another version may have them so: which column is which, the backup itself says."""
    with tarfile.open(backup) as tar:
        manifest, lines = (tar.extractfile(name) for name in ("manifest.json", "database/training.trainingrun.jsonl"))
        assert manifest
        assert lines
        [columns] = [t["columns"] for t in json.load(manifest)["tables"] if t["model"] == "training.trainingrun"]
        turned = [json.loads(line)[::-1] for line in lines]
    assert turned
    rows = b"".join((json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n").encode() for row in turned)
    table = {"columns": columns[::-1], "sha256": sha256(rows).hexdigest()}
    older = reworded(backup, tmp_path / "older.tar", "training.trainingrun", rows, **table)
    assert empty().json("restore", str(older), "--yes")["verified"]["broken_at"] is None


@pytest.mark.sqlite_is_enough
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_backup_that_was_cut_off_is_found(backup: Path, tmp_path: Path, share: float) -> None:
    data = backup.read_bytes()
    (tmp_path / "bad.tar").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BackupDamaged):
        verify_backup(tmp_path / "bad.tar")
    with pytest.raises(UserError, match="cannot be read"):
        verify_backup(tmp_path)


@pytest.mark.sqlite_is_enough
def test_a_restore_that_fails_keeps_no_row_and_can_be_repeated(
    backup: Path, tmp_path: Path, empty: Callable[..., Stack]
) -> None:
    target = empty()
    flipped(backup, tmp_path / "bad.tar", "media/")
    refused = target.manage("restore", str(tmp_path / "bad.tar"), "--yes", check=False)
    assert (refused.returncode, "is missing or was changed" in refused.stderr) == (1, True)

    older = rebuilt_manifest(backup, tmp_path / "older.tar", migrations=["records.0001_initial"])
    refused = target.manage("restore", str(older), "--yes", check=False)
    assert (refused.returncode, "Restore it with that version" in refused.stderr) == (1, True)

    # Everything is placed and loaded before it shows that the chain is another one.
    other = rebuilt_manifest(backup, tmp_path / "other.tar", audit={"events": 1, "head": "0" * 64})
    refused = target.manage("restore", str(other), "--yes", check=False)
    assert (refused.returncode, "No row was kept" in refused.stderr) == (1, True)
    assert target.json("verify_audit")["events"] == 0
    assert target.json("restore", str(backup), "--yes")["verified"]["broken_at"] is None


def rebuilt_manifest(source: Path, target: Path, **change: Any) -> Path:
    def edit(name: str, data: bytes) -> list[tuple[str, bytes]]:
        return [(name, json.dumps(json.loads(data) | change).encode() if name == "manifest.json" else data)]

    rebuilt(source, target, edit)
    return target


def test_another_file_at_the_place_of_one_is_not_overwritten(
    backup: Path, tmp_path: Path, empty: Callable[..., Stack]
) -> None:
    with tarfile.open(backup) as tar:
        name = next(info.name for info in tar if info.name.startswith("media/"))
    target = empty()
    other = tmp_path / "var" / name
    other.parent.mkdir(parents=True)
    other.write_bytes(b"something else")
    refused = target.manage("restore", str(backup), "--yes", check=False)
    assert (refused.returncode, name in refused.stderr) == (1, True)
    assert other.read_bytes() == b"something else"
    assert target.json("verify_audit")["events"] == 0


@pytest.mark.sqlite_is_enough
def test_a_chain_that_was_broken_before_is_restored_and_told(
    backup: Path, tmp_path: Path, empty: Callable[..., Stack]
) -> None:
    target = empty()
    target.manage("restore", str(backup), "--yes")
    with closing(sqlite3.connect(tmp_path / "var" / "db.sqlite3")) as database, database:
        database.execute("DROP TRIGGER records_auditevent_no_update")
        database.execute("UPDATE records_auditevent SET actor_name = 'nobody' WHERE sequence = 2")
    target.manage("restore_triggers")
    made = target.json("backup", "--output", str(tmp_path))["file"]
    target = empty("again")
    done = target.manage("restore", made, "--yes", check=False)
    assert done.returncode == 1
    assert "The chain is broken at event 2" in done.stderr
    assert target.json("verify_backup", made)
    assert target.manage("verify_audit", check=False).returncode == 1


def test_a_round_trip_of_an_installation_in_an_object_storage(tmp_path: Path) -> None:
    """Images, maps and artifacts are in the tar although the machine that makes it has none of them."""
    image = tmp_path / "a.png"
    image.write_bytes(parts.png(1, defective=True))
    with new_bucket() as bucket, new_stack(peopled(), **bucket.environment) as here:
        data = parts.write_dataset(tmp_path / "disc")
        here.manage("train", "--model", "padim", "--dataset", str(data), *DISC)
        here.manage("inspect", str(image), "--model-version", "latest")
        shutil.rmtree(here.var_dir / "artifacts")
        assert not (here.var_dir / "media").exists()
        made = here.json("backup", "--output", str(tmp_path))
        assert made["missing"]["count"] == made["damaged"]["count"] == 0
        with tarfile.open(made["file"]) as tar:
            names = tar.getnames()
        assert sum(name.startswith("artifacts/") for name in names) == 2
        with new_bucket() as other, migrated().copied(tmp_path / "var", **other.environment) as there:
            there.manage("restore", made["file"], "--yes")
            assert sorted(other.names()) == sorted(bucket.names())
            [judged] = there.json("inspect", str(image), "--model-version", "latest")["results"]
            assert judged["is_defective"] is True
            assert there.json("verify_artifacts")["broken"] == 0
