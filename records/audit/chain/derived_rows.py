"""Rows that say nothing of their own: computed again from the rows that they are derived from, and compared.

Each app registers its own (in `ready`), for this one knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

# Gives the number of rows looked at, chunk by chunk, each with what is wrong in it (a sentence without its end).
Check = Callable[[], Iterator[tuple[int, list[str]]]]

_registry: dict[str, Check] = {}


def register_derived(label: str, check: Check) -> None:
    _registry[label] = check


def is_derived(label: str) -> bool:
    return label in _registry


def compare_derived(progress: Callable[[int], None] | None = None) -> tuple[int, list[tuple[int | None, str]]]:
    """How many rows are what they are derived from, and the first of each kind that is not."""
    count = 0
    faults: list[tuple[int | None, str]] = []
    for check in _registry.values():
        for compared, found in check():
            count += compared - len(found)
            if found:
                faults.append((None, found[0]))
                break
            if progress:
                progress(0)
    return count, faults
