"""What is sent: slowly, much at once, large, and an image that ends whoever judges it."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image

from tests import parts
from tests.resilience.faults.injection import Fault, Injection
from tests.resilience.faults.sentences import ALL_KEPT
from tests.resilience.system import System

_ATTEMPTS = 3  # MAX_ATTEMPTS, after which an image is taken for what ends the workers
_BATCH_IMAGES = 5000  # BATCH_MAX_ZIP_FILES
_BATCH_MINUTES = 20


def large_picture(side: int = 8000) -> bytes:
    return parts.encode(Image.new("RGB", (side, side)))


def send_image(system: System, data: bytes, *, name: str) -> str:
    """Once; what was answered in a word or two."""
    try:
        with system.stack.client() as client:
            answer = client.post("/api/test_image", files={"image": (name, data, "image/png")})
        return f"{answer.status_code} {'' if answer.is_success else answer.json().get('code', '')}".strip()
    except httpx.TransportError as error:
        return type(error).__name__


# ---------------------------------------------------------------- slowly, and large
def _send_slowly(injection: Injection) -> float:
    """Sixty uploads at a byte a second, from another address."""
    stack = injection.system.stack
    head = (
        f"POST /api/test_image HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\nAuthorization: Bearer {stack.token}\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 100000\r\n\r\n--B\r\n"
    ).encode()
    back = time.monotonic()
    with contextlib.ExitStack() as open_sockets:
        senders = []
        for _ in range(60):
            address = ("127.0.0.1", stack.port)
            sender = socket.create_connection(address, timeout=20, source_address=("127.0.0.9", 0))
            senders.append(open_sockets.enter_context(sender))
            sender.sendall(head)
        for _ in range(max(3, int(20 * injection.scale))):
            time.sleep(1)
            for sender in senders:
                with contextlib.suppress(OSError):
                    sender.sendall(b"x")
    return back


def _send_bombs(injection: Injection) -> float:
    """Fifteen pictures of 64 megapixels at once from one token, in 186 kB each."""
    data, system = large_picture(), injection.system
    back = time.monotonic()
    answers: Counter[str] = Counter()

    def send() -> None:
        answers[f"large: {send_image(system, data, name='large.png')}"] += 1

    senders = [threading.Thread(target=send) for _ in range(15)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    injection.traffic.seen.update(answers)
    return back


# ---------------------------------------------------------------- an image that ends whoever judges it
def _kill_at_each_begin(system: System, name: str, is_over: Callable[[], bool]) -> int:
    """kill -9 of the worker's child whenever it has begun the newest image of this name; how often."""
    begun = 0
    statement = (
        "SELECT status, attempt FROM inspection_inspectionrequest WHERE filename = %s ORDER BY created_at DESC LIMIT 1"
    )
    while not is_over():
        for status, attempt in system.query(statement, name):
            if status == "running" and attempt > begun:
                begun = attempt
                system.kill("inference worker's child")
        time.sleep(0.02)
    return begun


def _send_poison(injection: Injection) -> float:
    system, answers, name = injection.system, list[str](), f"poison-{injection.outcome.injected}.png"
    data = large_picture(4000)
    back = time.monotonic()
    sender = threading.Thread(target=lambda: answers.append(send_image(system, data, name=name)))
    sender.start()
    begun = _kill_at_each_begin(system, name, lambda: not sender.is_alive())
    sender.join()
    injection.note(f"begun {begun} times, then answered {answers[0]}, {time.monotonic() - back:.0f} s after it came")
    injection.expect(begun <= _ATTEMPTS, f"it was begun {begun} times")
    injection.expect("worker_died" in answers[0], f"it was answered {answers[0]}")
    return back


def _send_poison_in_batch(injection: Injection) -> float:
    name = f"poison-{injection.outcome.injected}-of-batch.png"
    images = [(f"{number}.png", parts.png(number)) for number in range(8)]
    images.insert(2, (name, large_picture(4000)))
    back = time.monotonic()
    with injection.system.stack.client() as client:
        address = _send_batch(client, images, lot=name)
        begun = _kill_at_each_begin(injection.system, name, lambda: _batch(client, address)["status"] == "finished")
        batch = _batch(client, address)
    seconds = time.monotonic() - back
    injection.note(f"begun {begun} times; {batch['done']} others judged, {batch['failed']} refused, in {seconds:.0f} s")
    # The time after the last it is taken to be refused, and that can be killed, too.
    injection.expect(begun <= _ATTEMPTS + 1, f"it was begun {begun} times")
    injection.expect((batch["done"], batch["failed"]) == (8, 1), f"{batch['done']} judged, {batch['failed']} refused")
    return back


