"""Errors of the database, told apart by whether time helps."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg2
import pytest
from django.db import IntegrityError, OperationalError

from common.database import LostConnectionErrors, name_lost_connections


@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (psycopg2.DatabaseError("server closed the connection unexpectedly"), OperationalError),
        (psycopg2.OperationalError("the database system is starting up"), OperationalError),
        (psycopg2.IntegrityError("duplicate key"), IntegrityError),
    ],
)
def test_a_server_that_died_under_a_query_is_away_and_a_wrong_query_is_wrong(
    raised: Exception, named: type[Exception]
) -> None:
    connection = SimpleNamespace(Database=psycopg2, vendor="postgresql", errors_occurred=False)
    name_lost_connections(connection)
    with pytest.raises(named, match=str(raised)) as caught, connection.wrap_database_errors:
        raise raised
    assert type(caught.value) is named
    assert connection.errors_occurred == (named is OperationalError), "whether the connection is looked at again"


def test_what_goes_well_raises_nothing() -> None:
    with LostConnectionErrors(SimpleNamespace(Database=psycopg2)):
        pass
