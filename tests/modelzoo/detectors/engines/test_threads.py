"""The number of threads follows what was the quickest of late, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch

from modelzoo.detectors.engines.threads import ThreadChooser


@pytest.fixture(autouse=True)
def _threads_of_the_process() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Machine:
    """Runs calls that take as long as `ms` says for a number of threads, of 40 ms of work."""

    def __init__(self) -> None:
        self.now = 0.0
        self.worked = 0.0
        self.chooser = ThreadChooser((2, 1), clock=lambda: self.now, processor_clock=lambda: self.worked)

    def run(self, calls: int, ms: Callable[[int], float]) -> list[int]:
        """The numbers of threads that the calls were made with."""
        used = []
        for _ in range(calls):
            with self.chooser.chosen(1) as number:
                assert torch.get_num_threads() == number
                self.now += ms(number) / 1000
                self.worked += 0.040
            used.append(number)
        return used


def quiet(number: int) -> float:
    return 40 / number


def busy(number: int) -> float:
    return 60 if number == 1 else 500


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_nothing_is_tried_while_the_threads_have_their_cores(machine: Machine) -> None:
    """Scores stay the same to the last digit."""
    assert set(machine.run(1000, quiet)) == {2}
    assert machine.chooser.measured() == {"2": pytest.approx(20)}


def test_neighbours_that_come_and_go_are_followed_within_a_few_images(machine: Machine) -> None:
    machine.run(50, quiet)
    used = machine.run(60, busy)
    assert used[:3].count(2) <= 2, "two slow images are enough"
    assert used[3:].count(2) <= 3, "afterwards only trials are slow"
    assert machine.chooser.best == 1
    machine.run(100, busy)
    back = machine.run(600, quiet)
    assert back[-30:].count(2) >= 28


def test_trials_become_rare_where_they_never_pay(machine: Machine) -> None:
    first = machine.run(2000, busy).count(2)
    assert first < 12
    assert machine.run(2000, busy).count(2) <= 4


def test_noise_of_two_that_are_alike_does_not_switch_back_and_forth(machine: Machine) -> None:
    wobble = iter(range(10**6))
    used = machine.run(400, lambda number: 50 + (next(wobble) % 3) / 2)
    assert sum(a != b for a, b in pairwise(used)) < 30


def test_threads_of_the_process_are_as_before_also_after_an_error(machine: Machine) -> None:
    torch.set_num_threads(2)
    machine.run(5, quiet)
    with pytest.raises(MemoryError), machine.chooser.chosen(1):
        raise MemoryError
    assert torch.get_num_threads() == 2


def test_an_error_says_nothing_of_the_time(machine: Machine) -> None:
    with pytest.raises(MemoryError), machine.chooser.chosen(1):
        raise MemoryError
    assert machine.chooser.measured() == {}


def test_what_there_is_to_choose_from() -> None:
    torch.set_num_threads(4)
    assert [one.threads for one in ThreadChooser.for_device("cpu")._candidates] == [4, 2, 1]
    assert [one.threads for one in ThreadChooser.for_device("cuda")._candidates] == [4]
    torch.set_num_threads(1)
    assert [one.threads for one in ThreadChooser.for_device("cpu")._candidates] == [1]
