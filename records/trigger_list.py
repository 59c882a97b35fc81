"""Which triggers the database must have, and which it has: somebody who takes one away is found out.

What must be there lies in `records/expected_triggers/`, a file for each kind of database, written from freshly migrated
ones by `manage.py write_expected_triggers`; a test compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from records.audit.services import Actor, audit

_FOLDER = Path(__file__).parent / "expected_triggers"
# Copies of a trigger on the parts of a divided table (tgparentid) stand and fall with it. "O": fires, as it was made.
_POSTGRESQL = """
    SELECT t.tgname, t.tgenabled::text,
        replace(pg_get_functiondef(t.tgfoid), 'FUNCTION ' || current_schema() || '.', 'FUNCTION '),
        pg_get_triggerdef(t.oid, true)
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relnamespace = current_schema()::regnamespace
"""


def expected_file() -> Path:
    return _FOLDER / f"{connection.vendor}.json"


def expected_triggers() -> dict[str, list[str]]:
    triggers: dict[str, list[str]] = json.loads(expected_file().read_text())
    return triggers


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
    )


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
