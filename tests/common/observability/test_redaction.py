"""Secrets by name, by form and by value; what is no secret stays readable."""

from __future__ import annotations

from typing import Any

import pytest

from common.observability import redaction
from common.observability.redaction import HIDDEN, redact, redact_address

SECRET = "hunter2-Very_Secret"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"Password: {SECRET}",
        f"new_password1={SECRET}&x=1",
        f'{{"password": "{SECRET}"}}',
        f"{{'api_key': '{SECRET}', 'a': 1}}",
        f'{{\\"client_secret\\": \\"{SECRET}\\"}}',
        f"<QueryDict: {{'password': ['{SECRET}', 'b']}}>",
        f"Authorization: Bearer {SECRET}",
        f"Authorization: Token {SECRET}",
        f"Proxy-Authorization: Basic {SECRET}",
        f"headers={{'Authorization': 'Bearer {SECRET}'}}",
        f"sent Bearer {SECRET} to it",
        f"Cookie: sessionid={SECRET}; csrftoken={SECRET}",
        f"Set-Cookie: sessionid={SECRET}; HttpOnly",
        f"X-CSRFToken: {SECRET}",
        f"csrfmiddlewaretoken={SECRET}",
        f"X-Signature: {SECRET}",
        f"AUDIT_SIGNING_KEY={SECRET}",
        f"aws_secret_access_key = {SECRET}",
        f"postgresql://mvtec:{SECRET}@database:5432/mvtec",
        f"redis://:{SECRET}@redis:6379/0",
        f"the token mvt_{SECRET} was sent",
        f'Content-Disposition: form-data; name="password"\r\n\r\n{SECRET}\r\n--x',
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"pbkdf2_sha256$1000000${SECRET}$abc=",
        f"password%3D{SECRET}",
    ],
)
def test_it_is_hidden(text: str) -> None:
    assert SECRET not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Inspection 67358c99-9052-4e0b-92b8-98400b36614c of request 1 is recorded.",
        "POST /api/test_image HTTP/1.1 200",
        "Task inspection.tasks.judge[1] succeeded in 0.15 s",
        "http://127.0.0.1:8000/line?station=3&lot=7",
        "broker -> redis+socket:///tmp/x/broker/valkey.sock",
        "Wrong password of user olga from 10.0.0.7.",
        "threshold=0.5, key: value, tokens were counted",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("name", ["token", "pass%77ord", "api_key", "X-Signature", "session%5Fid"])
def test_the_query_of_an_address_is_hidden_however_its_name_is_written(name: str) -> None:
    shown = redact_address(f"/history/?lot=7&{name}={SECRET}&page=2")
    assert SECRET not in shown
    assert shown.startswith("/history/?lot=7&")
    assert shown.endswith("&page=2")


def test_the_installations_own_secrets_are_hidden_wherever_they_stand(settings: Any, monkeypatch: Any) -> None:
    from mvtec_site.env import Environment

    env = Environment({"DATABASE_URL": f"postgresql://a:{SECRET}@db/x", "METRICS_TOKEN": "another-secret-of-16"})
    env.text("DATABASE_URL", "", "", secret=True)
    env.text("METRICS_TOKEN", "", "", secret=True)
    settings.ENV = env
    settings.SECRET_KEY = "the-key-of-this-installation"
    redaction._own_secrets.cache_clear()
    try:
        shown = redact(f"x {SECRET} y another-secret-of-16 z the-key-of-this-installation")
    finally:
        redaction._own_secrets.cache_clear()
    assert shown == f"x {HIDDEN} y {HIDDEN} z {HIDDEN}"


def test_a_long_line_is_read_once() -> None:
    """Nothing in a line makes the reading of it explode."""
    hostile = "password" * 5000 + '"' * 5000 + "=[" * 5000 + "\\" * 5000
    assert redact(hostile)
