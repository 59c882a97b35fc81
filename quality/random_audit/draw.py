"""The draw: which parts of a shift are reviewed. Text and hashes only, no database, so that anybody can repeat it.

`scripts/verify_random_audit.py` does the same from an export, in a few lines of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

GOOD, DEFECTIVE = "good", "defective"


class Member(NamedTuple):
    """A part of a shift: its record, the model's verdict, and the hash of the audit event that reports the record."""

    inspection_id: str
    outcome: str
    event_hash: str


def population_hash(members: Iterable[Member]) -> str:
    """SHA-256 over a line "ID VERDICT EVENT_HASH" for each part, in the order of the audit chain."""
    digest = hashlib.sha256()
    for member in members:
        digest.update(f"{member.inspection_id} {member.outcome} {member.event_hash}\n".encode())
    return digest.hexdigest()


def number_to_draw(passed: int, percent: Decimal, at_least: int) -> int:
    """`percent` of the parts that passed, rounded up; not fewer than `at_least`, and not more than there are."""
    share = int((passed * percent / 100).to_integral_value(ROUND_CEILING))
    return min(passed, max(share, at_least if percent else 0))


def rank_key(seed: str, inspection_id: str) -> str:
    """A part's place in the draw: the parts with the lowest ones are drawn."""
    return hashlib.sha256(f"{seed} {inspection_id}".encode()).hexdigest()


def draw(members: Sequence[Member], *, seed: str, passed: int, rejected: int) -> list[Member]:
    """So many of the parts judged good and so many of those judged defective, in the order of their ranks.

    That order mixes the two, so that nobody can tell from it what the model said.
    """
    ranked = sorted(members, key=lambda member: rank_key(seed, member.inspection_id))
    good = [member for member in ranked if member.outcome == GOOD][:passed]
    defective = [member for member in ranked if member.outcome == DEFECTIVE][:rejected]
    chosen = {member.inspection_id for member in (*good, *defective)}
    return [member for member in ranked if member.inspection_id in chosen]
