"""Hostile files in short; `make resilience` tries a hundred thousand."""

from __future__ import annotations

import pytest

from tests.resilience import fuzz, mutations


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("images", 1000), ("archives", 300), ("artifacts", 40)])
def test_no_file_of_a_stranger_crashes_hangs_or_leaves_its_place(kind: str, count: int) -> None:
    report = fuzz.run(kind, count, seed=7)
    assert report.files == count
    assert (report.crashes, report.hangs, report.outside) == ([], [], [])
    assert report.accepted > 0
    assert sum(report.refused.values()) == count - report.accepted
    assert report.is_sound


def test_one_number_is_one_file() -> None:
    assert mutations.mutated_image(5, 1) == mutations.mutated_image(5, 1)
    assert len({mutations.mutated_image(number, 1) for number in range(50)}) > 40
    assert len({mutations.mutated_archive(number, 1) for number in range(50)}) > 40
