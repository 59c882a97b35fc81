"""The audit chain: one event after another, and nobody can change the past unnoticed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from records.chain import GENESIS
from records.context import acting
from records.models import AuditEvent
from records.selectors import verify_chain
from records.services import audit
from tests.triggers import without_triggers

pytestmark = pytest.mark.django_db


def write(count: int, actor: User | None = None) -> None:
    for number in range(count):
        with transaction.atomic():
            audit(kind="test.done", subject=("test", str(number)), actor=actor, after={"n": number, "x": 0.1})


def test_events_form_a_chain(user: User) -> None:
    with acting("api", request_id="r-1", address="10.0.0.1"):
        write(3, user)
    first, second, third = AuditEvent.objects.order_by("sequence")
    assert (first.sequence, second.sequence, third.sequence) == (1, 2, 3)
    assert first.previous_hash == GENESIS
    assert second.previous_hash == first.hash
    assert (second.source, second.request_id, second.address, second.actor_name) == ("api", "r-1", "10.0.0.1", "olga")
    report = verify_chain()
    assert (report.events, report.head, report.broken_at) == (3, third.hash, None)


def test_an_event_outside_of_a_transaction_is_refused_by_design() -> None:
    connection_was = connection.in_atomic_block
    connection.in_atomic_block = False
    try:
        with pytest.raises(RuntimeError, match="transaction"):
            audit(kind="x", subject=("x", ""), actor=None)
    finally:
        connection.in_atomic_block = connection_was


@pytest.mark.parametrize(
    "statement", ["UPDATE records_auditevent SET kind = 'other'", "DELETE FROM records_auditevent"]
)
def test_the_database_refuses_changes(statement: str) -> None:
    write(2)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert verify_chain().events == 2


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        ("UPDATE records_auditevent SET after = '{}' WHERE sequence = 3", 3),
        ("UPDATE records_auditevent SET actor_name = 'nobody' WHERE sequence = 2", 2),
        ("DELETE FROM records_auditevent WHERE sequence = 4", 4),
    ],
)
def test_what_is_changed_behind_the_application_is_found(change: str, broken_at: int) -> None:
    write(5)
    with without_triggers("records_auditevent"), connection.cursor() as cursor:
        cursor.execute(change)
    assert verify_chain().broken_at == broken_at


def test_an_inserted_event_is_found() -> None:
    write(3)
    last = AuditEvent.objects.get(sequence=3)
    forged = AuditEvent(
        sequence=4, at=last.at, actor_name="x", kind="x", object_type="x", object_id="", before="null", after="null",
        source="web", request_id="", address="", previous_hash=last.previous_hash[::-1],
    )  # fmt: skip
    forged.hash = forged.computed_hash()
    forged.save(force_insert=True)
    assert verify_chain().broken_at == 4


def test_reading_an_event_back_changes_nothing_of_its_hash() -> None:
    with transaction.atomic():
        audit(
            kind="x", subject=("x", "1"), actor=None, after={"float": 1e22, "small": 1e-7, "text": "Größe", "one": 1.0}
        )
    event = AuditEvent.objects.get()
    assert event.computed_hash() == event.hash
