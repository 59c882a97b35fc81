"""Numbers as pages and documents write them: one precision for each quantity. Exports and the API give all digits."""

from __future__ import annotations


def score_text(value: float, beside: float = 0.0) -> str:
    """A score or a threshold: two decimals, and below 1, where some detectors' scores lie, three digits that count.

    `beside`: the threshold that it stands beside; what is of one scale is written alike.
    """
    return f"{value:.2f}" if max(abs(value), abs(beside)) >= 1 or value == 0 else f"{value:#.3g}"
