"""What is done to a running system, and what is written down of it. `FAULTS` is the table."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from PIL import Image

from tests import parts
from tests.resilience import poisoned
from tests.resilience.system import System, restart_postgresql
from tests.resilience.traffic import Traffic
from tests.stack.conftest import DISC, wait_for

# Of the product: see docs/operations.md. Where tests lie says what the system is called by in its environment.
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
    embedded: bool = True  # tried on the embedded stack
    on_servers: bool = True  # tried on PostgreSQL and a broker of its own
    environment: Callable[[Path], dict[str, str]] = lambda folder: {}
    cannot: Callable[[], str] = str  # why it cannot be tried here; '' where it can


@dataclass
class Outcome:
    """A row of the table."""

    fault: str
    on: str
    injected: int = 0
    requests: int = 0
    lost: int = 0
    doubled: int = 0
    recovery: float | None = None  # seconds, the longest; None where it did not come back
    seen: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    skipped: str = ""


def run_fault(fault: Fault, system: System, traffic: Traffic, *, seed: int, times: int, scale: float) -> Outcome:
    """Does it so often while the clients send; the invariants are the caller's to check."""
    outcome = Outcome(fault.name, "servers" if system.on_servers else "embedded")
    chance = random.Random(f"{seed} {fault.name} {outcome.on}")
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


def _train(injection: Injection) -> None:
    stack = injection.system.stack
    folder = stack.var_dir / "disc"
    if not folder.exists():
        parts.write_dataset(folder)
    stack.manage("train", "--model", "padim", "--dataset", str(folder), *DISC, "--queue")


def _runs(system: System) -> list[dict[str, Any]]:
    with system.stack.client() as client:
        found: list[dict[str, Any]] = client.get("/api/training-runs").json()["results"]
    return found


def _wait_for_runs(system: System) -> None:
    wait_for(lambda: all(run["status"] not in ("queued", "running") for run in _runs(system)), 240)


def _kill_training(injection: Injection) -> float:
    _train(injection)
    wait_for(lambda: any(run["status"] == "running" for run in _runs(injection.system)), 90)
    time.sleep(injection.random.random() * 3)
    injection.system.kill("training worker")
    back = time.monotonic()
    _wait_for_runs(injection.system)
    return back


def _claim_twice(injection: Injection) -> float:
    """A second training worker, and the message of one run sent to both, many times."""
    system = injection.system
    system.add_worker("training", "training2")
    _train(injection)
    [newest, *_] = _runs(system)
    script = (
        "from jobs import broker\n"
        f"for _ in range(20): broker.publish('training.tasks.supervise_run', {newest['run_id']!r})"
    )
    system.stack.manage("shell", "--verbosity", "0", "--command", script)
    back = time.monotonic()
    _wait_for_runs(system)
    return back


# ---------------------------------------------------------------- what the system stands on fails
def _restart_postgresql(injection: Injection) -> float:
    restart_postgresql()
    return time.monotonic()


def _lose_broker(injection: Injection) -> float:
    """Killed with all that it held: every message, notice and sign of life."""
    broker = injection.system.broker
    assert broker
    broker.kill()
    broker.start()
    return time.monotonic()


def _empty_broker(injection: Injection) -> float:
    import redis

    broker = injection.system.broker
    assert broker
    with contextlib.closing(redis.Redis(port=broker.port)) as client:
        client.flushall()
    return time.monotonic()


def _hang_broker(injection: Injection) -> float:
    """Stopped: connections stay, nothing answers."""
    broker = injection.system.broker
    assert broker
    broker.send(signal.SIGSTOP)
    time.sleep(30 * injection.scale)
    broker.send(signal.SIGCONT)
    return time.monotonic()


