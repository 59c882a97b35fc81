"""Which parts a study shows, and in which order. Text and hashes only, so that anybody can repeat it.

The candidates are fixed by an audit event, whose hash is the seed: nobody knows it before, and any other candidates
would have another one. It is the draw of the random audit, in three groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from quality.random_audit.draw import Member, rank_key

NEAR, GOOD, DEFECTIVE = "near", "good", "defective"
NEAR_SHARE = 0.2  # of the threshold, on both sides of it


def group_of(score: float, threshold: float) -> str:
    """Near the threshold, else on which side of it."""
    if abs(score - threshold) <= NEAR_SHARE * threshold:
        return NEAR
    return GOOD if score <= threshold else DEFECTIVE


def numbers(part_count: int, near_percent: int) -> dict[str, int]:
    """How many parts of each group; those away from the threshold are half good, half defective."""
    near = round(part_count * near_percent / 100)
    defective = (part_count - near) // 2
    return {NEAR: near, DEFECTIVE: defective, GOOD: part_count - near - defective}


def draw_parts(candidates: Sequence[Member], *, seed: str, wanted: dict[str, int]) -> list[Member]:
    """So many of each group, in the order of their ranks, which mixes them. `outcome` of a candidate is its group."""
    ranked = sorted(candidates, key=lambda member: rank_key(seed, member.inspection_id))
    chosen = {
        member.inspection_id
        for group, count in wanted.items()
        for member in [one for one in ranked if one.outcome == group][:count]
    }
    return [member for member in ranked if member.inspection_id in chosen]


def order_for(numbers_of_parts: Iterable[int], *, seed: str, user_id: int, trial: int) -> list[int]:
    """The parts in an order of this person's and trial's own."""

    def place(number: int) -> str:
        return hashlib.sha256(f"{seed} {user_id} {trial} {number}".encode()).hexdigest()

    return sorted(numbers_of_parts, key=place)
