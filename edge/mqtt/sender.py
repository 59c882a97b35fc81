"""Publishes verdicts with QoS 1, retained: whoever subscribes sees the last one of each station."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from edge.connections.kinds import Message, Sender, Target
from edge.mqtt.client import BrokerClient
from edge.mqtt.topics import state_topic, verdict_topic
from jobs.outbox import NotDelivered, NotSent

if TYPE_CHECKING:
    from edge.mqtt.sparkplug import SparkplugNode

QOS = 1


class MqttSender(Sender):
    """A session of its own for each opening: what was not acknowledged is sent by the next one, as a duplicate."""

    def __init__(self, target: Target, sparkplug: SparkplugNode | None = None) -> None:
        self._target = target
        self._sparkplug = sparkplug
        self._prefix: str = target.settings["topic_prefix"]
        self._timeout: float = target.settings["timeout_s"]
        self._client: BrokerClient | None = None

    def open(self) -> None:
        client = BrokerClient(self._target)
        client.paho.will_set(self._state_topic, self._state("offline"), qos=QOS, retain=True)
        client.connect()
        self._client = client
        if self._sparkplug is not None:
            self._sparkplug.open()
        self._publish(self._state_topic, self._state("online"))

    def send(self, message: Message) -> None:
        topic = verdict_topic(self._prefix, message.station)
        if self._sparkplug is not None:
            self._sparkplug.require_connected()
        self._publish(topic, json.dumps(message.document, separators=(",", ":"), ensure_ascii=False).encode())
        if self._sparkplug is not None:
            self._send_by_sparkplug(self._sparkplug, message)

    def _send_by_sparkplug(self, sparkplug: SparkplugNode, message: Message) -> None:
        try:
            sparkplug.send(message)
        except NotSent as error:  # the object has left: sent again, it is a duplicate
            raise NotDelivered(str(error)) from error

    def tick(self) -> None:
        if self._client is not None:
            self._client.require_connected()
        if self._sparkplug is not None:
            self._sparkplug.require_connected()

    def close(self) -> None:
        if self._sparkplug is not None:
            self._sparkplug.close()
        if self._client is None:
            return
        if self._client.paho.is_connected():
            # A will is for those who die; whoever leaves says so.
            self._client.paho.publish(self._state_topic, self._state("offline"), qos=QOS, retain=True).wait_for_publish(
                1
            )
        self._client.close()
        self._client = None

    def _publish(self, topic: str, payload: bytes) -> None:
        """Returns when the broker has acknowledged it."""
        client = self._client
        if client is None:
            raise NotSent("The connection to the broker is not open.")
        client.require_connected()
        information = client.paho.publish(topic, payload, qos=QOS, retain=True)
        end = time.monotonic() + self._timeout
        while not information.is_published():
            if client.lost.wait(0.0) or time.monotonic() > end:
                break
            _wait(information, 0.05)
        if not information.is_published():
            why = "was lost before" if client.lost.is_set() else f"did not within {self._timeout:g} seconds"
            raise NotDelivered(f"The broker should have acknowledged it; the connection {why}.")

    @property
    def _state_topic(self) -> str:
        return state_topic(self._prefix, self._target.name)

    def _state(self, state: str) -> bytes:
        return json.dumps({"schema": "connection/1", "connection": self._target.name, "state": state}).encode()


def _wait(information: Any, seconds: float) -> None:
    try:
        information.wait_for_publish(seconds)
    except (RuntimeError, ValueError) as error:  # paho's word for a message that left nowhere
        raise NotSent(f"The message did not leave ({error}).") from error
