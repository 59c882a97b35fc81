"""Reads: the figures of the history's page: scores, verdicts over time, defect rate with its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from common.numbers import score_text
from common.web.charts import Chart, Tick, histogram, lanes, rates, share
from inspection.history.filters import Filters
from inspection.models import Inspection
from modelzoo.models import Deployment, Threshold

# ---------------------------------------------------------------- in figures
MAX_COUNTED = 10_000
_BINS, _MIN_BINS, _TICKS = 40, 12, 6
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY, 28 * _DAY)
_APART = (*_STEPS[:8], 2 * _DAY, *_STEPS[8:], 84 * _DAY, 364 * _DAY)
_WORDS = {"good": _("good"), "defective": _("defect"), "not_comparable": _("not comparable")}


@dataclass(frozen=True)
class Figures:
    """Of the newest records that a filter means. Never of all: who filters nothing would count millions."""

    total: int
    more: bool  # there are more than were counted
    outcomes: Counter[str]
    reviewed: int
    overruled: int
    scores: Chart | None
    times: Chart | None
    rates: Chart | None

    @property
    def judged(self) -> int:
        """Rates of good and defective ones are of these: what is not comparable is neither."""
        return self.total - self.outcomes[Inspection.Outcome.NOT_COMPARABLE]


def figures_of(filters: Filters) -> Figures:
    """Counts, when they were, and how the scores lie around the threshold."""
    records = filters.apply(Inspection.objects.order_by(*filters.ordering))
    columns = ("created_at", "outcome", "score", "threshold_id", "standing__overruled", "model_version_id")
    rows = list(records.values_list(*columns)[: MAX_COUNTED + 1])
    counted = rows[:MAX_COUNTED]
    reviews = [overruled for *_, overruled, _ in counted if overruled is not None]
    spans = _spans([at for at, *_ in counted])
    return Figures(
        total=len(counted),
        more=len(rows) > MAX_COUNTED,
        outcomes=Counter(outcome for _, outcome, *_ in counted),
        reviewed=len(reviews),
        overruled=sum(reviews),
        scores=_of_scores([(outcome, score, threshold) for _, outcome, score, threshold, *_ in counted]),
        times=_over_time(spans, [outcome for _, outcome, *_ in counted]) if spans else None,
        rates=_defect_rate(spans, [outcome for _, outcome, *_ in counted], {row[-1] for row in counted})
        if spans
        else None,
    )


def _of_scores(rows: Iterable[tuple[str, float | None, int]]) -> Chart | None:
    """Scores of one threshold as they are. Those of several models have no scale in common but their thresholds."""
    scored = [(outcome, score, threshold) for outcome, score, threshold in rows if score is not None]
    if not scored:
        return None
    values = dict(Threshold.objects.filter(pk__in={pk for *_, pk in scored}).values_list("pk", "value"))
    alone = next(iter(values.values())) if len(values) == 1 else None
    if alone is None:
        scored = [(outcome, score / values[pk], pk) for outcome, score, pk in scored if values[pk] > 0]
    at = 1.0 if alone is None else alone
    points = np.array([score for _, score, _ in scored], dtype=np.float64)
    if not points.size:
        return None
    # A few parts far out would press all others into one bar: what lies beyond is counted in the last one.
    low, high = min(float(points.min()), at), max(float(np.quantile(points, 0.995)), at + abs(at) * 0.5)
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    kinds = np.array([outcome for outcome, *_ in scored])
    series = {
        kind: (str(_WORDS[kind]), np.histogram(np.clip(points[kinds == kind], edges[0], edges[-1]), edges)[0].tolist())
        for kind in ("good", "defective")
    }
    what = str(_("score ÷ threshold") if alone is None else _("anomaly score"))
    chart = lanes(
        str(_("Number of records by %(what)s")) % {"what": what},
        edges.tolist(),
        series,
        marks=[(at, str(_("threshold")) if alone is None else f"{_('threshold')} {score_text(alone)}", "threshold")],
        x_label=str(_("%(what)s (last bar: and above)")) % {"what": what} if points.max() > high else what,
    )
    return chart


@dataclass(frozen=True)
class _Spans:
    """Equal spans of time that begin at full minutes, hours or days; seconds, with the time zone's offset added."""

    moments: NDArray[np.float64]  # of the records
    edges: NDArray[np.float64]
    step: int
    offset: float

    @property
    def words(self) -> list[tuple[str, str]]:
        texts = [_moment(edge - self.offset, self.step) for edge in self.edges]
        return list(pairwise(texts))

    @property
    def ticks(self) -> list[Tick]:
        first, last = self.edges[0], self.edges[-1]
        apart = next((apart for apart in _APART if (last - first) / apart <= _TICKS), _APART[-1])
        return [
            Tick(share(edge, first, last), _moment(edge - self.offset, _DAY if edge % _DAY == 0 else _MINUTE))
            for edge in np.arange(-(-first // apart) * apart, last, apart)
        ]

    def counts(self, mask: NDArray[np.bool_]) -> list[int]:
        histogram: list[int] = np.histogram(self.moments[mask], self.edges)[0].tolist()
        return histogram


def _spans(times: Sequence[datetime]) -> _Spans | None:
    if not times:
        return None
    offset = (timezone.localtime(times[0]).utcoffset() or timedelta()).total_seconds()
    moments = np.array([at.timestamp() for at in times]) + offset
    length = float(moments.max() - moments.min())
    step = next((step for step in _STEPS if length / step < _BINS), _STEPS[-1])
    first = moments.min() // step * step
    count = int((moments.max() - first) // step) + 1
    first -= step * max(0, _MIN_BINS - count)  # of a single minute the chart would be one block
    return _Spans(moments, first + step * np.arange(max(count, _MIN_BINS) + 1), step, offset)


def _over_time(spans: _Spans, outcomes: Sequence[str]) -> Chart:
    """Records of each verdict in equal spans of time."""
    kinds = np.array(outcomes)
    series = {kind: (str(words), spans.counts(kinds == kind)) for kind, words in _WORDS.items()}
    per = {"per": _PER.get(spans.step, "")}
    chart = histogram(
        str(_("Number of records %(per)s, by the model's verdict")) % per,
        spans.edges.tolist(),
        series,
        x_label=str(_("records %(per)s, by the model's verdict")) % per,
    )
    totals = zip(*(counts for _, counts in series.values()), strict=True)
    table = [
        [*words, *(str(count) for count in counts)]
        for words, counts in zip(spans.words, totals, strict=True)
        if any(counts)
    ]
    return replace(chart, x_ticks=spans.ticks, rows=table, legend=[])


_MAX_EVENTS = 8


def _defect_rate(spans: _Spans, outcomes: Sequence[str], versions: set[int]) -> Chart | None:
    """The share of what the model rejected, with control limits, and when models and thresholds changed."""
    kinds = np.array(outcomes)
    defective, judged = spans.counts(kinds == "defective"), spans.counts(kinds != "not_comparable")
    if not any(judged):
        return None
    per = {"per": _PER.get(spans.step, "")}
    chart = rates(
        str(_("Defect rate %(per)s, by the model's verdict, with control limits")) % per,
        spans.edges.tolist(),
        list(zip(defective, judged, strict=True)),
        ticks=spans.ticks,
        spans=spans.words,
        marks=_changes(spans, versions),
    )
    x_label = _("defect rate %(per)s of the judged parts, mean and 3-sigma limits; ring: outside the limits")
    return replace(chart, x_label=str(x_label) % per)


def _changes(spans: _Spans, versions: set[int]) -> list[tuple[float, str, str]]:
    """When one of these versions was put active or its threshold changed, the last ones of the time that is shown.

    What falls on one place of the chart is one mark that names all of it: lines at one place would hide each other.
    """
    first, last = (datetime.fromtimestamp(spans.edges[at] - spans.offset, tz=UTC) for at in (0, -1))
    deployed = Deployment.objects.filter(model_version__in=versions, activated_at__range=(first, last))
    moved = Threshold.objects.filter(model_version__in=versions, created_at__range=(first, last), revision__gt=1)
    # When, of what, which one, and what became of it.
    events = [
        *(
            (at, part, f"v{number}", str(_("active")), "deployed")
            for at, part, number in deployed.values_list("activated_at", *_NAMED)
        ),
        *(
            (at, str(_("%(model)s threshold rev.")) % {"model": f"{part} v{number}"}, str(revision), "", "moved")
            for at, revision, part, number in moved.values_list("created_at", "revision", *_NAMED)
        ),
    ]
    room = (spans.edges[-1] - spans.edges[0]) * _ONE_PLACE
    marks: list[tuple[float, str, str, list[str], str]] = []
    for at, of, one, state, kind in sorted(events):
        seconds = at.timestamp() + spans.offset
        place = marks[-1][0] if marks and seconds - marks[-1][0] <= room else seconds
        same = next((ones for when, *what, ones, end in marks if (when, what, end) == (place, [of, kind], state)), None)
        if same is None:
            marks.append((place, of, kind, [one], state))
        elif one != same[-1]:
            same.append(one)
    return [(at, f"{of} {', '.join(ones)} {end}".strip(), kind) for at, of, kind, ones, end in marks[-_MAX_EVENTS:]]


_NAMED = ("model_version__category__name", "model_version__number")
_ONE_PLACE = 0.015  # of the time that is shown: lines that are closer cannot be told apart
_PER = {
    _MINUTE: _("per minute"),
    5 * _MINUTE: _("per 5 minutes"),
    15 * _MINUTE: _("per 15 minutes"),
    _HOUR: _("per hour"),
    3 * _HOUR: _("per 3 hours"),
    6 * _HOUR: _("per 6 hours"),
    12 * _HOUR: _("per 12 hours"),
    _DAY: _("per day"),
    7 * _DAY: _("per week"),
    28 * _DAY: _("per 4 weeks"),
}


def _moment(seconds: float, step: int) -> str:
    """As exact as the step."""
    at = timezone.localtime(datetime.fromtimestamp(seconds, tz=UTC))
    return date_format(at, "M j" if step >= _DAY else "M j, H:i" if step >= 3 * _HOUR else "H:i")
