"""All rows as JSON Lines, the same text whichever database they come from, and the way back.

A line is one row: its values in the order of the columns that the backup names for the table. Sessions stay behind:
who restores signs in again.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.models import Field, JSONField, Model
from django.utils.duration import duration_iso_string

_EXCLUDED = {"sessions.session"}
# What `migrate` itself writes into an empty database: it gives way to what the backup says.
_FILLED_BY_MIGRATE = ("auth.group_permissions", "auth.group", "auth.permission", "contenttypes.contenttype")
_CHUNK = 2000


def label_of(model: type[Model]) -> str:
    return str(model._meta.label_lower)


def tables() -> list[type[Model]]:
    """Every table of ours and of Django, those that others point at first."""
    ordered: list[type[Model]] = []
    visited: set[type[Model]] = set()

    def visit(model: type[Model]) -> None:
        if model in visited:
            return
        visited.add(model)
        for field in model._meta.concrete_fields:
            if field.remote_field and field.remote_field.model in models:
                visit(field.remote_field.model)
        ordered.append(model)

    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and label_of(model) not in _EXCLUDED
    ]
    for model in models:
        visit(model)
    return ordered


def columns_of(model: type[Model]) -> list[str]:
    return [str(field.attname) for field in model._meta.concrete_fields]


@contextmanager
def snapshot() -> Iterator[None]:
    """What is read within is of one moment, and nobody who writes waits for it."""
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    connection.ensure_connection()
    sqlite: Any = connection
    mode = sqlite.transaction_mode
    sqlite.transaction_mode = "DEFERRED"  # the first read fixes the moment; no write lock is taken
    try:
        with transaction.atomic():
            yield
    finally:
        sqlite.transaction_mode = mode


def lines_of(model: type[Model], columns: list[str]) -> Iterator[bytes]:
    """The rows of a table in order of their keys, the values in the order of `columns`, in constant memory."""
    fields = {str(field.attname): field for field in model._meta.concrete_fields}
    is_json = [isinstance(fields[name], JSONField) for name in columns]
    rows = model._base_manager.order_by("pk").values_list(*columns)
    for row in rows.iterator(chunk_size=_CHUNK):
        values = [_same_number(value) if json_ else value for value, json_ in zip(row, is_json, strict=True)]
        yield (json.dumps(values, default=_text, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_iso_string(value)
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return b64encode(value).decode()  # as the field's `to_python` reads it
    raise TypeError(f"a {type(value).__name__} has no place in a backup yet")


def _same_number(value: Any) -> Any:
    """PostgreSQL keeps JSON numbers in decimal: it has no negative zero, and gives 1e22 back as a whole number."""
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) >= 1e16 else value + 0.0
    if isinstance(value, dict):
        return {key: _same_number(inner) for key, inner in value.items()}
    return [_same_number(inner) for inner in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- the way back
def not_empty() -> list[str]:
    """Tables that hold more than a fresh installation has."""
    filled = (model for model in tables() if label_of(model) not in _FILLED_BY_MIGRATE)
    return [label_of(model) for model in filled if model._base_manager.exists()]


def make_room() -> None:
    """Take away what `migrate` wrote."""
    for label in _FILLED_BY_MIGRATE:
        apps.get_model(label)._base_manager.all()._raw_delete(using=connection.alias)


def load(model: type[Model], columns: list[str], lines: Iterable[bytes]) -> int:
    """Insert rows as they are: no default, no signal, no time of today. Triggers and constraints stay in force."""
    fields: dict[str, Field[Any, Any]] = {str(field.attname): field for field in model._meta.concrete_fields}
    selected = [fields[name] for name in columns]
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in selected)
    places = ", ".join(["%s"] * len(selected))
    statement = f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({places})"
    count = 0
    iterator = iter(lines)
    with connection.cursor() as cursor:
        while chunk := list(islice(iterator, _CHUNK)):
            cursor.executemany(statement, [_row(selected, line) for line in chunk])
            count += len(chunk)
    return count


def _row(fields: list[Field[Any, Any]], line: bytes) -> list[Any]:
    values = json.loads(line)
    return [
        field.get_db_prep_save(field.to_python(value), connection) for field, value in zip(fields, values, strict=True)
    ]


def settle() -> None:
    """Check what was deferred, and let new rows be numbered after those that came back."""
    connection.check_constraints()
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), tables()):
            cursor.execute(statement)
