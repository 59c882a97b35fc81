"""What the page of a reference part is given."""

from __future__ import annotations

from itertools import pairwise

from django.utils.translation import gettext as _

from common.web.charts import Chart, control
from monitoring.models import ReferenceCheck, ReferencePart

_FEWEST = 5


def score_chart(part: ReferencePart, checks: list[ReferenceCheck]) -> Chart | None:
    """Individuals chart of its scores, oldest first: mean +- 2.66 times the mean moving range (Montgomery, chapter 6).

    The product is the same each time, so what moves it is lamp, camera or model. None for too few checks.
    """
    scores = [check.inspection.score for check in reversed(checks) if check.inspection.score is not None]
    if len(scores) < _FEWEST:
        return None
    mean = sum(scores) / len(scores)
    ranges = [abs(after - before) for before, after in pairwise(scores)]
    reach = 2.66 * sum(ranges) / len(ranges)
    return control(
        _("Scores of reference part %(serial_number)s") % {"serial_number": part.serial_number},
        scores,
        scores,
        limits=(mean - reach, mean + reach),
        centre=mean,
        y_label=_("anomaly score"),
        x_label=_("anomaly score, last %(count)s checks, newest on the right") % {"count": len(scores)},
        value_label=_("score"),
    )
