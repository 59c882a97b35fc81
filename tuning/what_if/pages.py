"""Reads: what the page of a threshold shows: where the scores lie, and what another value would have done to them.

`tuning.what_if.selectors.what_if` gives the figures. Here they become rows: what was, what would be, in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Prefetch, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from common.numbers import DASH, NOT_KNOWN, metric, metric_range, percent, percent_range, score_text
from common.web.charts import Chart, Mark, lanes, share
from inspection.history.filters import Filters
from inspection.models import Inspection
from inspection.reviews.words import verdict_word
from modelzoo import documents
from modelzoo.models import Category, Deployment, ModelVersion, Threshold
from modelzoo.selectors import threshold_in_force
from tuning.what_if.estimates import DEFECTIVE, GOOD, STRATA, Costs
from tuning.what_if.selectors import what_if

MAX_INSPECTIONS = 20_000  # inspections that are looked at, so that a move of the slider answers within 100 ms
DAYS = (1, 7, 30, 90, 365)
MIN_REVIEWED = 10  # of a kind: a headline figure of fewer would be taken for more than it is
_BINS = 80
_MAX_CHART_RATIO = 3.0  # times the threshold in force: what lies beyond is drawn at the edge
_STEPS = 200  # of the arrow keys across the chart
_REVISIONS = 50
_RATES = {
    "false_reject_rate": _("False-reject rate"),
    "escape_rate": _("Escape rate"),
    "precision": _("Precision"),
    "recall": _("Recall"),
    "f1": _("F1"),
}
# The promise first, in one form for all that make one; how it is come by after it.
_METHODS = {
    Threshold.Method.PERCENTILE: _("about %(above)s %% false rejects (percentile %(percentile)s)"),
    Threshold.Method.CONFORMAL: _("at most %(percent)s %% false rejects of new parts"),
    Threshold.Method.BEST_F1: _("best F1"),
    Threshold.Method.COST: _("lowest cost"),
}


@dataclass(frozen=True)
class PreviewQuery:
    """What the address of the page asks for; `threshold` None: the active one."""

    threshold: float | None = None
    days: int = 30
    percentile: float | None = None
    false_reject_rate: float = 0.05
    costs: Costs | None = None


_STAGES = {
    ModelVersion.Stage.CANDIDATE.value: _("candidate"),
    ModelVersion.Stage.APPROVED.value: _("approved"),
    ModelVersion.Stage.PRODUCTION.value: _("production"),
    ModelVersion.Stage.ARCHIVED.value: _("archived"),
}


# ---------------------------------------------------------------- words
def stage_word(version: ModelVersion) -> str:
    return str(_STAGES[version.stage])


def _count(value: float | None) -> str:
    if value is None:
        return NOT_KNOWN
    decimals = 0 if value >= 100 else 1 if value >= 1 else 2
    return f"{value:,.{decimals}f}".removesuffix(".00").removesuffix(".0")


def method_text(threshold: Threshold) -> str:
    """How a revision was found, as far as it says."""
    try:
        return _promise(threshold.method, threshold.parameters)
    except (KeyError, TypeError, ValueError):
        return threshold.get_method_display()


def _promise(method: str, parameters: Mapping[str, Any]) -> str:
    shown: dict[str, str] = {}
    if "percentile" in parameters:
        percentile = parameters["percentile"]
        shown |= {"percentile": f"{percentile:g}", "above": f"{100 - percentile:.3g}"}
    if "false_reject_rate" in parameters:
        shown["percent"] = f"{100 * parameters['false_reject_rate']:g}"
    words = _("set by hand") if method == Threshold.Method.MANUAL else _METHODS[Threshold.Method(method)]
    return str(words) % shown


# ---------------------------------------------------------------- the list
def thresholds_by_category() -> list[dict[str, Any]]:
    """Of each category the version that serves it, or its newest one, and the revision in force for that."""
    plain = ModelVersion.objects.defer(*ModelVersion.long_columns())
    active = Deployment.objects.filter(status=Deployment.Status.ACTIVE, station="").prefetch_related(
        Prefetch("model_version", queryset=plain)
    )
    categories = list(
        Category.objects.order_by("name").prefetch_related(Prefetch("deployments", queryset=active, to_attr="in_force"))
    )
    archived, newest = ModelVersion.Stage.ARCHIVED, dict[int, ModelVersion]()
    waiting = [category.pk for category in categories if not category.in_force]
    for result in plain.filter(category__in=waiting).order_by("id"):
        before = newest.get(result.category_id)
        if before is None or result.stage != archived or before.stage == archived:
            newest[result.category_id] = result
    rows: list[dict[str, Any]] = []
    for category in categories:
        serving = next((one.model_version for one in category.in_force), None)
        version = serving or newest.get(category.pk)
        rows.append({"category": category, "version": version, "serves": serving is not None})
    version_ids = [row["version"].pk for row in rows if row["version"]]
    revisions: QuerySet[Any] = documents.thresholds().filter(Q(in_force=True), model_version__in=version_ids)
    in_force = {threshold.model_version_id: threshold for threshold in revisions}
    for row in rows:
        row["threshold"] = row["version"] and in_force.get(row["version"].pk)
    return rows


# ---------------------------------------------------------------- the page
def find_version(version_id: int) -> ModelVersion | None:
    return ModelVersion.objects.select_related("category").defer("metrics").filter(pk=version_id).first()


def revisions(version: ModelVersion) -> QuerySet[Threshold]:
    return documents.thresholds(model_version=version.pk).order_by("-revision")[:_REVISIONS]


def preview(version: ModelVersion, query: PreviewQuery, *, whole: bool) -> dict[str, Any]:
    """All that is said of a value; `whole`: with the chart and the presets, which do not depend on it."""
    in_force = threshold_in_force(version.pk)
    value = in_force.value if query.threshold is None else query.threshold
    if score_text(value) == score_text(in_force.value):
        value = in_force.value  # as the page shows it: all its digits are nobody's to type
    since, cut = _since(version, query.days)
    filters = Filters(since=since, model_version=version.pk)
    low, high = _score_range(version, in_force.value)
    result = what_if(
        filters,
        threshold=value,
        costs=query.costs,
        compare=True,
        bins=_BINS if whole else 0,
        score_range=(low, high),
        presets=whole,
        percentile=query.percentile,
        false_reject_rate=query.false_reject_rate,
    )
    return {
        "found": result,
        "in_force": in_force,
        "in_force_text": score_text(in_force.value),
        "value": value,
        "value_text": score_text(value),
        "value_exact": repr(value),
        "same": value == in_force.value,
        "next_revision": in_force.revision + 1,
        "days": query.days,
        "volume": _volume(result, query.days, cut),
        "tiles": _tiles(result),
        "rates": _rates(result),
        "confusion": _confusion(result),
        "defects": _defects(result),
        "borderline": [
            (_("Nearest rejects"), _with_changed_verdicts(result["borderline"]["above"], in_force.value, GOOD)),
            (
                str(_("Nearest passes")),
                _with_changed_verdicts(result["borderline"]["below"], in_force.value, DEFECTIVE),
            ),
        ],
        "coverage": [row for row in result["coverage"] if row["total"]],
        "moved": _changed_verdicts(result, filters, value, in_force.value),
        **(_chart_and_presets(version, result, value, in_force.value, (low, high)) if whole else {}),
    }


def _since(version: ModelVersion, days: int) -> tuple[datetime, bool]:
    """When the period begins, and whether it was cut short: all of it would be more than `MAX_INSPECTIONS`."""
    since = timezone.now() - timedelta(days=days)
    newest = Inspection.objects.filter(model_version=version).order_by("-created_at", "-id")
    oldest = newest.values_list("created_at", flat=True)[MAX_INSPECTIONS - 1 : MAX_INSPECTIONS].first()
    return (oldest, True) if oldest and oldest > since else (since, False)


def _score_range(version: ModelVersion, in_force: float) -> tuple[float, float]:
    """The scores between which the chart and the slider lie: all, but far outliers do not squeeze the rest."""
    scored = Inspection.objects.filter(model_version=version, score__isnull=False)
    scores = [scored.order_by(order).values_list("score", flat=True).first() for order in ("score", "-score")]
    all_scores = [score for score in (*scores, in_force, *version.held_out_scores) if score is not None]
    low, high = min(all_scores), max(all_scores)
    if in_force > 0:
        high = min(high, _MAX_CHART_RATIO * in_force)
    return low, high + (high - low or abs(high) or 1.0) / 20


def _volume(result: dict[str, Any], days: int, cut: bool) -> str:
    total = result["total"]
    if not total:
        nothing = ngettext("No inspections of the last day.", "No inspections of the last %(days)s days.", days)
        return nothing % {"days": days}
    if days > 1:
        counted = ngettext(
            "%(n)s inspection of the last %(days)s days", "%(n)s inspections of the last %(days)s days", total
        )
    else:
        counted = ngettext("%(n)s inspection of the last day", "%(n)s inspections of the last day", total)
    words = counted % {"n": f"{total:,}", "days": days}
    a_day = str(_("%(inspections)s, %(n)s a day"))
    shown = str(_("The newest %(inspections)s")) % {"inspections": words} if cut else words
    return a_day % {"inspections": shown, "n": _count(result["asked"]["per_day"]["inspections"])}


def _with_changed_verdicts(records: list[dict[str, Any]], in_force: float, otherwise: str) -> list[dict[str, Any]]:
    """Records beside the previewed value; `turned`: what the threshold in force calls those that change sides."""
    defective = otherwise == DEFECTIVE
    return [row | {"turned": otherwise if (row["score"] > in_force) == defective else ""} for row in records]


def _chart_and_presets(
    version: ModelVersion, result: dict[str, Any], value: float, in_force: float, score_range: tuple[float, float]
) -> dict[str, Any]:
    edges, counts = _counts(version, result, score_range)
    low, high = edges[0], edges[-1]
    step = 10.0 ** math.floor(math.log10((high - low) / _STEPS))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= _STEPS)
    return {
        "chart": _chart(edges, counts, value, in_force),
        "held_out_alone": not result["total"],
        "slider": {
            "low": repr(low),
            "high": repr(high),
            "step": f"{step:.12g}",
            "decimals": max(0, -math.floor(math.log10(step))),
        },
        "presets": [_preset(row, _few_reviews(result, (GOOD, DEFECTIVE))) for row in result["presets"]],
    }


def _counts(
    version: ModelVersion, result: dict[str, Any], score_range: tuple[float, float]
) -> tuple[list[float], dict[str, tuple[str, list[int]]]]:
    """Bins and the counts in them; before anything was inspected those of the good images held out of training."""
    curve = result["curve"]
    if curve is None:
        low, high = score_range
        edges = [low + (high - low) * index / _BINS for index in range(_BINS + 1)]
        counts = [0] * _BINS
        for score in version.held_out_scores:
            counts[min(_BINS - 1, max(0, int((score - low) / (high - low) * _BINS)))] += 1
        return edges, {GOOD: (str(_("good images held out of training")), counts)}
    words = {GOOD: _("good (reviewed)"), DEFECTIVE: _("defect (reviewed)"), None: _("not reviewed")}
    sums = {truth: [0] * (len(curve["thresholds"]) - 1) for truth in words}
    for series in curve["series"]:
        sums[series["review"]] = [
            one + other for one, other in zip(sums[series["review"]], series["counts"], strict=True)
        ]
    return curve["thresholds"], {truth or "unreviewed": (str(words[truth]), sums[truth]) for truth in words}


def _chart(edges: list[float], counts: dict[str, tuple[str, list[int]]], value: float, in_force: float) -> Chart:
    chart = lanes(
        str(_("Scores of good parts, defects and parts not reviewed, with the active threshold")),
        edges,
        counts,
        marks=[(in_force, f"{_('active')} {score_text(in_force)}", "threshold")],
        x_label=str(_("anomaly score")),
    )
    # The label of the preview has a line of its own, in which it can move.
    label = "" if value == in_force else f"{_('preview')} {score_text(value)}"
    preview = Mark(share(value, edges[0], edges[-1]), label, "preview", row=1)
    return replace(chart, marks=[*chart.marks, preview])


def _preset(row: dict[str, Any], lack: str) -> dict[str, Any]:
    """`lack`: which reviews are missing before what is tuned on reviews can be relied on."""
    tuned = row["method"] in (Threshold.Method.BEST_F1, Threshold.Method.COST)
    value = row["threshold"]
    parameters = row["parameters"]
    words = _promise(row["method"], {"percentile": 0, "false_reject_rate": 0} | parameters)
    return {
        "method": row["method"],
        "words": words[0].upper() + words[1:],
        "value": value,
        "exact": None if value is None else repr(value),
        "text": None if value is None else score_text(value),
        "from": f"{parameters['n']:,} {parameters['scores']}",
        "tuned": tuned,
        "caution": str(_("not reliable: it %(lack)s")) % {"lack": lack} if tuned and lack else "",
        "unavailable": row["unavailable"],
    }


# ---------------------------------------------------------------- was, would be
def _interval(figure: dict[str, Any] | None, text: Any) -> str:
    bounds = figure["interval"] if figure else None
    ranges = {percent: percent_range, metric: metric_range}
    if text in ranges:
        return ranges[text](bounds)
    return f"{text(bounds[0])}{DASH}{text(bounds[1])}" if bounds else ""


def _or_not_known(text: str) -> str:
    return str(_("not known")) if text == NOT_KNOWN else text


def _pair(
    words: str | Promise, was: dict[str, Any] | None, now: dict[str, Any] | None, text: Any, **more: Any
) -> dict[str, Any]:
    """A figure at the threshold in force and at the previewed one."""
    before, after = text(was and was["value"]), text(now and now["value"])
    return {
        "words": str(words),
        "was": _or_not_known(before),
        "now": _or_not_known(after),
        "moved": before != after,
        "known": after != NOT_KNOWN,
        "interval": _interval(now, text),
        **more,
    }


def _tiles(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures that decide, estimated over all parts; in place of what too few reviews tell, what it needs."""
    was, now = result["in_force"], result["asked"]
    a_day = was["per_day"], now["per_day"]
    rates: tuple[dict[str, Any], dict[str, Any]] = (was["estimate"] or {}, now["estimate"] or {})
    lacks = {truth: _lacks(result, (truth,)) for truth in STRATA}
    both = _lacks(result, STRATA)
    not_known = str(_("not known"))
    tiles = [
        _figure(_("False-reject rate"), [of.get("false_reject_rate") for of in rates], percent, lacks[GOOD]),
        _figure(_("Escape rate"), [of.get("escape_rate") for of in rates], percent, lacks[DEFECTIVE]),
        _figure(
            str(_("False rejects a day")), [of.get("false_rejects") for of in a_day], _count, lacks[GOOD] and not_known
        ),
        _figure(_("Escapes a day"), [of.get("escapes") for of in a_day], _count, lacks[DEFECTIVE] and not_known),
        _pair(
            _("Rejects a day"),
            {"value": was["per_day"]["rejected"], "interval": None},
            {"value": now["per_day"]["rejected"], "interval": None},
            _count,
            beside=_rejected_in_fact(result),
        ),
        _figure(_("F1"), [of.get("f1") for of in rates], metric, both),
    ]
    if now["reviewed"]["cost"] is not None:
        tiles.append(_figure(_("Cost a day"), [of.get("cost") for of in a_day], _count, both and not_known))
    return tiles