def _refuse_broker(injection: Injection) -> float:
    broker = injection.system.broker
    assert broker
    broker.kill()
    time.sleep(30 * injection.scale)
    broker.start()
    return time.monotonic()


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Every free byte of the disk of a folder is taken for the length of the block."""
    ballast = folder / "ballast"
    with ballast.open("wb") as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(64 * 1024))
            out.flush()
    try:
        yield
    finally:
        ballast.unlink()


def _fill_disk(injection: Injection) -> float:
    with full_disk(injection.system.stack.var_dir):
        time.sleep(10 * injection.scale)
    return time.monotonic()


def no_mount() -> str:
    """Why no small disk can be made here; '' where one can."""
    if os.geteuid():
        return "only root may mount a small disk"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True)
        if done.returncode:
            return "no small disk can be mounted here"
        subprocess.run(["umount", folder], check=True)
    return ""


def _jump_clock(injection: Injection) -> float:
    """An hour back, or a day forward; then right again, as after a wrong time server."""
    target = Path(injection.system.stack.environment["CLOCK_OFFSET_FILE"])
    target.write_text(str(injection.random.choice((-3600, 86_400))))
    time.sleep(10 * injection.scale)
    target.write_text("0")
    return time.monotonic()


def no_compiler() -> str:
    return "" if shutil.which("cc") else "there is no C compiler for the clock"


def clock_environment(folder: Path) -> dict[str, str]:
    """Has every process of the system ask a clock that the harness sets."""
    library, target = folder / "clock.so", folder / "offset"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    target.write_text("0")
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(target)}


# ---------------------------------------------------------------- what is sent
def _starve_worker(injection: Injection) -> float:
    """The process that judges may not take any more memory than it has."""
    for process in injection.system.processes_of("inference worker's child"):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms, -1))
    back = time.monotonic()
    time.sleep(5 * injection.scale)
    return back


def _poison(injection: Injection) -> float:
    image = parts.part(1)[0]
    image.putpixel((0, 0), poisoned.COLOUR)
    with injection.system.stack.client() as client:
        answer = client.post("/api/test_image", files={"image": ("poison.png", parts.encode(image), "image/png")})
    injection.traffic.seen[f"poison: {answer.status_code} {answer.json().get('code', '')}"] += 1
    return time.monotonic()


def _double_messages(injection: Injection) -> float:
    """Ten thousand messages of what is judged already, before the next image's own."""
    count = max(200, int(10_000 * injection.scale))
    script = (
        "from django.db.models.functions import Now\n"
        "from inspection.models import InspectionRequest\nfrom jobs import broker\n"
        f"ids = list(InspectionRequest.objects.values_list('pk', flat=True)[:500])\n"
        f"for n in range({count}): broker.publish('inspection.tasks.judge', ids[n % len(ids)])"
    )
    injection.system.stack.manage("shell", "--verbosity", "0", "--command", script)
    return time.monotonic()


def _queue_batch(injection: Injection) -> float:
    """Ten thousand images as batches of a folder, judged between those of the line."""
    count = max(100, int(10_000 * injection.scale))
    root = Path(injection.system.stack.environment["BATCH_ROOTS"])
    images = [parts.png(number, defective=number % 7 == 0) for number in range(50)]
    with injection.system.stack.client() as client:
        addresses = []
        for first in range(0, count, 5000):
            folder = root / f"lot-{first}"
            folder.mkdir(parents=True)
            for number in range(first, min(count, first + 5000)):
                (folder / f"{number:05}.png").write_bytes(images[number % len(images)])
            answer = client.post("/api/batches", json={"folder": folder.name})
            assert answer.status_code in (201, 202), answer.text
            addresses.append(answer.headers["Location"])
        back = time.monotonic()

        def is_over() -> bool:
            found = [client.get(address, params={"results": "false"}).json() for address in addresses]
            return all(one["status"] == "finished" and one["done"] == one["total"] for one in found)

        wait_for(is_over, 540)
    return back


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


def _folder_environment(folder: Path) -> dict[str, str]:
    return {"BATCH_ROOTS": str(folder)}


