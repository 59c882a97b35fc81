"""Sparkplug B beside the JSON objects, with a real broker; payloads are read here by the wire format alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from edge.connections import selectors
from edge.connections.kinds import Target
from edge.connections.services import create_connection
from edge.deliveries.documents import message_of
from edge.models import Connection
from edge.mqtt.payloads import Metric, MetricType, decode_metrics, encode_payload
from edge.mqtt.sender import MqttSender
from edge.mqtt.sparkplug import METRICS, REBIRTH, SparkplugNode
from jobs.outbox import NotSent
from tests.edge.brokers import Listener, running_broker
from tests.edge.line import deliveries, inspected
from tests.stack.conftest import wait_for

# By number of the field of a metric, from sparkplug_b.proto of Eclipse Tahu.
_NAME, _NULL, _LONG, _DOUBLE, _BOOLEAN, _STRING = 1, 7, 11, 13, 14, 15


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protocol buffer: an integer, 8 bytes, or bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        size = 8 if tag & 7 == 1 else varint()
        yield tag >> 3, data[at : at + size]
        at += size


def read(data: bytes | bytearray) -> tuple[int | None, dict[str, Any]]:
    """The sequence number, and the metrics by name."""
    sequence, metrics = None, {}
    for number, value in fields(bytes(data)):
        if number == 3:
            sequence = value
        if number == 2:
            row = dict(fields(value))
            value = None
            if _LONG in row:
                value = row[_LONG]
            elif _DOUBLE in row:
                [value] = struct.unpack("<d", row[_DOUBLE])
            elif _BOOLEAN in row:
                value = bool(row[_BOOLEAN])
            elif _STRING in row:
                value = row[_STRING].decode()
            assert (value is None) == (row.get(_NULL) == 1)
            metrics[row[_NAME].decode()] = value
    return sequence, metrics


_VALUES: dict[MetricType, st.SearchStrategy[Any]] = {
    MetricType.INT64: st.integers(0, 2**63 - 1),
    MetricType.DOUBLE: st.floats(allow_nan=False),
    MetricType.BOOLEAN: st.booleans(),
    MetricType.STRING: st.text(st.characters(exclude_categories=["Cs"])),
}


@given(st.data(), st.integers(0, 255))
def test_payloads_are_read_as_they_were_meant(data: st.DataObject, sequence: int):
    metrics = [
        Metric(f"metric {kind.name}", kind, data.draw(st.one_of(st.none(), values))) for kind, values in _VALUES.items()
    ]
    payload = encode_payload(metrics, at=1_800_000_000.5, sequence=sequence)
    assert read(payload) == (sequence, {metric.name: metric.value for metric in metrics})
    assert decode_metrics(payload) == [metric for metric in metrics if metric.value is not None]


@given(st.binary(max_size=60))
def test_what_is_no_payload_is_none(data: bytes):
    try:
        found = decode_metrics(data)
    except ValueError:
        return
    assert all(isinstance(metric, Metric) for metric in found)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_broker() as found:
        yield found


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.EDGE_PRIVATE_HOSTS = ["127.0.0.1"]


def connect(port: int, group: str) -> Connection:
    asked = {"host": "127.0.0.1", "port": port, "sparkplug_group": group, "topic_prefix": group}
    return create_connection(name="PLC 1", kind="mqtt", settings=asked, actor=None)


def target(connection: Connection) -> Target:
    return selectors.target_of(selectors.find_connection(connection.pk))


def opened(connection: Connection) -> MqttSender:
    sender = MqttSender(target(connection), SparkplugNode(target(connection)))
    sender.open()
    return sender


@pytest.mark.django_db
@pytest.mark.usefixtures("worker", "deployment")
def test_stations_are_devices_that_are_born_with_their_first_verdict(port: int):
    connection = connect(port, "plant")
    inspected(1, station="east", serial_number="S1")
    inspected(2, station="east", serial_number="S2", defective=True)
    host = Listener(port, "spBv1.0/plant/#")
    sender = opened(connection)
    sent = [message_of(delivery, target(connection), now=timezone.now()) for delivery in deliveries(connection)]
    for message in sent:
        sender.send(message)
    sender.tick()
    messages = host.wait_for(3)
    assert [message.topic for message in messages] == [
        *("spBv1.0/plant/NBIRTH/PLC 1", "spBv1.0/plant/DBIRTH/PLC 1/east", "spBv1.0/plant/DDATA/PLC 1/east"),
    ]
    assert not any(message.retain for message in messages)
    [(first, node), (second, born), (third, data)] = [read(message.payload) for message in messages]
    assert (first, second, third) == (0, 1, 2)
    assert node[REBIRTH] is False
    assert (born["Verdict"], data["Verdict"], data["Serial Number"]) == ("good", "defective", "S2")
    assert data == {name: sent[1].document[member] for name, (member, _) in METRICS.items()}
    # A host that came late asks for everything again.
    command = encode_payload([Metric(REBIRTH, MetricType.BOOLEAN, True)], at=1.0, sequence=None)
    host.client.publish("spBv1.0/plant/NCMD/PLC 1", b"\xff no payload", 1).wait_for_publish(10)
    host.client.publish("spBv1.0/plant/NCMD/PLC 1", command, 1).wait_for_publish(10)
    again = [message for message in host.wait_for(7) if "NCMD" not in message.topic][3:]
    assert [message.topic.split("/")[2] for message in again] == ["NBIRTH", "DBIRTH"]
    assert [read(message.payload)[0] for message in again] == [0, 1]
    assert read(again[1].payload)[1] == data
    sender.close()
    [death] = host.wait_for(8)[7:]
    assert death.topic == "spBv1.0/plant/NDEATH/PLC 1"
    assert read(death.payload) == (None, {"bdSeq": node["bdSeq"]})
    host.close()


@pytest.mark.django_db
def test_who_dies_without_a_word_is_dead_by_its_will(port: int):
    sender = opened(connect(port, "will"))
    host = Listener(port, "spBv1.0/will/NDEATH/#")
    node = sender._sparkplug
    assert node is not None
    sock = node._client.paho.socket()
    assert sock is not None
    sock.close()
    wait_for(lambda: bool(host.messages), 60)
    with pytest.raises(NotSent):
        sender.tick()
    host.close()
    sender.close()
