"""The SQL that divides the table of records, makes a month's part, and puts everything back into one table.

Everything that the table is made of is read from the catalog (`catalog.define`) and made again under the same names, so
that later migrations find what they expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inspection.partitions.catalog import (
    BEFORE,
    KEYS_OF_BEFORE,
    LATE,
    OF_REQUEST,
    REQUEST,
    TABLE,
    TIMED,
    Definition,
    Named,
)
from inspection.partitions.months import Month
from records.keys import ALL_KEYS

OF_ITS_MONTH = "record_is_of_its_month"
ONE_RECORD = "inspection_one_record_of_request"


@dataclass(frozen=True)
class Plan:
    """`ahead` and `afterwards`: each statement by itself, while everybody works on. `at_once`: one transaction."""

    ahead: Sequence[str] = field(default_factory=list)
    at_once: Sequence[str] = field(default_factory=list)
    afterwards: Sequence[str] = field(default_factory=list)


# ---------------------------------------------------------------- dividing
def divide(made_of: Definition, first: Month, months: Iterable[Month], *, is_ahead: bool) -> Plan:
    """`is_ahead`: the first month is far enough away to look through the table's keys before anything is locked."""
    checked = keys_of_before(first)
    return Plan(
        ahead=checked if is_ahead else [],
        at_once=[
            *_locks(made_of),
            *([] if is_ahead else checked),
            *_drop_references(made_of),
            *(f"DROP TRIGGER {one.name} ON {TABLE}" for one in made_of.triggers if one.is_for_rows),
            f"ALTER TABLE {TABLE} RENAME TO {BEFORE}",
            *_rename_indexes(made_of),
            f"CREATE TABLE {TABLE} (LIKE {BEFORE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (id)",
            f"ALTER TABLE {TABLE} DROP CONSTRAINT {KEYS_OF_BEFORE}",
            *_indexes(made_of),
            *(f"ALTER TABLE {TABLE} ADD CONSTRAINT {one.name} {one.definition}" for one in made_of.references),
            f"CREATE TABLE {TIMED} PARTITION OF {TABLE} FOR VALUES FROM ('{first.keys[0]}') TO ('{ALL_KEYS[1]}') "
            "PARTITION BY RANGE (id)",
            f"CREATE TABLE {LATE} PARTITION OF {TIMED} DEFAULT{_with(made_of)}",
            _one_of_a_request(LATE),
            f"ALTER TABLE {TABLE} ATTACH PARTITION {BEFORE} DEFAULT",
            *_one_record_of_request(),
            *(one.definition for one in made_of.triggers),
            *_guards_of_statements(made_of.triggers, TIMED),
            *_guards_of_statements(made_of.triggers, LATE),
            *(text for month in months for text in add_month(made_of, month)),
            *_add_references(made_of),
            *(f"GRANT {privilege} ON {TABLE} TO {role}" for role, privilege in made_of.grants),
            *(f"GRANT INSERT ON {OF_REQUEST} TO {role}" for role, privilege in made_of.grants if privilege == "INSERT"),
        ],
        afterwards=[*validate(made_of.referenced_by), f"ANALYZE {TABLE}"],
    )


def keys_of_before(first: Month) -> list[str]:
    """That no key of a month is in the table: said at once of what comes, and then found to be so of what is there."""
    low, high = first.keys[0], ALL_KEYS[1]
    return [
        f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS {KEYS_OF_BEFORE}",
        f"ALTER TABLE {TABLE} ADD CONSTRAINT {KEYS_OF_BEFORE} CHECK (id < '{low}' OR id >= '{high}') NOT VALID",
        f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT {KEYS_OF_BEFORE}",
    ]


def forget_keys_of_before() -> str:
    return f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS {KEYS_OF_BEFORE}"


def add_month(made_of: Definition, month: Month) -> list[str]:
    """A month's table, whole before it becomes a part: whoever writes waits for the last statement only.

    That its records are of this month in their time too lets PostgreSQL leave it out of queries about other periods.
    `made_of`: the triggers of the whole table, and the options of its parts.
    """
    name, (low, high) = f"{TABLE}_{month.suffix}", month.keys
    return [
        f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS){_with(made_of)}",
        f"ALTER TABLE {name} ADD CONSTRAINT {OF_ITS_MONTH} "
        f"CHECK (created_at >= '{month.begins.isoformat()}' AND created_at < '{month.ends.isoformat()}')",
        _one_of_a_request(name),
        *_guards_of_statements(made_of.triggers, name),
        f"ALTER TABLE {TIMED} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')",
    ]


def validate(references: Iterable[Named]) -> list[str]:
    return [f"ALTER TABLE {one.table} VALIDATE CONSTRAINT {one.name}" for one in references]


def _locks(made_of: Definition) -> list[str]:
    """All of them first: what cannot be had ends the attempt before anything was done."""
    others = sorted({one.table for one in made_of.referenced_by} - {TABLE})
    return [f"LOCK TABLE {', '.join([TABLE, *others])} IN ACCESS EXCLUSIVE MODE"]


def _drop_references(made_of: Definition) -> list[str]:
    return [f"ALTER TABLE {one.table} DROP CONSTRAINT {one.name}" for one in made_of.referenced_by]


