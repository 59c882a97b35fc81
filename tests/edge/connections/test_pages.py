"""The pages of connections: what they show, who may change what, and that no secret comes back."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from edge.connections.services import set_secret
from edge.deliveries.queue import begin, busy_lanes, finish, next_in
from edge.models import Connection, ConnectionStatus
from jobs.outbox import NotDelivered, Refused
from tests.edge.line import SECRET, inspected, webhook

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_connection_is_made_changed_and_disabled(signed_in: Client, operator: User):
    assert "No connection yet." in text(signed_in, "/connections/")
    assert "Connections to the line" in text(signed_in, "/monitoring/")
    asked = {
        "name": "MES",
        "line_time_ms": "1500",
        "is_enabled": "on",
        "setting_url": "https://mes.example/verdicts",
        "setting_timeout_s": "5",
        "secret_signing_secret": SECRET,
    }
    page = "/connections/new/?kind=webhook"
    assert "Signing secret" in text(signed_in, page)
    assert signed_in.post(page, asked | {"secret_signing_secret": "short"}).status_code == 422
    assert signed_in.post(page, asked | {"setting_url": "ftp://mes.example"}).status_code == 400
    other = Client()
    other.force_login(operator)
    assert other.post(page, asked).status_code == 403
    assert other.get(page).status_code == 403
    made = signed_in.post(page, asked)
    connection = Connection.objects.get()
    assert made["Location"] == f"/connections/{connection.pk}/"
    assert signed_in.post(page, asked).status_code == 409
    shown = text(signed_in, made["Location"])
    assert "after 1,500 ms" in shown
    assert "No process keeps this connection." in shown
    assert SECRET not in shown
    assert "Set a secret" not in text(other, made["Location"])
    changed = asked | {"name": "MES 2", "setting_url": "https://mes.example/2"}
    assert other.post(made["Location"], changed).status_code == 403
    assert signed_in.post(made["Location"], changed | {"setting_timeout_s": "x"}).status_code == 422
    assert signed_in.post(made["Location"], changed).status_code == 302
    del changed["is_enabled"]
    assert signed_in.post(made["Location"], changed).status_code == 302
    assert "disabled" in text(signed_in, "/connections/")
    connection.refresh_from_db()
    assert (connection.name, connection.is_enabled, connection.revision) == ("MES 2", False, 3)


def test_a_secret_is_set_and_old_ones_ended(signed_in: Client):
    connection = webhook()
    page = f"/connections/{connection.pk}/"
    assert signed_in.post(f"{page}secret", {"name": "signing_secret", "value": "short"}).status_code == 400
    assert signed_in.post(f"{page}secret", {"name": "signing_secret", "value": f"{SECRET}2"}).status_code == 302
    assert "an older one, until" in text(signed_in, page)
    assert "End it now" in text(signed_in, page)
    assert signed_in.post(f"{page}end-secrets", {"name": "signing_secret"}).status_code == 302
    assert "an older one, until" not in text(signed_in, page)


def test_dead_letters_are_shown_and_sent_again(signed_in: Client, user: User, operator: User):
    connection = webhook()
    set_secret(connection=connection, name="signing_secret", value=f"{SECRET}2", actor=user)
    for number in range(4):
        inspected(number, station="east", serial_number=f"S{number}")
    [lane] = busy_lanes(connection.pk)
    for delivery, error in zip(
        next_in(lane), (None, Refused("gone"), Refused("gone"), NotDelivered("503")), strict=True
    ):
        assert begin(delivery)
        finish(delivery, error)
    ConnectionStatus.objects.create(
        connection=connection,
        state="open",
        since=timezone.now(),
        seen_at=timezone.now(),
        error="The receiver answered 410.",
        error_at=timezone.now(),
        figures={"triggers": 7},
    )
    listed = text(signed_in, "/connections/")
    assert '<strong class="bad">2</strong>' in listed
    page = f"/connections/{connection.pk}/"
    shown = text(signed_in, page)
    for expected in ("Send all of them again", "gone", "S3", "delivered after", "Triggers", "answered 410"):
        assert expected in shown, expected
    letters = list(lane.deliveries.filter(status="failed"))
    reader = Client()
    reader.force_login(operator)
    assert "Send again" not in text(reader, page)
    assert reader.post(f"{page}resend").status_code == 403
    assert signed_in.post(f"{page}resend", {"delivery": "nothing"}).status_code == 404
    assert signed_in.post(f"{page}resend", {"delivery": str(letters[0].pk)}).status_code == 302
    assert signed_in.post(f"{page}resend", {"delivery": str(letters[0].pk)}).status_code == 409
    assert signed_in.post(f"{page}resend").status_code == 302
    assert not lane.deliveries.filter(status="failed").exists()


def test_what_is_not_there(signed_in: Client):
    assert signed_in.get("/connections/99/").status_code == 404
    assert signed_in.get("/connections/new/?kind=nothing").status_code == 404
