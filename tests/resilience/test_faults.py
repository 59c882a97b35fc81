"""The harness in short: a few faults on one running system, and what has to hold afterwards."""

from __future__ import annotations

import pytest

from tests.resilience.commands import try_faults
from tests.resilience.faults.table import FAULTS
from tests.resilience.surroundings import SURROUNDINGS

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.sqlite_is_enough]
_SHORT = (
    "kill -9: web server's child",
    "kill -9: inference worker's child",
    "kill -9: supervisor, started again at once",
)


def test_after_each_fault_every_answer_has_its_record_and_no_other() -> None:
    chosen = [fault for fault in FAULTS if fault.name in _SHORT]
    outcomes = try_faults(chosen, seed=1, times=1, scale=0.1)
    assert len(outcomes) == len(_SHORT)
    for outcome in outcomes:
        assert (outcome.lost, outcome.doubled, outcome.problems) == (0, 0, []), outcome
        assert outcome.injected == 1
        assert outcome.recovery is not None, outcome
        assert outcome.requests >= 4


def test_names_of_faults_are_lots_of_their_own() -> None:
    assert len({fault.lot for fault in FAULTS}) == len(FAULTS)


def test_what_a_fault_needs_is_there() -> None:
    assert {fault.needs for fault in FAULTS} == set(SURROUNDINGS)
