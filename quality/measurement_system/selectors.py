"""Reads: studies, what is next for a person, and the results."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from common.errors import NotFound
from inspection.models import Inspection
from modelzoo.models import Category, ModelVersion
from modelzoo.selectors import threshold_in_force
from quality.measurement_system import figures
from quality.measurement_system.models import MeasurementStudy, StudyAnswer, StudyPart
from quality.measurement_system.selection import group_of, order_for
from quality.random_audit.draw import Member
from records.audit.services import Actor
from tuning.models import Rescored

MAX_CANDIDATES = 20_000
EXPERT_TRIAL = 0


@dataclass(frozen=True)
class Task:
    """What a person judges next. `number`: how many they have judged before, which an answer names."""

    part: StudyPart
    number: int
    trial: int
    left: int


def studies() -> QuerySet[MeasurementStudy]:
    return MeasurementStudy.objects.select_related("category", "author", "expert")


def find_study(study_id: uuid.UUID | str) -> MeasurementStudy:
    study = studies().filter(pk=study_id).first()
    if study is None:
        raise NotFound(f"There is no measurement study {study_id}.", code="measurement_study_not_found")
    return study


def candidates(category: Category, *, with_reviews: bool) -> list[Member]:
    """The newest judged records of a category, one for each image that is still there, and how near the threshold.

    `with_reviews`: those alone whose reviews agree.
    """
    rows = Inspection.objects.filter(category=category, score__isnull=False, asset__discarded_at__isnull=True)
    if with_reviews:
        rows = rows.filter(standing__isnull=False, standing__contested=False)
    fields = rows.order_by("-created_at", "-id").values_list("pk", "asset_id", "score", "threshold_value")
    seen: set[int] = set()
    members = []
    for pk, asset_id, score, threshold in fields[:MAX_CANDIDATES]:
        if asset_id not in seen and score is not None:
            seen.add(asset_id)
            members.append(Member(str(pk), group_of(score, threshold), ""))
    return members


def people(study: MeasurementStudy) -> list[User]:
    """The appraisers, in the order in which they were named."""
    return [row.user for row in study.appraisers.select_related("user").order_by("id")]


def next_task(study: MeasurementStudy, actor: Actor) -> Task | None:
    """What this person judges next; None where nothing is left for them, or others have to come first."""
    if actor is None or actor.pk is None or study.is_finished:
        return None
    parts = {part.number: part for part in study.parts.select_related("inspection__model_version", "asset")}
    own = set(_answers(study).filter(user=actor.pk).values_list("part__number", "trial"))
    trials = range(1, study.trials + 1) if study.appraisers.filter(user=actor.pk).exists() else range(0)
    todo = [
        (trial, number)
        for trial in trials
        for number in order_for(parts, seed=study.seed, user_id=actor.pk, trial=trial)
        if (number, trial) not in own
    ]
    if not todo and study.expert_id == actor.pk and not open_answers(study):
        order = order_for(parts, seed=study.seed, user_id=actor.pk, trial=EXPERT_TRIAL)
        todo = [(EXPERT_TRIAL, number) for number in order if (number, EXPERT_TRIAL) not in own]
    if not todo:
        return None
    trial, number = todo[0]
    return Task(parts[number], len(own), trial, len(todo))


def _answers(study: MeasurementStudy) -> QuerySet[StudyAnswer]:
    return StudyAnswer.objects.filter(part__study=study)


def open_answers(study: MeasurementStudy) -> int:
    """How many answers of the appraisers are missing; the expert's do not count."""
    expected = study.part_count * study.trials * study.appraisers.count()
    return expected - _answers(study).exclude(trial=EXPERT_TRIAL).count()


