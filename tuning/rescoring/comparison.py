"""Reads: two model versions beside each other, and what both say about the same images."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from common.numbers import score_text
from inspection.models import Inspection
from modelzoo import pages
from modelzoo.models import ModelVersion
from training.models import Evaluation
from tuning.models import RescoringRun
from tuning.rescoring import documents, selectors

_RUNS = 5
_PICTURES = 24
_COUNTED = 20_000  # results of one run: of longer ones only the totals are told, so that the page stays fast
_DAYS = (7, 30, 90, 365, 3650)
_FIGURES = ("auroc", "f1", "recall", "false_reject_rate")
_OUTCOMES = {"good": _("good"), "defective": _("defective"), "not_comparable": _("not comparable")}


def compared(one: ModelVersion, other: ModelVersion) -> dict[str, Any]:
    """All that the page of two versions shows."""
    same_parts = one.category_id == other.category_id
    runs = list(_runs(one, other)) if same_parts else []
    finished = next((run for run in runs if run.done), None)
    return {
        "one": one,
        "other": other,
        "same_parts": same_parts,
        **pages.differences(one, other),
        "evaluations": _evaluations(one, other),
        "runs": runs,
        "under_way": any(run.is_open for run in runs),
        "here": f"{reverse('models-compare')}?{urlencode({'a': one.pk, 'b': other.pk})}",
        "judged": _same_images(finished, one, other) if finished else None,
        **(_choices(one, other) if same_parts else {}),
    }


def _choices(one: ModelVersion, other: ModelVersion) -> dict[str, Any]:
    """Which of the two may score what the other judged; what is offered first, and over how many days, is possible."""
    choices: list[dict[str, Any]] = []
    for judge, scorer in ((one, other), (other, one)):
        records = Inspection.objects.filter(model_version=judge).order_by("-created_at")
        last = records.values_list("created_at", flat=True).first()
        choices.append({"judge": judge, "scorer": scorer, "last": last})
    default = next((choice for choice in choices if choice["last"]), None)
    if default is None:
        return {"choices": []}
    default["on"] = True
    age = timezone.now() - default["last"]
    return {"choices": choices, "days": next((days for days in _DAYS if age < timedelta(days=days)), _DAYS[-1])}


# ---------------------------------------------------------------- evaluations
def _evaluations(one: ModelVersion, other: ModelVersion) -> list[dict[str, Any]]:
    """The last evaluation of each on every data set that both were evaluated on."""
    figures = {name: F(f"metrics__image__{name}") for name in _FIGURES}
    evaluations: QuerySet[Any] = (
        Evaluation.objects.filter(model_version__in=(one.pk, other.pk))
        .select_related("dataset", "threshold")
        .defer("metrics", "dataset__report")
        .annotate(**figures)
        .order_by("id")
    )
    latest: dict[Any, dict[int, Any]] = {}
    for evaluation in evaluations:
        latest.setdefault(evaluation.dataset, {})[evaluation.model_version_id] = evaluation
    return [
        {"dataset": dataset, "pair": [of_both[one.pk], of_both[other.pk]]}
        for dataset, of_both in latest.items()
        if len(of_both) == 2
    ]


# ---------------------------------------------------------------- the same images
def _runs(one: ModelVersion, other: ModelVersion) -> QuerySet[RescoringRun]:
    """The last rescorings by one of the two of what the other one judged."""
    mutual = Q(model_version=one, filters__model_version=other.pk)
    mutual |= Q(model_version=other, filters__model_version=one.pk)
    return selectors.rescorings().filter(mutual).order_by("-created_at", "-id")[:_RUNS]


def _same_images(run: RescoringRun, one: Any, other: Any) -> dict[str, Any]:
    """What a run came to: how often both agree, and the pictures about which they do not."""
    judge, scorer = (other, one) if run.model_version_id == one.pk else (one, other)
    changed = selectors.rescored(run, changed=True)
    return {
        "run": run,
        "judge": judge,
        "scorer": scorer,
        **(_at_thresholds(run, judge.threshold, scorer.threshold) if run.done <= _COUNTED else {}),
        "verdicts": _verdicts(run) if run.done <= _COUNTED else None,
        "changed": list(
            changed.select_related(
                "inspection__asset", "inspection__request", "inspection__standing__reviewer"
            ).order_by("-id")[:_PICTURES]
        ),
    }


def _at_thresholds(run: RescoringRun, judge: float, scorer: float) -> dict[str, Any]:
    """The thresholds that the records were judged at, and what would differ at those in force.

    `judge`, `scorer`: the thresholds in force of who judged and of who scored again.
    `differ_in_force`: how many images both would call differently at these; None where these are the ones of the run.
    """
    calls_defective = Q(inspection__score__gt=judge), Q(score__gt=scorer)
    scored = Q(inspection__score__isnull=False), Q(score__isnull=False)
    only_one_scored = (scored[0] & ~scored[1]) | (~scored[0] & scored[1])
    opposite = (calls_defective[0] & Q(score__lte=scorer)) | (Q(inspection__score__lte=judge) & calls_defective[1])
    extremes = (
        selectors.rescored(run)
        .filter(error_code="")
        .aggregate(
            low=Min("inspection__threshold_value"),
            high=Max("inspection__threshold_value"),
            differ=Count("pk", filter=only_one_scored | opposite),
        )
    )
    low, high = extremes["low"], extremes["high"]
    if low is None:
        return {}
    same = low == high == judge and run.threshold.value == scorer
    return {
        "recorded_at": score_text(low) if low == high else f"{score_text(low)} to {score_text(high)}",
        "differ_in_force": None if same else extremes["differ"],
    }


def _verdicts(run: RescoringRun) -> list[dict[str, Any]]:
    """A row for each verdict of the records, a column for each new one."""
    rows = documents.rescoring_summary(run)["verdicts"]
    counted = {(row["recorded"], row["rescored"]): row["count"] for row in rows}
    outcomes = tuple(_OUTCOMES)
    return [
        {"words": _OUTCOMES[before], "counts": [(counted[before, after], before != after) for after in outcomes]}
        for before in outcomes
        if any(counted[before, after] for after in outcomes)
    ]
