"""The stages of judging an image, each counted in a histogram and shown as a span."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.observability import tracing
from jobs.metrics.definitions import STAGE_SECONDS


@contextmanager
def stage(name: str) -> Iterator[None]:
    """The block is this stage; one that ends in an error is not counted."""
    began = time.perf_counter()
    with tracing.span(name):
        yield
    STAGE_SECONDS.labels(name).observe(time.perf_counter() - began)


def note_stage(name: str, seconds: float) -> None:
    """A stage that just ended, measured by whoever went through it.

    Clocks of two machines may differ by more than a stage takes: less than nothing counts as nothing.
    """
    STAGE_SECONDS.labels(name).observe(max(0.0, seconds))
    tracing.note_span(name, seconds)