def _add_references(made_of: Definition) -> list[str]:
    """New rows are checked from now on; those that were there were checked before, and are looked at again later."""
    return [
        f"ALTER TABLE {one.table} ADD CONSTRAINT {one.name} {one.definition.removesuffix(' NOT VALID')} NOT VALID"
        for one in made_of.referenced_by
    ]


def _rename_indexes(made_of: Definition) -> list[str]:
    """Names of indexes are one for all tables, and the whole table's are to be those that migrations know."""
    return [
        f"ALTER TABLE {BEFORE} RENAME CONSTRAINT {one.constraint} TO {one.constraint}_before"
        if one.constraint
        else f"ALTER INDEX {one.name} RENAME TO {one.name}_before"
        for one in made_of.indexes
    ]


def _indexes(made_of: Definition) -> list[str]:
    """Of the whole table: PostgreSQL finds those of its parts that are the same. The request's cannot be one."""
    primary = [one for one in made_of.indexes if one.is_primary]
    plain = [one for one in made_of.indexes if not one.is_unique]
    return [
        *(f"ALTER TABLE {TABLE} ADD CONSTRAINT {one.constraint} PRIMARY KEY (id)" for one in primary),
        *(one.definition for one in plain),
    ]


def _one_of_a_request(part: str) -> str:
    return f"ALTER TABLE {part} ADD CONSTRAINT {part}_{REQUEST}_key UNIQUE ({REQUEST})"


def _one_record_of_request() -> list[str]:
    """What the unique index over all records was: each record enters its request here, where only one can."""
    return [
        f"CREATE TABLE {OF_REQUEST} ({REQUEST} uuid PRIMARY KEY, inspection_id uuid NOT NULL)",
        f"""CREATE FUNCTION {OF_REQUEST}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{OF_REQUEST} is append-only'; END $$""",
        *(
            f"CREATE TRIGGER {OF_REQUEST}_no_{level.lower()}_change BEFORE {event} ON {OF_REQUEST} "
            f"FOR EACH {level} EXECUTE FUNCTION {OF_REQUEST}_is_append_only()"
            for event, level in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT"))
        ),
        f"""CREATE FUNCTION {ONE_RECORD}() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            INSERT INTO {OF_REQUEST} ({REQUEST}, inspection_id) VALUES (NEW.{REQUEST}, NEW.id);
            IF EXISTS (SELECT 1 FROM {BEFORE} AS b WHERE b.{REQUEST} = NEW.{REQUEST}) THEN
                RAISE unique_violation USING MESSAGE = 'this request has its record already',
                    DETAIL = format('Key ({REQUEST})=(%s) already exists.', NEW.{REQUEST});
            END IF;
            RETURN NEW;
        END $$""",
        f"CREATE TRIGGER {ONE_RECORD} BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {ONE_RECORD}()",
    ]


def _guards_of_statements(triggers: Iterable[Named], part: str) -> list[str]:
    """Triggers for rows are copied to parts by themselves, those for statements (TRUNCATE) are not."""
    return [one.definition.replace(f" ON {one.table} ", f" ON {part} ", 1) for one in triggers if not one.is_for_rows]


def _with(made_of: Definition) -> str:
    return f" WITH ({', '.join(made_of.options)})" if made_of.options else ""


# ---------------------------------------------------------------- back into one table
def join(whole: Definition, before: Definition, index_names: Iterable[tuple[str, str]]) -> Plan:
    """Every record of a month is written into the table of before, under a lock; the parts go."""
    columns = ", ".join(whole.columns)
    own = [one for one in whole.triggers if one.is_for_rows and one.name != ONE_RECORD]
    unique = [one for one in before.indexes if one.is_unique and not one.is_primary]
    return Plan(
        at_once=[
            *_locks(whole),
            *_drop_references(whole),
            *(f"DROP TRIGGER {one.name} ON {TABLE}" for one in whole.triggers if one.is_for_rows),
            f"DROP FUNCTION {ONE_RECORD}()",
            f"DROP TABLE {OF_REQUEST}",
            f"DROP FUNCTION {OF_REQUEST}_is_append_only()",
            f"ALTER TABLE {TABLE} DETACH PARTITION {BEFORE}",
            f"ALTER TABLE {BEFORE} DROP CONSTRAINT {KEYS_OF_BEFORE}",
            f"INSERT INTO {BEFORE} ({columns}) SELECT {columns} FROM {TIMED}",
            # What is still to be checked of the rows just written would keep the table from being altered.
            "SET CONSTRAINTS ALL IMMEDIATE",
            f"DROP TABLE {TABLE}",
            f"ALTER TABLE {BEFORE} RENAME TO {TABLE}",
            *(f"ALTER INDEX {child} RENAME TO {parent}" for child, parent in index_names),
            *(
                f"ALTER TABLE {TABLE} RENAME CONSTRAINT {one.constraint} TO {one.constraint.removesuffix('_before')}"
                for one in unique
            ),
            *(one.definition for one in own),
            *_add_references(whole),
        ],
        afterwards=[*validate(whole.referenced_by), f"ANALYZE {TABLE}"],
    )
