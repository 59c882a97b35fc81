"""The audit chain as text: how an event is hashed, and a walk that finds the first one that does not fit.

Nothing here asks a database, so that a table, an exported file and a restored backup are judged by the same code.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple, Protocol

GENESIS = "0" * 64
# The event that a checkpoint of the chain leaves; the checkpoint covers it.
CHECKPOINT_MADE = "audit.checkpoint_made"
# The first event with an authenticator, in a chain that began before there were any.
AUTHENTICATION_BEGAN = "audit.authentication_began"
# The last event that is authenticated with a key; its object is the next one.
KEY_ROTATED = "audit.key_rotated"
# The first event of an installation that went on from a backup; without the keys of before it has one of its own.
RESTORED = "backup.restored"

_spell = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Event(NamedTuple):
    """What an event says, in the order in which it is hashed; last its hash. `at` is ISO 8601 with microseconds."""

    sequence: int
    at: str
    actor_id: int | None
    actor_name: str
    kind: str
    object_type: str
    object_id: str
    before: str
    after: str
    source: str
    request_id: str
    address: str
    previous_hash: str
    # Events of before authentication began have neither of these, nor an authenticator.
    attests: str | None
    key_id: str | None
    hash: str
    authenticator: str | None


HASHED = Event._fields[:13]
HASHED_WITH_KEY = Event._fields[:15]


def hash_of(values: Sequence[object]) -> str:
    """SHA-256 over the fields of `HASHED_WITH_KEY`, in this order, as a JSON array without blanks.

    Over those of `HASHED` where the event has no key.
    """
    if values[-1] is None:
        values = values[: len(HASHED)]
    return hashlib.sha256(_spell(values).encode()).hexdigest()


def authenticator_of(event_hash: str, secret: bytes) -> str:
    """HMAC-SHA256 over the hash of an event, which covers all that it says."""
    return hmac.new(secret, event_hash.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Authentication:
    """What authenticators are checked with.

    `starts`: the first event that must carry one, as told outside the database; None where nobody tells. `keys` in the
    order in which they came into use, `current` the one that is in use. `is_required`: a key that is not here is a
    fault; else what it authenticates goes unchecked.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict)
    starts: int | None = None
    current: str | None = None
    is_required: bool = False


class _KeyInForce:
    """Follows which key the next event must be authenticated with, and says what is wrong with one."""

    def __init__(self, authentication: Authentication, *, is_excerpt: bool) -> None:
        self._known, self._is_excerpt = authentication, is_excerpt
        self._in_force: str | None = None
        self.first: int | None = None
        self.unchecked = 0

    def fault(self, event: Event) -> str:
        known, starts = self._known, self._known.starts
        is_before = starts is None or event.sequence < starts or not known.keys
        if event.sequence == starts or (is_before and event.kind == RESTORED):
            self._in_force = None  # the keys of before a restored backup may be others
        if event.key_id is None:
            if self.first is not None or (starts is not None and event.sequence >= starts):
                return "carries no authenticator, so it was not written by the application"
            return ""
        if self._in_force not in (None, event.key_id) and not self._is_excerpt:
            return f"names the key {event.key_id}, and {self._in_force} was in force"
        secret = known.keys.get(event.key_id)
        if secret is not None:
            if not hmac.compare_digest(authenticator_of(event.hash, secret), event.authenticator or ""):
                return "its authenticator is not genuine, so it was not written by the application"
        elif known.is_required and (starts is None or event.sequence >= starts):
            return f"was authenticated with the key {event.key_id}, which is not here (AUDIT_EVENT_KEYS)"
        else:
            self.unchecked += 1
        if secret is not None and self.first is None:
            self.first = event.sequence
        self._in_force = event.object_id if event.kind == KEY_ROTATED else event.key_id
        return ""

    def fault_at_the_end(self) -> str:
        keys = list(self._known.keys)
        if self._in_force in keys and self._known.current in keys[keys.index(self._in_force) + 1 :]:
            return f"the newest events name the key {self._in_force}, and it was replaced by {self._known.current}"
        return ""


class Seal(Protocol):
    """A checkpoint: at this event the chain had this hash."""

    @property
    def sequence(self) -> int: ...
    @property
    def head(self) -> str: ...
    @property
    def name(self) -> str:
        """For people: which checkpoint, kept where."""
        ...


@dataclass(frozen=True)
class ClockSteps:
    """Where time ran backwards along the chain: how often, first at which event, and by how much at most."""

    count: int = 0
    first: int | None = None
    largest_seconds: float = 0.0

    @property
    def sentence(self) -> str:
        return (
            f"Time ran backwards at {self.count} event{'s' if self.count > 1 else ''}, first at event {self.first}, by "
            f"{self.largest_seconds:g} s at most: a clock was set back, or the clocks of several machines differ."
        )

    def after(self, previous: str, event: Event) -> ClockSteps:
        if event.at >= previous:
            return self
        back = (datetime.fromisoformat(previous) - datetime.fromisoformat(event.at)).total_seconds()
        return ClockSteps(self.count + 1, self.first or event.sequence, max(self.largest_seconds, back))


