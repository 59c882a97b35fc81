"""How many pixels may be held decoded at once, of one caller and of all."""

from __future__ import annotations

import threading

import pytest

from common.pixels.budget import Busy, PixelBudget, TooManyPixelsAtOnce


def test_one_caller_gets_no_more_than_its_share_and_others_still_get_theirs() -> None:
    budget = PixelBudget(total=160, each=64)
    with budget.hold(40, caller="a"):
        with pytest.raises(TooManyPixelsAtOnce) as caught, budget.hold(25, caller="a"):
            pass
        assert caught.value.status == 429
        assert caught.value.retry_after
        with budget.hold(24, caller="a"), budget.hold(64, caller="b"):
            pass


def test_a_single_image_passes_whatever_its_size() -> None:
    budget = PixelBudget(total=100, each=50)
    with budget.hold(500, caller="a"), pytest.raises(Busy), budget.hold(1, caller="b"):
        pass
    with budget.hold(500, caller="b"):
        pass


def test_what_nobody_in_particular_asks_for_counts_among_all_alone() -> None:
    budget = PixelBudget(total=100, each=10)
    with budget.hold(60), budget.hold(40), pytest.raises(Busy), budget.hold(1):
        pass


def test_what_failed_is_counted_no_more() -> None:
    budget = PixelBudget(total=100, each=100)
    for _ in range(3):
        with pytest.raises(ValueError, match="damaged"), budget.hold(100, caller="a"):
            raise ValueError("damaged")
    with budget.hold(100, caller="a"):
        pass


def test_who_waits_gets_room_when_another_one_is_through() -> None:
    budget = PixelBudget(total=100, each=100)
    held, leave, through = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        with budget.hold(100, caller="a"):
            held.set()
            leave.wait(30)

    def wait() -> None:
        with budget.hold(50, caller="b", wait=30):
            through.set()

    threads = [threading.Thread(target=work) for work in (hold, wait)]
    threads[0].start()
    assert held.wait(30)
    threads[1].start()
    assert not through.is_set()
    leave.set()
    assert through.wait(30)
    for thread in threads:
        thread.join()
