"""What a fault is, what it gets to work with, and what is written down of it."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.resilience.system import System
from tests.resilience.traffic import Traffic

RECOVERY_SECONDS = 90.0  # after which an injection counts as one that the system did not come back from


@dataclass
class Outcome:
    """A row of the table."""

    fault: str
    injected: int = 0
    requests: int = 0
    lost: int = 0
    doubled: int = 0
    recovery: float | None = None  # seconds, the longest; None where it did not come back
    seen: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)  # what else was measured
    problems: list[str] = field(default_factory=list)
    skipped: str = ""  # why it was not tried

    @property
    def is_sound(self) -> bool:
        if self.skipped:
            return True
        back = self.recovery is not None and self.recovery <= 30
        return back and not self.lost and not self.doubled and not self.problems


@dataclass(frozen=True)
class Injection:
    """What a fault gets to work with."""

    system: System
    traffic: Traffic
    random: random.Random
    scale: float  # 1.0: as promised; less in a short run
    outcome: Outcome

    def note(self, sentence: str) -> None:
        self.outcome.notes.append(sentence)

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.outcome.problems.append(otherwise)


def always() -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """`inject` does it once and returns when the dependency was back, by the monotonic clock.

    `sees`, `keeps` and `recovers` say what callers are answered, what stays, and how it goes on. `needs` is one of
    `surroundings.SURROUNDINGS`. `impossible` says why it cannot be done on this machine.
    """

    name: str
    inject: Callable[[Injection], float]
    sees: str
    keeps: str
    recovers: str
    times: int = 3
    needs: str = "embedded"
    impossible: Callable[[], str] = always

    @property
    def lot(self) -> str:
        """By which the records of its traffic are told apart."""
        return self.name[:50].strip()  # as the system keeps it


def run_fault(fault: Fault, system: System, traffic: Traffic, *, seed: int, times: int, scale: float) -> Outcome:
    """Does it so often while the clients send; the invariants are the caller's to check."""
    outcome = Outcome(fault.name)
    injection = Injection(system, traffic, random.Random(f"{seed} {fault.name}"), scale, outcome)
    with traffic:
        if traffic.wait_for_answers(3, seconds=RECOVERY_SECONDS) is None:
            outcome.problems.append("nothing was judged before it began")
        else:
            _inject(fault, injection, times)
    try:
        system.wait_until_whole()
    except pytest.fail.Exception as error:
        outcome.problems.append(f"not whole again: {str(error)[-500:]}")
    outcome.requests, outcome.seen = len(traffic.answers) + len(traffic.unanswered), traffic.seen
    defects = [what for what in traffic.seen if what.startswith("500")]
    outcome.problems += [f"answered {what}: {_last_error(system)}" for what in defects]
    return outcome


def _last_error(system: System) -> str:
    """What the web server logged last of a defect, with the end of its traceback."""
    text = (system.stack.var_dir / "logs" / "web.log").read_text(errors="replace")
    _, _, traceback = text.rpartition("Internal Server Error: ")
    return re.split(r"\n\d{4}-\d\d-\d\d ", traceback)[0][-1500:]


def _inject(fault: Fault, injection: Injection, times: int) -> None:
    outcome, longest = injection.outcome, 0.0
    for _ in range(times):
        time.sleep(injection.random.random())
        try:
            back = fault.inject(injection)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the other faults are still to be tried
            outcome.problems.append(f"{type(error).__name__}: {str(error)[-500:]}")
            return
        outcome.injected += 1
        answered = injection.traffic.wait_for_answers(1, begun_after=back, seconds=RECOVERY_SECONDS)
        if answered is None:
            outcome.problems.append(f"nothing was judged for {RECOVERY_SECONDS:g} s")
            return
        longest = max(longest, answered - back)
    outcome.recovery = longest
