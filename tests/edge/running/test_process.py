"""The process that keeps connections: rows take effect while it runs, one process keeps a connection, threads go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from common.errors import Conflict
from edge.connections import registry
from edge.connections.kinds import Figures, Kind, Message, Sender, Setting, Source, Target
from edge.connections.selectors import health_of
from edge.connections.services import change_connection, create_connection
from edge.models import Connection, ConnectionStatus, Delivery
from edge.running import process as processes
from edge.running.process import Process
from jobs.outbox import NotSent
from tests.edge.line import deliveries, inspected
from tests.stack.conftest import wait_for

pytestmark = [pytest.mark.usefixtures("shared_database"), pytest.mark.sqlite_is_enough]


class Recorder(Sender):
    """A kind of the tests: keeps what it is sent, and is away when told so."""

    sent: list[Message]
    is_away = False

    def __init__(self, target: Target, figures: Figures) -> None:
        self.target, self.figures = target, figures

    def open(self) -> None:
        if type(self).is_away:
            raise NotSent("It is away.")

    def send(self, message: Message) -> None:
        self.open()
        type(self).sent.append(message)
        self.figures.add("sent")


class Counter(Source):
    def __init__(self, figures: Figures) -> None:
        self.figures = figures

    def run(self, stop: threading.Event) -> None:
        self.figures.put("source", "running")
        while not stop.wait(0.05):
            self.note_sign()


RECORDER = Kind(
    name="recorder",
    title="Recorder",
    summary="Of the tests.",
    settings=(Setting("word", "Word", default="none"),),
    make_sender=Recorder,
    make_source=lambda target, figures: Counter(figures) if target.settings["word"] == "source" else None,
)


@pytest.fixture(autouse=True)
def _kind(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    monkeypatch.setitem(registry.KINDS, "recorder", RECORDER)
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.05)
    settings.VAR_DIR = tmp_path
    Recorder.sent, Recorder.is_away = [], False


@pytest.fixture
def running(worker: None, deployment: Any, no_broker: None) -> Iterator[Process]:
    """In a thread of this process. Without a broker: nothing wakes it but its own look at the rows."""
    process = Process()
    thread = threading.Thread(target=process.run)
    thread.start()
    yield process
    process.stop.set()
    thread.join()


def connect(name: str = "PLC", **fields: Any) -> Connection:
    values: dict[str, Any] = {"settings": {}, **fields}
    return create_connection(name=name, kind="recorder", actor=None, **values)


def until(done: Callable[[], Any]) -> None:
    wait_for(done, 60)


def test_rows_take_effect_while_it_runs(running: Process):
    connection = connect()
    inspected(1, station="east")
    until(lambda: len(Recorder.sent) == 1)
    until(lambda: health_of(Connection.objects.get(pk=connection.pk)).state == "open")
    change_connection(connection=connection, changes={"settings": {"word": "source"}}, actor=None)
    until(lambda: ConnectionStatus.objects.get().figures.get("source") == "running")
    assert ConnectionStatus.objects.get().revision == 2
    change_connection(connection=connection, changes={"is_enabled": False}, actor=None)
    until(lambda: running._threads == {} and running._ending == [])
    inspected(2, station="east")
    assert len(Recorder.sent) == 1
    [delivery] = deliveries(connection)
    assert (delivery.status, delivery.attempts) == ("sent", 1)


def test_what_waits_while_the_other_side_is_away_comes_in_order(running: Process):
    Recorder.is_away = True
    connection = connect()
    for number in range(4):
        inspected(number, station="east" if number % 2 else "west")
    until(lambda: health_of(Connection.objects.get(pk=connection.pk)).state == "failing")
    assert Recorder.sent == []
    Recorder.is_away = False
    until(lambda: len(Recorder.sent) == 4)
    for station in ("east", "west"):
        assert [message.sequence for message in Recorder.sent if message.station == station] == [1, 2]
    assert not any(message.is_duplicate for message in Recorder.sent)
    until(lambda: not Delivery.objects.filter(status="waiting").exists())


def test_no_verdict_is_said_when_the_lines_time_is_over(running: Process, monkeypatch: pytest.MonkeyPatch):
    from jobs import broker

    monkeypatch.setattr(broker, "publish", lambda *_: True)  # no worker hears of it
    connect(line_time_ms=100)

    def ask() -> None:
        from common.errors import UserError

        with pytest.raises(UserError):
            inspected(1, station="east")

    asking = threading.Thread(target=ask, daemon=True)
    monkeypatch.setattr("django.conf.settings.ANSWER_TIMEOUT", 5.0)
    asking.start()
    until(lambda: len(Recorder.sent) >= 1)
    assert [message.verdict for message in Recorder.sent] == ["no_verdict"]
    asking.join(60)
    assert Delivery.objects.count() == 1, "the end of the request says nothing new"


def test_two_processes_never_keep_the_same_connection(running: Process, settings: Any, tmp_path: Path):
    connection = connect()
    until(lambda: connection.pk in running._threads)
    with pytest.raises(Conflict):
        Process().run()
    settings.VAR_DIR = tmp_path / "another machine"
    other = Process()
    other._holder = "connections@another"
    thread = threading.Thread(target=other.run)
    thread.start()
    try:
        inspected(1)
        until(lambda: len(Recorder.sent) == 1)
        assert other._threads == {}
        # The first one dies: its lease runs out, and the other takes over.
        running.stop.set()
        ConnectionStatus.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        until(lambda: connection.pk in other._threads)
    finally:
        other.stop.set()
        thread.join()


def test_the_command_says_when_another_one_runs(running: Process):
    connection = connect()
    until(lambda: connection.pk in running._threads)
    from django.core.management import CommandError

    with pytest.raises(CommandError, match="already"):
        call_command("run_connections")
