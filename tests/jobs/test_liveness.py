"""Who hangs is told from who is busy: processes that really stop, loop, and load; no worker is started."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

import pytest

from jobs import liveness
from jobs.liveness import Board, Parent
from mvtec_site.embedded import supervisor

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


def idle() -> None:
    time.sleep(60)


def endless_loop() -> None:
    liveness.begin(0.2)
    while True:
        pass


def busy() -> None:
    """Each image takes its time, and there are many."""
    liveness.begin(1.0)
    while True:
        time.sleep(0.05)
        liveness.progress()


def loading() -> None:
    """Longer than an image may take, and longer than a silent process is believed; but it said so."""
    liveness.begin(0.1)
    with liveness.long_step(60):
        time.sleep(60)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(liveness, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0.5)
    monkeypatch.setenv("MVTEC_WORKER_BOARD", "")
    return liveness.make_board()


@pytest.fixture
def started(board: Board) -> Iterator[Callable[[Callable[[], None]], BaseProcess]]:
    """A process of a pool that does something."""
    processes: list[BaseProcess] = []

    def start(work: Callable[[], None]) -> BaseProcess:
        def run() -> None:
            liveness.join(1)
            work()

        process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
        process.start()
        processes.append(process)
        while board.read(1)[0] != process.pid:
            time.sleep(0.01)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()


def looked_after(board: Board, process: BaseProcess, *, looks: int = 40) -> bool:
    """Whether the process lives after its parent has looked at it for a while."""
    parent = Parent(board, announce=lambda: None, retire=lambda: None)
    for _ in range(looks):
        parent.look()
        process.join(0.05)
        if not process.is_alive():
            assert process.exitcode == -signal.SIGKILL
            assert not parent.can_work()
            return False
    assert parent.can_work()
    return True


@pytest.mark.parametrize("work", [idle, busy, loading])
@pytest.mark.slow
def test_who_waits_works_or_loads_is_left_alone(
    board: Board, started: Callable[[Callable[[], None]], BaseProcess], work: Callable[[], None]
) -> None:
    assert looked_after(board, started(work))


def test_an_endless_loop_is_ended(board: Board, started: Callable[[Callable[[], None]], BaseProcess]) -> None:
    assert not looked_after(board, started(endless_loop), looks=400)


def test_a_stopped_process_is_ended(board: Board, started: Callable[[Callable[[], None]], BaseProcess]) -> None:
    process = started(idle)
    assert process.pid
    os.kill(process.pid, signal.SIGSTOP)
    assert not looked_after(board, process, looks=400)


def test_a_stopped_parent_is_ended_by_its_pool(board: Board) -> None:
    """The parent is a process of its own here; it makes the pool, then says nothing more."""

    def parent() -> None:
        board.write(0, os.getpid(), time.monotonic() + 0.3)
        if os.fork() == 0:
            liveness.join(1)
            time.sleep(60)
        time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def test_a_worker_whose_loop_stands_still_cannot_work(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = Parent(board, announce=lambda: None, retire=lambda: None)
    board.write(1, os.getpid(), time.monotonic() + 600)
    assert parent.can_work()
    parent.note_loop()
    assert parent.can_work()
    monkeypatch.setattr(liveness, "PARENT_SILENT_SECONDS", -1.0)
    assert not parent.can_work()


# ---------------------------------------------------------------- the supervisor
class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("signs", "hangs"),
    [
        ([(True, 500)], False),
        ([(False, 59)], False),  # it starts, which may take its time
        ([(False, 61)], True),
        ([(True, 10), (False, 3)], False),
        ([(True, 10), (False, 1), (False, 5)], True),
        ([(True, 10), (False, 3), (True, 1), (False, 3)], False),
        ([(True, 10), (False, 3), (None, 600), (False, 50)], False),  # the broker was gone: nobody could give a sign
        ([(True, 10), (False, 3), (None, 600), (False, 61)], True),
    ],
)
def test_a_child_hangs_when_it_is_silent_for_too_long(
    monkeypatch: pytest.MonkeyPatch, signs: list[tuple[bool | None, float]], hangs: bool
) -> None:
    clock = Clock()
    monkeypatch.setattr(supervisor, "time", clock)
    said: list[bool | None] = [None]
    child = supervisor._Child("inference", ["sleep", "60"], is_alive=lambda: said[0])
    with open(os.devnull, "wb") as log:  # noqa: PTH123
        child.start(log)
    assert child.process
    try:
        found = False
        for sign, seconds in signs:
            said[0] = sign
            clock.now += seconds
            found = child.is_hung()
        assert found is hangs
        if hangs:
            child.kill()
            assert child.process.wait() == -signal.SIGKILL
            assert not child.is_hung(), "it is dead, which is another matter"
    finally:
        child.kill()
        child.process.wait()


def test_a_full_disk_does_not_stop_the_supervisor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child that died is started again, and who runs is written down once there is room."""
    running = supervisor.Supervisor("127.0.0.1", 1)
    running._logs = tmp_path
    monkeypatch.setattr(supervisor.Supervisor, "_children_file", tmp_path / "run.children")
    child = supervisor._Child("inference", ["sleep", "60"])
    running._children = [child]

    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    try:
        with monkeypatch.context() as at_first:
            at_first.setattr(supervisor, "write_whole", full)
            running._start(child)
        assert child.process
        assert child.process.poll() is None
        assert not (tmp_path / "run.children").exists()
        running._revive()
        assert (tmp_path / "run.children").read_text().split()[0] == str(child.process.pid)
    finally:
        child.kill()
        assert child.process
        child.process.wait()
