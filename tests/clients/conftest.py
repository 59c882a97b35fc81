"""The client against the application itself: no server and no broker between, everything else is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from django.contrib.auth.models import User

from accounts.services import issue_token
from jobs import broker
from mvtec_client import Client, Retry
from tests.tasks import run_now

Connect = Callable[..., Client]


@pytest.fixture
def _a_worker_at_once(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is published is done before the caller goes on; training, which is a process of its own, is not."""

    def publish(task: str, *ids: object) -> bool:
        if task.startswith("training."):
            return False
        run_now(task, *ids, throw=True)
        return True

    monkeypatch.setattr(broker, "publish", publish)
    monkeypatch.setattr(broker, "wait_until", lambda settled, *, topic, timeout: settled())


@pytest.fixture
def connect(_a_worker_at_once: None) -> Iterator[Connect]:
    """A client with a token of somebody, for everything that they may do unless scopes are named."""
    from mvtec_site.wsgi import application

    with ExitStack() as opened:

        def make(user: User, *scopes: str) -> Client:
            wanted = list(scopes or ("inspect", "read", "manage"))
            _, key = issue_token(user=user, name=f"suite {'-'.join(wanted)}", scopes=wanted, actor=None)
            transport = httpx.WSGITransport(app=application)
            client = Client("http://localhost", key, transport=transport, retry=Retry(attempts=1))
            return opened.enter_context(client)

        yield make