# ---------------------------------------------------------------- batches
def _send_batch(client: httpx.Client, images: list[tuple[str, bytes]], *, lot: str) -> str:
    """Its address."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in images:
            archive.writestr(name, data)
    files = {"archive": ("parts.zip", out.getvalue(), "application/zip")}
    answer = client.post("/api/batches", files=files, data={"lot": lot, "wait": "0"}, timeout=600)
    assert answer.status_code in (200, 202), answer.text[:300]
    return f"/api/batches/{answer.json()['batch_id']}?results=no"


def _batch(client: httpx.Client, address: str) -> dict[str, Any]:
    """What is said of it now; nothing yet where nobody answers."""
    with contextlib.suppress(httpx.TransportError):
        answer = client.get(address)
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
    return {"status": "unknown"}


def _queue_many(injection: Injection) -> float:
    """Ten thousand images in two batches, while the line sends its own."""
    count, lot = max(200, int(10_000 * injection.scale)), f"queued-{injection.outcome.injected}"
    pictures = [parts.png(number, defective=number % 5 == 0) for number in range(40)]
    images = [(f"{number:05}.png", pictures[number % 40]) for number in range(count)]
    with injection.system.stack.client() as client:
        batches = [images[first : first + _BATCH_IMAGES] for first in range(0, count, _BATCH_IMAGES)]
        addresses = [_send_batch(client, some, lot=lot) for some in batches]
        back = time.monotonic()
        before = len(injection.traffic.answers)
        while any(_batch(client, address)["status"] != "finished" for address in addresses):
            if time.monotonic() - back > 60 * _BATCH_MINUTES:
                injection.expect(False, f"not over after {_BATCH_MINUTES} minutes")
                break
            time.sleep(1)
    [(records, requests)] = injection.system.query(
        "SELECT COUNT(*), COUNT(DISTINCT request_id) FROM inspection_inspection WHERE lot = %s", lot
    )
    seconds = time.monotonic() - back
    injection.note(
        f"{count} images in {seconds:.0f} s ({count / seconds:.1f} a second), meanwhile {_line(injection, before)}"
    )
    injection.expect(records == requests == count, f"{records} records of {requests} of {count} images")
    return back


def _line(injection: Injection, before: int) -> str:
    """What its clients waited since so many answers."""
    waited = sorted(answer.answered - answer.began for answer in injection.traffic.answers[before:])
    if not waited:
        return "the line was answered nothing"
    return f"{len(waited)} images of the line, median {waited[len(waited) // 2]:.1f} s, longest {waited[-1]:.1f} s"


SENDING = (
    Fault(
        "60 uploads at a byte a second",
        _send_slowly,
        sees="nothing: slow connections hold no thread",
        keeps="nothing of what did not arrive",
        recovers="408 after WEB_BODY_TIMEOUT",
        times=1,
    ),
    Fault(
        "15 pictures of 64 megapixels at once",
        _send_bombs,
        sees="429 `too_many_pixels_at_once` for their sender",
        keeps="those that were judged",
        recovers="memory is given back after each",
        times=2,
    ),
    Fault(
        "an image that ends whoever judges it",
        _send_poison,
        sees="its sender: `worker_died`; others wait while a process starts",
        keeps=ALL_KEPT,
        recovers="the image is begun MAX_ATTEMPTS times, alone after the first, and then refused",
        times=2,
        needs="patient callers",
    ),
    Fault(
        "such an image in a batch",
        _send_poison_in_batch,
        sees="the image is refused as `worker_died`, the others of the batch are judged",
        keeps=ALL_KEPT,
        recovers="the batch goes on when its lease is over, with the image alone, MAX_ATTEMPTS times",
        times=1,
        needs="patient callers",
    ),
    Fault(
        "10,000 images queued at once",
        _queue_many,
        sees="nothing: single images pass between the slices of a batch",
        keeps="each image has one record",
        recovers="the queue is worked off",
        times=1,
    ),
)
