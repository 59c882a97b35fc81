"""How many threads compute one image: as many as are the quickest while other programs share the processor.

Threads that share a convolution wait for each other at its end. On a quiet machine two nearly halve the time. Where
another program holds one of their cores, each of some thirty ends waits for the scheduler, and two threads take up to
ten times as long as one. Neither is known beforehand, and it changes from minute to minute; so it is measured on the
images themselves. As long as the threads do get their cores nothing is tried: sums that are divided among another
number of threads round differently, which moves a score by some 1e-6 of its value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

# What the newest measurement weighs in the mean of them.
_WEIGHT = 0.3
# Another number must be quicker by this share before it takes over: the noise of two that are alike decides nothing.
_MARGIN = 0.1
# One call of so many is spent on another number than the quickest. Each time that it was no quicker the next one waits
# twice as long.
_FIRST_INTERVAL, _LAST_INTERVAL = 16, 512
# Threads that together got less processor time than this share of the time that passed waited for their cores: even one
# that works all the time gets 1.
_WAITED = 0.9


@dataclass
class _Candidate:
    """One number of threads.

    Attributes:
        ms: mean milliseconds an image, the newest weigh most; None before the first.
        interval, due: calls between trials while it is not the quickest, and how many are left to the next one.
    """

    threads: int
    ms: float | None = None
    interval: int = _FIRST_INTERVAL
    due: int = 0


class ThreadChooser:
    """Chooses the number of threads of each call, and learns from the time it took.

    Args:
        numbers: of threads that there are to choose from.
        clock, processor_clock: seconds that passed, and that this process worked.
    """

    def __init__(
        self,
        numbers: tuple[int, ...],
        clock: Callable[[], float] = time.perf_counter,
        processor_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._processor_clock = clock, processor_clock
        self._has_waited = False
        self._candidates = [_Candidate(threads) for threads in numbers]
        self._best = self._candidates[0]

    @classmethod
    def for_device(cls, device: str) -> ThreadChooser:
        """On "cpu" all that PyTorch uses now, half of them, and one; on a GPU what is set."""
        if device != "cpu":
            return cls.fixed()
        threads = torch.get_num_threads()
        return cls(tuple(dict.fromkeys(max(1, number) for number in (threads, threads // 2, 1))))

    @classmethod
    def fixed(cls) -> ThreadChooser:
        """What is set, always."""
        return cls((torch.get_num_threads(),))

    @property
    def best(self) -> int:
        """The quickest by what is known."""
        return self._best.threads

    def measured(self) -> dict[str, float]:
        """Milliseconds an image, of late, by the number of threads."""
        return {str(one.threads): round(one.ms, 2) for one in self._candidates if one.ms is not None}

    @contextmanager
    def chosen(self, n_images: int) -> Iterator[int]:
        """Work on so many images in the number of threads that is chosen; the time that it takes is noted."""
        candidate = self._next()
        before = torch.get_num_threads()
        if candidate.threads != before:
            torch.set_num_threads(candidate.threads)
        began, worked = self._clock(), self._processor_clock()
        try:
            yield candidate.threads
            seconds = self._clock() - began
            if candidate is self._best:
                self._has_waited = self._processor_clock() - worked < _WAITED * seconds
            self._note(candidate, seconds * 1000 / n_images)
        finally:
            if candidate.threads != before:
                torch.set_num_threads(before)

    def _next(self) -> _Candidate:
        for candidate in self._candidates:
            is_more = candidate.threads > self._best.threads
            if candidate is not self._best and (is_more or self._has_waited):
                candidate.due -= 1
                if candidate.due < 0:
                    return candidate
        return self._best

    def _note(self, candidate: _Candidate, ms: float) -> None:
        candidate.ms = ms if candidate.ms is None else (1 - _WEIGHT) * candidate.ms + _WEIGHT * ms
        best_ms = self._best.ms
        if candidate is self._best:
            self._best = min(self._candidates, key=self._handicapped)
        elif best_ms is not None and ms < (1 - _MARGIN) * best_ms:
            # A single time says little of a busy machine, but that it can be as quick as this.
            candidate.ms = min(candidate.ms, ms)
            candidate.interval = _FIRST_INTERVAL
            self._best = min(self._candidates, key=self._handicapped)
        else:
            candidate.interval = min(2 * candidate.interval, _LAST_INTERVAL)
        candidate.due = candidate.interval

    def _handicapped(self, candidate: _Candidate) -> float:
        if candidate.ms is None:
            return float("inf")
        return candidate.ms if candidate is self._best else candidate.ms / (1 - _MARGIN)
