"""Reads: monitors, and what their charts say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from django.db.models import QuerySet

from common.errors import NotFound
from modelzoo.models import ModelVersion
from monitoring.drift import formulas
from monitoring.drift.charts import KINDS, REFERENCE, SHARE_WINDOW, VALUE, Chart, Kind, Observation
from monitoring.drift.services import charted_records, observation_of
from monitoring.models import DriftChart, DriftCursor, DriftMonitor

# Records that a page shows; the average is computed from as many more before them, of which it remembers nothing then.
SHOWN, _WARM_UP = 200, 200
# Newest records whose distribution is compared with training.
_COMPARED = 100
_NORMAL = NormalDist()


def monitors(*, category: str = "") -> QuerySet[DriftMonitor]:
    rows = DriftMonitor.objects.select_related("category", "model_version__category", "alarm")
    rows = rows.defer(*ModelVersion.long_columns("model_version", in_list=True))
    return rows.filter(category__name=category) if category else rows


def find_monitor(monitor_id: int) -> DriftMonitor:
    """Raises `NotFound`."""
    monitor = DriftMonitor.objects.select_related("category", "model_version__category", "alarm").filter(pk=monitor_id)
    if not (found := monitor.first()):
        raise NotFound(f"There is no drift monitor {monitor_id}.", code="drift_monitor_not_found")
    return found


@dataclass(frozen=True)
class ChartFigures:
    """A chart as people and programs see it, in the unit of the records. Empty lists while its reference is incomplete.

    Attributes:
        learned: parts of the reference so far.
        values, average: of the newest records, oldest first; of shares both are that of the last 50 parts.
        limits: of the average.
        stability: the population stability index of the newest records against training; None where there is nothing
            to compare with. `stability_limit`: what chance alone exceeds once in 1,000.
    """

    kind: Kind
    learned: int
    values: list[float]
    average: list[float]
    centre: float | None
    limits: tuple[float, float] | None
    is_out: bool
    stability: float | None = None
    stability_limit: float | None = None

    @property
    def is_learning(self) -> bool:
        return self.limits is None

    @property
    def differs_from_training(self) -> bool:
        """A large index by the usual rule (0.25), and more than chance explains."""
        return self.stability is not None and self.stability > max(0.25, self.stability_limit or 0.0)


def figures_of(monitor: DriftMonitor) -> list[ChartFigures]:
    """All charts of a monitor, in their fixed order."""
    cursor = DriftCursor.objects.filter(pk=1).first()
    records = charted_records().filter(
        category=monitor.category_id, station=monitor.station, request__batch__isnull=not monitor.of_batches
    )
    if cursor is not None:
        records = records.filter(created_at__lte=cursor.record_at)
    newest = records.order_by("-created_at", "-pk")[: SHOWN + _WARM_UP]
    observations = [observation_of(record) for record in reversed(newest)]
    charts = {row.kind: Chart.from_dict(row.state) for row in DriftChart.objects.filter(monitor=monitor)}
    return [_figures(chart, monitor, observations) for name in KINDS if (chart := charts.get(name))]


def _figures(chart: Chart, monitor: DriftMonitor, observations: Sequence[Observation]) -> ChartFigures:
    kind = KINDS[chart.kind]
    found = [(value, one.basis_of(kind)) for one in observations if (value := one.value_of(kind)) is not None]
    own = [value for value, basis in found if basis == chart.basis]
    stability, stability_limit = _stability(kind, monitor, own[-_COMPARED:])
    if chart.is_learning or not chart.count:
        learned = min(len(chart.reference), REFERENCE)
        return ChartFigures(kind, learned, [], [], None, None, False, stability, stability_limit)
    replayed = Chart.from_dict(chart.as_dict() | {"recent": [], "average": 0.0, "count": 0})
    values, average = [], []
    for value in own[-chart.count :]:
        replayed.observe(value)
        values.append(replayed.recent[-1] + (chart.centre if kind.period else 0.0))
        average.append(_average(replayed))
    fewest, most = chart.share_limits if chart.is_share else (0, 0)
    limits = (
        (fewest / len(chart.recent), most / len(chart.recent))
        if chart.is_share
        else (_in_unit(chart, -chart.limit), _in_unit(chart, chart.limit))
    )
    if chart.is_share:
        values = average
        is_out = not fewest <= sum(chart.recent) <= most
        centre = sum(chart.reference) / len(chart.reference)
    else:
        is_out = abs(chart.average) > chart.limit and chart.change_matters
        centre = _in_unit(chart, 0.0)
    return ChartFigures(
        kind, REFERENCE, values[-SHOWN:], average[-SHOWN:], centre, limits, is_out, stability, stability_limit
    )


def _average(chart: Chart) -> float:
    return sum(chart.recent) / len(chart.recent) if chart.is_share else _in_unit(chart, chart.average)


def _in_unit(chart: Chart, score: float) -> float:
    """A normal score as the value of the reference that has it, in the unit of the records."""
    shift = chart.centre if KINDS[chart.kind].period else 0.0
    return float(np.quantile(chart.reference, _NORMAL.cdf(score))) + shift


def _stability(kind: Kind, monitor: DriftMonitor, values: Sequence[float]) -> tuple[float | None, float | None]:
    version = monitor.model_version
    training = version.held_out_scores if kind.source == "score" else (version.image_statistics or {}).get(kind.source)
    if kind.form != VALUE or kind.period or not training or len(training) < 20 or len(values) < SHARE_WINDOW:
        return None, None
    return formulas.stability_index(training, values)


# ---------------------------------------------------------------- documents
def monitor_document(monitor: DriftMonitor) -> dict[str, Any]:
    """Of a row of `monitors`."""
    alarm = monitor.alarm
    return {
        "id": monitor.pk,
        "category": monitor.category.name,
        "station": monitor.station,
        "of_batches": monitor.of_batches,
        "model_version": monitor.model_version_id,
        "records": monitor.records,
        "last_record_at": monitor.last_record_at.isoformat(),
        "alarm": alarm.pk if alarm and alarm.is_unresolved else None,
    }


def whole_document(monitor: DriftMonitor) -> dict[str, Any]:
    """With what each chart says."""
    return monitor_document(monitor) | {"charts": [chart_document(figures) for figures in figures_of(monitor)]}


def chart_document(figures: ChartFigures) -> dict[str, Any]:
    kind = figures.kind
    return {
        "kind": kind.name,
        "unit": kind.unit,
        "status": "learning" if figures.is_learning else "out of control" if figures.is_out else "in control",
        "reference_parts": figures.learned,
        "average": figures.average[-1] if figures.average else None,
        "centre": figures.centre,
        "lower_limit": figures.limits[0] if figures.limits else None,
        "upper_limit": figures.limits[1] if figures.limits else None,
        "stability_index": figures.stability,
        "differs_from_training": figures.differs_from_training,
    }
