"""How many pixels a process holds decoded at once: of one caller, and of all together.

A file of some kilobytes may hold 64 million pixels: 192 MB once they are decoded, and seconds of a processor. Whoever
sends many of them at once would take memory and threads from everybody else. So the pixels of a picture are counted
from before it is decoded until the answer is there. A single picture passes whatever its size, where nothing else is
held: what is too large for this system is refused by MAX_IMAGE_PIXELS.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus

from django.conf import settings

from common.errors import Unavailable, UserError

LARGE = 8_000_000  # pixels from which on freed memory is given back to the system at once
_RETRY_SECONDS = 2


class TooManyPixelsAtOnce(UserError):
    """One caller has as many pixels in progress as one may have."""

    code = "too_many_pixels_at_once"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retry_after = _RETRY_SECONDS


class Busy(Unavailable):
    """All callers together have as many pixels in progress as this process holds."""

    code = "busy"
    retry_after = _RETRY_SECONDS


class PixelBudget:
    """`total` and `each` in pixels. Any thread may ask."""

    def __init__(self, total: int, each: int) -> None:
        self.total, self.each = total, each
        self._condition = threading.Condition()
        self._in_progress = 0
        self._by_caller: Counter[str] = Counter()

    @contextmanager
    def hold(self, pixels: int, *, caller: str = "", wait: float = 0.0) -> Iterator[None]:
        """Counts so many pixels for the length of the block.

        Args:
            caller: whose they are; '' where nobody in particular has to wait for the others of the same.
            wait: seconds that may pass until there is room among those of all callers.

        Raises:
            TooManyPixelsAtOnce: the caller has too many in progress already.
            Busy: all callers together have, for longer than `wait`.
        """
        self._take(pixels, caller, wait)
        try:
            yield
        finally:
            with self._condition:
                self._in_progress -= pixels
                self._by_caller[caller] -= pixels
                if not self._by_caller[caller]:
                    del self._by_caller[caller]
                self._condition.notify_all()
            if pixels >= LARGE:
                give_memory_back()

    def _take(self, pixels: int, caller: str, wait: float) -> None:
        until = time.monotonic() + wait
        with self._condition:
            own = self._by_caller[caller]
            if caller and own and own + pixels > self.each:
                raise TooManyPixelsAtOnce(
                    f"{own / 1e6:.3g} million pixels of this sender are being judged, and with this image it would be "
                    f"more than {self.each / 1e6:.3g} million. Nothing was kept. Send it again when the others are "
                    "answered."
                )
            while self._in_progress and self._in_progress + pixels > self.total:
                left = until - time.monotonic()
                if left <= 0 or not self._condition.wait(left):
                    raise Busy(
                        f"{self._in_progress / 1e6:.3g} million pixels are being judged, and this image does not fit "
                        "beside them. Nothing was kept. Send it again."
                    )
            self._in_progress += pixels
            self._by_caller[caller] += pixels


@cache
def budget() -> PixelBudget:
    """That of this process."""
    return PixelBudget(settings.MAX_PIXELS_AT_ONCE, settings.MAX_PIXELS_AT_ONCE_PER_CALLER)


def give_memory_back() -> None:
    """Return what is free to the system. glibc keeps it otherwise, for each thread its own."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
