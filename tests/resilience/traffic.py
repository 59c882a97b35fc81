"""Clients of the line, each with an address of its own: one part after another, each again until it is answered."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

import httpx

from tests import parts
from tests.resilience.system import System

_PAUSE_SECONDS = 0.25  # before a part is sent again
_PATIENCE_SECONDS = 120.0  # for one part, before it counts as unanswered


@dataclass(frozen=True)
class Answer:
    key: str
    began: float  # when it was first sent, by the monotonic clock
    answered: float
    attempts: int
    record: str


@dataclass
class Traffic:
    """`with Traffic(system, lot):` sends until the block is left; what was begun is answered then, or `unanswered`."""

    system: System
    lot: str
    clients: int = 4
    token: str = ""
    patient: bool = True  # sends a part again until it is answered; else once, whatever the answer
    answers: list[Answer] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)  # what was answered besides a record
    dishonest: Counter[str] = field(default_factory=Counter)  # of these: neither 429 or 503 with Retry-After, nor a cut

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._numbers = itertools.count()
        self._images = [parts.png(number, defective=number % 5 == 0) for number in range(40)]
        self._threads = [
            threading.Thread(target=self._send_parts, args=(number,), daemon=True) for number in range(self.clients)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS + 60)

    # ------------------------------------------------------------ sending
    def _send_parts(self, client_number: int) -> None:
        headers = {"Authorization": f"Bearer {self.token or self.system.stack.token}"}
        own_address = httpx.HTTPTransport(local_address=f"127.0.1.{1 + client_number % 250}")
        address = self.system.stack.address
        with httpx.Client(base_url=address, headers=headers, timeout=60, transport=own_address) as client:
            while not self._over.is_set():
                self._send_part(client, next(self._numbers))

    def _send_part(self, client: httpx.Client, number: int) -> None:
        key, began, attempts = f"{self.lot}-{number}", time.monotonic(), 0
        while time.monotonic() - began < _PATIENCE_SECONDS:
            attempts += 1
            answer = self._try(client, key, number)
            if answer is not None and answer.status_code == 200:
                self.answers.append(Answer(key, began, time.monotonic(), attempts, str(answer.json()["inspection_id"])))
                return
            if not self.patient:
                return
            time.sleep(self._pause(answer))
        self.unanswered.append(key)

    def _pause(self, answer: httpx.Response | None) -> float:
        if answer is None or self._over.is_set():
            return _PAUSE_SECONDS
        with contextlib.suppress(ValueError):
            return min(2.0, float(answer.headers.get("Retry-After", "")))
        return _PAUSE_SECONDS

    def _try(self, client: httpx.Client, key: str, number: int) -> httpx.Response | None:
        image = self._images[number % len(self._images)]
        try:
            answer = client.post(
                "/api/test_image",
                files={"image": (f"{number}.png", image, "image/png")},
                data={"lot": self.lot, "serial_number": key},
                headers={"Idempotency-Key": key},
            )
        except httpx.TransportError as error:
            self.seen[type(error).__name__] += 1
            return None
        if answer.status_code != 200:
            what = f"{answer.status_code} {_code(answer)}"
            self.seen[what] += 1
            if answer.status_code not in (429, 503) or "Retry-After" not in answer.headers:
                self.dishonest[what] += 1
        return answer

    # ------------------------------------------------------------ what came of it
    def wait_for_answers(self, count: int, *, begun_after: float = 0.0, seconds: float = 60.0) -> float | None:
        """Until so many parts that were first sent after a moment are answered; when that was. None: it never was."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            late = sorted(answer.answered for answer in list(self.answers) if answer.began >= begun_after)
            if len(late) >= count:
                return late[count - 1]
            time.sleep(0.05)
        return None

    def seconds(self) -> list[float]:
        """How long each answered part took, all its attempts together; ascending."""
        return sorted(answer.answered - answer.began for answer in self.answers)


def _code(answer: httpx.Response) -> str:
    with contextlib.suppress(ValueError):
        return str(answer.json().get("code", ""))
    return answer.text[:40]


def percentile(ascending: list[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else float("nan")