def _rejected_in_fact(result: dict[str, Any]) -> str:
    """How many a day the records say, each at the threshold of its time: not the figure at any one threshold."""
    days = result["period"]["days"]
    rejected = next(row["total"] for row in result["coverage"] if row["recorded"] == DEFECTIVE)
    return str(_("%(n)s as recorded")) % {"n": _count(rejected / days)} if days else ""


def _figure(words: str | Promise, pair: Sequence[dict[str, Any] | None], text: Any, lack: str) -> dict[str, Any]:
    """As `_pair`; `lack`: what stands in place of the figure where it rests on too few reviews."""
    was, now = pair
    figure = _pair(words, was, now, text)
    return figure | {"now": lack, "moved": False, "known": False} if lack else figure


def _lacks(result: dict[str, Any], truths: Sequence[str]) -> str:
    """Which reviews a figure about parts that are truly so lacks; empty where there are enough.

    It takes `MIN_REVIEWED` parts that people called so. Besides, the reviewed parts of each verdict stand for all
    parts of that verdict, so that of each verdict as many must have been looked at, or all where there are fewer.
    """
    if few := _few_reviews(result, truths):
        return few
    for row in result["coverage"]:
        if row["recorded"] in STRATA and row["reviewed"] < min(MIN_REVIEWED, row["total"]):
            needed = min(MIN_REVIEWED, row["total"])
            sentence = _("needs at least %(n)s reviews of parts with the model verdict %(verdict)s (%(now)s now)")
            shown = {"n": needed, "verdict": verdict_word(row["recorded"]), "now": row["reviewed"]}
            return str(sentence) % shown
    return ""


