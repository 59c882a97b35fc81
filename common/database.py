"""What is said of the database in one place: its clock, and that it does not answer."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.utils import DatabaseErrorWrapper
from django.utils import timezone

# Locked for too long, full, gone, or restarted: not a defect of ours, and over some time.
UNAVAILABLE = (OperationalError, InterfaceError)


def database_now() -> datetime:
    """The time by the clock that all processes share: that of the database server, on SQLite that of this machine."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    return now


class LostConnectionErrors(DatabaseErrorWrapper):
    """As Django's, but a server that died under a query is an `OperationalError`, as one that died before it is.

    psycopg2 has no class for it: it raises its `DatabaseError` itself, which every wrong query is one of, too.
    """

    def __exit__(self, *raised: Any) -> None:
        try:
            super().__exit__(*raised)
        except DatabaseError as error:
            if type(error) is DatabaseError:
                raise OperationalError(*error.args) from error
            raise


def name_lost_connections(connection: Any, **_: Any) -> None:
    """Called with each connection to a database once it is made."""
    if connection.vendor == "postgresql":
        connection.wrap_database_errors = LostConnectionErrors(connection)


def drop_broken_connection() -> None:
    """After an error: the next query gets a connection that works. Inside a transaction nothing is done."""
    if not connection.in_atomic_block:
        with contextlib.suppress(DatabaseError):
            connection.close_if_unusable_or_obsolete()
