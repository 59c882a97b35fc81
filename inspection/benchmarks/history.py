"""How long the history takes to answer, and what a record costs on its way into it.

A page is measured from the parsed query string to the bytes of its JSON: all that there is but the web server and the
question who is asking. Every value that a filter is tried with comes from the history itself, a common and a rare one
where there are both, and so do those that nothing has; then all pairs of them, and many of three and four.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import numpy as np
from django.db.models import Avg, Count, Max, Min
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from common.api.pagination import read_page
from common.benchmarks import Tell
from common.context import acting
from common.errors import Conflict
from inspection.benchmarks.synthetic import has_real_records
from inspection.history import filters as history
from inspection.history import selectors as history_selectors
from inspection.history.exports import export_inspections
from inspection.judging import documents, selectors, worker
from inspection.models import BatchRun, Inspection, InspectionRequest, Standing
from modelzoo.anomaly_maps import MEDIA_TYPE, encode_map
from modelzoo.loading import scoring
from records.assets.services import store_file
from training.benchmarks.protocol import peak_mb

Query = dict[str, str]
_DEEP = 20  # pages from the middle on, forwards and backwards


@dataclass(frozen=True)
class _Timed:
    """A query, and the median of its times in milliseconds."""

    query: Query
    ms: float


def measure(*, rounds: int, combinations: int, ingest: int, export: int, tell: Tell) -> dict[str, Any]:
    """All figures.

    Args:
        rounds: each query is asked so many times after one that is not counted; its median counts.
        combinations: how many of three filters, and of four.
        ingest: how many records are written for the figure of that name; they stay.
        export: how many records are exported at most.
    """
    if not Inspection.objects.exists() or has_real_records():
        raise Conflict(
            "Only a synthetic history is measured, because records are written for it that stay. Nothing was done. "
            "Make one in a database of its own: manage.py generate_history --count 1000000."
        )
    tell("export")
    figures = _export(export)  # first: the peak of a process is a peak for good
    tell("pages")
    figures |= _pages(rounds)
    values = _values()
    rng = random.Random(0)
    tried: dict[str, list[Query]] = {
        "one_filter": values,
        "two_filters": _combined(values, 2),
        "three_filters": _combined(values, 3, combinations, rng),
        "four_filters": _combined(values, 4, combinations, rng),
    }
    slowest: list[_Timed] = []
    for name, queries in tried.items():
        tell(f"{name}: {len(queries)} combinations")
        timed = [_Timed(query, _median_ms(partial(_page, query), rounds)) for query in queries]
        figures |= _of_many(name, [one.ms for one in timed])
        slowest = sorted([*slowest, *timed], key=lambda one: -one.ms)[:10]
    tell("ingest")
    figures |= _ingest(ingest)
    return {
        "inspections": Inspection.objects.count(),
        **figures,
        "slowest": [{"query": urlencode(one.query), "page_ms": round(one.ms, 1)} for one in slowest],
    }


def as_text(document: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    lines = [f"{name}: {value}" for name, value in document.items() if not isinstance(value, list)]
    return "\n".join([*lines, *(f"  {row['page_ms']} ms  {row['query']}" for row in document["slowest"])])


# ---------------------------------------------------------------- pages
def _page(query: Query, cursor: str = "") -> tuple[list[Any], str | None]:
    """The keys of a page and the address of the next one; the page itself is made, and thrown away."""
    filters = history.parse_filters(query)
    request = RequestFactory().get(cursor or "/api/inspections", headers={"host": "localhost"})
    page = read_page(history_selectors.matching_keys(filters), request, ordering=filters.ordering)
    JSONRenderer().render(page.response(history_selectors.listed(page.rows)).data)
    return page.rows, page.next


def _pages(rounds: int) -> dict[str, float]:
    middle = Inspection.objects.aggregate(first=Min("created_at"), last=Max("created_at"))
    halfway = middle["first"] + (middle["last"] - middle["first"]) / 2
    _, deep = _page({"until": halfway.isoformat()})
    times = []
    for _ in range(_DEEP):
        began = time.perf_counter()
        _, following = _page({}, _path(deep))
        times.append((time.perf_counter() - began) * 1000)
        deep = following or deep
    ids = list(Inspection.objects.filter(created_at__gte=halfway).values_list("pk", flat=True).order_by("pk")[:50])
    return {
        "first_page_ms": round(_median_ms(partial(_page, {}), rounds), 2),
        "deep_page_ms": round(statistics.median(times), 2),
        "object_page_ms": round(statistics.median(_timed(partial(_object, pk)) for pk in ids), 2),
    }


def _path(address: str | None) -> str:
    """A cursor without the filter that led to it, as if somebody had paged there."""
    return f"/api/inspections?{(address or '').partition('?')[2]}"


def _object(pk: uuid.UUID) -> None:
    JSONRenderer().render(documents.inspection_document(selectors.find_inspection(pk)))


# ---------------------------------------------------------------- filters
def _values() -> list[Query]:
    """Every filter with every kind of value that it can have."""
    pairs: list[tuple[str, Any]] = []
    for name, field in (
        ("category", "category__name"),
        ("outcome", "outcome"),
        ("model_version", "model_version"),
        ("threshold", "threshold"),
        ("station", "station"),
        ("part_number", "part_number"),
        ("source", "source"),
        ("operator", "operator__username"),
    ):
        by_value = Inspection.objects.order_by().values_list(field).annotate(many=Count("pk")).order_by("many", field)
        counted = [value for value, _ in by_value if value not in (None, "")]
        pairs += [(name, value) for value in {counted[0], counted[-1]}]
    bounds = Inspection.objects.aggregate(Min("created_at"), Max("created_at"), Avg("score"), Max("score"))
    first, last = bounds["created_at__min"], bounds["created_at__max"]
    middle = first + (last - first) / 2
    one = Inspection.objects.filter(created_at__gte=middle).order_by("created_at").select_related("asset")[0]
    batch = BatchRun.objects.order_by("created_at").first()
    reviewer = Standing.objects.select_related("reviewer").first()
    pairs += [
        ("since", (last - timedelta(days=1)).isoformat()),
        ("since", middle.isoformat()),
        ("until", (first + timedelta(days=1)).isoformat()),
        ("until", middle.isoformat()),
        ("score_min", bounds["score__avg"]),
        ("score_min", bounds["score__max"] * 0.95),
        ("score_max", bounds["score__avg"] / 3),
        ("score_max", -1.0),
        ("threshold_revision", 1),
        ("threshold_revision", 3),
        ("lot", one.lot),
        ("lot", "no such lot"),
        ("station", "no such station"),
        ("serial_number", one.serial_number),
        ("serial", one.serial_number[:6]),
        ("serial", one.serial_number[:2]),
        ("serial", "no such serial"),
        ("image_sha256", one.asset.sha256),
        ("image_sha256", "0" * 64),
        ("reviewed", "yes"),
        ("reviewed", "no"),
        ("overruled", "yes"),
        ("overruled", "no"),
        ("contested", "yes"),
        ("review_verdict", "good"),
        ("review_verdict", "defective"),
    ]
    pairs += [("batch", batch.pk)] if batch else []
    pairs += [("reviewer", reviewer.reviewer.get_username())] if reviewer else []
    return [{name: str(value)} for name, value in pairs]


def _combined(
    values: Sequence[Query], size: int, limit: int | None = None, rng: random.Random | None = None
) -> list[Query]:
    """Values of so many different filters: all there are, or some by chance."""
    samples: Iterable[tuple[Query, ...]] = itertools.combinations(values, size)
    if limit is not None and rng is not None:
        samples = (tuple(rng.sample(list(values), size)) for _ in itertools.count())
    merged = ({name: value for one in some for name, value in one.items()} for some in samples)
    return list(itertools.islice((query for query in merged if len(query) == size), limit))


def _of_many(name: str, times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        f"{name}_median_ms": round(statistics.median(ordered), 2),
        f"{name}_p95_ms": round(ordered[int(len(ordered) * 0.95)], 2),
        f"{name}_slowest_ms": round(ordered[-1], 2),
    }


def _median_ms(call: Callable[[], object], rounds: int) -> float:
    call()
    return statistics.median(_timed(call) for _ in range(rounds))


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


# ---------------------------------------------------------------- taking records out, and writing them
def _export(limit: int) -> dict[str, float]:
    """Of the newest records as CSV: when the first bytes come, how fast the others, how much memory that takes."""
    content = export_inspections(filters=history.Filters(), form="csv", actor=None).content
    next(content)  # what is loaded at the first use is not the export's
    before, began = peak_mb(), time.perf_counter()
    content = export_inspections(filters=history.Filters(), form="csv", actor=None).content
    lines, first = next(content).count(b"\n") - 1, time.perf_counter() - began
    for part in content:
        lines += part.count(b"\n")
        if lines >= limit:
            break
    seconds = time.perf_counter() - began
    return {
        "export_first_bytes_ms": round(first * 1000, 2),
        "export_1000_records_ms": round(seconds * 1000 / lines * 1000, 2),
        "export_records": lines,
        "export_peak_mb": round(peak_mb() - before, 1),
    }


def _ingest(count: int) -> dict[str, float]:
    """Of writing a record whose verdict is known and whose files lie in place: all that the database does for it."""
    like = Inspection.objects.filter(outcome=Inspection.Outcome.GOOD).order_by("-created_at", "-id")
    model = like.select_related("model_version", "threshold", "deployment", "asset", "operator")[0]
    noise = np.random.default_rng()
    times = []
    for number in range(count):
        png, maximum = encode_map(noise.random((48, 48), dtype=np.float32))
        says = {
            "outcome": Inspection.Outcome.GOOD,
            "score": model.threshold_value / 2,
            "p_value": model.p_value,
            "map_maximum": maximum,
            "regions": [],
            "region_count": 0,
            "largest_region_px": 0,
        }
        filed = store_file(data=png, extension="png", content_type=MEDIA_TYPE, width=48, height=48)
        claim = uuid.uuid4()
        request = InspectionRequest.objects.create(
            asset=model.asset,
            model_version=model.model_version,
            deployment=model.deployment,
            filename=f"benchmark-{number}.png",
            source="command",
            station=model.station,
            part_number=model.part_number,
            lot=model.lot,
            serial_number=f"BENCHMARK-{claim}",
            operator=model.operator,
            status=InspectionRequest.Status.RUNNING,
            attempt=1,
            claim=claim,
            deadline=timezone.now() + timedelta(hours=1),
        )
        verdict = worker.Verdict(says, model.timings, map=filed)
        record = partial(
            worker._record,
            request,
            verdict,
            threshold=model.threshold,
            loaded=cast(scoring.LoadedModel, SimpleNamespace(device="cpu")),
            version=model.model_version,
            worker="benchmark",
            claim=claim,
        )
        with acting("worker"):
            times.append(_timed(record))
    return {
        "ingest_ms": round(statistics.median(times), 2),
        "ingest_p95_ms": round(sorted(times)[int(count * 0.95)], 2),
    }
