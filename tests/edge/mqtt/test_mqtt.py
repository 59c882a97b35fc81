"""MQTT with a real broker: verdicts out, birth and will, triggers in."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from edge.connections import selectors
from edge.connections.kinds import Figures, SettingInvalid, Target
from edge.connections.services import create_connection
from edge.deliveries.documents import message_of
from edge.models import Connection, Passage
from edge.mqtt.kind import MQTT
from edge.mqtt.sender import MqttSender
from edge.mqtt.source import MqttSource, read_trigger
from edge.mqtt.topics import level, station_of
from edge.passages.messages import read_passages
from edge.passages.services import PassageRejected
from edge.triggers.services import TriggerRejected
from inspection.models import Inspection
from jobs.outbox import NotSent
from records.models import AuditEvent
from tests import parts
from tests.edge.brokers import Listener, running_broker
from tests.edge.line import deliveries, inspected
from tests.edge.other_side import Other
from tests.environment import ROOT
from tests.stack.conftest import wait_for


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_broker() as found:
        yield found


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.EDGE_PRIVATE_HOSTS = ["127.0.0.1"]


def connect(port: int, **settings: Any) -> Connection:
    # A session of its own: the broker keeps what was not answered, and connections of other tests have the same number.
    asked = {"host": "127.0.0.1", "port": port, "timeout_s": 5, "client_id": uuid.uuid4().hex, **settings}
    return create_connection(name="PLC 1/a", kind="mqtt", settings=asked, actor=None)


def target(connection: Connection) -> Target:
    return selectors.target_of(selectors.find_connection(connection.pk))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_station_is_one_level_of_a_topic(station: str):
    assert not set("/+#\0") & set(level(station))
    assert station_of(level(station)) == ("" if station == "-" else station)


@pytest.mark.parametrize("prefix", ["a/#", "a/+/b", "/a", "a/", "$SYS"])
def test_a_prefix_with_wildcards_is_refused(prefix: str):
    with pytest.raises(SettingInvalid):
        MQTT.clean({"host": "broker", "topic_prefix": prefix})


@pytest.mark.django_db
@pytest.mark.usefixtures("worker", "deployment")
def test_verdicts_are_published_and_the_last_one_retained(port: int):
    connection = connect(port, topic_prefix="out")
    for number in range(2):
        inspected(number, defective=number == 1, station="line 3/b", serial_number=str(number))
    listener = Listener(port, "out/#")
    sender = MqttSender(target(connection))
    sender.open()
    for delivery in deliveries(connection):
        sender.send(message_of(delivery, target(connection), now=timezone.now()))
    messages = listener.wait_for(3)
    assert [message.topic for message in messages] == [
        *("out/connections/PLC 1%2Fa", "out/line 3%2Fb/verdict", "out/line 3%2Fb/verdict"),
    ]
    assert [json.loads(message.payload)["verdict"] for message in messages[1:]] == ["good", "defective"]
    assert json.loads(messages[0].payload)["state"] == "online"
    sender.tick()
    sender.close()
    assert json.loads(listener.wait_for(4)[3].payload)["state"] == "offline"
    listener.close()
    late = Listener(port, "out/+/verdict")
    found = late.wait_for(1)
    assert {(message.retain, json.loads(message.payload)["serial_number"]) for message in found} == {(True, "1")}
    late.close()


@pytest.mark.django_db
@pytest.mark.usefixtures("worker", "deployment")
def test_version_5_is_spoken_too(tmp_path: Path):
    """With the broker that keeps what it acknowledges: amqtt speaks 3.1.1 alone."""
    broker = Other("tests.edge.durable_broker", tmp_path / "taken")
    try:
        connection = connect(broker.port, version="5", topic_prefix="out")
        inspected(serial_number="S5")
        sender = MqttSender(target(connection))
        wait_for(lambda: _opens(sender), 20)
        [delivery] = deliveries(connection)
        sender.send(message_of(delivery, target(connection), now=timezone.now()))
        sender.close()
        assert [document["serial_number"] for document in broker.documents()] == ["S5"]
    finally:
        broker.kill()


def _opens(sender: MqttSender) -> bool:
    try:
        sender.open()
    except NotSent:  # it is not there yet
        return False
    return True


@pytest.mark.django_db
def test_who_dies_without_a_word_is_offline(port: int):
    sender = MqttSender(target(connect(port, topic_prefix="will")))
    sender.open()
    listener = Listener(port, "will/connections/+")
    assert json.loads(listener.wait_for(1)[0].payload)["state"] == "online"
    client = sender._client
    assert client is not None
    sock = client.paho.socket()
    assert sock is not None
    sock.close()
    wait_for(lambda: json.loads(listener.messages[-1].payload)["state"] == "offline", 60)
    listener.close()
    client.close()


@pytest.mark.django_db
def test_a_broker_that_is_away_or_private_is_not_reached(settings: Any):
    connection = connect(1)
    with pytest.raises(NotSent, match="does not answer"):
        MqttSender(target(connection)).open()
    settings.EDGE_PRIVATE_HOSTS = []
    with pytest.raises(NotSent, match="EDGE_PRIVATE_HOSTS"):
        MqttSender(target(connection)).open()


# ---------------------------------------------------------------- triggers
PNG = parts.png(3)


def encoded(**fields: Any) -> bytes:
    return json.dumps({"trigger_id": "t1", "image_base64": base64.b64encode(PNG).decode()} | fields).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"[]",
        b"{}",
        encoded(trigger_id=""),
        encoded(trigger_id="x" * 101),
        encoded(trigger_id=7),
        encoded(lot="\0"),
        encoded(image_base64="$"),
        encoded(image_base64=5),
    ],
)
def test_what_is_no_trigger_is_rejected(payload: bytes):
    with pytest.raises(TriggerRejected):
        read_trigger("p/east/trigger", payload, {}, received=0.0)


def test_an_image_alone_is_a_trigger_too():
    trigger = read_trigger("p/east/trigger/id%201", PNG, {"lot": "7"}, received=0.0)
    assert (trigger.trigger_id, trigger.part.station, trigger.part.lot, trigger.data) == ("id 1", "east", "7", PNG)


class Running:
    """The source of a connection, in a thread."""

    def __init__(self, connection: Connection) -> None:
        self.figures, self.stop = Figures(), threading.Event()
        self.source = MqttSource(target(connection), self.figures)
        self.thread = threading.Thread(target=self.source.run, args=(self.stop,))
        self.thread.start()
        time.sleep(0.5)

    def end(self) -> None:
        self.stop.set()
        self.thread.join()
        self.source.close()


@pytest.mark.usefixtures("shared_database", "worker", "deployment")
def test_triggers_are_judged_and_answered(port: int, settings: Any, tmp_path: Path):
    settings.EDGE_TRIGGER_ROOTS = (tmp_path,)
    (tmp_path / "part.png").write_bytes(parts.png(4))
    connection = connect(port, topic_prefix="in", triggers=True)
    replies = Listener(port, "in/+/reply")
    running = Running(connection)
    try:
        asked = [
            ("in/east/trigger", encoded(lot="7", serial_number="S1")),
            ("in/east/trigger", encoded(lot="7", serial_number="S1")),
            ("in/east/trigger/t2", parts.png(5, defective=True)),
            ("in/east/trigger", json.dumps({"trigger_id": "t3", "path": "part.png"}).encode()),
            ("in/east/trigger", json.dumps({"trigger_id": "t4", "path": "../part.png"}).encode()),
            ("in/east/trigger/t5", b"no image"),
            ("in/east/trigger", b"no JSON"),
        ]
        for topic, payload in asked:
            replies.client.publish(topic, payload, 1).wait_for_publish(10)
        answers = [json.loads(message.payload) for message in replies.wait_for(len(asked))]
    finally:
        running.end()
        replies.close()
    schema = json.loads((ROOT / "docs" / "schemas" / "reply-1.json").read_text())
    for answer in answers:
        jsonschema.validate(answer, schema)
    assert [answer["verdict"] for answer in answers] == [
        *("good", "good", "defective", "good", "no_verdict", "no_verdict", "no_verdict"),
    ]
    assert [answer["repeated"] for answer in answers[:2]] == [False, True]
    assert [answer["code"] for answer in answers[4:]] == ["invalid_trigger", "not_an_image", "invalid_trigger"]
    assert all(answer["station"] == "east" for answer in answers)
    record = Inspection.objects.get(pk=answers[0]["inspection_id"])
    assert (record.lot, record.serial_number, record.station, record.source) == ("7", "S1", "east", "edge")
    assert Inspection.objects.count() == 3
    assert AuditEvent.objects.filter(kind="image.refused").count() == 3
    assert running.figures.as_dict() == {"triggers": 6, "triggers_refused": 3, "triggers_repeated": 1}


# ---------------------------------------------------------------- passages
@pytest.mark.django_db(transaction=True)
def test_passages_are_written(port: int):
    """One or several in a message, in their order; what is none is counted, and holds nothing up."""
    connection = connect(port, topic_prefix="passing", passages=True)
    sender = Listener(port, "passing/nothing")
    running = Running(connection)
    try:
        for payload in (
            b'{"counter": 1, "serial_number": "S1"}',
            b"no JSON",
            b'{"counter": "2"}',
            b'[{"counter": 2}, {"counter": 5, "passed_at": null}]',
            b'{"counter": 5}',
            b'{"serial_number": "S9"}',
        ):
            sender.client.publish("passing/line 3%2Fb/passed", payload, 1).wait_for_publish(10)
        wait_for(lambda: running.figures.as_dict().get("passages") == 4, 20, lambda: str(running.figures.as_dict()))
    finally:
        running.end()
        sender.close()
    rows = Passage.objects.order_by("id").values_list("counter__station", "value", "serial_number")
    station = "line 3/b"
    assert list(rows) == [(station, 1, "S1"), (station, 2, ""), (station, 5, ""), (station, None, "S9")]
    assert running.figures.as_dict() == {"passages": 4, "passages_refused": 2, "passages_unreported": 2}


@pytest.mark.parametrize(
    "payload",
    [
        *(b"\xff", b"[]", b"7", b"[7]", b'{"counter": true}', b'{"counter": 1.5}', b'{"serial_number": 7}'),
        *(b'{"counter": 1, "colour": "red"}', b'{"counter": 1, "passed_at": "now"}', b'{"counter": 1, "passed_at": 5}'),
        *(b'{"counter": 1, "passed_at": "2026-05-04T09:12:44"}', b"[" * 100_000),
    ],
)
def test_what_is_no_passage_is_rejected(payload: bytes):
    with pytest.raises(PassageRejected):
        read_passages(payload)
