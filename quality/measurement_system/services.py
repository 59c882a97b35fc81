"""Writes: starting a study, and the answers; the last one finishes and signs it."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden, Right, may, require
from inspection.models import Inspection, Review
from modelzoo.models import Category
from modelzoo.services import actor_id, required_reason
from quality.measurement_system import selectors
from quality.measurement_system.models import (
    MAX_APPRAISERS,
    MAX_NEAR,
    MAX_PARTS,
    MAX_TRIALS,
    MIN_APPRAISERS,
    MIN_NEAR,
    MIN_PARTS,
    MIN_TRIALS,
    MeasurementStudy,
    StudyAnswer,
    StudyAppraiser,
    StudyPart,
)
from quality.measurement_system.selection import DEFECTIVE, GOOD, NEAR, draw_parts, numbers
from quality.random_audit.draw import population_hash
from quality.random_audit.selectors import uuid_of
from quality.sealing import seal
from records.audit.services import Actor, attest_rows, audit
from records.models import canonical

_GROUPS = {NEAR: "near the threshold", GOOD: "well below it", DEFECTIVE: "well above it"}


@transaction.atomic
def start_study(
    *,
    category: Category,
    appraisers: Sequence[User],
    reason: str,
    actor: Actor,
    part_count: int = 50,
    trials: int = 3,
    near_percent: int = 40,
    expert: User | None = None,
) -> MeasurementStudy:
    """Draw the parts of a study. `expert`: whose word is the standard; None: the settled reviews of the records.

    One event fixes the candidates, and its hash is the seed of the draw. Raises `Forbidden`, `Conflict` where there are
    too few candidates, and `UserError` for what is no study.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A measurement study")
    _check_size(part_count, trials, near_percent, appraisers)
    for person in [*appraisers, *([expert] if expert else [])]:
        if not may(person, Right.REVIEW):
            raise UserError(f"{person.get_username()} may not review parts. Nothing was started.", code="invalid_study")
    if expert in appraisers:
        raise UserError("The expert gives the standard, so they cannot be an appraiser too.", code="invalid_study")
    members = selectors.candidates(category, with_reviews=expert is None)
    wanted = numbers(part_count, near_percent)
    for group, count in wanted.items():
        available = sum(member.outcome == group for member in members)
        if available < count:
            what = "records with settled reviews" if expert is None else "records"
            raise Conflict(
                f"{count} {what} {_GROUPS[group]} are needed, and there are {available}. Nothing was started. Choose "
                "fewer parts or another share near the threshold, review more parts, or name an expert.",
                code="too_few_parts",
            )
    Category.objects.select_for_update(no_key=True).get(pk=category.pk)
    study = MeasurementStudy(
        category=category,
        part_count=part_count,
        trials=trials,
        near_percent=near_percent,
        standard=MeasurementStudy.Standard.EXPERT if expert else MeasurementStudy.Standard.REVIEWS,
        expert=expert,
        candidates=len(members),
        population_sha256=population_hash(members),
        reason=reason[:500],
        author_id=actor_id(actor),
        created_at=timezone.now(),
    )
    event = audit(
        kind="measurement_study.started",
        subject=study,
        actor=actor,
        after={
            "category": category.name,
            "parts": part_count,
            "trials": trials,
            "near_percent": near_percent,
            "appraisers": [person.get_username() for person in appraisers],
            "expert": expert.get_username() if expert else None,
            "candidates": study.candidates,
            "population_sha256": study.population_sha256,
            "reason": study.reason,
        },
    )
    study.event_sequence, study.seed = event.sequence, event.hash
    study.save(force_insert=True)
    StudyAppraiser.objects.bulk_create(StudyAppraiser(study=study, user=person) for person in appraisers)
    drawn = draw_parts(members, seed=study.seed, wanted=wanted)
    records = Inspection.objects.select_related("standing").in_bulk([uuid_of(member) for member in drawn])
    StudyPart.objects.bulk_create(
        StudyPart(
            study=study,
            number=number,
            inspection=(record := records[uuid_of(member)]),
            asset_id=record.asset_id,
            is_near=member.outcome == NEAR,
            reference=record.standing.verdict if expert is None else "",
        )
        for number, member in enumerate(drawn, 1)
    )
    attest_rows(rows=[study])
    return study


def _check_size(part_count: int, trials: int, near_percent: int, appraisers: Sequence[User]) -> None:
    for what, value, low, high in (
        ("parts", part_count, MIN_PARTS, MAX_PARTS),
        ("trials", trials, MIN_TRIALS, MAX_TRIALS),
        ("per cent near the threshold", near_percent, MIN_NEAR, MAX_NEAR),
        ("appraisers", len({person.pk for person in appraisers}), MIN_APPRAISERS, MAX_APPRAISERS),
    ):
        if not low <= value <= high:
            raise UserError(f"A study has {low} to {high} {what}. Nothing was started.", code="invalid_study")
    if len({person.pk for person in appraisers}) < len(appraisers):
        raise UserError("An appraiser is named twice. Nothing was started.", code="invalid_study")


@transaction.atomic
def answer(*, study: MeasurementStudy, task: int, verdict: str, actor: Actor) -> StudyAnswer:
    """Say what the part is that is shown to this person now. `task`: how many they had judged when it was shown.

    Raises `Forbidden` for somebody who is not of the study, `Conflict` where another part is shown by now, and
    `UserError`.
    """
    require(actor, Right.REVIEW)
    if verdict not in Review.Verdict.values:
        raise UserError("The verdict must be good or defective. Nothing was saved.", code="invalid_review")
    study = MeasurementStudy.objects.select_for_update(no_key=True).get(pk=study.pk)
    current = selectors.next_task(study, actor)
    if current is None:
        if actor is None or not (study.appraisers.filter(user=actor.pk).exists() or study.expert_id == actor.pk):
            raise Forbidden("You are not an appraiser of this study. Nothing was saved.")
        raise Conflict("Nothing is left for you to judge at present. Nothing was saved.", code="nothing_to_judge")
    if current.number != task:
        raise Conflict(
            "This part was answered already. Nothing was saved. Go on with the part that is shown now.",
            code="task_answered",
        )
    assert isinstance(actor, User), "somebody has a task"
    given = StudyAnswer.objects.create(
        part=current.part, user_id=actor.pk, trial=current.trial, verdict=verdict, created_at=timezone.now()
    )
    audit(
        kind="measurement_study.answered",
        subject=study,
        actor=actor,
        after={"answer": given.pk, "part": current.part.number, "trial": current.trial, "verdict": verdict},
        attests=[given],
    )
    if selectors.is_complete(study):
        _finish(study, actor)
    return given


def _finish(study: MeasurementStudy, actor: Actor) -> None:
    study.results = canonical({"study": str(study.pk), "seed": study.seed, **selectors.results_of(study)})
    sealed = seal(study.results.encode())
    study.finished_at = timezone.now()
    study.results_sha256, study.signature, study.key_id = sealed.sha256, sealed.signature, sealed.key_id
    study.save(update_fields=["finished_at", "results", "results_sha256", "signature", "key_id"])
    audit(
        kind="measurement_study.finished",
        subject=study,
        actor=actor,
        after={"results_sha256": sealed.sha256, "signature": sealed.signature, "key_id": sealed.key_id},
    )
