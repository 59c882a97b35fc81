"""Several at the same time, each with a connection of its own; on SQLite with the fixture `shared_database`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each of them answered, or the error it ended in; each has a thread and a connection of its own."""
    together = threading.Barrier(len(works))
    answers: list[Any] = [None] * len(works)

    def run(index: int) -> None:
        try:
            connection.ensure_connection()
            together.wait(30)
            answers[index] = works[index]()
        except Exception as error:  # noqa: BLE001 - it is the answer
            answers[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "they wait for each other"
    return answers
