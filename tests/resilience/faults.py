"""What is done to a running system, and what is written down of it. `FAULTS` is the table."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import redis
from PIL import Image

from tests import parts
from tests.resilience.system import System
from tests.resilience.traffic import Traffic
from tests.stack.conftest import wait_for

_RECOVERY_SECONDS = 90.0  # after which an injection counts as one that the system did not come back from


@dataclass(frozen=True)
class Injection:
    """What a fault gets to work with: `once` does it once and returns when the dependency was back."""

    system: System
    traffic: Traffic
    random: random.Random
    scale: float  # 1.0: as promised; less in a short run


@dataclass(frozen=True)
class Fault:
    """`sees`, `keeps` and `recovers` are sentences for docs/resilience.md."""

    name: str
    inject: Callable[[Injection], float]
    sees: str
    keeps: str
    recovers: str
    times: int = 3


@dataclass
class Outcome:
    """A row of the table."""

    fault: str
    injected: int = 0
    requests: int = 0
    lost: int = 0
    doubled: int = 0
    recovery: float | None = None  # seconds, the longest; None where it did not come back
    seen: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def run_fault(fault: Fault, system: System, traffic: Traffic, *, seed: int, times: int, scale: float) -> Outcome:
    """Does it so often while the clients send; the invariants are the caller's to check."""
    outcome = Outcome(fault.name)
    chance = random.Random(f"{seed} {fault.name}")
    injection = Injection(system, traffic, chance, scale)
    longest = 0.0
    with traffic:
        if traffic.wait_for_answers(3, seconds=_RECOVERY_SECONDS) is None:
            outcome.problems.append("nothing was judged before it began")
            times = 0
        for _ in range(times):
            time.sleep(chance.random())
            back = fault.inject(injection)
            outcome.injected += 1
            answered = traffic.wait_for_answers(1, begun_after=back, seconds=_RECOVERY_SECONDS)
            if answered is None:
                outcome.problems.append(f"nothing was judged for {_RECOVERY_SECONDS:g} s")
                break
            longest = max(longest, answered - back)
        else:
            outcome.recovery = longest
    system.wait_until_whole()
    outcome.requests, outcome.seen = len(traffic.answers) + len(traffic.unanswered), traffic.seen
    return outcome


# ---------------------------------------------------------------- processes die
def _kill(part: str) -> Callable[[Injection], float]:
    def inject(injection: Injection) -> float:
        wait_for(lambda: injection.system.kill(part), 60)
        return time.monotonic()

    return inject


def _kill_supervisor(injection: Injection) -> float:
    """And start again at once, while what it had started still ends."""
    stack = injection.system.stack
    assert stack.process
    stack.process.kill()
    stack.process.wait()
    stack.start()
    return time.monotonic()


# ---------------------------------------------------------------- what they need fails
def _lose_queue(injection: Injection) -> float:
    """The broker forgets all queues and notices."""
    with contextlib.closing(redis.Redis(unix_socket_path=str(injection.system.broker_socket()))) as broker:
        broker.flushall()
    return time.monotonic()


def _hold_broker(injection: Injection) -> float:
    """It answers nobody for 30 seconds, and connections stay open."""
    [broker] = injection.system.processes_of("broker")
    broker.send_signal(signal.SIGSTOP)
    try:
        time.sleep(max(5.0, 30 * injection.scale))
    finally:
        broker.send_signal(signal.SIGCONT)
    return time.monotonic()


# ---------------------------------------------------------------- what is sent
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
    data, stack = _large_picture(), injection.system.stack
    back = time.monotonic()
    answers: Counter[str] = Counter()

    def send() -> None:
        with contextlib.suppress(httpx.TransportError), stack.client() as client:
            answer = client.post("/api/test_image", files={"image": ("large.png", data, "image/png")})
            answers[f"large: {answer.status_code} {answer.json().get('code', '')}".strip()] += 1

    senders = [threading.Thread(target=send) for _ in range(15)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    injection.traffic.seen.update(answers)
    return back


def _large_picture() -> bytes:
    return parts.encode(Image.new("RGB", (8000, 8000)))


_SENT_AGAIN = (
    "the call is cut, or answered 503 with Retry-After; sent again with its key, it is answered with its record"
)
_ALL_KEPT = "every record that was answered; requests under way are rows and are judged later"
_CLAIMS_BACK = "`manage.py run` starts it again; what it had begun goes back into the queue"

FAULTS: tuple[Fault, ...] = (
    *(
        Fault(f"kill -9: {part}", _kill(part), sees=_SENT_AGAIN, keeps=_ALL_KEPT, recovers=_CLAIMS_BACK)
        for part in ("web server", "web server's child", "inference worker", "inference worker's child", "scheduler")
    ),
    Fault("kill -9: broker", _kill("broker"), _SENT_AGAIN, _ALL_KEPT, _CLAIMS_BACK),
    Fault(
        "kill -9: supervisor, started again at once",
        _kill_supervisor,
        sees=_SENT_AGAIN,
        keeps=_ALL_KEPT,
        recovers="`manage.py run` ends what is left of the killed run, at most 10 s, and starts",
    ),
    Fault(
        "broker loses everything",
        _lose_queue,
        sees=_SENT_AGAIN,
        keeps=_ALL_KEPT,
        recovers="requests are rows: those that no worker was told of are queued again",
    ),
    Fault(
        "broker answers nobody for 30 s",
        _hold_broker,
        sees="503 with Retry-After",
        keeps=_ALL_KEPT,
        recovers="web server and workers connect again",
    ),
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
)
