"""Geometry of the pages' charts, drawn on the server as SVG: `{% chart %}` shows one, with its numbers as a table.

Everything is in percent of the plotting area, so that a chart fits any width while its text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from common.numbers import percent


@dataclass(frozen=True)
class Tick:
    """A label at `at` percent of an axis."""

    at: float
    label: str

    @property
    def anchor(self) -> str:
        """How the label lies around its place, so that none is cut off at an edge."""
        return "start" if self.at < 4 else "end" if self.at > 96 else "middle"


@dataclass(frozen=True)
class Mark:
    """A line from top to bottom at `at` percent, with its label; `kind` names its style.

    `row`: in which line above the plot its label stands, 0 the lowest, so that no label covers another one.
    """

    at: float
    label: str
    kind: str = "threshold"
    row: int = 0

    @property
    def anchor(self) -> str:
        """How the label lies around its line, so that none is cut off at an edge."""
        return "start" if self.at < 33 else "end" if self.at > 67 else "middle"

    @property
    def y(self) -> int:
        """Of the label's baseline, in pixels from the plot's upper edge upwards."""
        return -4 - _LABEL_HEIGHT * self.row

    @property
    def extent(self) -> tuple[float, float]:
        """From where to where the label goes in percent, on the narrowest chart that there is."""
        width = len(self.label) * _LETTER
        left = self.at - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, left + width


_LABEL_HEIGHT = 14  # pixels
_PLOT_HEIGHT = 150
_LETTER = 2.4  # percent of a chart of 290 pixels


def marks_of(places: Sequence[tuple[float, str, str]], low: float, high: float) -> list[Mark]:
    """Marks at values of an axis from `low` to `high`, each label in the lowest line where it covers no other."""
    marks: list[Mark] = []
    for value, label, kind in places:
        mark = Mark(share(value, low, high), label, kind)
        left, right = mark.extent
        used_rows = {
            other.row
            for other in marks
            if other.label and other.extent[0] < right + _LETTER and left < other.extent[1] + _LETTER
        }
        marks.append(replace(mark, row=next(row for row in range(len(used_rows) + 1) if row not in used_rows)))
    return marks


@dataclass(frozen=True)
class Shape:
    """An SVG path in a 100 x 100 box, y downwards; `kind` names its style (good, defective, unreviewed, curve ...)."""

    kind: str
    path: str


@dataclass(frozen=True)
class Chart:
    """One chart. `name` is what a screen reader says of it; `rows` are its numbers, under `columns`."""

    name: str
    shapes: list[Shape]
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    x_label: str = ""
    y_label: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)  # (kind, words)
    has_lanes: bool = False  # y_ticks are words above lanes, and no numbers beside the plot

    @property
    def top(self) -> int:
        """Where the plot begins, below the lines of its marks' labels, in pixels."""
        return _LABEL_HEIGHT * (1 + max((mark.row for mark in self.marks), default=0))

    @property
    def axis(self) -> int:
        """The baseline of the x axis' labels, in pixels."""
        return self.top + _PLOT_HEIGHT + 16

    @property
    def height(self) -> int:
        return self.axis + 6