@dataclass(frozen=True)
class ChainReport:
    """What was found. `broken_at` is the first event that does not fit, None when all do.

    `records`: how many rows say what their events say; None where they were not asked, or the chain is broken already.
    With it `broken_at` is the event that a row contradicts, and a `reason` alone tells of a row that no event reports.
    """

    events: int
    head: str
    broken_at: int | None = None
    reason: str = ""
    first: int = 1
    gaps: int = 0
    checkpoints: int = 0
    records: int | None = None
    # The first event whose authenticator was checked; None where none was. And how many were not, for want of the key.
    authenticated_from: int | None = None
    unchecked: int = 0
    # Where an event is older than the one before it: a notice, no fault.
    clock: ClockSteps = field(default_factory=lambda: ClockSteps())
    files: int | None = None
    # Of other things than the chain and rows: triggers, files.
    findings: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is wrong; empty when nothing is."""
        if not self.findings:
            return self._chain_sentence
        return f"{self._chain_sentence or 'The chain is unbroken.'} Besides: {'; '.join(self.findings)}."

    @property
    def notices(self) -> list[str]:
        """What a reader should know and is no sign of forgery."""
        said = []
        if self.authenticated_from is None:
            said.append("No authenticator of an event was checked.")
        elif self.authenticated_from > self.first:
            said.append(f"Events are authenticated from event {self.authenticated_from} on; those before have a hash.")
        if self.unchecked:
            said.append(f"{self.unchecked} authenticators were not checked: their key is not here (AUDIT_EVENT_KEYS).")
        return [*said, *([self.clock.sentence] if self.clock.count else [])]

    @property
    def _chain_sentence(self) -> str:
        if self.broken_at is None:
            return f"The chain is unbroken, but {self.reason}." if self.reason else ""
        if self.records is None:
            return f"The chain is broken at event {self.broken_at}: {self.reason}."
        return f"The chain is unbroken, but event {self.broken_at} does not match its record: {self.reason}."

    def broken(self, at: int, reason: str) -> ChainReport:
        return replace(self, broken_at=at, reason=reason)


_NO_KEYS = Authentication()


def walk(
    events: Iterable[Event],
    *,
    seals: Mapping[int, Sequence[Seal]] | None = None,
    stored_checkpoints: Collection[int] | None = None,
    excerpt: bool = False,
    from_start: bool = True,
    authentication: Authentication = _NO_KEYS,
) -> ChainReport:
    """Recompute the chain in order of sequence, in constant memory, and compare it with checkpoints on the way.

    `stored_checkpoints`: events that must have a checkpoint of ours, which the events themselves say.
    `from_start`: it begins with the first event. `excerpt`: events may have been left out: each is judged alone.
    """
    seals = seals or {}
    head, count, first, last, gaps, compared = GENESIS, 0, 1, 0, 0, 0
    key, clock, time = _KeyInForce(authentication, is_excerpt=excerpt), ClockSteps(), ""

    def report() -> ChainReport:
        return ChainReport(
            count,
            head,
            first=first,
            gaps=gaps,
            checkpoints=compared,
            authenticated_from=key.first,
            unchecked=key.unchecked,
            clock=clock,
        )

    sealed_until = 0
    for event in events:
        sequence = event.sequence
        if count == 0 and not from_start:
            first, last, head = sequence, sequence - 1, event.previous_hash
        if sequence != last + 1:
            if not excerpt or sequence <= last:
                return report().broken(last + 1, f"event {last + 1} is missing")
            gaps, head = gaps + 1, event.previous_hash
        if event.previous_hash != head:
            return report().broken(sequence, "does not follow the event before it")
        if hash_of(event[: len(HASHED_WITH_KEY)]) != event.hash:
            return report().broken(sequence, "its content was changed after it was written")
        head, count, last = event.hash, count + 1, sequence
        clock, time = clock.after(time, event), event.at
        if stored_checkpoints is not None and event.kind == CHECKPOINT_MADE and sequence not in stored_checkpoints:
            return report().broken(sequence, "it reports a checkpoint, and that was removed")
        for seal in seals.get(sequence, ()):
            if seal.head != head:
                return report().broken(
                    sequence,
                    f"the chain was rewritten: {seal.name} has another event here, so the first forged event is "
                    f"between {sealed_until + 1} and {sequence}",
                )
            compared, sealed_until = compared + 1, sequence
        if fault := key.fault(event):
            return report().broken(sequence, fault)
    next_seal = min((sequence for sequence in seals if sequence > last), default=None)
    if next_seal is not None and not excerpt:
        return report().broken(
            last + 1,
            f"the newest events were removed: {seals[next_seal][0].name} saw {next_seal} events, and there are {last}",
        )
    if not excerpt and (fault := key.fault_at_the_end()):
        return report().broken(last, fault)
    return report()
