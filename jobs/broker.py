"""The message broker: where it is, calling workers, and short notices between web and worker.

The broker carries messages only. What is true stands in the database: a lost message is published again by the
sweep (`mvtec_site.tasks`), a lost notice costs its waiter a look at the row.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

# sun_path of a Unix socket holds 108 bytes on Linux and 104 on macOS, its closing zero included.
_MAX_SOCKET_PATH = 100
_NOTICE_SECONDS = 120

PUBLISHED_AT = "published_at"  # header of a message: seconds since 1970
INFERENCE = "inference"  # the queue of the images
TRAINING = "training"  # the queue of all that may take long
QUEUES = [INFERENCE, TRAINING]


def socket_path() -> Path:
    """Socket of the embedded broker: in VAR_DIR, or at a short path derived from it where VAR_DIR is too deep."""
    path = Path(settings.VAR_DIR) / "broker" / "valkey.sock"
    if len(str(path).encode()) <= _MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"mvtec-{digest}" / "valkey.sock"


def is_embedded() -> bool:
    return not settings.REDIS_URL


def url() -> str:
    """The broker's address as redis-py takes it."""
    return settings.REDIS_URL or f"unix://{socket_path()}"


def celery_url() -> str:
    """The broker's address as kombu takes it."""
    return url().replace("unix://", "redis+socket://", 1)


@functools.lru_cache(maxsize=1)
def client() -> redis.Redis:
    """One client (a pool of connections) for each process."""
    # One retry at once: a connection that went stale is renewed, an absent broker is told without a wait.
    return redis.Redis.from_url(
        url(),
        socket_connect_timeout=2,
        socket_timeout=5,  # a broker that hangs is one that is gone; no call below blocks for longer than 2 s
        health_check_interval=30,
        retry=Retry(NoBackoff(), retries=1, supported_errors=(redis.ConnectionError,)),
    )


