"""Triggers: what they refuse on both databases, and that somebody who takes them away is found out."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, SystemCheckError
from django.db import DatabaseError, connection, transaction

from modelzoo.models import ModelVersion
from records import trigger_list
from records.audit.services import audit
from records.models import AuditEvent
from records.trigger_list import expected_file, expected_triggers, installed_triggers, trigger_faults

pytestmark = pytest.mark.django_db

PROTECTED = sorted(
    name.removesuffix("_no_delete") for name in json.loads(expected_file().with_name("sqlite.json").read_text())
    if name.endswith("_no_delete")
)  # fmt: skip


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_list_is_what_a_freshly_migrated_database_has() -> None:
    assert installed_triggers() == expected_triggers(), "run manage.py write_expected_triggers on both databases"


def test_every_append_only_table_refuses_all_that_changes_a_row() -> None:
    for table in PROTECTED:
        if connection.vendor == "sqlite":
            assert {f"{table}_no_update", f"{table}_no_delete", f"{table}_no_replace"} <= installed_triggers().keys()
        else:
            assert {f"{table}_no_row_change", f"{table}_no_statement_change"} <= installed_triggers().keys()


@pytest.mark.parametrize("key", ["primary key", "another key"])
def test_a_row_is_not_replaced(version: ModelVersion, key: str) -> None:
    """INSERT OR REPLACE on SQLite, ON CONFLICT DO UPDATE on PostgreSQL, by each key that a row has."""
    threshold = version.thresholds.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM modelzoo_threshold WHERE id = %s", [threshold.pk])
        names = [column[0] for column in cursor.description]
    same = [f'"{name}"' for name in names]
    selected = [f"{threshold.pk + 1000}" if name == '"id"' and key != "primary key" else name for name in same]
    columns, values = ", ".join(same), ", ".join("7.0" if name == '"value"' else name for name in selected)
    statement = f"INTO modelzoo_threshold ({columns}) SELECT {values} FROM modelzoo_threshold WHERE id = {threshold.pk}"
    conflict = "(id)" if key == "primary key" else "(model_version_id, revision)"
    replace = (
        f"INSERT OR REPLACE {statement}"
        if connection.vendor == "sqlite"
        else f"INSERT {statement} ON CONFLICT {conflict} DO UPDATE SET value = 7.0"
    )
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run(replace)
    threshold.refresh_from_db()
    assert threshold.value != 7.0


def test_an_event_is_not_replaced_by_the_number_of_its_row() -> None:
    """SQLite numbers rows beside their key, and replaces by that number too."""
    with transaction.atomic():
        audit(kind="x", subject=("x", ""), actor=None)
    names = [f'"{field.column}"' for field in AuditEvent._meta.concrete_fields]
    columns, changed = ", ".join(names), ", ".join("'y'" if name == '"kind"' else name for name in names)
    replace = (
        f"INSERT OR REPLACE INTO records_auditevent (rowid, {columns}) SELECT rowid, {changed} FROM records_auditevent"
        if connection.vendor == "sqlite"
        else f"INSERT INTO records_auditevent ({columns}) SELECT {changed} FROM records_auditevent "
        "ON CONFLICT (sequence) DO UPDATE SET kind = 'y'"
    )
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run(replace)


def off(name: str) -> None:
    table = name.split("_no_")[0]
    run(f"DROP TRIGGER {name}" if connection.vendor == "sqlite" else f"DROP TRIGGER {name} ON {table}")


def test_a_trigger_that_is_missing_or_other_is_named_and_put_back() -> None:
    event, table = (
        ("update", "inspection_review") if connection.vendor == "sqlite" else ("row_change", "inspection_review")
    )
    off(f"{table}_no_{event}")
    if connection.vendor == "sqlite":
        off("modelzoo_threshold_no_update")
        run("CREATE TRIGGER modelzoo_threshold_no_update BEFORE UPDATE ON modelzoo_threshold BEGIN SELECT 1; END")
        run("CREATE TRIGGER mine AFTER INSERT ON records_asset BEGIN SELECT 1; END")
    else:
        run("ALTER TABLE modelzoo_threshold DISABLE TRIGGER modelzoo_threshold_no_row_change")
        run("CREATE TRIGGER mine BEFORE INSERT ON records_asset EXECUTE FUNCTION suppress_redundant_updates_trigger()")
    changed = f"modelzoo_threshold_no_{event}"
    assert trigger_faults() == [
        f"the trigger {table}_no_{event} is missing",
        f"the trigger {changed} does something else than it should, or was switched off",
        "the trigger mine is not in the list",
    ]
    with pytest.raises(SystemCheckError, match=f"{table}_no_{event} is missing"):
        call_command("check", databases=["default"])
    with pytest.raises(CommandError, match=f"{table}_no_{event} is missing"):
        call_command("verify_audit", stdout=io.StringIO(), stderr=io.StringIO())

    told = io.StringIO()
    call_command("restore_triggers", stderr=told)
    assert told.getvalue().startswith("2 triggers were put back")
    assert trigger_faults() == ["the trigger mine is not in the list"]
    assert AuditEvent.objects.first().kind == "triggers.restored"  # type: ignore[union-attr]  # it is there


@pytest.mark.skipif("SUITE_DIVIDED" in os.environ, reason="writes what comes on top of the list of one that is not")
def test_the_list_is_written_from_the_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trigger_list, "_FOLDER", tmp_path)
    call_command("write_expected_triggers", stderr=io.StringIO())
    assert trigger_faults() == []
