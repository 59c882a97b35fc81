"""Database, broker and storage: whether they answer, how they are set up, and whether their clocks agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from common.database import UNAVAILABLE, database_now
from jobs import broker
from mvtec_site.health import readiness
from mvtec_site.health.doctor.findings import Check, Finding, Level, ok, problem, warning
from mvtec_site.health.probes import Failed

_MAX_SKEW_SECONDS = 2.0
_MIN_POSTGRESQL = 140000  # Django 5.2
_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def check_database() -> Iterator[Finding]:
    if connection.vendor == "sqlite" and not _sqlite_is_there():
        yield problem("database", "There is no database in VAR_DIR yet.", "python manage.py migrate")
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        name = f"PostgreSQL {_server_version()}" if connection.vendor == "postgresql" else "SQLite"
    except (DatabaseError, *UNAVAILABLE) as error:
        yield problem(
            "database",
            f"The database does not answer: {_first_line(error)}",
            "Start it, or correct DATABASE_URL. What needs it is not checked.",
        )
        return
    yield ok("database", f"{name} answers.")
    yield from _migrations()
    yield from _postgresql() if connection.vendor == "postgresql" else _sqlite()


def _sqlite_is_there() -> bool:
    """Connecting would make an empty one."""
    name = str(connection.settings_dict["NAME"])
    return name.startswith("file:") or Path(name).exists()


def _server_version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    unknown = executor.loader.applied_migrations.keys() - executor.loader.disk_migrations.keys()
    ours = {app for app, _ in executor.loader.disk_migrations}
    if missing:
        yield problem(
            "migrations",
            f"{len(missing)} migrations are missing, first {missing[0][0]}.",
            "Make a backup, then python manage.py migrate",
        )
    elif newer := sorted(f"{app}.{name}" for app, name in unknown if app in ours):
        yield problem(
            "migrations",
            f"The database is newer than this code: it knows {newer[0]}.",
            "Run the version of the code that migrated it.",
        )
    else:
        yield ok("migrations", "The database is migrated.")


def _postgresql() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int")
        version, limit = cursor.fetchone()
        cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
        durable = dict(zip(("fsync", "synchronous_commit"), cursor.fetchone(), strict=True))
    if version < _MIN_POSTGRESQL:
        yield problem("database", "This PostgreSQL is older than 14.", "Install PostgreSQL 14 or newer.")
    threads = settings.WEB_THREADS + settings.WEB_PAGE_THREADS + settings.WEB_TRANSFER_THREADS + 2
    required = settings.WEB_PROCESSES * threads + 10
    if limit < required:
        yield warning(
            "database",
            f"It takes {limit} connections; one web service of these settings and the workers can need {required}.",
            f"max_connections = {required} or more in postgresql.conf, or fewer WEB_ threads.",
        )
    off = [name for name, value in durable.items() if value == "off"]
    if off:
        yield problem(
            "database",
            f"{' and '.join(off)} is off: records that were answered for can be lost in a power cut.",
            f"ALTER SYSTEM SET {off[0]} = on; SELECT pg_reload_conf();",
        )


def _sqlite() -> Iterator[Finding]:
    wrong = []
    with connection.cursor() as cursor:
        for name, wanted in _PRAGMAS.items():
            cursor.execute(f"PRAGMA {name}")
            value = cursor.fetchone()[0]
            if value != wanted and value != "memory":  # a database in memory has no journal
                wrong.append(f"{name} is {value}, not {wanted}")
    if wrong:
        yield problem(
            "database",
            f"Not as this product sets it: {'; '.join(wrong)}.",
            "Close what else has the file open; it belongs on a local disk, not on a network share.",
        )


def with_database(check: Callable[[], Iterator[Finding]]) -> Check:
    """Not run where the database does not answer, or is not migrated: that is reported once."""

    @wraps(check)
    def checked() -> Iterator[Finding]:
        if not any(one.level == Level.PROBLEM for one in check_database()):
            yield from check()

    return checked


# ---------------------------------------------------------------- broker
def check_broker() -> Iterator[Finding]:
    try:
        broker.client().ping()
        server: dict[str, Any] = broker.client().info()
    except redis.RedisError as error:
        fix = "Start it, or correct REDIS_URL." if settings.REDIS_URL else "It runs with manage.py run, and only then."
        yield problem("broker", f"The broker does not answer: {_first_line(error)}", f"{fix} Workers are not checked.")
        return
    yield ok("broker", f"The broker answers ({server.get('server_name', 'redis')} {server.get('redis_version', '')}).")
    policy = server.get("maxmemory_policy", "noeviction")
    if server.get("maxmemory") and policy != "noeviction":
        yield problem(
            "broker",
            f"The broker throws messages away when its memory is full (maxmemory-policy {policy}).",
            "maxmemory-policy noeviction in its configuration",
        )
    if not server.get("aof_enabled"):
        yield warning(
            "broker",
            "The broker keeps nothing across a restart (appendonly no): waiting work is found by the sweep, later.",
            "appendonly yes in its configuration",
        )
    elif server.get("aof_last_write_status") == "err":
        yield problem("broker", "The broker cannot write its file.", "Free space on its disk.")


# ---------------------------------------------------------------- storage and clocks
def check_storage() -> Iterator[Finding]:
    try:
        readiness.check_storage()
    except Failed as error:
        yield problem("storage", f"Images cannot be stored: {error}.", "Check the store's log.")
    except Exception as error:  # noqa: BLE001 - a store of any kind
        yield problem(
            "storage",
            f"Images cannot be stored: {_first_line(error)}",
            "Correct the permissions of VAR_DIR/media, or the address and keys of the store.",
        )
    else:
        yield ok("storage", "A file was written, read and removed where images go.")


def check_clocks() -> Iterator[Finding]:
    """Deadlines, leases and records are dated by several machines."""
    found: list[Finding] = []
    agree: list[str] = []
    for name, clock in (("database", _database_clock), ("broker", _broker_clock)):
        try:
            before = time.time()
            there = clock()
            skew = there - (before + time.time()) / 2
        except (redis.RedisError, DatabaseError, *UNAVAILABLE):
            continue  # that it does not answer is said elsewhere
        if abs(skew) <= _MAX_SKEW_SECONDS:
            agree.append(name)
            continue
        text = f"The clock of the {name} is {abs(skew):,.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's."
        found.append(problem("clocks", text, "Run a time service (chrony, systemd-timesyncd) on both."))
    if agree:
        found.append(ok("clocks", f"This machine's clock and that of {' and '.join(agree)} agree within two seconds."))
    yield from found


def _database_clock() -> float:
    return database_now().timestamp()  # on SQLite this machine's


def _broker_clock() -> float:
    seconds, microseconds = broker.client().time()
    return float(seconds) + float(microseconds) / 1e6


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
