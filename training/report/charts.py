"""Geometry of the report's charts: percent of the plotting area, so a chart fits any width. The template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.numbers import score_text


@dataclass(frozen=True)
class Tick:
    """A label at `at` percent of an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Shape:
    """An SVG path in a 100 x 100 box, y downwards; `kind` names its style."""

    kind: str
    path: str


@dataclass(frozen=True)
class Plot:
    """One chart. `name` is what a screen reader says of it, `note` stands below it."""

    title: str
    name: str
    note: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    shapes: list[Shape]
    marks: list[Tick]
    wide: bool = False


def curve(
    title: str,
    points: Sequence[Sequence[float]] | None,
    *,
    x_label: str,
    y_label: str,
    note: str,
    x_end: float = 1.0,
    at_threshold: tuple[float, float] | None = None,
    chance: Sequence[Sequence[float]] = (),
) -> Plot | None:
    """A curve of shares with x from 0 to `x_end` and y from 0 to 1; None without points.

    Args:
        at_threshold: the point of the threshold when evaluated, shown as a dot.
        chance: where a detector that knows nothing would lie.
    """
    if not points:
        return None

    def place(point: Sequence[float]) -> str:
        return f"{100 * min(point[0] / x_end, 1):.2f} {100 * (1 - point[1]):.2f}"

    shapes = [Shape("chance", "M" + "L".join(map(place, chance)))] if chance else []
    shapes.append(Shape("curve", "M" + "L".join(map(place, points))))
    if at_threshold:
        # A line of no length with round ends: a dot, whatever the shape of the chart.
        shapes.append(Shape("dot", f"M{place(at_threshold)}h0"))
    quarters = [0, 0.25, 0.5, 0.75, 1]
    return Plot(
        title=title,
        name=f"{title}: {y_label} against {x_label}. {note}",
        note=note,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[Tick(100 * share, f"{share * x_end:g}") for share in quarters if share * x_end * 100 % 5 == 0],
        y_ticks=[Tick(100 * share, f"{share:g}") for share in quarters],
        shapes=shapes,
        marks=[],
    )


def histogram(counts: dict[str, Any] | None, threshold: float) -> Plot | None:
    """Scores of good and of defective parts, each in a lane with its own tallest bin; None without scores."""
    if counts is None:
        return None
    edges, good, defective = counts["edges"], counts["good"], counts["defective"]
    low, high = edges[0], edges[-1]

    def across(value: float) -> float:
        return 100 * (value - low) / (high - low)

    def bars(heights: list[int], bottom: float) -> str:
        tallest = max(heights) or 1
        sides = zip(edges, edges[1:], heights, strict=False)
        return "".join(
            f"M{across(left):.2f} {bottom:g}V{bottom - 46 * count / tallest:.2f}H{across(right):.2f}V{bottom:g}Z"
            for left, right, count in sides
            if count
        )

    return Plot(
        title="Scores",
        name=f"Histogram of the scores of {sum(good)} good and {sum(defective)} defective parts",
        note="Good parts above, defective ones below. Parts to the right of the threshold are rejected.",
        x_label="anomaly score",
        y_label="images",
        x_ticks=[Tick(across(value), f"{value:g}") for value in round_values(low, high)],
        y_ticks=[Tick(96, str(max(good))), Tick(46, str(max(defective))), Tick(0, "0")],
        shapes=[Shape("good", bars(good, 50)), Shape("defect", bars(defective, 100)), Shape("axis", "M0 50H100")],
        marks=[Tick(across(threshold), f"threshold {score_text(threshold)}")],
        wide=True,
    )


def round_values(low: float, high: float, most: int = 7) -> list[float]:
    """At most `most` multiples of 1, 2 or 5 times a power of ten in low..high (low < high)."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (power * factor) <= most - 1)
    return [round(index * step, 12) for index in range(math.ceil(low / step), math.floor(high / step) + 1)]
