"""Database triggers that keep records what they are, on SQLite and PostgreSQL alike.

They stand below the application: a shell, an admin tool and a defect of ours are refused in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from django.db.migrations.operations import RunPython
from django.db.migrations.operations.base import Operation

Schema = Any  # SchemaEditor classes of the two backends share no public base


def append_only(table: str) -> RunPython:
    """Refuse UPDATE and DELETE on a table, and what comes to the same: TRUNCATE, and INSERT OR REPLACE on SQLite."""

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
        _refuse_replacing(schema, table)

    def backward(apps: object, schema: Schema) -> None:
        if schema.connection.vendor == "postgresql":
            schema.execute(f"DROP FUNCTION {table}_is_append_only() CASCADE", params=None)
            return
        for event in ("update", "delete", "replace"):
            schema.execute(f"DROP TRIGGER IF EXISTS {table}_no_{event}", params=None)

    return RunPython(forward, backward)


def refuse_replacing(tables: Sequence[str]) -> RunPython:
    """Bring the trigger against INSERT OR REPLACE to append-only tables that were made before there was one."""

    def forward(apps: object, schema: Schema) -> None:
        if schema.connection.vendor == "sqlite":
            for table in tables:
                _refuse_replacing(schema, table)

    def backward(apps: object, schema: Schema) -> None:
        if schema.connection.vendor == "sqlite":
            for table in tables:
                schema.execute(f"DROP TRIGGER IF EXISTS {table}_no_replace", params=None)

    return RunPython(forward, backward)


def _refuse_replacing(schema: Schema, table: str) -> None:
    """SQLite's INSERT OR REPLACE deletes rows with an equal key without asking the triggers for DELETE.

    PostgreSQL's ON CONFLICT DO UPDATE needs nothing: it asks those for UPDATE.
    """
    keys = _unique_keys(schema, table)
    equal = " OR ".join(
        ["o.rowid = NEW.rowid"]
        + [
            "({})".format(" AND ".join([*(f'o."{column}" = NEW."{column}"' for column in columns), *conditions]))
            for columns, conditions in keys
        ]
    )
    schema.execute(f"DROP TRIGGER IF EXISTS {table}_no_replace", params=None)
    schema.execute(
        f"""CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
        WHEN EXISTS (SELECT 1 FROM {table} AS o WHERE {equal})
        BEGIN SELECT RAISE(ABORT, '{table} is append-only: a row with this key is there'); END""",
        params=None,
    )


def _unique_keys(schema: Schema, table: str) -> list[tuple[list[str], list[str]]]:
    """Columns of the primary key and of every unique index; with those of a partial index, when it holds for both."""
    with schema.connection.cursor() as cursor:
        cursor.execute(f"SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk")
        keys: list[tuple[list[str], list[str]]] = [([name for (name,) in cursor.fetchall()], [])]
        cursor.execute(
            f"""SELECT l.name, l.partial, m.sql FROM pragma_index_list('{table}') AS l
            LEFT JOIN sqlite_master AS m ON m.type = 'index' AND m.name = l.name
            WHERE l."unique" = 1 AND l.origin <> 'pk' ORDER BY l.name"""
        )
        for name, partial, sql in cursor.fetchall():
            cursor.execute(f"SELECT name FROM pragma_index_info('{name}') ORDER BY seqno")
            columns = [column for (column,) in cursor.fetchall()]
            if None in columns:
                raise NotImplementedError(f"{name} is unique about an expression, which no trigger here reads")
            condition = sql[sql.upper().index(" WHERE ") + len(" WHERE ") :] if partial else ""
            each = [re.sub(r'"(\w+)"', rf'{row}."\1"', condition) for row in ("o", "NEW")] if condition else []
            keys.append((columns, [f"({text})" for text in each]))
    return keys


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


def on_sqlite(operation: RunPython) -> RunPython:
    """The same on SQLite alone, which drops the triggers of a table that it writes anew.

    PostgreSQL alters the table and keeps them. Dropping them there would also drop those that parts of a divided table
    have by themselves, which no migration puts back.
    """

    def only(code: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def run(apps: object, schema: Schema) -> None:
            if schema.connection.vendor == "sqlite":
                code(apps, schema)

        return run

    assert operation.reverse_code is not None
    return RunPython(only(operation.code), only(operation.reverse_code))


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
