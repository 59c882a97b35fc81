"""Numbers as pages and documents write them: one precision for each quantity. Exports and the API give all digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

NOT_KNOWN = "not known"
DASH = "\N{EN DASH}"  # between the ends of a range


def score_text(value: float, beside: float = 0.0) -> str:
    """A score or a threshold: two decimals, and below 1, where some detectors' scores lie, three digits that count.

    `beside`: the threshold that it stands beside; what is of one scale is written alike.
    """
    return f"{value:.2f}" if max(abs(value), abs(beside)) >= 1 or value == 0 else f"{value:#.3g}"


def percent(share: float | None, missing: str = NOT_KNOWN) -> str:
    """0.0975 as "9.8 %"; `missing` where there is none."""
    return missing if share is None else f"{100 * share:.1f} %"


def percent_range(interval: Sequence[float] | None, missing: str = "") -> str:
    """[0.027, 0.231] as "2.7 % to 23.1 %" with a dash and one unit."""
    return f"{100 * interval[0]:.1f}{DASH}{100 * interval[1]:.1f} %" if interval else missing


def metric(value: float | None, missing: str = NOT_KNOWN) -> str:
    """An AUROC, an F1 or another metric between 0 and 1, with three decimals."""
    return missing if value is None else f"{value:.3f}"


def metric_range(interval: Sequence[float] | None, missing: str = "") -> str:
    """[0.68, 0.84] as 0.680 and 0.840 with a dash between."""
    return f"{interval[0]:.3f}{DASH}{interval[1]:.3f}" if interval else missing


def millimetres(value: float) -> str:
    """A length in mm or an area in mm2 without its unit: three digits that count, never as a power of ten."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 9)}f}"


def seconds_between(begin: datetime | None, end: datetime) -> float | None:
    """How long something took; None where it has not begun, or where the clock was set back meanwhile: nobody knows."""
    seconds = (end - begin).total_seconds() if begin else -1.0
    return seconds if seconds >= 0 else None
