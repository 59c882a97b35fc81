"""A log line as JSON: one line, with the ids in force, and without secrets also in a traceback."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import pytest

from common.observability import ids
from common.observability.ids import current_ids, log_ids
from common.observability.logs import JsonFormatter, LineFormatter

SECRET = "hunter2-Very_Secret"


def record(message: str, *args: object, exc_info: Any = None, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.WARNING, "file.py", 1, message, args, exc_info)
    made.__dict__ |= fields
    return made


def test_one_object_on_one_line_with_the_ids_in_force() -> None:
    with log_ids(request_id="abc"), log_ids(inspection="67358c99", run=7):
        text = JsonFormatter().format(record("Two\nlines of %s", "it", fields={"status": 200}))
    assert "\n" not in text
    line = json.loads(text)
    assert {
        name: line[name] for name in ("level", "logger", "message", "request_id", "inspection", "run", "status")
    } == {
        "level": "WARNING",
        "logger": "a.logger",
        "message": "Two\nlines of it",
        "request_id": "abc",
        "inspection": "67358c99",
        "run": "7",
        "status": 200,
    }
    assert line["time"].endswith("+00:00")
    assert current_ids() == {}


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_an_exception_shows_neither_its_message_nor_its_arguments_secrets(formatter: logging.Formatter) -> None:
    def sign_in(password: str) -> None:
        local = {"token": password}
        raise ValueError(f"cannot sign in with password={password!r} and {local}")

    try:
        sign_in(SECRET)
    except ValueError:
        text = formatter.format(record("It failed for token=%s", SECRET, exc_info=sys.exc_info()))
    assert SECRET not in text
    assert "cannot sign in" in text


@pytest.mark.parametrize(
    "sent", [None, "words", 7, ["request_id"], {"request_id": "a b\nc", "other": "x", "run": None}]
)
def test_ids_of_a_message_are_not_believed_further_than_they_look_like_ids(sent: Any) -> None:
    token = ids.begin(ids._readable(sent))
    try:
        assert current_ids() == {}
    finally:
        ids.end(token)


def test_a_child_process_carries_them_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with log_ids(request_id="abc", run=7):
        environment = ids.in_environment()
    monkeypatch.setattr(os, "environ", environment)
    token = ids.begin({})
    try:
        ids.take_from_environment()
        assert current_ids() == {"request_id": "abc", "run": "7"}
    finally:
        ids.end(token)
