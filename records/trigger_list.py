"""Which triggers the database must have, and which it has: somebody who takes one away is found out.

What must be there lies in `records/expected_triggers/`, a file for each kind of database, written from freshly migrated
ones by `manage.py write_expected_triggers`; a test compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from records.audit.services import Actor, audit

_FOLDER = Path(__file__).parent / "expected_triggers"
# Of tables that are no part of another (those are compared with the whole, below). "O": fires, as it was made.
_POSTGRESQL = """
    SELECT t.tgname, t.tgenabled::text,
        replace(pg_get_functiondef(t.tgfoid), 'FUNCTION ' || current_schema() || '.', 'FUNCTION '),
        pg_get_triggerdef(t.oid, true)
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
"""
# Each trigger of a divided table beside that of the same name on each of its parts. Copies cannot be dropped, but can
# be switched off; of those for statements (TRUNCATE) PostgreSQL makes none.
_PARTS = """
    WITH RECURSIVE parts AS (
        SELECT c.oid AS whole, i.inhrelid AS part FROM pg_class AS c JOIN pg_inherits AS i ON i.inhparent = c.oid
        WHERE c.relkind = 'p' AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
        UNION ALL
        SELECT parts.whole, i.inhrelid FROM parts JOIN pg_inherits AS i ON i.inhparent = parts.part
    ),
    wanted AS (
        SELECT parts.part, t.tgname, t.tgtype, t.tgfoid, parts.whole::regclass::text AS whole,
            pg_get_triggerdef(t.oid, true) AS statement
        FROM parts JOIN pg_class AS c ON c.oid = parts.part AND c.relkind IN ('r', 'p')
        JOIN pg_trigger AS t ON t.tgrelid = parts.whole AND NOT t.tgisinternal
    ),
    found AS (
        SELECT parts.part, t.tgname, t.tgtype, t.tgfoid, t.tgenabled::text, t.tgparentid
        FROM parts JOIN pg_trigger AS t ON t.tgrelid = parts.part AND NOT t.tgisinternal
    )
    SELECT part::regclass::text, tgname, w.whole, w.statement, f.tgenabled, f.part IS NOT NULL,
        f.tgtype = w.tgtype AND f.tgfoid = w.tgfoid
    FROM wanted AS w FULL JOIN found AS f USING (part, tgname) ORDER BY 1, 2
"""


@dataclass(frozen=True)
class _PartFault:
    sentence: str
    trigger: str
    mend: tuple[str, ...] = ()  # statements; none where the trigger is not ours


def expected_file() -> Path:
    return _FOLDER / f"{connection.vendor}.json"


def _divided_file() -> Path:
    """What comes on top where tables are divided, which no migration does."""
    return _FOLDER / "postgresql_divided.json"


def _is_divided() -> bool:
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_class "
            "WHERE relkind = 'p' AND relnamespace = current_schema()::regnamespace)"
        )
        return bool(cursor.fetchone()[0])


def expected_triggers() -> dict[str, list[str]]:
    triggers: dict[str, list[str]] = json.loads(expected_file().read_text())
    return triggers | json.loads(_divided_file().read_text()) if _is_divided() else triggers


def write_expected() -> Path:
    """Write down what this database has; of one whose tables are divided, what is there beside the list."""
    installed, path = installed_triggers(), expected_file()
    if _is_divided():
        usual = json.loads(path.read_text())
        installed, path = {name: texts for name, texts in installed.items() if name not in usual}, _divided_file()
    path.write_text(json.dumps(installed, indent=1, sort_keys=True) + "\n")
    return path


def installed_triggers() -> dict[str, list[str]]:
    """By name the statements that make each trigger; blanks are not told apart."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL)
            statements = {
                name: [function, trigger, *([] if enabled == "O" else [f"switched off ({enabled})"])]
                for name, enabled, function, trigger in cursor.fetchall()
            }
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            statements = {name: [sql] for name, sql in cursor.fetchall()}
    return {name: [" ".join(text.split()) for text in texts] for name, texts in sorted(statements.items())}


def trigger_faults() -> list[str]:
    """What is missing, changed or beside the list, a sentence each; empty where all is as it should be."""
    expected, installed = expected_triggers(), installed_triggers()
    return (
        [f"the trigger {name} is missing" for name in sorted(expected.keys() - installed.keys())]
        + [
            f"the trigger {name} does something else than it should, or was switched off"
            for name in sorted(expected.keys() & installed.keys())
            if expected[name] != installed[name]
        ]
        + [f"the trigger {name} is not in the list" for name in sorted(installed.keys() - expected.keys())]
        + [fault.sentence for fault in _part_faults()]
    )


def _part_faults() -> list[_PartFault]:
    """What is missing, switched off or beside the list on parts of divided tables, each by its own name."""
    if not _is_divided():
        return []
    with connection.cursor() as cursor:
        cursor.execute(_PARTS)
        rows = cursor.fetchall()
    faults = []
    for part, name, whole, statement, enabled, is_there, is_same in rows:
        where = f"the trigger {name} on {part}"
        if statement is None:
            faults.append(_PartFault(f"{where} is not in the list", name))
        elif not is_there:
            made = statement.replace(f" ON {whole} ", f" ON {part} ", 1)
            faults.append(_PartFault(f"{where} is missing", name, (made,)))
        elif not is_same or enabled != "O":
            made = statement.replace(f" ON {whole} ", f" ON {part} ", 1)
            mend = (f"ALTER TABLE {part} ENABLE TRIGGER {name}",)
            again = (f"DROP TRIGGER {name} ON {part}", made)
            faults.append(
                _PartFault(
                    f"{where} does something else than it should, or was switched off", name, mend if is_same else again
                )
            )
    return faults


def _drop(cursor: Any, name: str, statements: list[str]) -> None:
    if connection.vendor == "sqlite":
        cursor.execute(f"DROP TRIGGER {name}")
        return
    table = statements[1].split(" ON ", 1)[1].split(" ", 1)[0]
    cursor.execute(f"DROP TRIGGER {name} ON {table}")


@transaction.atomic
def restore_triggers(*, actor: Actor) -> list[str]:
    """Put back what is missing or was changed; the names of it. What is not ours stays."""
    expected, installed = expected_triggers(), installed_triggers()
    names = [name for name in expected if expected[name] != installed.get(name)]
    with connection.cursor() as cursor:
        for name in names:
            if name in installed:
                _drop(cursor, name, installed[name])
            for statement in expected[name]:
                cursor.execute(statement)
        for fault in _part_faults():
            for statement in fault.mend:
                cursor.execute(statement)
            names += [fault.trigger] if fault.mend else []
    if names:
        audit(kind="triggers.restored", subject=("database", ""), actor=actor, after={"triggers": names})
    return names


def trigger_sentence() -> str:
    """For people, empty where nothing is wrong."""
    faults = trigger_faults()
    if not faults:
        return ""
    more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
    return (
        f"The database does not protect its records as it should: {'; '.join(faults[:3])}{more}. Somebody changed it, "
        "or a table was altered by hand. Find out who, compare with an earlier backup, and put the triggers back with "
        "manage.py restore_triggers."
    )
