"""The commands of docs/operations.md, Backup and restore, as they stand there; and two backups at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.environment import ROOT
from tests.stack.conftest import Stack, migrated, new_stack, trained

pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.postgresql_too]


def commands() -> list[str]:
    section = (ROOT / "docs" / "operations.md").read_text().split("## Backup and restore\n")[1]
    block = re.search(r"^```bash\n(.*?)^```", section, re.M | re.S)
    assert block
    return block[1].splitlines()


def test_the_runbook_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "manage.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/manage.py" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "backups").mkdir()

    def typed(lines: list[str], stack: Stack) -> str:
        """What a shell prints in which somebody types these lines, one after the other."""
        script = "\n".join(["set -eu", *lines]).replace("/backups", str(tmp_path / "backups"))
        environment = stack.environment | {"PATH": f"{tmp_path / 'bin'}:{stack.environment['PATH']}"}
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    lines = commands()
    [restores] = [number for number, line in enumerate(lines) if line.startswith("manage.py restore ")]
    names_the_file = [line for line in lines if line.startswith("FILE=")]
    with new_stack(trained()) as source, migrated().copied(tmp_path / "target") as target:
        image = tmp_path / "image.png"
        image.write_bytes(parts.png(1, defective=True))
        source.manage("inspect", str(image), "--model-version", str(source.trained["model_version"]))
        typed(lines[:restores], source)
        typed([*names_the_file, *lines[restores:]], target)
        [again] = target.json("inspect", str(image), "--model-version", str(source.trained["model_version"]))["results"]
        assert again["is_defective"] is True


def two_backups_at_once(source: Stack, folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """Exit status and document of each."""
    command = [sys.executable, "manage.py", "backup", "--output", str(folder), "--json"]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=source.environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    made = [json.loads(process.communicate(timeout=3600)[0]) for process in running]
    files = {document["file"] for document in made}
    assert {str(path) for path in folder.iterdir()} == files
    assert len(files) == 2
    return [(process.returncode, document) for process, document in zip(running, made, strict=True)]


def test_two_backups_at_once_are_two_whole_ones(tmp_path: Path) -> None:
    with new_stack(trained()) as source:
        for status, document in two_backups_at_once(source, tmp_path):
            assert status == 0
            verified = source.json("verify_backup", document["file"])
            assert verified["audit"] == document["audit"]
            assert verified["members"]["count"] == document["members"]["count"]


def test_a_million_rows_with_two_backups_at_once(tmp_path: Path) -> None:
    """A long history, backed up twice at once; each is verified, and one is restored. SUITE_RECORDS: another size."""
    records = int(os.environ.get("SUITE_RECORDS", "330000"))

    def timed(stack: Stack, *words: str, status: int = 0) -> Any:
        began = time.monotonic()
        command = [sys.executable, "manage.py", *words, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=stack.environment, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        assert "audit log was changed" not in done.stderr
        sys.stderr.write(f"{words[0]}: {time.monotonic() - began:.0f} s\n")
        return json.loads(done.stdout)

    (tmp_path / "backups").mkdir()
    with new_stack() as source, migrated().copied(tmp_path / "target") as target:
        timed(source, "generate_history", "--count", str(records))
        began = time.monotonic()
        made = two_backups_at_once(source, tmp_path / "backups")
        sys.stderr.write(f"two backups: {time.monotonic() - began:.0f} s\n")
        for status, document in made:
            # Models that never were have no artifacts: each backup says so, and is whole all the same.
            assert (status, document["damaged"]["count"], document["missing"]["count"]) == (1, 15, 0)
            verified = timed(source, "verify_backup", document["file"], status=1)
            assert verified["audit"] == document["audit"]
        rows = sum(table["rows"] for table in made[0][1]["tables"])
        sys.stderr.write(f"rows: {rows}\n")
        assert rows > 3 * records
        restored = timed(target, "restore", made[0][1]["file"], "--yes", status=1)
        assert (restored["verified"]["broken_at"], restored["verified"]["reason"]) == (None, "")
        assert len(restored["verified"]["findings"]) == 15
        assert restored["verified"]["records"] > records