def round_values(low: float, high: float, max_count: int = 7) -> list[float]:
    """At most `max_count` multiples of 1, 2 or 5 times a power of ten in low..high (low < high)."""
    power = 10.0 ** math.floor(math.log10((high - low) / max_count))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (power * factor) <= max_count - 1)
    return [round(index * step, 12) for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def share(value: float, low: float, high: float) -> float:
    """Where a value lies between low and high, in percent, kept inside."""
    return min(100.0, max(0.0, 100 * (value - low) / (high - low))) if high > low else 50.0


def histogram(
    name: str,
    edges: Sequence[float],
    series: Mapping[str, tuple[str, Sequence[int]]],
    *,
    marks: Sequence[tuple[float, str, str]] = (),
    x_label: str = "anomaly score",
) -> Chart:
    """Counts of several kinds in the same bins, stacked.

    Args:
        edges: n + 1 ascending bin edges.
        series: kind to (words, n counts), from the bottom up.
        marks: (value, label, kind) of lines across, such as thresholds.
    """
    low, high = float(edges[0]), float(edges[-1])
    totals = [sum(counts[index] for _, counts in series.values()) for index in range(len(edges) - 1)]
    tallest = max(totals, default=0) or 1
    base = [0] * len(totals)
    shapes = []
    for kind, (_, counts) in series.items():
        path = ""
        for index, count in enumerate(counts):
            if not count:
                continue
            left, right = share(edges[index], low, high), share(edges[index + 1], low, high)
            bottom, top = 100 - 96 * base[index] / tallest, 100 - 96 * (base[index] + count) / tallest
            path += f"M{left:.2f} {bottom:.2f}V{top:.2f}H{right:.2f}V{bottom:.2f}Z"
            base[index] += count
        shapes.append(Shape(kind, path))
    return Chart(
        name=name,
        shapes=shapes,
        x_ticks=[Tick(share(value, low, high), f"{value:g}") for value in round_values(low, high)]
        if high > low
        else [],
        y_ticks=[Tick(100, "0"), Tick(4, f"{tallest:,}")],
        marks=marks_of(marks, low, high),
        x_label=x_label,
        y_label="inspections",
        columns=["from", "to", *(words for words, _ in series.values())],
        rows=[
            [f"{edges[index]:.4g}", f"{edges[index + 1]:.4g}", *(str(counts[index]) for _, counts in series.values())]
            for index in range(len(totals))
            if totals[index]
        ],
        legend=[(kind, words) for kind, (words, _) in series.items()],
    )


_LANE = 0.64  # of a lane's height is for its bars, the rest for its words


def lanes(
    name: str,
    edges: Sequence[float],
    series: Mapping[str, tuple[str, Sequence[int]]],
    *,
    marks: Sequence[tuple[float, str, str]] = (),
    x_label: str = "anomaly score",
) -> Chart:
    """As `histogram`, each kind in a lane of its own and drawn to its own tallest bin: few beside many stay visible.

    This is how every page shows distributions of scores; counts over time are stacked by `histogram`.
    """
    low, high = float(edges[0]), float(edges[-1])
    height = 100 / max(1, len(series))
    shapes, ticks = [], []
    for lane, (kind, (words, counts)) in enumerate(series.items()):
        bottom, tallest = (lane + 1) * height, max(counts, default=0) or 1
        path = ""
        for index, count in enumerate(counts):
            if count:
                left, right = share(edges[index], low, high), share(edges[index + 1], low, high)
                top = bottom - _LANE * height * count / tallest
                path += f"M{left:.2f} {bottom:.2f}V{top:.2f}H{right:.2f}V{bottom:.2f}Z"
        shapes.append(Shape(kind, path))
        ticks += [Tick(bottom - _LANE * height, f"{sum(counts):,} {words}"), Tick(bottom, "")]
    chart = histogram(name, edges, series, marks=marks, x_label=x_label)
    return replace(chart, shapes=shapes, y_ticks=ticks, has_lanes=True, legend=[])  # each lane says what it is


def rates(
    name: str,
    edges: Sequence[float],
    counts: Sequence[tuple[int, int]],
    *,
    ticks: Sequence[Tick],
    spans: Sequence[tuple[str, str]],
    marks: Sequence[tuple[float, str, str]] = (),
    what: str = "defective",
) -> Chart:
    """A p-chart: shares over time, their mean, and the limits between which chance alone leaves them.

    The limits are mean +- 3 * sqrt(mean * (1 - mean) / n) of the n parts of each span (Shewhart): a share beyond them
    is drawn with a ring, and named as such in the table.

    Args:
        edges: n + 1 ascending edges of the spans.
        counts: (how many were `what`, of how many) of each span.
        ticks: of the time axis.
        spans: (from, to) of each span in words.
        marks: (value, label, kind) of what happened meanwhile.
    """
    low, high = float(edges[0]), float(edges[-1])
    total = sum(of for _, of in counts)
    mean = sum(count for count, _ in counts) / total if total else 0.0
    limits = []
    for _, of in counts:
        spread = 3 * math.sqrt(mean * (1 - mean) / of) if of else 0.0
        limits.append((max(0.0, mean - spread), min(1.0, mean + spread)))
    shares = [count / of if of else None for count, of in counts]
    top = max([*(one for one in shares if one is not None), *(limit[1] for limit in limits), 0.01]) * 1.05

    def height(value: float) -> str:
        return f"{100 - 100 * value / top:.2f}"

    def steps(side: int) -> str:
        path = ""
        for index, (_, of) in enumerate(counts):
            if of:
                left, right = share(edges[index], low, high), share(edges[index + 1], low, high)
                path += f"M{left:.2f} {height(limits[index][side])}H{right:.2f}"
        return path

    curve, outliers, dots, rows = "", "", "", []
    for index, ((count, of), value) in enumerate(zip(counts, shares, strict=True)):
        if value is None:
            continue
        at = f"{share((edges[index] + edges[index + 1]) / 2, low, high):.2f} {height(value)}"
        lower, upper = limits[index]
        outside = not lower <= value <= upper
        curve += f"{'L' if curve else 'M'}{at}"
        dots += f"M{at}h0"
        outliers += f"M{at}h0" if outside else ""
        side = "above the limits" if value > upper else "below the limits" if value < lower else ""
        rows.append([*spans[index], f"{count} of {of}", *map(percent, (value, lower, upper)), side])
    shapes = [("limit", steps(0) + steps(1)), ("centre", f"M0 {height(mean)}H100")]
    shapes += [("curve", curve), ("ring", outliers), ("dot", dots)]
    return Chart(
        name=name,
        shapes=[Shape(kind, path) for kind, path in shapes if path],
        x_ticks=list(ticks),
        y_ticks=[Tick(100 - 100 * value / top, f"{100 * value:g} %") for value in round_values(0, top, 5)],
        marks=marks_of(marks, low, high),
        columns=["from", "to", what, "rate", "lower limit", "upper limit", ""],
        rows=rows,
    )


def control(
    name: str,
    values: Sequence[float],
    average: Sequence[float],
    *,
    limits: tuple[float, float],
    centre: float,
    y_label: str,
    x_label: str = "last inspections, newest on the right",
    value_label: str = "value",
) -> Chart:
    """A control chart: single values as dots, their moving average as a curve, its limits and centre.

    Where the average is beyond a limit it is drawn with a ring, and the table says so.

    Args:
        values, average: of the same length, oldest first. All in one unit.
    """
    everything = [*values, *average, *limits, centre]
    low, high = min(everything), max(everything)
    margin = 0.05 * (high - low) or 0.5
    low, high = low - margin, high + margin
    right = max(1, len(values) - 1)

    def at(index: int, value: float) -> str:
        return f"{share(index, 0, right):.2f} {100 - share(value, low, high):.2f}"

    outside = [value > limits[1] or value < limits[0] for value in average]
    shapes = [
        ("limit", "".join(f"M0 {100 - share(limit, low, high):.2f}H100" for limit in limits)),
        ("centre", f"M0 {100 - share(centre, low, high):.2f}H100"),
        ("value", "".join(f"M{at(index, value)}h0" for index, value in enumerate(values))),
        ("curve", "".join(f"{'L' if index else 'M'}{at(index, value)}" for index, value in enumerate(average))),
        ("ring", f"M{at(len(average) - 1, average[-1])}h0" if outside and outside[-1] else ""),
    ]
    return Chart(
        name=name,
        shapes=[Shape(kind, path) for kind, path in shapes if path],
        y_ticks=[Tick(100 - share(value, low, high), f"{value:g}") for value in round_values(low, high, 5)],
        x_label=x_label,
        y_label=y_label,
        columns=["inspection", value_label, "moving average", "lower limit", "upper limit", ""],
        rows=[
            [
                str(index - len(values) + 1),
                *(f"{one:.4g}" for one in (values[index], average[index], *limits)),
                "out of control" if outside[index] else "",
            ]
            for index in range(len(values))
        ],
    )


def line(
    name: str,
    points: Mapping[str, tuple[str, Sequence[tuple[float, float]]]],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    marks: Sequence[tuple[float, str, str]] = (),
) -> Chart:
    """Curves over one x axis; `points`: kind to (words, [(x, y)])."""
    every = [point for _, curve in points.values() for point in curve]
    left, right = x_range or (min((x for x, _ in every), default=0), max((x for x, _ in every), default=1))
    low, high = y_range or (min((y for _, y in every), default=0), max((y for _, y in every), default=1))
    if high <= low:
        high = low + 1
    if right <= left:
        right = left + 1
    shapes = [
        Shape(
            f"curve {kind}",
            "M" + "L".join(f"{share(x, left, right):.2f} {100 - share(y, low, high):.2f}" for x, y in curve),
        )
        for kind, (_, curve) in points.items()
        if curve
    ]
    return Chart(
        name=name,
        shapes=shapes,
        x_ticks=[Tick(share(value, left, right), f"{value:g}") for value in round_values(left, right)],
        y_ticks=[Tick(100 - share(value, low, high), f"{value:g}") for value in round_values(low, high, 5)],
        marks=marks_of(marks, left, right),
        x_label=x_label,
        y_label=y_label,
        columns=["", x_label, y_label],
        rows=[[words, f"{x:.6g}", f"{y:.6g}"] for words, curve in points.values() for x, y in curve],
        legend=[(f"curve {kind}", words) for kind, (words, _) in points.items()] if len(points) > 1 else [],
    )
