"""Triggers that come as MQTT messages: an image (bytes, or base64 in JSON), or a path inside an allowed folder. And
what the line says that has passed.

The broker keeps the session: what is published while we are away comes afterwards. A message is acknowledged once it is
answered, so that one in hand when the process dies comes again; its trigger id makes that one record.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import queue
import threading
import time
import zlib
from typing import Any

import paho.mqtt.client as mqtt
from django.conf import settings
from django.db import connection as database

from common.database import UNAVAILABLE, drop_broken_connection
from edge.connections.kinds import Figures, Source, Target
from edge.mqtt.client import BrokerClient
from edge.mqtt.sender import QOS
from edge.mqtt.topics import PASSED, level, reply_topic, station_of
from edge.passages.messages import read_passages
from edge.passages.services import PassageRejected
from edge.passages.settings import size_in
from edge.passages.watch import count_in, write_reports
from edge.triggers.services import (
    MAX_TRIGGER_ID,
    Trigger,
    TriggerRejected,
    refuse_trigger,
    submit_trigger,
)
from inspection.judging.services import PART_FIELDS, PartContext

log = logging.getLogger(__name__)
_WORKERS = 4  # at once; one station has one of them, so that its triggers are judged in their order
_MAX_WAITING = 1000
_LOOK_SECONDS = 0.5
_PAUSE = 1.0  # where the database does not answer


class MqttSource(Source):
    """Subscribes to `<prefix>/<station>/trigger` (JSON), `<prefix>/<station>/trigger/<id>` (the image itself) and
    `<prefix>/<station>/passed` (JSON)."""

    def __init__(self, target: Target, figures: Figures) -> None:
        self._target, self._figures = target, figures
        self._prefix: str = target.settings["topic_prefix"]
        self._client = BrokerClient(target, suffix="-in", is_kept=True)
        self._client.paho.on_message = self._on_message
        self._queues: list[queue.Queue[mqtt.MQTTMessage | None]] = [queue.Queue(_MAX_WAITING) for _ in range(_WORKERS)]
        self._workers: list[threading.Thread] = []
        self._closing = threading.Event()
        self._topics: list[str] = []

    def run(self, stop: threading.Event) -> None:
        for waiting in self._queues:
            worker = threading.Thread(target=self._work, args=(waiting,), name="mqtt-trigger", daemon=True)
            worker.start()
            self._workers.append(worker)
        station = level(self._target.station) if self._target.station else "+"
        asked: tuple[str, ...] = ("trigger", "trigger/+") if self._target.settings["triggers"] else ()
        asked += (PASSED,) if self._target.settings["passages"] else ()
        self._topics = [f"{self._prefix}/{station}/{what}" for what in asked]
        self._client.connect()  # what the broker has kept comes at once
        self._client.paho.subscribe([(topic, QOS) for topic in self._topics])
        while not stop.wait(_LOOK_SECONDS):
            self.note_sign()
            self._client.require_connected()

    def close(self) -> None:
        self._closing.set()
        for waiting in self._queues:
            waiting.put(None)
        for worker in self._workers:
            worker.join(10)
        self._client.close()

    # ------------------------------------------------------------ messages
    def _on_message(self, client: Any, data: Any, message: mqtt.MQTTMessage) -> None:
        """In paho's thread: only put away. What is one too many stays unacknowledged with the broker.

        Some brokers send what they retain of other topics, too: that is no trigger.
        """
        if not any(mqtt.topic_matches_sub(topic, message.topic) for topic in self._topics):
            client.ack(message.mid, message.qos)
            return
        try:
            self._queues[zlib.crc32(_station_in(message.topic).encode()) % _WORKERS].put_nowait(message)
        except queue.Full:
            self._figures.add("triggers_held_back")

    def _work(self, waiting: queue.Queue[mqtt.MQTTMessage | None]) -> None:
        while (message := waiting.get()) is not None:
            try:
                if message.topic.endswith(f"/{PASSED}"):
                    self._note_passed(message)
                else:
                    self._answer(message, self._judge(message))
                self._client.paho.ack(message.mid, message.qos)
            except Exception:
                log.exception("A message on %s was not answered; the broker sends it again.", message.topic)
        database.close()

    def _note_passed(self, message: mqtt.MQTTMessage) -> None:
        """It waits for the database: a later one that came first would look like a gap."""
        station = station_of(_station_in(message.topic))
        while True:
            try:
                reports = read_passages(bytes(message.payload), may_repeat=message.dup)
                count_in(self._figures, write_reports(self._target, station, reports, size_in(self._target.settings)))
            except PassageRejected as refusal:
                self._figures.add("passages_refused")
                log.warning("A message on %s is no passage: %s", message.topic, refusal.detail)
            except UNAVAILABLE:
                drop_broken_connection()
                if self._closing.wait(_PAUSE):
                    raise
                continue
            return

    def _judge(self, message: mqtt.MQTTMessage) -> dict[str, Any]:
        received = time.monotonic()
        trigger: Trigger | None = None
        try:
            trigger = read_trigger(message.topic, bytes(message.payload), properties_of(message), received=received)
        except TriggerRejected as refusal:
            reply = refuse_trigger(None, refusal, figures=self._figures, size=len(message.payload))
            return reply | {"station": station_of(_station_in(message.topic))}
        return submit_trigger(trigger, target=self._target, figures=self._figures)

    def _answer(self, message: mqtt.MQTTMessage, reply: dict[str, Any]) -> None:
        """On the station's reply topic; with MQTT 5, where the message asks for it."""
        asked = getattr(message, "properties", None)
        topic = getattr(asked, "ResponseTopic", None) or reply_topic(self._prefix, reply["station"] or "")
        options: dict[str, Any] = {}
        if (correlation := getattr(asked, "CorrelationData", None)) is not None:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties

            options["properties"] = Properties(PacketTypes.PUBLISH)
            options["properties"].CorrelationData = correlation
        payload = json.dumps(reply, separators=(",", ":"), ensure_ascii=False).encode()
        self._client.paho.publish(topic, payload, qos=QOS, **options)


