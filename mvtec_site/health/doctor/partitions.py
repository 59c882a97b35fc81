"""Whether the parts of a history that is divided by month are there, and whether the server can hold their locks."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.utils import timezone

from inspection.partitions import catalog
from inspection.partitions.months import Month
from inspection.partitions.services import missing_months
from mvtec_site.health.doctor.findings import Finding, ok, problem, warning

_COMMAND = "python manage.py partition_history"


def check_partitions() -> Iterator[Finding]:
    if connection.vendor != "postgresql":
        return
    if not catalog.is_divided():
        if catalog.has_constraint(catalog.TABLE, catalog.KEYS_OF_BEFORE):
            yield problem(
                "partitions",
                "Dividing the records was begun and did not end: records of a later month would be refused.",
                f"{_COMMAND} goes on with it.",
            )
        return
    found = [*_months(), *_leftovers(), *_locks()]
    yield from found or [ok("partitions", f"Records are divided by month; {catalog.months()[-1]} is prepared.")]


def _months() -> Iterator[Finding]:
    now = timezone.now()
    missing = missing_months(now)
    soon = Month.of(now).later(1)
    if [month for month in missing if month <= soon]:
        names = ", ".join(map(str, missing))
        yield warning(
            "partitions",
            f"No part is there for the records of {names}. They are kept apart until there is one.",
            f"Start scheduler and training worker, which make it; {_COMMAND} does now.",
        )
    if late := catalog.count_late():
        yield warning(
            "partitions",
            f"{late:,} records lie where those go that no month was there for ({catalog.LATE}).",
            "They are found as all others. Their months stay without a part: docs/scaling.md.",
        )


def _leftovers() -> Iterator[Finding]:
    if names := [f"{one.name} of {one.table}" for one in catalog.unvalidated()]:
        yield warning(
            "partitions", f"After dividing, rows were not looked at again: {names[0]}.", f"{_COMMAND} does it."
        )


def _locks() -> Iterator[Finding]:
    """A query over all months locks each table and each index of it; PostgreSQL has a fixed number of locks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_locks_per_transaction')::int, current_setting('max_connections')::int"
        )
        each, connections = cursor.fetchone()
    at_once = settings.WEB_PROCESSES * (settings.WEB_THREADS + settings.WEB_PAGE_THREADS) + 4  # and workers
    needed = catalog.relations() * at_once
    if needed > each * connections:
        yield warning(
            "partitions",
            f"{at_once} queries over all months at once need {needed:,} locks, and the server has "
            f"{each * connections:,} (out of shared memory).",
            f"max_locks_per_transaction = {-(-needed // connections // 64) * 64 or 64} or more in postgresql.conf.",
        )
