"""Messages: signed, sent to where they may go and nowhere else, tried again later, given up in the end."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from common.web import outgoing
from jobs import outbox
from modelzoo.services import ensure_category
from monitoring.alarms import services, webhook, worker
from monitoring.models import Alarm, AlarmMessage

SECRET = "a secret of sixteen characters"


def opened() -> Alarm:
    return services.open_alarm(
        kind="drift", category=ensure_category(name="disc"), station="4", sentence="Out of control: focus.", details={}
    )


def due() -> None:
    AlarmMessage.objects.update(due_at=timezone.now() - timedelta(seconds=1))


# ---------------------------------------------------------------- where they may go
@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://user:password@example.com/",
        "https://example.com:99999/",
        "https:///nothing",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.0.0.8/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://100.64.0.1/",
    ],
)
def test_addresses_inside_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", never)
    with pytest.raises(webhook.WebhookRefused):
        webhook.post(url, body=b"{}", headers={})


def test_one_inner_address_among_others_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", ("93.184.216.34", 443)), (0, 0, 0, "", ("10.1.2.3", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(outgoing.AddressRefused, match=r"10\.1\.2\.3"):
        outgoing.checked_address("rebinding.example", 443, private_hosts=[], setting="HOSTS")
    for allowed in ("rebinding.example", "10.1.0.0/16", "10.1.2.3"):
        address = outgoing.checked_address("rebinding.example", 443, private_hosts=[allowed], setting="HOSTS")
        assert address == "93.184.216.34"


def test_a_host_of_the_cloud_is_refused_even_where_private_ones_are_allowed() -> None:
    with pytest.raises(outgoing.AddressRefused):
        outgoing.checked_address("169.254.169.254", 443, private_hosts=["169.254.169.254"], setting="HOSTS")


# ---------------------------------------------------------------- a receiver
class Receiver(http.server.BaseHTTPRequestHandler):
    answers: list[int] = []
    requests: list[tuple[str, dict[str, str], bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, dict(self.headers), body))
        status = self.answers.pop(0) if self.answers else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "https://localhost/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[type[Receiver]]:
    """One with TLS at https://localhost, which this installation was told of."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                str(key),
                "-out",
                str(certificate),
            ),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    Receiver.answers, Receiver.requests = [], []
    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    settings.ALARM_WEBHOOKS = [f"https://localhost:{server.server_address[1]}/hooks?line=4"]
    settings.ALARM_WEBHOOK_SECRET = SECRET
    settings.ALARM_WEBHOOK_PRIVATE_HOSTS = ["localhost"]
    yield Receiver
    server.shutdown()
    server.server_close()


@pytest.mark.django_db
def test_a_webhook_is_signed(receiver: type[Receiver]) -> None:
    alarm = opened()
    assert worker.send_due_messages() == 1
    [(path, headers, body)] = receiver.requests
    assert path == "/hooks?line=4"
    expected = hmac.new(SECRET.encode(), headers["X-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Signature"] == f"sha256={expected}"
    document = json.loads(body)
    assert (document["event"], document["id"], document["station"]) == ("alarm.opened", alarm.pk, "4")
    assert worker.send_due_messages() == 0


@pytest.mark.django_db
def test_what_is_not_taken_is_tried_again_later_and_later(receiver: type[Receiver]) -> None:
    receiver.answers = [500, 302, 200]
    opened()
    waits = []
    for _ in range(2):
        assert worker.send_due_messages() == 0
        message = AlarmMessage.objects.get()
        assert message.status == "waiting"
        waits.append((message.due_at - timezone.now()).total_seconds())
        assert worker.send_due_messages() == 0
        due()
    assert waits == [pytest.approx(30, abs=5), pytest.approx(60, abs=5)]
    assert worker.send_due_messages() == 1
    ids = {headers["X-Message-Id"] for _, headers, _ in receiver.requests}
    assert len(receiver.requests) == 3  # the redirect was not followed
    assert len(ids) == 1


@pytest.mark.django_db
def test_in_the_end_it_is_given_up_with_the_reason(receiver: type[Receiver]) -> None:
    receiver.answers = [503] * 20
    opened()
    for _ in range(outbox.MAX_ATTEMPTS):
        due()
        assert worker.send_due_messages() == 0
    message = AlarmMessage.objects.get()
    assert (message.status, message.error) == ("failed", "The receiver answered 503.")
    due()
    worker.send_due_messages()
    assert len(receiver.requests) == outbox.MAX_ATTEMPTS


@pytest.mark.django_db
def test_a_certificate_that_nobody_trusts_is_refused(receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    usual.load_default_certs()
    monkeypatch.setattr(ssl, "create_default_context", lambda: usual)
    opened()
    assert worker.send_due_messages() == 0
    assert "CERTIFICATE_VERIFY_FAILED" in AlarmMessage.objects.get().error
    assert receiver.requests == []


@pytest.mark.django_db
def test_an_email_says_what_and_where(settings: Any) -> None:
    settings.ALARM_EMAILS, settings.PUBLIC_URL = ["quality@example.com"], "https://inspection.example"
    alarm = opened()
    assert worker.send_due_messages() == 1
    [message] = mail.outbox
    assert message.to == ["quality@example.com"]
    assert message.subject == "[opened] disc, station 4: drift"
    assert f"https://inspection.example/monitoring/alarms/{alarm.pk}/" in message.body


@pytest.mark.django_db
def test_a_message_that_another_worker_has_is_left_alone(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ALARM_EMAILS = ["quality@example.com"]
    opened()
    sent = []

    def send(message: AlarmMessage) -> bool:
        sent.append(message.pk)
        worker_again = worker.send_due_messages()
        assert worker_again == 0
        return True

    monkeypatch.setattr(worker, "_deliver", send)
    assert worker.send_due_messages() == 1
    assert len(sent) == 1
