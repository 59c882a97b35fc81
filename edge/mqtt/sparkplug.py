"""Verdicts as Sparkplug B 3.0 beside the JSON objects: an edge node whose devices are the stations.

Sparkplug's data are QoS 0: nobody acknowledges them, and who was away has missed them. What is promised of deliveries
is promised of the JSON topics alone; this is what SCADA systems that speak Sparkplug see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from edge.connections.kinds import Message, Target
from edge.mqtt.client import BrokerClient
from edge.mqtt.payloads import Metric, MetricType, decode_metrics, encode_payload
from edge.mqtt.topics import level
from jobs.outbox import NotSent

NAMESPACE = "spBv1.0"
REBIRTH = "Node Control/Rebirth"
_BIRTH_DEATH = "bdSeq"
_TEXT, _NUMBER, _FLAG, _REAL = MetricType.STRING, MetricType.INT64, MetricType.BOOLEAN, MetricType.DOUBLE
# Of a device, by name: the member of the wire format of docs/line.md, and its type.
METRICS: Mapping[str, tuple[str, MetricType]] = {
    "Verdict": ("verdict", _TEXT),
    "Sequence": ("sequence", _NUMBER),
    "Delivery Id": ("delivery_id", _TEXT),
    "Duplicate": ("duplicate", _FLAG),
    "Late": ("late", _FLAG),
    "Serial Number": ("serial_number", _TEXT),
    "Lot": ("lot", _TEXT),
    "Part Number": ("part_number", _TEXT),
    "Category": ("category", _TEXT),
    "Score": ("score", _REAL),
    "Threshold": ("threshold", _REAL),
    "Inspection Id": ("inspection_id", _TEXT),
}


class SparkplugNode:
    """One session of an edge node, over a connection to the broker of its own: its will is NDEATH.

    The number of births (bdSeq) goes on from the clock, so that it differs after a restart.
    """

    def __init__(self, target: Target) -> None:
        self._group = level(target.settings["sparkplug_group"])
        self._node = level(target.settings["sparkplug_node"] or target.name)
        self._client = BrokerClient(target, suffix="-sparkplug")
        self._births = int(time.time()) % 256
        self._sequence = 0
        self._devices: dict[str, Mapping[str, Any]] = {}  # by station what was said last
        self._lock = threading.Lock()  # the command to be born again comes in paho's thread

    def open(self) -> None:
        """Connect, and be born. Raises `NotSent`."""
        paho = self._client.paho
        paho.will_set(self._topic("NDEATH"), self._death(), qos=1, retain=False)
        paho.on_message = self._on_command
        self._client.connect()
        paho.subscribe(self._topic("NCMD"), qos=1)
        with self._lock:
            self._bear()

    def send(self, message: Message) -> None:
        """The verdict as data of its station's device, which is born with its first one. Raises `NotSent`."""
        self.require_connected()
        with self._lock:
            kind = "DDATA" if message.station in self._devices else "DBIRTH"
            self._devices[message.station] = message.document
            self._publish(self._topic(kind, message.station), _metrics(message.document))

    def require_connected(self) -> None:
        self._client.require_connected()

    def close(self) -> None:
        """A will is for those who die; whoever leaves says so."""
        if self._client.paho.is_connected():
            self._client.paho.publish(self._topic("NDEATH"), self._death(), qos=1).wait_for_publish(1)
        self._client.close()

    def _bear(self) -> None:
        self._sequence = -1
        birth = [Metric(_BIRTH_DEATH, _NUMBER, self._births), Metric(REBIRTH, _FLAG, False)]
        self._publish(self._topic("NBIRTH"), birth)
        for station, document in self._devices.items():
            self._publish(self._topic("DBIRTH", station), _metrics(document))

    def _publish(self, topic: str, metrics: list[Metric]) -> None:
        self._sequence = (self._sequence + 1) % 256
        payload = encode_payload(metrics, at=time.time(), sequence=self._sequence)
        information = self._client.paho.publish(topic, payload, qos=0, retain=False)
        if information.rc:
            raise NotSent("The Sparkplug message did not leave; the connection to the broker was lost.")

    def _on_command(self, client: Any, data: Any, message: Any) -> None:
        """Any host may ask to be told everything again. What is no such command is ignored."""
        try:
            wanted = any(metric.name == REBIRTH and metric.value is True for metric in decode_metrics(message.payload))
        except ValueError:
            wanted = False
        client.ack(message.mid, message.qos)
        if wanted:
            with self._lock, suppress(NotSent):  # who looks after the connection finds it lost
                self._bear()

    def _death(self) -> bytes:
        return encode_payload([Metric(_BIRTH_DEATH, _NUMBER, self._births)], at=time.time(), sequence=None)

    def _topic(self, kind: str, station: str | None = None) -> str:
        device = "" if station is None else f"/{level(station)}"
        return f"{NAMESPACE}/{self._group}/{kind}/{self._node}{device}"


def _metrics(document: Mapping[str, Any]) -> list[Metric]:
    return [Metric(name, kind, document[member]) for name, (member, kind) in METRICS.items()]
