"""The two ends of the line of a benchmark: what hands frames over, and what verdicts arrive at."""

from __future__ import annotations

import base64
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from django.conf import settings

from common.errors import Unavailable
from edge.benchmarks.system import System, free_port

PREFIX, STATION = "benchmark", "bench"
_CALLERS = 32  # frames that are handed over at once
_SECONDS = 30.0


@dataclass(frozen=True)
class Arrival:
    """A verdict as it came: `at` as `time.perf_counter`, `clock` as `time.time`."""

    at: float
    clock: float
    document: dict[str, Any]


@dataclass
class Arrivals:
    rows: list[Arrival] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # parts that were not taken, or not judged
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, payload: bytes) -> None:
        at, clock = time.perf_counter(), time.time()
        document = json.loads(payload)
        with self.lock:
            self.rows.append(Arrival(at, clock, document))

    def refuse(self, serial: str) -> None:
        with self.lock:
            self.refused.add(serial)

    def taken(self) -> list[Arrival]:
        with self.lock:
            return list(self.rows)


Submit = Callable[[str, bytes], None]


@contextmanager
def webhook_wire(system: System) -> Iterator[tuple[Submit, Arrivals]]:
    """Frames by HTTP; a receiver of the standard library."""
    arrivals = Arrivals()

    class Receiver(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            arrivals.add(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ExitStack() as ending:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        server.daemon_threads = True
        ending.callback(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ending.callback(server.shutdown)
        limits = httpx.Limits(max_connections=_CALLERS, max_keepalive_connections=_CALLERS)
        headers = {"Authorization": f"Bearer {system.token}"}
        client = httpx.Client(base_url=system.address, headers=headers, timeout=60, limits=limits)
        ending.callback(client.close)
        pool = ThreadPoolExecutor(_CALLERS)
        ending.callback(pool.shutdown)
        _connect(
            system,
            kind="webhook",
            settings={"url": f"http://127.0.0.1:{server.server_address[1]}/"},
            secrets={"signing_secret": "of a benchmark, not secret"},
        )

        def post(serial: str, data: bytes) -> None:
            fields = {"station": STATION, "serial_number": serial, "category": system.category, "anomaly_map": "none"}
            try:
                answer = client.post("/api/test_image", files={"image": (f"{serial}.png", data)}, data=fields)
            except httpx.HTTPError:
                arrivals.refuse(serial)
                return
            if answer.is_error:
                arrivals.refuse(serial)

        def hand_over(serial: str, data: bytes) -> None:
            pool.submit(post, serial, data)

        yield hand_over, arrivals


@contextmanager
def mqtt_wire(system: System) -> Iterator[tuple[Submit, Arrivals]]:
    """Frames as triggers and verdicts as messages, over amqtt in a process of its own."""
    import paho.mqtt.client as mqtt  # not installed everywhere
    from paho.mqtt.enums import CallbackAPIVersion

    arrivals, port = Arrivals(), free_port()
    with ExitStack() as ending:
        broker = subprocess.Popen(
            [sys.executable, "-m", "edge.benchmarks.broker", str(port)],
            cwd=settings.BASE_DIR,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ending.callback(broker.wait)
        ending.callback(broker.kill)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="camera-and-receiver")
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _client, _data, message: _take(arrivals, message)
        _await(lambda: _reaches(client, port), "The broker did not come up.")
        client.loop_start()
        ending.callback(client.loop_stop)
        ending.callback(client.disconnect)
        client.subscribe(f"{PREFIX}/{STATION}/verdict", 1)
        if not subscribed.wait(_SECONDS):
            raise Unavailable("The broker did not take the subscription.")
        asked = {"host": "127.0.0.1", "port": port, "topic_prefix": PREFIX, "triggers": True}
        _connect(system, kind="mqtt", settings=asked, secrets={}, category=system.category)

        def publish(serial: str, data: bytes) -> None:
            fields = {"trigger_id": serial, "serial_number": serial, "image_base64": base64.b64encode(data).decode()}
            client.publish(f"{PREFIX}/{STATION}/trigger", json.dumps(fields), qos=1)

        yield publish, arrivals


def _take(arrivals: Arrivals, message: Any) -> None:
    if not message.retain and message.topic.endswith("/verdict"):
        arrivals.add(bytes(message.payload))


def _reaches(client: Any, port: int) -> bool:
    try:
        client.connect("127.0.0.1", port)
    except OSError:
        return False
    return True


def _connect(system: System, *, kind: str, **fields: Any) -> None:
    """Make the connection, and wait until the process that keeps them has opened it."""
    with system.client() as client:
        body = {"name": f"benchmark {kind}", "kind": kind, "station": STATION, **fields}
        made = client.post("/api/connections", json=body)
        if made.is_error:
            raise Unavailable(f"The connection was not made: {made.text[:500]}")
        address = made.headers["Location"]
        _await(lambda: client.get(address).json()["state"] == "open", "The connection was not opened.")


def _await(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.1)
    raise Unavailable(otherwise)


WIRES = {"webhook": webhook_wire, "mqtt": mqtt_wire}
