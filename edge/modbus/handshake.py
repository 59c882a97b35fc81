"""The handshake with a PLC as a state machine without a clock, a socket or a database.

Two things go on beside each other: the part that the PLC has triggered, and the result that it is shown. `step` takes
what the PLC's registers say and gives what ours have to say. The timing diagram is in docs/line-plc.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

NO_VERDICT = "no_verdict"
LAST_NUMBER = 65_535  # of a trigger; after it comes 1. A PLC that does not count says 0


@dataclass(frozen=True)
class Control:
    """What the PLC says."""

    trigger: bool = False
    acknowledge: bool = False
    number: int = 0
    recipe: int = 0
    part_number: str = ""
    serial_number: str = ""


@dataclass(frozen=True)
class Result:
    """What the PLC is told about one part. `sequence` is that of its delivery, 0 for an answer without a record.

    `ticket` names the accepted trigger that it answers, 0 where it was none; `trigger` is the PLC's number of it.
    `is_supplement`: the part was told about before, so that nothing must be done with it.
    """

    verdict: str
    sequence: int = 0
    ticket: int = 0
    trigger: int = 0
    is_duplicate: bool = False
    is_late: bool = False
    is_supplement: bool = False


@dataclass(frozen=True)
class Accepted:
    """A trigger whose part has to be judged."""

    ticket: int
    control: Control
    at: float


@dataclass(frozen=True)
class Times:
    """In seconds."""

    pulse: float
    gap: float  # between the end of one pulse and the next result
    line: float  # from a trigger to "no verdict"
    acknowledge: float  # how long a result is shown to a PLC that does not acknowledge it
    unobserved: float  # a trigger that may have come so long ago is late


class Part(Enum):
    NONE = auto()
    BUSY = auto()  # being judged
    ANSWERED = auto()  # its result is, or was, shown; the trigger still stands


class Slot(Enum):
    FREE = auto()
    SHOWN = auto()
    CLEARING = auto()  # taken: the pulse and the PLC's acknowledgement end


@dataclass(frozen=True)
class State:
    """Kept when the connection is lost: the part is judged on meanwhile."""

    part: Part = Part.NONE
    ticket: int = 0  # of that part
    trigger: int = 0  # its number
    answered: int = 0  # the last ticket that was answered without a record
    part_since: float = 0.0
    tickets: int = 0  # given so far
    has_trigger: bool | None = None  # at the last look; None: there was none since the connection was opened
    is_refused: bool = False  # the standing trigger is not judged, and no result of it will come
    last_number: int = 0
    looked_at: float = 0.0
    answers: tuple[Result, ...] = ()  # "no verdict" that nobody else will say
    slot: Slot = Slot.FREE
    result: Result | None = None
    shown_at: float = 0.0
    shown: int = 0  # results so far


@dataclass(frozen=True)
class Outputs:
    ready: bool
    busy: bool
    result_ready: bool
    refused: bool
    coil: str  # the verdict whose coil is on, or nothing
    result: Result | None  # the last one
    shown: int


@dataclass(frozen=True)
class Step:
    """What came of one look. `counted`: names of what is counted, with how many."""

    outputs: Outputs
    accepted: Accepted | None = None
    is_offer_shown: bool = False  # what was offered stands in the outputs from now on
    taken: Result | None = None
    untaken: Result | None = None
    counted: tuple[tuple[str, int], ...] = ()


def reopened(state: State) -> State:
    """After the connection was lost: nothing is shown, and nobody knows what the PLC did meanwhile."""
    answers = state.answers
    if state.slot is Slot.SHOWN and state.result is not None and state.result.sequence == 0:
        # It may have been seen. What comes from the outbox comes again by itself.
        answers = (replace(state.result, is_duplicate=True), *answers)
    return replace(state, slot=Slot.FREE, result=None, has_trigger=None, is_refused=False, answers=answers)


def step(
    state: State,
    *,
    now: float,
    control: Control | None,
    times: Times,
    offered: Result | None = None,
    failed: int = 0,
) -> tuple[State, Step]:
    """One look. Without `control` there is no handshake: results are pulses that nobody acknowledges.

    `offered`: the next result, until it is shown; `failed`: the ticket of a part of which no verdict will come.
    """
    counted: list[tuple[str, int]] = []
    accepted = None
    if control is not None:
        state, accepted = _look(state, control, now, times, counted)
        state = _end_busy(state, now, times, failed, counted)
    state, taken, untaken = _end_result(state, control, now, times)
    if untaken is not None:
        counted.append(("results_unacknowledged", 1))
    state, is_offer_shown, shown_away = _show(state, control, now, offered)
    outputs = _outputs(state, control, now, times)
    return state, Step(outputs, accepted, is_offer_shown, taken or shown_away, untaken, tuple(counted))


# ---------------------------------------------------------------- the part
def _look(
    state: State, control: Control, now: float, times: Times, counted: list[tuple[str, int]]
) -> tuple[State, Accepted | None]:
    had, looked_at = state.has_trigger, state.looked_at
    state = replace(state, has_trigger=control.trigger, looked_at=now)
    if not control.trigger:
        part = Part.NONE if state.part is Part.ANSWERED else state.part
        return replace(state, part=part, is_refused=False), None
    if had:
        return state, None
    is_same = control.number == (state.trigger if control.number else 0)
    if had is None and state.part is not Part.NONE and is_same:
        return state, None  # it has stood since before the connection was lost
    state = _count_missing(state, control.number, counted)
    is_again = control.number != 0 and control.number == state.last_number
    state = replace(state, last_number=control.number or state.last_number)
    if is_again:
        counted.append(("triggers_doubled", 1))
    elif had is None or now - looked_at > times.unobserved:
        # It may stand for long: a picture taken now would show another part.
        counted.append(("triggers_late", 1))
        if state.part is Part.NONE:
            answer = Result(NO_VERDICT, trigger=control.number)
            return replace(
                state, part=Part.ANSWERED, ticket=0, trigger=control.number, answers=(*state.answers, answer)
            ), None
    elif not _is_free(state, control):
        counted.append(("triggers_early", 1))
    else:
        ticket = state.tickets + 1
        state = replace(state, part=Part.BUSY, ticket=ticket, tickets=ticket, trigger=control.number, part_since=now)
        return state, Accepted(ticket, control, now)
    return replace(state, is_refused=True), None


def _count_missing(state: State, number: int, counted: list[tuple[str, int]]) -> State:
    """Numbers that were skipped. One that goes back is a PLC that began anew, and none is missing."""
    if number and state.last_number:
        missing = (number - state.last_number - 1) % LAST_NUMBER
        if 0 < missing < LAST_NUMBER // 2:
            counted.append(("triggers_missing", missing))
    return state


def _end_busy(state: State, now: float, times: Times, failed: int, counted: list[tuple[str, int]]) -> State:
    if state.part is not Part.BUSY:
        return state
    is_over = now - state.part_since >= times.line
    if not is_over and failed != state.ticket:
        return state
    if is_over:
        counted.append(("triggers_overdue", 1))
    answer = Result(NO_VERDICT, ticket=state.ticket, trigger=state.trigger)
    return replace(state, part=_answered(state), answered=state.ticket, answers=(*state.answers, answer))


def _answered(state: State) -> Part:
    return Part.ANSWERED if state.has_trigger else Part.NONE


def _is_free(state: State, control: Control) -> bool:
    """Whether a trigger would be accepted."""
    return state.part is Part.NONE and state.slot is Slot.FREE and not state.answers and not control.acknowledge


# ---------------------------------------------------------------- the result
def _end_result(
    state: State, control: Control | None, now: float, times: Times
) -> tuple[State, Result | None, Result | None]:
    """The state, what was just taken, and what nobody took."""
    taken = untaken = None
    if state.slot is Slot.SHOWN:
        if control is not None and control.acknowledge:
            taken, state = state.result, replace(state, slot=Slot.CLEARING)
        elif now - state.shown_at >= times.acknowledge:
            untaken, state = state.result, replace(state, slot=Slot.CLEARING)
    if state.slot is Slot.CLEARING:
        is_over = now - state.shown_at >= times.pulse + times.gap
        if is_over and not (control is not None and control.acknowledge):
            state = replace(state, slot=Slot.FREE)
    return state, taken, untaken


def _show(
    state: State, control: Control | None, now: float, offered: Result | None
) -> tuple[State, bool, Result | None]:
    """The state, whether the offered result is shown now, and what is taken by being shown."""
    if state.slot is not Slot.FREE or (control is not None and control.acknowledge):
        return state, False, None
    if state.answers:
        result, is_offer = state.answers[0], False
        state = replace(state, answers=state.answers[1:])
    elif offered is not None:
        result, is_offer = _placed(offered, state), True
    else:
        return state, False, None
    state = replace(state, result=result, shown=state.shown + 1)
    if result.is_supplement:
        return state, is_offer, result
    if state.part is Part.BUSY and result.ticket == state.ticket:
        state = replace(state, part=_answered(state))
    slot = Slot.CLEARING if control is None else Slot.SHOWN
    return replace(state, slot=slot, shown_at=now), is_offer, result if control is None else None


def _placed(offered: Result, state: State) -> Result:
    """A result of a trigger that the PLC no longer waits for is a supplement."""
    is_awaited = offered.ticket in (0, state.ticket) and (offered.ticket == 0 or offered.ticket != state.answered)
    return offered if is_awaited else replace(offered, is_supplement=True)


def _outputs(state: State, control: Control | None, now: float, times: Times) -> Outputs:
    result = state.result
    is_pulse = state.slot is not Slot.FREE and now - state.shown_at < times.pulse
    return Outputs(
        ready=control is None or (_is_free(state, control) and not control.trigger),
        busy=state.part is Part.BUSY,
        result_ready=state.slot is Slot.SHOWN,
        refused=state.is_refused,
        coil=result.verdict if is_pulse and result is not None else "",
        result=result,
        shown=state.shown,
    )
