"""The handshake against a PLC that does whatever it likes, and against one that keeps to the diagram."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.modbus.handshake import (
    LAST_NUMBER,
    Accepted,
    Control,
    Outputs,
    Part,
    Result,
    State,
    Step,
    Times,
    reopened,
    step,
)

TIMES = Times(pulse=0.2, gap=0.05, line=1.0, acknowledge=2.0, unobserved=0.5)
VERDICTS = ("good", "defective", "not_comparable", "no_verdict")


class Plc:
    """The machine with a clock that is turned by hand."""

    def __init__(self, *, has_handshake: bool = True) -> None:
        self.state, self.now = State(), 100.0
        self.control = Control() if has_handshake else None
        self.offered: Result | None = None
        self.counted: Counter[str] = Counter()
        self.accepted: list[Accepted] = []
        self.outputs: Outputs
        self.look(0)

    def look(self, after: float = 0.02, failed: int = 0, **control: Any) -> Step:
        self.now += after
        if self.control is not None:
            self.control = replace(self.control, **control)
        self.state, found = step(
            self.state, now=self.now, control=self.control, times=TIMES, offered=self.offered, failed=failed
        )
        if found.is_offer_shown:
            self.offered = None
        self.outputs = found.outputs
        self.counted.update(dict(found.counted))
        if found.accepted:
            self.accepted.append(found.accepted)
        return found

    def answer(self, verdict: str = "good", sequence: int = 1) -> None:
        last = self.accepted[-1]
        self.offered = Result(verdict, sequence, last.ticket, last.control.number)

    def reopen(self) -> None:
        self.state = reopened(self.state)


def said(outputs: Outputs) -> tuple[bool, bool, bool]:
    return outputs.ready, outputs.busy, outputs.result_ready


def test_the_diagram():
    """ready, trigger, busy, result ready, acknowledge: as docs/line-plc.md draws it."""
    plc = Plc()
    assert said(plc.outputs) == (True, False, False)
    plc.look(trigger=True, number=1, recipe=3, part_number="A-7")
    assert said(plc.outputs) == (False, True, False)
    [accepted] = plc.accepted
    assert (accepted.control.recipe, accepted.control.part_number) == (3, "A-7")
    plc.look(trigger=False)
    assert said(plc.outputs) == (False, True, False)
    plc.answer("defective", 17)
    plc.look(0.1)
    assert said(plc.outputs) == (False, False, True)
    assert plc.outputs.coil == "defective"
    assert plc.outputs.result == Result("defective", 17, 1, 1)
    assert plc.look(0.1, acknowledge=True).taken == Result("defective", 17, 1, 1)
    assert said(plc.outputs) == (False, False, False)
    plc.look(0.15)
    assert plc.outputs.coil == "", "the pulse is over"
    plc.look(acknowledge=False)
    assert said(plc.outputs) == (True, False, False)
    assert not plc.counted


def test_the_part_is_told_no_verdict_when_the_lines_time_is_over():
    plc = Plc()
    plc.look(trigger=True, number=1)
    plc.look(0.98)
    assert plc.outputs.coil == ""
    plc.look(0.04)
    assert (plc.outputs.coil, plc.outputs.busy, plc.outputs.result_ready) == ("no_verdict", False, True)
    assert plc.counted == {"triggers_overdue": 1}
    plc.look(trigger=False, acknowledge=True)
    plc.look(0.5, acknowledge=False)
    plc.answer("good")
    assert plc.look().taken is not None
    assert plc.outputs.coil == "", "what comes afterwards moves nothing"
    assert plc.outputs.result is not None
    assert plc.outputs.result.is_supplement


def test_a_part_that_cannot_be_judged_is_told_so_at_once():
    plc = Plc()
    plc.look(trigger=True, number=1)
    plc.look(failed=plc.accepted[0].ticket + 5)
    assert plc.outputs.busy
    plc.look(failed=plc.accepted[0].ticket)
    assert plc.outputs.coil == "no_verdict"
    assert plc.outputs.result == Result("no_verdict", 0, 1, 1)


@pytest.mark.parametrize(
    ("before", "number", "missing"),
    [(1, 2, 0), (1, 4, 2), (LAST_NUMBER, 1, 0), (LAST_NUMBER, 3, 2), (900, 1, 0), (1, 0, 0)],
)
def test_numbers_that_are_skipped_are_missing(before: int, number: int, missing: int):
    plc = Plc()
    plc.look(trigger=True, number=before)
    plc.answer()
    plc.look()
    plc.look(trigger=False, acknowledge=True)
    plc.look(0.5, acknowledge=False)
    plc.look(trigger=True, number=number)
    assert len(plc.accepted) == 2
    assert plc.counted["triggers_missing"] == missing


def test_a_doubled_trigger_is_refused_and_one_that_is_early_too():
    plc = Plc()
    plc.look(trigger=True, number=1)
    plc.look(trigger=False)
    plc.look(trigger=True, number=2)
    assert plc.outputs.refused
    assert plc.counted == {"triggers_early": 1}
    plc.answer()
    plc.look()
    assert plc.outputs.coil == "good"
    plc.look(acknowledge=True)
    plc.look(0.5, acknowledge=False)
    assert plc.outputs.refused, "it still stands"
    assert not plc.outputs.ready
    plc.look(trigger=False)
    assert plc.outputs.ready
    plc.look(trigger=True, number=2)
    assert plc.counted == {"triggers_early": 1, "triggers_doubled": 1}
    assert len(plc.accepted) == 1


def test_a_trigger_that_stood_when_the_connection_was_opened_is_late():
    plc = Plc()
    plc.reopen()
    plc.look(trigger=True, number=7)
    assert plc.counted == {"triggers_late": 1}
    assert plc.outputs.coil == "no_verdict"
    assert not plc.accepted
    plc.look(trigger=False, acknowledge=True)
    plc.look(0.5, acknowledge=False)
    plc.look(2.0, trigger=True, number=8)
    assert plc.counted == {"triggers_late": 2}, "nobody looked for two seconds"


def test_a_part_that_is_judged_when_the_connection_is_lost_gets_its_verdict_afterwards():
    plc = Plc()
    plc.look(trigger=True, number=7)
    plc.reopen()
    plc.look()
    assert said(plc.outputs) == (False, True, False)
    plc.answer("defective", 3)
    plc.look()
    assert plc.outputs.coil == "defective"
    plc.reopen()
    plc.look()
    assert plc.outputs.coil == ""
    plc.offered = Result("defective", 3, plc.accepted[0].ticket, 7, is_duplicate=True)
    plc.look()
    assert (plc.outputs.coil, plc.outputs.result_ready) == ("defective", True)
    assert not plc.counted


def test_what_nobody_acknowledges_is_given_back():
    plc = Plc()
    plc.offered = Result("good", 1)
    plc.look()
    found = plc.look(2.0)
    assert found.untaken == Result("good", 1)
    assert not plc.outputs.result_ready


def test_without_a_handshake_results_are_pulses_one_after_another():
    plc = Plc(has_handshake=False)
    plc.offered = Result("good", 1)
    assert plc.look().taken == Result("good", 1)
    plc.offered = Result("defective", 2)
    coils = [plc.look().outputs.coil for _ in range(16)]
    assert coils[0] == "good"
    assert "" in coils
    assert coils[-1] == "defective"


class AnyPlc(RuleBasedStateMachine):
    """A PLC that keeps to nothing, a connection that is lost, and a judge who answers some of the parts."""

    @initialize(handshake=st.booleans())
    def begin(self, handshake: bool) -> None:
        self.plc = Plc(has_handshake=handshake)
        self.sequence = 0
        self.acted: Counter[int] = Counter()
        self.offers: dict[int, Result] = {}
        self.rises = 0
        self.shown = self.plc.outputs.shown
        self.coil_since = 0.0

    def look(self, after: float, failed: int = 0, **control: Any) -> None:
        plc = self.plc
        had, was = plc.state.has_trigger, plc.outputs
        if plc.control is not None and control.get("trigger", plc.control.trigger) and not had:
            stands = had is None and plc.state.part is not Part.NONE
            number = control.get("number", plc.control.number)
            self.rises += not (stands and number == (plc.state.trigger if number else 0))
        found = plc.look(after, failed, **control)
        result = found.outputs.result
        if found.outputs.shown != self.shown:
            self.shown = found.outputs.shown
            assert result is not None
            if not result.is_supplement and not result.is_duplicate and result.ticket:
                self.acted[result.ticket] += 1
        if found.outputs.coil and not was.coil:
            self.coil_since = plc.now
        if was.coil and not found.outputs.coil:
            assert plc.now - self.coil_since >= TIMES.pulse - 1e-9
        if found.outputs.busy:
            assert plc.now - plc.state.part_since < TIMES.line
        if result is not None and result.verdict == "good":
            assert result.sequence, "good comes from a record alone"
            assert replace(result, is_supplement=False) == self.offers[result.sequence]
        if found.untaken and found.untaken.sequence and not plc.offered:
            plc.offered = replace(found.untaken, is_duplicate=True)
            self.offers[found.untaken.sequence] = replace(plc.offered, is_supplement=False)

    @rule(after=st.floats(0.001, 1.5))
    def wait(self, after: float) -> None:
        self.look(after)

    @rule(
        after=st.floats(0.001, 0.6),
        trigger=st.booleans(),
        number=st.integers(0, 6),
        acknowledge=st.booleans(),
    )
    def plc_says(self, after: float, trigger: bool, number: int, acknowledge: bool) -> None:
        self.look(after, trigger=trigger, number=number, acknowledge=acknowledge)

    @precondition(lambda self: self.plc.accepted and self.plc.offered is None)
    @rule(verdict=st.sampled_from(VERDICTS), data=st.data())
    def judge(self, verdict: str, data: st.DataObject) -> None:
        """The newest part, once; older ones come as what they are: too late."""
        accepted = data.draw(st.sampled_from(self.plc.accepted))
        self.plc.accepted.remove(accepted)
        self.offer(Result(verdict, 0, accepted.ticket, accepted.control.number))

    @precondition(lambda self: self.plc.offered is None)
    @rule(verdict=st.sampled_from(VERDICTS))
    def untriggered(self, verdict: str) -> None:
        self.offer(Result(verdict))

    def offer(self, result: Result) -> None:
        self.sequence += 1
        self.plc.offered = self.offers[self.sequence] = replace(result, sequence=self.sequence)
        self.look(0.01)

    @precondition(lambda self: self.plc.accepted)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        accepted = data.draw(st.sampled_from(self.plc.accepted))
        self.plc.accepted.remove(accepted)
        self.look(0.01, failed=accepted.ticket)

    @rule()
    def lose(self) -> None:
        self.plc.reopen()
        self.coil_since = -1e9
        self.look(0.01)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "plc"):
            return
        out, counted = self.plc.outputs, self.plc.counted
        assert not (out.busy and out.ready)
        assert not (out.result_ready and out.ready) or self.plc.control is None
        assert all(number == 1 for number in self.acted.values()), "a trigger is answered once"
        refused = counted["triggers_late"] + counted["triggers_doubled"] + counted["triggers_early"]
        assert self.rises == self.plc.state.tickets + refused, "each trigger is accepted or counted"


TestAnyPlc = AnyPlc.TestCase
