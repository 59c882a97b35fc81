"""The audit chain as text: how an event is hashed, and a walk that finds the first one that does not fit.

Nothing here asks a database, so that a table, an exported file and a restored backup are judged by the same code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

GENESIS = "0" * 64
# The event that a checkpoint of the chain leaves; the checkpoint covers it.
CHECKPOINT_MADE = "audit.checkpoint_made"

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
    hash: str


HASHED = Event._fields[:-1]


def hash_of(values: Sequence[object]) -> str:
    """SHA-256 over the fields of `HASHED`, in this order, as a JSON array without blanks."""
    return hashlib.sha256(_spell(values).encode()).hexdigest()


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

    @property
    def sentence(self) -> str:
        """What is wrong; empty when nothing is."""
        if self.broken_at is None:
            return f"The chain is unbroken, but {self.reason}." if self.reason else ""
        if self.records is None:
            return f"The chain is broken at event {self.broken_at}: {self.reason}."
        return f"The chain is unbroken, but event {self.broken_at} does not match its record: {self.reason}."

    def broken(self, at: int, reason: str) -> ChainReport:
        return replace(self, broken_at=at, reason=reason)


def walk(
    events: Iterable[Event],
    *,
    seals: Mapping[int, Sequence[Seal]] | None = None,
    stored_checkpoints: Collection[int] | None = None,
    excerpt: bool = False,
    from_start: bool = True,
) -> ChainReport:
    """Recompute the chain in order of sequence, in constant memory, and compare it with checkpoints on the way.

    `stored_checkpoints`: events that must have a checkpoint of ours, which the events themselves say.
    `from_start`: it begins with the first event. `excerpt`: events may have been left out: each is judged alone.
    """
    seals = seals or {}
    head, count, first, last, gaps, compared = GENESIS, 0, 1, 0, 0, 0

    def report() -> ChainReport:
        return ChainReport(count, head, first=first, gaps=gaps, checkpoints=compared)

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
        if hash_of(event[:-1]) != event.hash:
            return report().broken(sequence, "its content was changed after it was written")
        head, count, last = event.hash, count + 1, sequence
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
    next_seal = min((sequence for sequence in seals if sequence > last), default=None)
    if next_seal is not None and not excerpt:
        return report().broken(
            last + 1,
            f"the newest events were removed: {seals[next_seal][0].name} saw {next_seal} events, and there are {last}",
        )
    return report()
