"""Database triggers that keep records what they are, on SQLite and PostgreSQL alike.

They stand below the application: a shell, an admin tool and a defect of ours are refused in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.migrations.operations import RunPython
from django.db.migrations.operations.base import Operation

Schema = Any  # SchemaEditor classes of the two backends share no public base


def append_only(table: str) -> RunPython:
    """Refuse UPDATE and DELETE (and TRUNCATE on PostgreSQL) on a table."""

    def forward(apps: object, schema: Schema) -> None:
        if schema.connection.vendor == "postgresql":
            schema.execute(
                f"""CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$""",
                params=None,
            )
            for event, level in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
                schema.execute(
                    f"""CREATE TRIGGER {table}_no_{level.lower()}_change BEFORE {event} ON {table}
                    FOR EACH {level} EXECUTE FUNCTION {table}_is_append_only()""",
                    params=None,
                )
            return
        for event in ("UPDATE", "DELETE"):
            schema.execute(
                f"""CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table}
                BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END""",
                params=None,
            )

    def backward(apps: object, schema: Schema) -> None:
        if schema.connection.vendor == "postgresql":
            schema.execute(f"DROP FUNCTION {table}_is_append_only() CASCADE", params=None)
            return
        for event in ("update", "delete"):
            schema.execute(f"DROP TRIGGER {table}_no_{event}", params=None)

    return RunPython(forward, backward)


def refuse_insert_unless(table: str, name: str, condition: str, message: str) -> RunPython:
    """Refuse an INSERT whose NEW row does not meet an SQL condition that reaches into other tables."""

    def forward(apps: object, schema: Schema) -> None:
        if schema.connection.vendor == "postgresql":
            schema.execute(
                f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NOT ({condition}) THEN RAISE EXCEPTION '{message}'; END IF; RETURN NEW; END $$""",
                params=None,
            )
            schema.execute(
                f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()", params=None
            )
            return
        schema.execute(
            f"""CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN NOT ({condition})
            BEGIN SELECT RAISE(ABORT, '{message}'); END""",
            params=None,
        )

    def backward(apps: object, schema: Schema) -> None:
        if schema.connection.vendor == "postgresql":
            schema.execute(f"DROP FUNCTION {name}() CASCADE", params=None)
        else:
            schema.execute(f"DROP TRIGGER {name}", params=None)

    return RunPython(forward, backward)


def with_triggers_elsewhere(operations: list[Operation]) -> list[Operation]:
    """Operations on a table that triggers of other tables name in their conditions.

    SQLite alters a table by writing it anew under another name; renaming it back, it would check those triggers at the
    moment when the table is not there. Its older way of renaming leaves them alone.
    """

    def set_to(value: str) -> Callable[[object, Schema], None]:
        def switch(apps: object, schema: Schema) -> None:
            if schema.connection.vendor == "sqlite":
                schema.execute(f"PRAGMA legacy_alter_table = {value}", params=None)

        return switch

    on, off = set_to("ON"), set_to("OFF")
    return [RunPython(on, off), *operations, RunPython(off, on)]
