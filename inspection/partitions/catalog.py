"""What PostgreSQL's catalog says of the table of records: whether it is divided, and of what it is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from inspection.models import Inspection
from inspection.partitions.months import Month
from records.keys import moment_of

TABLE = str(Inspection._meta.db_table)
BEFORE, TIMED, LATE = f"{TABLE}_before", f"{TABLE}_timed", f"{TABLE}_late"
OF_REQUEST = f"{TABLE}_of_request"
# Of the table as it was: no key in it belongs to a month. PostgreSQL then looks through no row to make it a part.
KEYS_OF_BEFORE = "no_key_of_a_month"
REQUEST = str(Inspection._meta.get_field("request").column)
_SUFFIX = re.compile(rf"{TABLE}_y(\d{{4}})m(\d{{2}})")


@dataclass(frozen=True)
class Index:
    name: str
    definition: str
    constraint: str  # its name, where it belongs to one
    is_primary: bool
    is_unique: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """A constraint or trigger by its name; `table` is the one it stands on."""

    name: str
    table: str
    definition: str
    is_for_rows: bool = False


@dataclass(frozen=True)
class Definition:
    """Of what a table is made, as statements of its catalog."""

    columns: Sequence[str]
    indexes: Sequence[Index]
    references: Sequence[Named]  # foreign keys of it
    referenced_by: Sequence[Named]  # foreign keys to it
    triggers: Sequence[Named]
    options: Sequence[str]  # "autovacuum_...=..."
    grants: Sequence[tuple[str, str]] = field(default_factory=tuple)  # role, privilege


def _rows(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def is_divided() -> bool:
    """Whether the table of records consists of parts. Never on SQLite."""
    if connection.vendor != "postgresql":
        return False
    return bool(_rows("SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'p'", [TABLE]))


def exists(table: str) -> bool:
    return bool(_rows("SELECT 1 WHERE to_regclass(%s) IS NOT NULL", [table]))


def months() -> list[Month]:
    """Those that have a part of their own, in order."""
    if not is_divided():
        return []
    names = [
        name
        for (name,) in _rows(
            "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(%s)",
            [TIMED],
        )
    ]
    return sorted(Month(int(found[1]), int(found[2])) for name in names if (found := _SUFFIX.fullmatch(name)))


def first_month() -> Month:
    """From which on months have parts; of a divided table."""
    [(bound,)] = _rows("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = to_regclass(%s)", [TIMED])
    key = re.search(r"FROM \('([0-9a-f-]+)'\)", bound)
    assert key, bound
    moment = moment_of(UUID(key[1]))
    assert moment, bound
    return Month.of(moment)


def has_late(month: Month) -> bool:
    """Whether records of a month lie where those go that no month was there for."""
    return bool(_rows(f"SELECT 1 FROM {LATE} WHERE id >= %s AND id < %s LIMIT 1", [str(key) for key in month.keys]))


def count_late() -> int:
    [(count,)] = _rows(f"SELECT count(*) FROM {LATE}")
    return int(count)


def relations() -> int:
    """How many tables and indexes a query that names no month may lock."""
    [(count,)] = _rows(
        """WITH RECURSIVE parts AS (
            SELECT to_regclass(%s)::oid AS part
            UNION ALL SELECT i.inhrelid FROM parts JOIN pg_inherits AS i ON i.inhparent = parts.part)
        SELECT count(*) FROM (SELECT part FROM parts UNION ALL
            SELECT x.indexrelid FROM parts JOIN pg_index AS x ON x.indrelid = parts.part) AS locked""",
        [TABLE],
    )
    return int(count)


def views() -> list[str]:
    """What reads the table of records by its identity, so would go on reading it when it has another name."""
    return [
        name
        for (name,) in _rows(
            """SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
            WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = to_regclass(%s) AND r.ev_class <> d.refobjid ORDER BY 1""",
            [TABLE],
        )
    ]


def has_constraint(table: str, name: str, *, validated: bool | None = None) -> bool:
    found = _rows(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s", [table, name]
    )
    return any(validated is None or convalidated == validated for (convalidated,) in found)


def unvalidated() -> list[Named]:
    """Foreign keys to records whose old rows were not looked at again yet."""
    return [one for one in _referenced_by(TABLE) if one.definition.endswith("NOT VALID")]


def index_names_of_before() -> list[tuple[str, str]]:
    """Of each index of the table as it was: its name, and that of the whole table's index that it is a part of."""
    return [
        (child, parent)
        for child, parent in _rows(
            """SELECT child.relname, parent.relname FROM pg_inherits AS i
            JOIN pg_class AS child ON child.oid = i.inhrelid JOIN pg_class AS parent ON parent.oid = i.inhparent
            JOIN pg_index AS x ON x.indexrelid = child.oid WHERE x.indrelid = to_regclass(%s) ORDER BY 1""",
            [BEFORE],
        )
    ]


def define(table: str) -> Definition:
    return Definition(
        columns=[
            name
            for (name,) in _rows(
                "SELECT quote_ident(attname) FROM pg_attribute "
                "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                [table],
            )
        ],
        indexes=[
            Index(name, definition, constraint or "", primary, unique, tuple(columns))
            for name, definition, constraint, primary, unique, columns in _rows(
                """SELECT c.relname, pg_get_indexdef(c.oid), k.conname, x.indisprimary, x.indisunique,
                    ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid ORDER BY attnum)
                FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
                LEFT JOIN pg_constraint AS k ON k.conindid = c.oid AND k.contype IN ('p', 'u')
                    AND k.conrelid = x.indrelid
                WHERE x.indrelid = to_regclass(%s) ORDER BY c.relname""",
                [table],
            )
        ],
        references=[
            Named(*row)
            for row in _rows(
                """SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid = to_regclass(%s) AND contype = 'f' AND conparentid = 0 ORDER BY conname""",
                [table],
            )
        ],
        referenced_by=_referenced_by(table),
        triggers=[
            Named(*row)
            for row in _rows(
                """SELECT tgname, %s, pg_get_triggerdef(oid, true), (tgtype & 1) = 1 FROM pg_trigger
                WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal AND tgparentid = 0 ORDER BY tgname""",
                [table, table],
            )
        ],
        options=[option for (option,) in _rows(
            "SELECT unnest(reloptions) FROM pg_class WHERE oid = to_regclass(%s)", [table]
        )],
        grants=[
            (role, privilege)
            for role, privilege in _rows(
                """SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, a.privilege_type
                FROM pg_class AS c, aclexplode(c.relacl) AS a
                WHERE c.oid = to_regclass(%s) AND a.grantee <> c.relowner ORDER BY 1, 2""",
                [table],
            )
        ],
    )  # fmt: skip


def _referenced_by(table: str) -> list[Named]:
    return [
        Named(*row)
        for row in _rows(
            """SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE confrelid = to_regclass(%s) AND contype = 'f' AND conparentid = 0 ORDER BY 2, 1""",
            [table],
        )
    ]
