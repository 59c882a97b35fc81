"""Commands run inside the test's own transaction, which no other connection can see into."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_second_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is renewed at the end of a run only; tests/stack renew it from its thread, as in production."""
    from training.runs.execution.runner import Lifeline

    monkeypatch.setattr(Lifeline, "_keep", lambda self: None)