def _poisoned_environment(folder: Path) -> dict[str, str]:
    return {"DJANGO_SETTINGS_MODULE": "tests.resilience.poisoned"}


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
    Fault("kill -9: broker", _kill("broker"), _SENT_AGAIN, _ALL_KEPT, _CLAIMS_BACK, on_servers=False),
    Fault(
        "kill -9: supervisor, started again at once",
        _kill_supervisor,
        sees=_SENT_AGAIN,
        keeps=_ALL_KEPT,
        recovers="`manage.py run` ends what is left of the killed run, at most 10 s, and starts",
    ),
    Fault(
        "kill -9: training worker, in the middle of a run",
        _kill_training,
        sees="nothing on the line; the run goes on after its lease",
        keeps="the run; of what the killed one had written, no half artifact",
        recovers="the sweep gives the run to the next worker when its lease has run out",
        times=2,
    ),
    Fault(
        "two training workers claim one run",
        _claim_twice,
        sees="nothing",
        keeps="one run, one model version",
        recovers="one conditional UPDATE takes the row, whoever is second leaves it",
        times=1,
    ),
    Fault(
        "PostgreSQL restarts",
        _restart_postgresql,
        sees="503 `database_unavailable` or `outcome_unknown` with Retry-After",
        keeps="what was committed; nothing else was answered",
        recovers="connections are made anew; what was under way is judged by its row",
        embedded=False,
    ),
    Fault(
        "Redis loses everything (killed)",
        _lose_broker,
        sees="nothing, or a few seconds of waiting",
        keeps=_ALL_KEPT,
        recovers="the sweep publishes again what has lost its message",
        embedded=False,
    ),
    Fault(
        "Redis loses everything (flushall)",
        _empty_broker,
        sees="nothing, or a few seconds of waiting",
        keeps=_ALL_KEPT,
        recovers="the sweep publishes again what has lost its message",
        embedded=False,
    ),
    Fault(
        "Redis hangs for 30 s",
        _hang_broker,
        sees="503 `no_worker` with Retry-After after ANSWER_TIMEOUT",
        keeps="images of calls that were given up, without a record; sent again with their key they get one",
        recovers="workers connect again",
        times=1,
        embedded=False,
    ),
    Fault(
        "Redis refuses connections for 30 s",
        _refuse_broker,
        sees="503 `no_worker` with Retry-After after ANSWER_TIMEOUT",
        keeps="images of calls that were given up, without a record; sent again with their key they get one",
        recovers="workers connect again",
        times=1,
        embedded=False,
    ),
    Fault(
        "disk of VAR_DIR full for 10 s",
        _fill_disk,
        sees="507 `storage_failed`, or 503 where the database has no room",
        keeps="what was answered; of refused images nothing",
        recovers="by itself when there is room",
        times=2,
        cannot=no_mount,
    ),
    Fault(
        "clock jumps an hour back or a day forward",
        _jump_clock,
        sees="calls that were waiting may end with 503 and Retry-After",
        keeps="every record; its time is what the clock said",
        recovers="at once when the clock is right",
        times=2,
        on_servers=False,
        environment=clock_environment,
        cannot=no_compiler,
    ),
    Fault(
        "worker out of memory",
        _starve_worker,
        sees="503 with Retry-After, or nothing",
        keeps=_ALL_KEPT,
        recovers="a process that gets no memory ends, and a new one judges its images",
        times=2,
    ),
    Fault(
        "an image that crashes the worker",
        _poison,
        sees="422 or 503 for that image after MAX_ATTEMPTS crashes; others wait for the worker's starts",
        keeps="the image, without a record",
        recovers="an image that was begun MAX_ATTEMPTS times is not begun again",
        times=1,
        environment=_poisoned_environment,
    ),
    Fault(
        "10,000 messages of judged images in the queue",
        _double_messages,
        sees="a later answer, or 503 with Retry-After while the queue drains",
        keeps="one record for each image: a doubled message finds nothing to do",
        recovers="the queue drains",
        times=1,
    ),
    Fault(
        "10,000 images of batches in the queue",
        _queue_batch,
        sees="nothing: images of the line go between the slices of a batch",
        keeps="one record for each image of the batch",
        recovers="the batch ends",
        times=1,
        environment=_folder_environment,
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
