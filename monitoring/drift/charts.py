"""Control charts of one stream of records, those of a category at a station, without the database.

A chart begins with a reference: the first parts of the line. From then on each part is compared with them, one by one,
and the chart is out of control where the formulas of `formulas.py` say so and the change is large enough to matter. So
that the limits of all charts of a stream together are passed about once in `INSPECTIONS_PER_FALSE_ALARM` parts without
a change, each has its share of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Self

from django.utils.translation import gettext_noop as _

from monitoring.drift import formulas

# Parts of the reference.
REFERENCE = 100
# The last parts whose median is compared with the reference's, and of which shares are taken.
RECENT, SHARE_WINDOW = 20, 50
INSPECTIONS_PER_FALSE_ALARM = 50_000

# What a chart's reference depends on: it begins anew when that changes.
NOTHING, VERSION, THRESHOLD = "", "model version", "threshold"
VALUE, SPREAD, SHARE = "value", "spread", "share"


@dataclass(frozen=True)
class Kind:
    """What a chart is about.

    Attributes:
        source: the statistic of the record, `score`, or an outcome.
        form: of the values themselves, of how far they lie from their middle, or of the share of an outcome.
        relative, absolute: the smallest change of the median that matters, as a share of the reference's and in its
            unit; the larger of the two counts.
        depends_on: see above.
        period: values that differ by this are the same; 0 where there is none.
    """

    name: str
    words: str
    source: str
    unit: str = ""
    form: str = VALUE
    relative: float = 0.0
    absolute: float = 0.0
    depends_on: str = NOTHING
    period: float = 0.0


KINDS = {
    kind.name: kind
    for kind in (
        Kind("score", _("Score, median"), "score", "", VALUE, relative=0.03, depends_on=VERSION),
        Kind("score_spread", _("Score, spread"), "score", "", SPREAD, relative=0.3, depends_on=VERSION),
        Kind("defect_share", _("Defect share"), "defective", "", SHARE, depends_on=THRESHOLD),
        Kind("not_comparable_share", _("Not-comparable share"), "not_comparable", "", SHARE, depends_on=VERSION),
        Kind("brightness", _("Brightness"), "brightness", "grey levels", relative=0.02, absolute=0.5),
        Kind("contrast", _("Contrast"), "contrast", "grey levels", relative=0.03, absolute=0.5),
        Kind("focus", _("Focus"), "focus", "grey levels", relative=0.05, absolute=0.1),
        Kind("noise", _("Noise"), "noise", "grey levels", relative=0.05, absolute=0.05),
        Kind("background", _("Background"), "background", "grey levels", relative=0.02, absolute=0.5),
        Kind("saturation", _("Colour saturation"), "saturation", "of 255", absolute=2.0),
        Kind("direction", _("Edge direction"), "direction", "degrees", absolute=0.5, period=90.0),
        Kind("alignment_residual", _("Alignment residual"), "alignment_residual", "", VALUE, 0.05, 0.003, VERSION),
        Kind("likeness_distance", _("Distance from training"), "likeness_distance", "", VALUE, 0.05, 0.01, VERSION),
    )
}
RATE = 1 / (INSPECTIONS_PER_FALSE_ALARM * len(KINDS))


@dataclass(frozen=True)
class Observation:
    """What of a record charts are about. `version` and `threshold` are ids."""

    version: int
    threshold: int
    outcome: str
    score: float | None
    statistics: Mapping[str, float]

    def value_of(self, kind: Kind) -> float | None:
        """None where the record has nothing to say to the chart."""
        if kind.source == "not_comparable":
            return float(self.outcome == "not_comparable")
        if kind.source == "defective":
            return None if self.outcome == "not_comparable" else float(self.outcome == "defective")
        return self.score if kind.source == "score" else self.statistics.get(kind.source)

    def basis_of(self, kind: Kind) -> int:
        return {NOTHING: 0, VERSION: self.version, THRESHOLD: self.threshold}[kind.depends_on]


@dataclass
class Chart:
    """The state of one chart; `as_dict` is JSON.

    Attributes:
        kind: one of `KINDS`.
        basis: id of what it depends on.
        centre: the middle of the reference where values have a period or their spread is charted.
        reference: values of the first parts; sorted once there are enough.
        recent: the newest values, at most as many as are looked at.
        average: the moving average of normal scores.
        count: parts since the reference was complete.
    """

    kind: str
    basis: int = 0
    centre: float = 0.0
    reference: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    average: float = 0.0
    count: int = 0

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_learning(self) -> bool:
        return len(self.reference) < REFERENCE

    @property
    def limit(self) -> float:
        """Of the moving average, in normal scores."""
        return formulas.average_limit(len(self.reference), RATE)

    @property
    def share_limits(self) -> tuple[int, int]:
        """The fewest and the most of the recent parts that are in control."""
        count = round(sum(self.reference))
        return formulas.share_limits(count, len(self.reference), max(1, len(self.recent)), RATE)

    def observe(self, value: float) -> bool:
        """Take in a part's value. Whether the chart is out of control."""
        kind = KINDS[self.kind]
        if self.is_learning:
            self.reference.append(value)
            if not self.is_learning:
                self._complete(kind)
            return False
        value = self._measured(value, kind)
        self.count += 1
        self.recent = [*self.recent, value][-(SHARE_WINDOW if self.is_share else RECENT) :]
        if self.is_share:
            fewest, most = self.share_limits
            return not fewest <= sum(self.recent) <= most
        self.average = formulas.moving_average(self.average, formulas.normal_score(value, self.reference))
        return abs(self.average) > self.limit and self.change_matters

    def _complete(self, kind: Kind) -> None:
        if kind.period:
            turns = [2 * math.pi * value / kind.period for value in self.reference]
            angle = math.atan2(sum(map(math.sin, turns)), sum(map(math.cos, turns)))
            self.centre = kind.period * angle / (2 * math.pi)
        elif kind.form == SPREAD:
            self.centre = median(self.reference)
        self.reference = sorted(self._measured(value, kind) for value in self.reference)

    def _measured(self, value: float, kind: Kind) -> float:
        if kind.period:
            return (value - self.centre + kind.period / 2) % kind.period - kind.period / 2
        return abs(value - self.centre) if kind.form == SPREAD else value

    @property
    def is_share(self) -> bool:
        return KINDS[self.kind].form == SHARE

    @property
    def medians(self) -> tuple[float, float]:
        """Of the reference and of the recent parts, in the unit of the record."""
        shift = self.centre if KINDS[self.kind].period else 0.0
        return median(self.reference) + shift, median(self.recent) + shift

    @property
    def change_matters(self) -> bool:
        """Whether the median of the recent parts has moved by as much as matters."""
        kind, before = KINDS[self.kind], median(self.reference)
        return abs(median(self.recent) - before) >= max(kind.absolute, kind.relative * abs(before))

    def restart(self) -> None:
        """With a new reference, from the next part on."""
        self.reference, self.centre = [], 0.0
        self.reset()

    def reset(self) -> None:
        """With the same reference, as if the next part were the first after it."""
        self.recent, self.average, self.count = [], 0.0, 0


def observed(charts: dict[str, Chart], observation: Observation) -> Iterator[Chart]:
    """Let the charts of a stream take in a record; those that are out of control.

    A chart begins anew where what it depends on has changed. Charts that are missing are made.
    """
    for kind in KINDS.values():
        value = observation.value_of(kind)
        if value is None:
            continue
        chart = charts.setdefault(kind.name, Chart(kind.name, observation.basis_of(kind)))
        if chart.basis != observation.basis_of(kind):
            chart.basis = observation.basis_of(kind)
            chart.restart()
        if chart.observe(value):
            yield chart