def _station_in(topic: str) -> str:
    """The level before `trigger` or `passed`."""
    if topic.endswith(f"/{PASSED}"):
        return topic.removesuffix(f"/{PASSED}").rpartition("/")[2]
    before = topic.rpartition("/trigger")[0] if not topic.endswith("/trigger") else topic.removesuffix("/trigger")
    return before.rpartition("/")[2]


def properties_of(message: mqtt.MQTTMessage) -> dict[str, str]:
    """User properties of MQTT 5."""
    return dict(getattr(getattr(message, "properties", None), "UserProperty", []) or [])


def read_trigger(topic: str, payload: bytes, properties: dict[str, str], *, received: float) -> Trigger:
    """What a message asks for. Raises `TriggerRejected`."""
    station = station_of(_station_in(topic))
    if not topic.endswith("/trigger"):
        fields: dict[str, Any] = {**properties, "trigger_id": station_of(topic.rpartition("/")[2])}
        return _trigger(fields, station=station, data=payload, received=received)
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        raise TriggerRejected(
            "The message is no JSON. Nothing was judged. An image alone goes to .../trigger/<trigger id>."
        ) from None
    if not isinstance(fields, dict):
        raise TriggerRejected("The message must be a JSON object. Nothing was judged.")
    data = None
    if "image_base64" in fields:
        encoded = fields.pop("image_base64")
        if not isinstance(encoded, str) or len(encoded) > settings.MAX_FILE_SIZE * 4 // 3 + 8:
            raise TriggerRejected("image_base64 is no text, or larger than an image may be. Nothing was judged.")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise TriggerRejected("image_base64 is not base64. Nothing was judged.") from None
    return _trigger(fields, station=station, data=data, received=received)


_TEXTS = {
    "trigger_id": MAX_TRIGGER_ID,
    "category": 100,
    "filename": 300,
    "path": 1000,
    **dict.fromkeys(PART_FIELDS, 100),
}


def _trigger(fields: dict[str, Any], *, station: str, data: bytes | None, received: float) -> Trigger:
    values: dict[str, str] = {}
    for name, limit in _TEXTS.items():
        value = fields.get(name, "")
        if not isinstance(value, str) or len(value) > limit or not value.isprintable():
            raise TriggerRejected(f"{name} must be printable text of {limit} characters at most. Nothing was judged.")
        values[name] = value
    if not values["trigger_id"]:
        raise TriggerRejected("trigger_id is missing: without it a repeated message would be judged twice.")
    part = PartContext(**{name: values[name] for name in PART_FIELDS} | {"station": station})
    return Trigger(
        trigger_id=values["trigger_id"],
        part=part,
        received=received,
        category=values["category"],
        filename=values["filename"],
        data=data,
        path=values["path"],
    )
