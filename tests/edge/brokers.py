"""amqtt on loopback, in a process of its own: a broker that forwards, retains, and speaks for whoever dies."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.environment import ROOT
from tests.stack.conftest import free_port, wait_for


@contextmanager
def running_broker() -> Iterator[int]:
    """Its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.edge.brokers", str(port)], cwd=ROOT)
    try:
        wait_for(lambda: _answers(port), 30)
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return Listener(port, "nothing").close()
    return False


class Listener:
    """Subscribes to a topic and keeps what comes: what amqtt retains of other topics, and sends too, left out."""

    def __init__(self, port: int, topic: str) -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._topic = topic
        self.client.on_message = self._on_message
        self._subscribed = False
        self.client.on_subscribe = self._on_subscribe
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(topic, 1)
        wait_for(lambda: self._subscribed, 20)

    def _on_message(self, client: Any, data: Any, message: mqtt.MQTTMessage) -> None:
        if mqtt.topic_matches_sub(self._topic, message.topic):
            self.messages.append(message)

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    def wait_for(self, number: int, seconds: float = 30) -> list[mqtt.MQTTMessage]:
        wait_for(lambda: len(self.messages) >= number, seconds, lambda: str([m.topic for m in self.messages]))
        return self.messages

    def close(self) -> bool:
        self.client.disconnect()
        self.client.loop_stop()
        return True


async def _main(port: int) -> None:
    from amqtt.broker import Broker

    configuration = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(configuration)
    await broker.start()
    while True:
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
