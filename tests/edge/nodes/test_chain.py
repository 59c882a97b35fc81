"""A node's chain in pieces, as they may come: doubled, cut anywhere, out of order, forged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.nodes.chain import ChainRefused, State, follow, read_event
from records.audit.chain.hashes import GENESIS, hash_of

LENGTH = 12


def chain(forged_at: int = 0) -> list[list[Any]]:
    """Its events; from `forged_at` on another one, in which each link fits."""
    events, head = [], GENESIS
    for sequence in range(1, LENGTH + 1):
        after = '{"forged":true}' if sequence == forged_at else "{}"
        event = [sequence, "2026-05-04T09:12:44.101000+00:00", None, "a", "k", "t", "o", "{}", after, "s", "", "", head]
        events.append([*event, "", "key"])
        head = hash_of(events[-1])
    return events


PIECES = st.lists(st.tuples(st.integers(0, LENGTH), st.integers(1, LENGTH)), max_size=20)


@given(PIECES)
def test_only_what_goes_on_from_what_is_known_is_taken(pieces: list[tuple[int, int]]) -> None:
    """Whatever comes in whichever order: what is known is always the chain up to some event, and never goes back."""
    whole = [read_event(event) for event in chain()]
    known = State()
    for first, number in pieces:
        piece = whole[first : first + number]
        goes_on = bool(piece) and piece[0].sequence == known.sequence + 1
        if goes_on or not piece:
            known = follow(piece, known)
        else:
            with pytest.raises(ChainRefused):
                follow(piece, known)
        assert known.head == (whole[known.sequence - 1].hash if known.sequence else GENESIS)


@given(st.integers(1, LENGTH), st.integers(0, LENGTH))
def test_a_chain_that_was_rewritten_is_refused_where_it_was_anchored(forged_at: int, anchored: int) -> None:
    known = follow([read_event(event) for event in chain()[:anchored]], State())
    rest = [read_event(event) for event in chain(forged_at)[anchored:]]
    if not rest:
        return
    if forged_at <= anchored:
        with pytest.raises(ChainRefused):
            follow(rest, known)
    else:
        assert follow(rest, known).sequence == LENGTH
