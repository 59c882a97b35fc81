"""How long what-if takes over the stored scores of a history, as it is; nothing is written."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import Count
from rest_framework.renderers import JSONRenderer

from common.benchmarks import Tell
from common.errors import Conflict
from inspection.history.filters import Filters
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from tuning.what_if.estimates import Costs
from tuning.what_if.selectors import what_if

SCORES = 100_000
_MOVES = 20  # of the slider


def figures(tell: Tell = lambda sentence: None) -> dict[str, Any]:
    """Medians and the slowest, in milliseconds, each from the filters to the bytes of the JSON.

    They are taken over the newest `SCORES` records of the model version that judged most, or all where it has fewer:
    `what_if` is one move of a slider, `what_if_compared` the same beside the threshold in force and with costs,
    `what_if_curve` what a page needs once, which is the curve and the thresholds that suggest themselves.
    """
    version, since, scores = _busiest()
    filters = Filters(model_version=version.pk, since=since)
    in_force = threshold_in_force(version.pk).value
    tell(f"what-if over {scores:,} records of {version}")
    moves = [in_force * (0.5 + index / _MOVES) for index in range(_MOVES)]
    costs = Costs(1.0, 100.0)
    return {
        "what_if_records": scores,
        **_timed("what_if", [partial(what_if, filters, threshold=move) for move in moves]),
        **_timed(
            "what_if_compared",
            [partial(what_if, filters, threshold=move, compare=True, costs=costs) for move in moves[::4]],
        ),
        **_timed("what_if_curve", [partial(what_if, filters, bins=200, presets=True, costs=costs)] * 3),
    }


def as_text(document: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    return "\n".join(f"{name}: {value}" for name, value in document.items())


def _busiest() -> tuple[ModelVersion, datetime, int]:
    """The version with the most records, the moment since which it judged `SCORES` of them, and how many these are."""
    by_version = Inspection.objects.order_by().values_list("model_version").annotate(many=Count("pk"))
    row = by_version.order_by("-many", "-model_version").first()
    if row is None:
        raise Conflict("There are no records to measure on. Make some: manage.py generate_history --count 1000000.")
    pk, many = row
    scores = min(many, SCORES)
    newest = Inspection.objects.filter(model_version=pk).order_by("-created_at", "-id")
    since = newest.values_list("created_at", flat=True)[scores - 1]
    return ModelVersion.objects.select_related("category").get(pk=pk), since, scores


def _timed(name: str, calls: list[Callable[[], dict[str, Any]]]) -> dict[str, float]:
    """Of calls after one that is not counted."""
    JSONRenderer().render(calls[0]())
    times = []
    for call in calls:
        began = time.perf_counter()
        JSONRenderer().render(call())
        times.append((time.perf_counter() - began) * 1000)
    return {f"{name}_ms": round(statistics.median(times), 2), f"{name}_slowest_ms": round(max(times), 2)}