def _few_reviews(result: dict[str, Any], truths: Sequence[str]) -> str:
    """The first kind of part that fewer than `MIN_REVIEWED` reviews called so; empty where there are enough."""
    confusion = result["asked"]["reviewed"]["confusion"]
    reviewed = {GOOD: confusion["tn"] + confusion["fp"], DEFECTIVE: confusion["tp"] + confusion["fn"]}
    for truth in truths:
        if reviewed[truth] < MIN_REVIEWED:
            sentence = _("needs at least %(n)s parts reviewed as %(verdict)s (%(now)s now)")
            return str(sentence) % {"n": MIN_REVIEWED, "verdict": verdict_word(truth), "now": reviewed[truth]}
    return ""


def _rates(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each rate over all parts, estimated, and over the reviewed parts alone."""
    was, now = result["in_force"], result["asked"]
    rows = []
    for name, words in _RATES.items():
        text = metric if name == "f1" else percent
        pairs = [
            _pair(basis, was[basis] and was[basis][name], now[basis] and now[basis][name], text)
            for basis in ("estimate", "reviewed")
        ]
        rows.append({"words": str(words), "pairs": pairs})
    return rows


def _confusion(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The reviewed parts with a score: what they are, and on which side they lie."""
    was, now = (result[name]["reviewed"]["confusion"] for name in ("in_force", "asked"))

    def cell(name: str) -> dict[str, Any]:
        return {"was": was[name], "now": now[name], "moved": was[name] != now[name]}

    return [
        {"words": str(_("good")), "cells": [cell("tn"), cell("fp")]},
        {"words": str(_("defect")), "cells": [cell("fn"), cell("tp")]},
    ]


def _defects(result: dict[str, Any]) -> list[dict[str, Any]]:
    was = {row["defect_type"]: row for row in result["in_force"]["reviewed"]["defect_types"]}
    return [
        {
            "words": row["defect_type"] or str(_("no type given")),
            "detected": row["found"],
            "total": row["total"],
            "was": was[row["defect_type"]]["found"],
            "moved": row["found"] != was[row["defect_type"]]["found"],
            "interval": _interval(row["recall"], percent),
        }
        for row in result["asked"]["reviewed"]["defect_types"]
    ]


def _changed_verdicts(result: dict[str, Any], filters: Filters, value: float, in_force: float) -> dict[str, Any]:
    """How many verdicts another value would turn round, with the address of their records: low < score <= high."""
    low, high = sorted((value, in_force))
    between = {
        **filters.as_dict(),
        "score_min": repr(math.nextafter(low, math.inf)),
        "score_max": repr(high),
    }
    return {**result["against_in_force"], "address": f"{reverse('history')}?{urlencode(between)}"}


# ---------------------------------------------------------------- what goes into a revision
def evidence(version: ModelVersion, query: PreviewQuery, method: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Method, its parameters and the figures that somebody sees who applies a value now.

    The method is the one that was chosen, if it really gives this value, else `manual`.
    """
    context = preview(version, query, whole=True)
    result = context["found"]
    preset = next(
        (row for row in result["presets"] if row["method"] == method and row["threshold"] == context["value"]), None
    )
    figures = {
        "inspections": result["total"],
        "since": result["period"]["first"],
        "until": result["period"]["last"],
        "reviewed": result["asked"]["reviewed"]["total"],
        "more_defective": result["against_in_force"]["to_defective"],
        "fewer_defective": result["against_in_force"]["to_good"],
        "confusion_of_reviewed": result["asked"]["reviewed"]["confusion"],
        "rates_of_reviewed": {name: result["asked"]["reviewed"][name]["value"] for name in _RATES},
        "rates_estimated": result["asked"]["estimate"]
        and {name: result["asked"]["estimate"][name]["value"] for name in _RATES},
        "per_day": {
            name: value["value"] if isinstance(value, dict) else value
            for name, value in result["asked"]["per_day"].items()
        },
    }
    return (preset["method"], preset["parameters"], figures) if preset else (Threshold.Method.MANUAL, {}, figures)
