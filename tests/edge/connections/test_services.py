"""Connections are changed with an event each, which vouches for the row and its secrets and names none of them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from edge.connections import sealing
from edge.connections.selectors import find_connection, target_of
from edge.connections.services import change_connection, create_connection, end_old_secrets, set_secret
from edge.models import Connection, ConnectionSecret
from records.audit.chain.audited_rows import verify_records
from records.models import AuditEvent
from tests.chain import attest_people
from tests.edge.line import SECRET, webhook

pytestmark = pytest.mark.django_db


def test_events_vouch_for_connections_and_their_secrets(user: User):
    attest_people()
    connection = webhook(actor=user)
    change_connection(connection=connection, changes={"station": "east"}, actor=user)
    set_secret(connection=connection, name="signing_secret", value=f"{SECRET}2", actor=user)
    end_old_secrets(connection=connection, name="signing_secret", actor=user)
    assert verify_records()[1] is None
    ConnectionSecret.objects.filter(ends_at__isnull=True).update(sealed=sealing.seal("another one"))
    assert verify_records()[1] is not None


def test_somebody_with_the_database_who_sends_verdicts_elsewhere_is_found(user: User):
    attest_people()
    connection = webhook(actor=user)
    settings = connection.settings | {"url": "https://elsewhere.example/"}
    Connection.objects.filter(pk=connection.pk).update(settings=settings)
    assert verify_records()[1] is not None


def test_what_changes_nothing_writes_nothing(user: User):
    connection = webhook(actor=user)
    changed = change_connection(connection=connection, changes={"name": " mes "}, actor=user)
    assert changed.revision == 1
    assert [event.kind for event in AuditEvent.objects.all()] == ["connection.created"]


def test_who_may_not_and_what_cannot(user: User, operator: User):
    connection = webhook(actor=user)
    with pytest.raises(Forbidden):
        webhook("other", actor=operator)
    with pytest.raises(Forbidden):
        change_connection(connection=connection, changes={"is_enabled": False}, actor=operator)
    with pytest.raises(Forbidden):
        set_secret(connection=connection, name="signing_secret", value=f"{SECRET}2", actor=operator)
    with pytest.raises(UserError):
        change_connection(connection=connection, changes={"kind": "mqtt"}, actor=user)
    with pytest.raises(UserError):
        change_connection(connection=connection, changes={"line_time_ms": 5}, actor=user)
    with pytest.raises(UserError):
        create_connection(name="x", kind="nothing", settings={}, actor=user)
    second = webhook("second", actor=user)
    with pytest.raises(Conflict):
        change_connection(connection=second, changes={"name": "mes"}, actor=user)


def test_both_secrets_hold_until_the_old_one_ends(user: User):
    connection = webhook(actor=user)
    set_secret(connection=connection, name="signing_secret", value=f"{SECRET}2", actor=user)
    assert target_of(find_connection(connection.pk)).secrets == {"signing_secret": (f"{SECRET}2", SECRET)}
    ConnectionSecret.objects.filter(ends_at__isnull=False).update(ends_at=timezone.now())
    assert target_of(find_connection(connection.pk)).secrets == {"signing_secret": (f"{SECRET}2",)}


def test_with_another_key_secrets_cannot_be_read(user: User, settings: object):
    connection = webhook(actor=user)
    settings.SECRET_KEY = "another one"  # type: ignore[attr-defined]
    with pytest.raises(sealing.Unreadable):
        target_of(find_connection(connection.pk))
