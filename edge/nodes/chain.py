"""A piece of a node's audit chain as it comes in: whether it is one, and whether it goes on from what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from common.errors import UserError
from records.audit.chain.hashes import GENESIS, HASHED_WITH_KEY, Event, hash_of


class ChainRefused(UserError):
    """It is no chain, or not the one that this node had before."""

    code = "node_chain_differs"
    status = HTTPStatus.CONFLICT


@dataclass(frozen=True)
class State:
    """Where a chain stands: its last event and that event's hash."""

    sequence: int = 0
    head: str = GENESIS


_TEXTS = ("actor_name", "kind", "object_type", "object_id", "before", "after", "source", "request_id", "address")


def read_event(values: Any) -> Event:
    """An event of a node, with the hash that its content gives. Raises `UserError` for what is none."""
    names = Event._fields[: len(HASHED_WITH_KEY)]
    if not isinstance(values, list) or len(values) != len(names):
        raise _no_event(f"an event has {len(names)} values")
    said = dict(zip(names, values, strict=True))
    for name in ("sequence", "actor_id"):
        number = said[name]
        if not (type(number) is int and 0 < number < 2**63) and not (name == "actor_id" and number is None):
            raise _no_event(f"its {name} is no number of an event")
    for name in (*_TEXTS, "at", "previous_hash"):
        if not isinstance(said[name], str):
            raise _no_event(f"its {name} is no text")
    for name in ("attests", "key_id"):
        if said[name] is not None and not isinstance(said[name], str):
            raise _no_event(f"its {name} is no text")
    try:
        datetime.fromisoformat(said["at"])
    except ValueError:
        raise _no_event("its time is none") from None
    return Event._make([*values, hash_of(values), None])


def _no_event(why: str) -> UserError:
    return UserError(f"An event of the node's audit chain cannot be read: {why}. Nothing was kept.", code="invalid")


def follow(events: Sequence[Event], known: State) -> State:
    """Where the chain stands after these events. Raises `ChainRefused` where they do not go on from what is known."""
    state = known
    for event in events:
        if event.sequence != state.sequence + 1 or event.previous_hash != state.head:
            raise ChainRefused(
                f"Event {event.sequence} does not follow event {state.sequence} of this node's audit chain as it is "
                "known here. Nothing was kept. Its database was changed, restored from a backup or replaced: verify it "
                "there (manage.py edge --verify); a replaced one is registered as a new node.",
                sequence=event.sequence,
                known=state.sequence,
            )
        state = State(event.sequence, event.hash)
    return state
