"""How many held-out good images a threshold needs for its false-reject rate. Imports nothing heavy.

The p-th percentile of n exchangeable scores, linearly interpolated, lies at rank (n - 1) p among them, and a new good
part scores above it with probability (n r + 1 - r) / (n + 1), where r = 1 - p is the requested rate. That is more than
r, and the more so the fewer they are: 23 % instead of 10 % of 5 images. The split-conformal threshold keeps r whatever
n is, and is refused where n is too small for it.
"""

from __future__ import annotations

import math

# The expected false-reject rate, as a multiple of the requested one, above which there is a warning.
MAX_RATE_FACTOR = 4 / 3


def expected_false_reject_rate(percentile: float, n: int) -> float:
    """The probability that a new good part scores above a percentile (0..100) of n good parts' scores."""
    rate = 1 - percentile / 100
    return (n * rate + 1 - rate) / (n + 1)


def images_needed(percentile: float) -> int | None:
    """The fewest scores with which that is at most a third above the requested rate; None for the 100th percentile."""
    rate = 1 - percentile / 100
    if rate <= 0:
        return None
    return max(1, math.ceil((1 - rate - MAX_RATE_FACTOR * rate) / ((MAX_RATE_FACTOR - 1) * rate) - 1e-9))


def percentile_warning(percentile: float, n: int) -> str:
    """What a person has to know about a percentile of so few scores, in sentences; empty where they are enough."""
    needed = images_needed(percentile)
    if needed is None or n >= needed:
        return ""
    rate, expected = 100 - percentile, 100 * expected_false_reject_rate(percentile, n)
    images = "one held-out good image" if n == 1 else f"{n} held-out good images"
    return (
        f"The threshold comes from {images}: about {expected:.0f} % of good parts will be rejected, not {rate:.3g} "
        f"%. For at most {MAX_RATE_FACTOR * rate:.3g} %, {needed} are needed. Train with more good images."
    )
