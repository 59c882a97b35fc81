"""verify_audit, export_audit and audit_checkpoint as a person types them."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from modelzoo.models import ModelVersion
from records.audit.services import audit
from records.models import AuditCheckpoint, AuditEvent
from tests.environment import ROOT
from tests.triggers import without_triggers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_key(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.AUDIT_SIGNING_KEY = tmp_path / "audit_key.pem"


def run(command: str, *words: Any) -> str:
    out = io.StringIO()
    call_command(command, *map(str, words), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def fails(command: str, *words: Any, match: str) -> None:
    with pytest.raises(CommandError, match=match):
        run(command, *words)


@pytest.fixture
def chain() -> None:
    for number in range(5):
        with transaction.atomic():
            audit(kind="test.done" if number % 2 else "test.begun", subject=("test", str(number)), actor=None,
                  after={"n": number, "text": "Größe\u2028"})  # fmt: skip


def alone(tmp_path: Path, *words: Any) -> subprocess.CompletedProcess[str]:
    """Somewhere else: a VAR_DIR of its own, and a database that nobody can reach."""
    environment = os.environ | {
        "VAR_DIR": str(tmp_path / "auditor"),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    }
    return subprocess.run(
        [sys.executable, "manage.py", *map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_an_export_is_verified_elsewhere_without_the_database(chain: None, tmp_path: Path) -> None:
    run("audit_checkpoint", "--output", tmp_path / "seal.json")
    (tmp_path / "key.pem").write_text(run("audit_checkpoint", "--public-key"))
    run("export_audit", "--output", tmp_path / "log.jsonl")
    offline = ["verify_audit", "--file", tmp_path / "log.jsonl", "--json"]
    sealed = [*offline, "--checkpoint", tmp_path / "seal.json", "--public-key", tmp_path / "key.pem"]
    done = alone(tmp_path, *sealed)
    report = json.loads(done.stdout)
    assert (report["events"], report["checkpoints"], report["broken_at"]) == (7, 1, None), done.stderr
    assert AuditEvent.objects.get(sequence=7).kind == "audit.exported"

    lines = (tmp_path / "log.jsonl").read_text().split("\n")
    (tmp_path / "log.jsonl").write_text("\n".join(lines[:3]) + "\n")
    assert alone(tmp_path, *offline).returncode == 0, "an end that was cut off is no break by itself"
    cut = alone(tmp_path, *sealed)
    assert (cut.returncode, json.loads(cut.stdout)["broken_at"]) == (1, 4)
    stranger = alone(tmp_path, *sealed[:-2])
    assert "not known here" in stranger.stderr
    assert not (tmp_path / "auditor" / "audit_key.pem").exists()


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda lines: [*lines[:2], lines[2].replace('"n\\":2', '"n\\":3'), *lines[3:]], "event 3: its content"),
        (lambda lines: [*lines[:2], *lines[3:]], "event 3: event 3 is missing"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], "event 3: event 3 is missing"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "event 3: event 3 is missing"),
        (lambda lines: [*lines[:2], "nonsense", *lines[3:]], "Line 3 of"),
        (lambda lines: [*lines[:2], "{}", *lines[3:]], "Line 3 of"),
    ],
)
def test_an_edited_export_is_found(chain: None, tmp_path: Path, edit: Any, match: str) -> None:
    path = tmp_path / "log.jsonl"
    run("export_audit", "--output", path)
    path.write_text("\n".join(edit(path.read_text().rstrip("\n").split("\n"))) + "\n")
    fails("verify_audit", "--file", path, match=match)


def test_a_filtered_export_is_verified_event_by_event(chain: None, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(run("export_audit", "--kind", "test.begun"))
    fails("verify_audit", "--file", path, match="event 2 is missing")
    report = json.loads(run("verify_audit", "--file", path, "--excerpt", "--json"))
    assert (report["events"], report["gaps"], report["broken_at"]) == (3, 2, None)
    path.write_text(path.read_text().replace('\\"n\\":4', '\\"n\\":5'))
    fails("verify_audit", "--file", path, "--excerpt", match="event 5: its content")


def test_an_export_since_a_day(chain: None, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    run("export_audit", "--since", "2020-01-01", "--output", path)
    assert json.loads(run("verify_audit", "--file", path, "--json"))["events"] == 6
    run("export_audit", "--since", "2999-01-01T00:00:00+01:00", "--output", path)
    assert path.read_text() == ""
    for text in ("2026-13-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        fails("export_audit", "--since", text, match=f"--since '{re.escape(text)}' is not a date")
    fails("export_audit", "--output", tmp_path / "no" / "folder", match="cannot be written")


def test_the_few_lines_of_the_documentation_verify_an_export_too(
    chain: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (ROOT / "docs" / "audit.md").read_text()
    lines = document.split("```python\n", 1)[1].split("```", 1)[0]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "log.jsonl"
    run("export_audit", "--output", path)
    exec(lines, {})
    path.write_text(path.read_text().replace('\\"n\\":2', '\\"n\\":3'))
    with pytest.raises(AssertionError, match="3"):
        exec(lines, {})


def test_checkpoints_into_a_folder_and_verified_from_there(chain: None, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    first = json.loads(run("audit_checkpoint", "--output", folder, "--json"))
    assert (first["sequence"], first["made"]) == (6, True)
    assert json.loads(run("audit_checkpoint", "--output", folder, "--json")) == first | {"made": False}
    [file] = folder.iterdir()
    report = json.loads(run("verify_audit", "--checkpoint", file, "--json"))
    assert report["checkpoints"] == 2, "the one kept here and the one kept elsewhere"
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"head": "0" * 64}))
    fails("verify_audit", "--checkpoint", file, match="broken at event 6: .* no valid signature")
    fails("verify_audit", "--checkpoint", folder / "none", match="is not a checkpoint")
    fails("verify_audit", "--public-key", file, match="is not a public key")
    fails("audit_checkpoint", "--output", file / "below", match="could not be written")


def test_a_checkpoint_that_the_share_refused_is_written_by_the_next_call(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_CHECKPOINT_DIR = str(tmp_path / "share")
    (tmp_path / "share").write_text("no folder")
    fails("audit_checkpoint", match="could not be written .* It is kept in the database")
    (tmp_path / "share").unlink()
    run("audit_checkpoint")
    [file] = (tmp_path / "share").iterdir()
    assert json.loads(file.read_text())["sequence"] == AuditCheckpoint.objects.get().sequence


def test_checkpoints_in_the_folder_of_the_settings_are_compared_unasked(
    chain: None, settings: Any, tmp_path: Path
) -> None:
    settings.AUDIT_CHECKPOINT_DIR = str(tmp_path / "share")
    run("audit_checkpoint")
    assert json.loads(run("verify_audit", "--json"))["checkpoints"] == 2
    with without_triggers("records_auditevent"), without_triggers("records_auditcheckpoint"):
        AuditCheckpoint.objects.all().delete()
        AuditEvent.objects.filter(sequence__gte=5).delete()
    fails("verify_audit", match="broken at event 5: the newest events were removed: .* saw 6 events, and there are 4")


def test_records_are_compared_on_demand(version: ModelVersion) -> None:
    assert json.loads(run("verify_audit", "--json"))["records"] is None
    records = json.loads(run("verify_audit", "--records", "--json"))["records"]
    assert records == 3, "the threshold, and the category and the version that events attest"
    event = AuditEvent.objects.get(kind="threshold.set").sequence
    with without_triggers("modelzoo_threshold"), connection.cursor() as cursor:
        cursor.execute("UPDATE modelzoo_threshold SET value = 7")
    run("verify_audit")
    fails("verify_audit", "--records", match=f"event {event} does not match its record: .*value is 7.0")


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    fails("verify_audit", "--file", tmp_path / "x", "--records", match="choose one")
    fails("verify_audit", "--excerpt", match="name it with --file")
    fails("verify_audit", "--file", tmp_path / "x", match="cannot be read")
