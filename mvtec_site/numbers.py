"""Numbers as pages and documents write them: one precision for each quantity. Exports and the API give all digits."""

from __future__ import annotations


def score_text(value: float) -> str:
    """A score or a threshold: two decimals, and below 1, where some detectors' scores lie, three digits that count."""
    return f"{value:.2f}" if abs(value) >= 1 or value == 0 else f"{value:#.3g}"
