"""Figures of asking what another threshold would have said, on a synthetic history."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

from mvtec_site.benchmarks import Benchmark, Tell

_SCORES = 100_000


def _what_if(options: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Over the newest scores of the version that judged most, as many as there are up to 100,000, with all that a page
    of it shows; and once more without a curve and suggestions, as the API asks by default."""
    from django.db.models import Count

    from inspection.history import parse_filters
    from inspection.models import Inspection
    from tuning.selectors import what_if

    tell("what-if")
    versions = Inspection.objects.order_by().values_list("model_version").annotate(many=Count("pk"))
    version, many = versions.order_by("-many")[0]
    scored = Inspection.objects.filter(model_version=version).order_by("-created_at", "-id")
    since = scored.values_list("created_at", flat=True)[min(many, _SCORES) - 1]
    filters = parse_filters({"model_version": str(version), "since": since.isoformat()})

    def median_ms(**words: Any) -> float:
        times = []
        for _ in range(options["rounds"] + 1):
            began = time.perf_counter()
            what_if(filters, **words)
            times.append((time.perf_counter() - began) * 1000)
        return round(statistics.median(times[1:]), 2)  # the first is not counted

    return {
        "what_if_scores": filters.apply(Inspection.objects.all()).count(),
        "what_if_ms": median_ms(),
        "what_if_page_ms": median_ms(bins=60, compare=True, presets=True),
    }


def _text(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in figures.items())


BENCHMARKS = [Benchmark("history", "what-if over stored scores", _what_if, _text)]
