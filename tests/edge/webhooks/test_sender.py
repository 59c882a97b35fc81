"""Signed webhooks with a real receiver: what is taken, refused for good, tried again, and where none may go."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edge.connections.kinds import Message, Target
from edge.webhooks.kind import WEBHOOK
from edge.webhooks.sender import WebhookSender
from jobs.outbox import NotDelivered, NotSent, Refused

NEW, OLD = "a new secret of its own", "an old secret of its own"


class Receiver(http.server.BaseHTTPRequestHandler):
    answers: list[int]
    taken: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).taken.append((dict(self.headers), body))
        status = type(self).answers.pop(0)
        if status == 0:
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Location", "https://elsewhere.example/")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[int]:
    settings.EDGE_PRIVATE_HOSTS = ["127.0.0.0/8"]
    Receiver.answers, Receiver.taken = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def sender(port: int, *secrets: str) -> WebhookSender:
    target = Target(
        connection_id=1,
        name="MES",
        kind="webhook",
        station="",
        category="",
        settings=WEBHOOK.clean({"url": f"http://127.0.0.1:{port}/verdicts?line=3", "timeout_s": 2}),
        secrets={"signing_secret": secrets},
        line_time_ms=None,
        revision=1,
    )
    made = WebhookSender(target)
    made.open()
    return made


MESSAGE = Message(
    delivery_id="0b6c7f7e-0000-4000-8000-000000000001",
    station="east",
    category="disc",
    verdict="good",
    sequence=3,
    attempt=2,
    is_duplicate=True,
    is_late=False,
    document={"schema": "verdict/1", "serial_number": "Größe 1"},
)


def test_a_verdict_is_signed_with_each_secret_in_force(receiver: int):
    Receiver.answers = [204]
    sender(receiver, NEW, OLD).send(MESSAGE)
    [(headers, body)] = Receiver.taken
    assert json.loads(body) == MESSAGE.document
    expected = [
        f"sha256={hmac.new(secret.encode(), headers['X-Timestamp'].encode() + b'.' + body, hashlib.sha256).hexdigest()}"
        for secret in (NEW, OLD)
    ]
    assert headers["X-Signature"].split(", ") == expected
    assert (headers["X-Delivery-Id"], headers["X-Attempt"], headers["X-Duplicate"]) == (
        MESSAGE.delivery_id,
        "2",
        "true",
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (401, Refused), (410, Refused), (302, Refused), (429, NotDelivered), (500, NotDelivered)],
)
def test_the_answer_says_whether_it_is_tried_again(receiver: int, status: int, error: type[Exception]):
    Receiver.answers = [status]
    with pytest.raises(error) as raised:
        sender(receiver, NEW).send(MESSAGE)
    assert type(raised.value) is error
    assert len(Receiver.taken) == 1, "redirects are not followed"


def test_a_connection_that_is_lost_before_the_answer_is_unknown(receiver: int):
    Receiver.answers = [0]
    with pytest.raises(NotDelivered) as raised:
        sender(receiver, NEW).send(MESSAGE)
    assert not isinstance(raised.value, NotSent | Refused)


def test_nothing_leaves_where_nobody_is_or_nobody_may_be(receiver: int, settings: Any):
    with pytest.raises(NotSent):
        sender(1, NEW).send(MESSAGE)
    settings.EDGE_PRIVATE_HOSTS = []
    with pytest.raises(NotSent, match="EDGE_PRIVATE_HOSTS"):
        sender(receiver, NEW).send(MESSAGE)
    with pytest.raises(NotSent, match="no signing secret"):
        sender(receiver)
    assert Receiver.taken == []


def test_plain_http_goes_to_private_hosts_alone(settings: Any, monkeypatch: pytest.MonkeyPatch):
    import socket

    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("93.184.216.34", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    settings.EDGE_PRIVATE_HOSTS = []
    made = sender(80, NEW)
    made._target = replace(made._target, settings={**made._target.settings, "url": "http://public.example/"})
    with pytest.raises(NotSent, match="Plain http"):
        made.send(MESSAGE)
