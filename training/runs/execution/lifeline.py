"""What keeps a training run alive while its work goes on: the lease, its progress, and whether it should stop.

A thread renews the lease and hears of cancellations; the work itself notices at its next step.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from django.db import OperationalError
from django.utils import timezone

from jobs.engine import Claim
from jobs.errors import ClaimLost
from jobs.heartbeat import Heartbeat
from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import TrainingCancelled
from training.models import TrainingRun
from training.runs import services

Progress = Callable[[float, str], None]
# Of one step, such as an image after the other, the log tells every percent, or where that lasts, every few seconds.
_NUMBER, _LOG_EVERY = re.compile(r"\d+"), 5.0


class Steps(Protocol):
    """Where the work of a training says how far it is; each call may raise what stops it."""

    def watch(self, detector: Detector) -> None: ...

    def share(self, start: float, length: float) -> Progress: ...


@dataclass
class _Report:
    fraction: float = 0.0
    sentence: str = "starting"
    lines: str = ""


class Lifeline:
    """Keeps a claim alive, carries progress to the row with every sign of life, and brings cancellations back."""

    def __init__(self, claim: Claim[TrainingRun], echo: Progress) -> None:
        self._claim = claim
        self._echo = echo
        self._report = _Report()
        self._logged, self._logged_at = ("", 0), 0.0
        self._lock = threading.Lock()
        self._watched: Detector | None = None
        self._cancelled = threading.Event()
        self._interrupted = threading.Event()
        self._heartbeat = Heartbeat(claim, self._renew)

    def __enter__(self) -> Lifeline:
        self._heartbeat.__enter__()
        self._install_signal_handlers()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore_signal_handlers()
        self._heartbeat.__exit__()

    def _install_signal_handlers(self) -> None:
        """Ctrl-C is heard at the next step, a second one at once.

        Raised wherever the work happens to be, a KeyboardInterrupt can end up in a callback that swallows it.
        """
        self._previous = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._interrupt)

    def _restore_signal_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        self._interrupted.set()

    def progress(self, fraction: float, sentence: str) -> None:
        """Called by the work. Raises `TrainingCancelled`, `KeyboardInterrupt` or `ClaimLost` when it should stop."""
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        if self._heartbeat.is_lost:
            raise ClaimLost
        if self._cancelled.is_set():
            raise TrainingCancelled("The run was cancelled.")
        with self._lock:
            if self._is_worth_reporting(fraction, sentence):
                self._report.lines += f"{timezone.now():%H:%M:%S} {fraction:4.0%} {sentence}\n"
            self._report.fraction, self._report.sentence = fraction, sentence
        self._echo(fraction, sentence)

    def _is_worth_reporting(self, fraction: float, sentence: str) -> bool:
        """Whether the log gets a line: another step, another percent, or the same after a while."""
        step, now = _NUMBER.sub("#", sentence), time.monotonic()
        if (step, int(100 * fraction)) == self._logged and now < self._logged_at + _LOG_EVERY:
            return False
        self._logged, self._logged_at = (step, int(100 * fraction)), now
        return True

    def watch(self, detector: Detector) -> None:
        """Its losses are carried to the row as they come."""
        self._watched = detector

    def share(self, start: float, length: float) -> Progress:
        """A progress function for a part of the work."""
        return lambda fraction, sentence: self.progress(start + length * min(1.0, fraction), sentence)

    def _renew(self) -> None:
        with self._lock:
            report, self._report = self._report, _Report(self._report.fraction, self._report.sentence)
        try:
            if services.renew(
                claim=self._claim,
                progress=report.fraction,
                message=report.sentence,
                lines=report.lines,
                history=list(self._watched.history) if self._watched else None,
            ):
                self._cancelled.set()
        except OperationalError:
            with self._lock:  # they are written with the next sign of life
                self._report.lines = report.lines + self._report.lines
            raise
