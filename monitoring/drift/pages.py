"""What the pages of drift are given."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext
from django.utils.translation import gettext as _

from common.web.charts import Chart, control
from monitoring.drift.charts import REFERENCE
from monitoring.drift.selectors import ChartFigures, figures_of
from monitoring.models import DriftMonitor


@dataclass(frozen=True)
class ChartRow:
    """One chart of the page: what it is called, what it says, and its picture once there is one."""

    figures: ChartFigures
    state: str
    chart: Chart | None

    @property
    def words(self) -> str:
        return self.figures.kind.words


def chart_rows(monitor: DriftMonitor) -> list[ChartRow]:
    """Those out of control first."""
    rows = [_row(figures) for figures in figures_of(monitor)]
    return sorted(rows, key=lambda row: not row.figures.is_out)


def _row(figures: ChartFigures) -> ChartRow:
    kind = figures.kind
    if figures.limits is None or figures.centre is None or not figures.average:
        if figures.learned < REFERENCE:
            words = _("learning: %(learned)s of %(reference)s parts")
            return ChartRow(figures, words % {"learned": figures.learned, "reference": REFERENCE}, None)
        return ChartRow(figures, _("no part since the reference was complete"), None)
    state = _("out of control") if figures.is_out else _("in control")
    scale = 100 if kind.form == "share" else 1
    unit = "%" if kind.form == "share" else kind.unit
    chart = control(
        f"{gettext(kind.words)}: {state}",
        [scale * value for value in figures.values],
        [scale * value for value in figures.average],
        limits=(scale * figures.limits[0], scale * figures.limits[1]),
        centre=scale * figures.centre,
        y_label=unit,
        x_label=(f"{unit}, " if unit else "")
        + _("last %(count)s inspections, newest on the right") % {"count": len(figures.values)},
    )
    return ChartRow(figures, state, chart)