@functools.lru_cache(maxsize=1)
def quick_client() -> redis.Redis:
    """One that would rather fail than keep a request waiting, for what can be done without."""
    # Once more at once over a connection that went stale, but not where the broker was too slow already.
    retry = Retry(NoBackoff(), retries=1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(url(), socket_connect_timeout=0.2, socket_timeout=0.2, retry=retry)


def is_reachable() -> bool:
    try:
        return bool(client().ping())
    except redis.RedisError:
        return False


def publish(task: str, *ids: object) -> bool:
    """Send the task of that name with ids only. False when no broker answers: the row stays queued for the sweep.

    By name, so that what asks for work imports nothing of what does it.
    """
    try:
        client().ping()  # fails at once, where the transport would try for seconds
        current_app.signature(task).apply_async(args=tuple(str(value) for value in ids), retry=False)
    except (OperationalError, redis.RedisError) as error:
        log.warning("No broker answers (%s): %s%r waits for the sweep.", error, task, ids)
        return False
    return True


def notify(*topics: str) -> None:
    """Tell whoever waits for the topics to look at their rows. Never fails: the rows already say everything."""
    with contextlib.suppress(redis.RedisError):
        pipeline = client().pipeline(transaction=False)
        for topic in topics:
            pipeline.lpush(f"notice:{topic}", 1)
            pipeline.expire(f"notice:{topic}", _NOTICE_SECONDS)
        pipeline.execute()


def wait_until(settled: Callable[[], bool], *, topic: str, timeout: float) -> bool:
    """Wait until `settled()` is true, at most `timeout` seconds; woken by `notify(topic)`. Returns whether it is.

    The row is looked at after a notice, which is kept until it is read, and at least every two seconds, so that a lost
    notice delays and never deceives.
    """
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        try:
            client().blpop([f"notice:{topic}"], timeout=min(2.0, max(0.05, left)))
        except redis.RedisError:
            time.sleep(min(0.2, left))
        if settled():
            return True
    return settled()


def wait_for_notice(topic: str, *, timeout: float) -> bool:
    """Wait for a `notify(topic)`, `timeout` seconds at most; all notices so far count as one. Whether there was any.

    For whoever looks at its rows every now and then in any case. Without a broker it waits, and nothing else.
    """
    try:
        is_noted = client().blpop([f"notice:{topic}"], timeout=max(0.05, timeout)) is not None
        if is_noted:
            client().delete(f"notice:{topic}")
    except redis.RedisError:
        time.sleep(timeout)
        return False
    return is_noted


# ---------------------------------------------------------------- who is alive
BEAT_SECONDS = 3
SCHEDULER = "scheduler"
SCHEDULER_SECONDS = 20  # it sends something every five


def beat(name: str, queues: list[str]) -> None:
    """Keep a key alive that says this worker is (called every `BEAT_SECONDS` by the worker)."""
    with contextlib.suppress(redis.RedisError):
        pipeline = client().pipeline(transaction=False)
        pipeline.set(f"worker:{name}", ",".join(queues), ex=BEAT_SECONDS * 4)
        pipeline.expire(f"memory:{name}", _NOTICE_SECONDS)
        for queue in queues:
            pipeline.set(f"last-sign:{queue}", time.time())
        pipeline.execute()


def retire(name: str) -> None:
    with contextlib.suppress(redis.RedisError):
        client().delete(f"worker:{name}")


def note_memory(name: str, process: int, document: str) -> None:
    """Keep what a process of a worker holds in memory, for whoever asks; it goes with the worker's signs of life."""
    with contextlib.suppress(redis.RedisError):
        pipeline = client().pipeline(transaction=False)
        pipeline.hset(f"memory:{name}", str(process), document)
        pipeline.expire(f"memory:{name}", _NOTICE_SECONDS)
        pipeline.execute()


def forget_memory(name: str) -> None:
    """Called when a worker starts: what a predecessor of the same name held is gone."""
    with contextlib.suppress(redis.RedisError):
        client().delete(f"memory:{name}")


def memory_of(name: str) -> list[str]:
    """What the processes of a worker said last, in their order; nothing where the broker knows of nothing."""
    try:
        noted = client().hgetall(f"memory:{name}")
    except redis.RedisError:
        return []
    assert isinstance(noted, dict)
    return [value.decode() for _, value in sorted(noted.items()) if isinstance(value, bytes)]


def live_workers() -> dict[str, list[str]]:
    """Names of the workers that gave a sign of life in the last seconds, with their queues."""
    workers: dict[str, list[str]] = {}
    try:
        for key in client().scan_iter("worker:*", count=1000):
            value = client().get(key)
            if isinstance(value, bytes):
                workers[key.decode().split(":", 1)[1]] = value.decode().split(",")
    except redis.RedisError:
        return {}
    return dict(sorted(workers.items()))


def inference_workers() -> list[str]:
    """Names of those that judge images: no training worker is one."""
    return [name for name, queues in live_workers().items() if INFERENCE in queues]


def last_sign(of: str) -> datetime | None:
    """When a worker of this queue, or the scheduler, gave its last sign of life; None when no broker knows of any."""
    try:
        value = client().get(f"last-sign:{of}")
    except redis.RedisError:
        return None
    return datetime.fromtimestamp(float(value), UTC) if isinstance(value, bytes) else None


def beat_scheduler() -> None:
    """Called when the scheduler has sent a task."""
    with contextlib.suppress(redis.RedisError):
        pipeline = client().pipeline(transaction=False)
        pipeline.set("scheduler", "1", ex=SCHEDULER_SECONDS)
        pipeline.set(f"last-sign:{SCHEDULER}", time.time())
        pipeline.execute()


def scheduler_is_alive() -> bool:
    try:
        return bool(client().exists("scheduler"))
    except redis.RedisError:
        return False


def queue_depths(names: list[str]) -> dict[str, int | None]:
    """Messages that wait in each queue; None when the broker does not answer."""
    try:
        return {name: int(client().llen(name)) for name in names}
    except redis.RedisError:
        return dict.fromkeys(names)


def oldest_messages(names: list[str]) -> dict[str, float | None]:
    """When the message was published that is next in each queue; None where none waits. Raises `redis.RedisError`."""
    return {name: _published_at(client().lindex(name, -1)) for name in names}


def _published_at(message: object) -> float | None:
    if not isinstance(message, bytes):
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return float(json.loads(message)["headers"][PUBLISHED_AT])
    return None  # of a version before this one