def progress(study: MeasurementStudy) -> list[dict[str, Any]]:
    """Of each person how much they have judged, of how much."""
    counts: dict[int, int] = defaultdict(int)
    for user_id in _answers(study).exclude(trial=EXPERT_TRIAL).values_list("user", flat=True):
        counts[user_id] += 1
    total = study.part_count * study.trials
    rows = [{"name": user.get_username(), "done": counts[user.pk], "of": total} for user in people(study)]
    if study.expert:
        done = _answers(study).filter(trial=EXPERT_TRIAL).count()
        rows.append({"name": f"{study.expert.get_username()} (expert)", "done": done, "of": study.part_count})
    return rows


def is_complete(study: MeasurementStudy) -> bool:
    if open_answers(study):
        return False
    return study.expert_id is None or _answers(study).filter(trial=EXPERT_TRIAL).count() == study.part_count


def reference_of(study: MeasurementStudy) -> dict[int, str]:
    """The standard, by the number of the part."""
    if study.expert_id:
        return dict(_answers(study).filter(trial=EXPERT_TRIAL).values_list("part__number", "verdict"))
    return dict(study.parts.values_list("number", "reference"))


# ---------------------------------------------------------------- results
def results_of(study: MeasurementStudy) -> dict[str, Any]:
    """All figures of a complete study: of people, and of every model version that has a score of each part."""
    reference = reference_of(study)
    answers: dict[str, dict[int, list[str]]] = {user.get_username(): {} for user in people(study)}
    rows = _answers(study).exclude(trial=EXPERT_TRIAL).order_by("trial", "part__number")
    for name, number, verdict in rows.values_list("user__username", "part__number", "verdict"):
        answers[name].setdefault(number, []).append(verdict)
    appraisers: list[dict[str, Any]] = [
        {
            "name": name,
            "kind": "person",
            "threshold": None,
            "within": figures.within(words),
            "against_standard": figures.against_standard(words, reference),
        }
        for name, words in answers.items()
    ]
    appraisers += [
        {
            "name": str(version),
            "kind": "model",
            "threshold": threshold,
            "within": None,
            "against_standard": figures.against_standard(words, reference),
        }
        for version, threshold, words in model_answers(study)
    ]
    between = figures.between(answers)
    people_rows = [row for row in appraisers if row["kind"] == "person"]
    ratings = [part["verdict"] for row in people_rows for part in (row["within"], row["against_standard"])]
    return {
        "parts": study.part_count,
        "defective_parts": sum(verdict == figures.DEFECTIVE for verdict in reference.values()),
        "near_threshold": study.parts.filter(is_near=True).count(),
        "trials": study.trials,
        "appraisers": appraisers,
        "between": between,
        "verdict": figures.worst([*ratings, between["verdict"]]),
    }


def model_answers(study: MeasurementStudy) -> list[tuple[ModelVersion, float, dict[int, list[str]]]]:
    """What each version of the category says of the parts at its active threshold, where it has a score of all of them.

    From the records themselves, and from re-scorings. Scoring is deterministic, so each part has one answer.
    """
    numbers = dict(study.parts.values_list("inspection", "number"))
    scores: dict[int, dict[int, float]] = defaultdict(dict)
    rescored = Rescored.objects.filter(inspection__in=numbers, score__isnull=False).order_by("pk")
    for version_id, inspection, score in rescored.values_list("run__model_version", "inspection", "score"):
        if score is not None:
            scores[version_id][numbers[inspection]] = score
    records = Inspection.objects.filter(pk__in=numbers).values_list("model_version", "pk", "score")
    for version_id, inspection, score in records:
        if score is not None:
            scores[version_id][numbers[inspection]] = score
    versions = ModelVersion.objects.filter(pk__in=scores, category=study.category_id).select_related("category")
    rows = []
    for version in versions.defer(*ModelVersion.long_columns(in_list=True)).order_by("number"):
        if len(scores[version.pk]) < study.part_count:
            continue
        threshold = threshold_in_force(version.pk).value
        words = {
            number: [figures.DEFECTIVE if score > threshold else figures.GOOD]
            for number, score in sorted(scores[version.pk].items())
        }
        rows.append((version, threshold, words))
    return rows
