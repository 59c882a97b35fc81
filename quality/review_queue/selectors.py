"""Reads: the budget and how far a shift is, and which part comes next for whom."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from common.errors import Conflict
from inspection.models import Inspection
from modelzoo.models import Category, ModelVersion
from modelzoo.selectors import threshold_in_force
from quality.models import Cause, DrawnPart, QueueDecision, Reservation, ReviewBudget
from quality.random_audit.selectors import QUEUE_ORDER, parts_blind_for
from quality.random_audit.shifts import shift_at
from quality.review_queue.order import Candidate, Model, Place, is_blind_turn, rank
from records.audit.services import Actor
from rollout.models import ChallengerResult
from tuning.models import Rescored

# The newest records of the version in production that are looked at: a queue costs the same after a year.
POOL = 2000
_MAX_REVIEWED = 300  # of those, to which a picture is compared
_COLUMNS = (
    *("id", "score", "image_statistics"),
    *("standing__verdict", "drawn__id", "drawn__decision__id", "asset__discarded_at"),
)


# ---------------------------------------------------------------- the budget
@dataclass(frozen=True)
class Budget:
    """The values of `ReviewBudget` of a category."""

    per_shift: int = 20
    shift_starts: list[str] = field(default_factory=lambda: ["06:00", "14:00", "22:00"])


def newest_budget(category: Category) -> ReviewBudget | None:
    """The row in force; None where nobody set one."""
    rows = ReviewBudget.objects.select_related("author", "category")
    return rows.filter(category=category).order_by("-revision").first()


def budget_in_force(category: Category) -> Budget:
    row = newest_budget(category)
    return Budget(row.per_shift, row.shift_starts) if row else Budget()


@dataclass(frozen=True)
class Progress:
    """How far the reviews of the present shift are, by all people."""

    budget: int
    done: int
    done_blind: int
    overruled: int
    starts_at: datetime
    ends_at: datetime

    @property
    def left(self) -> int:
        return max(0, self.budget - self.done)


def progress_of(category: Category, *, now: datetime | None = None) -> Progress:
    """What was skipped does not count."""
    budget = budget_in_force(category)
    starts_at, ends_at = shift_at(now or timezone.now(), budget.shift_starts)
    decisions = QueueDecision.objects.filter(category=category, created_at__gte=starts_at, created_at__lt=ends_at)
    counts = decisions.exclude(decision=QueueDecision.Decision.SKIPPED).aggregate(
        done=Count("pk"),
        done_blind=Count("pk", filter=Q(cause=Cause.RANDOM_AUDIT)),
        overruled=Count("pk", filter=Q(review__agrees=False)),
    )
    return Progress(budget=budget.per_shift, starts_at=starts_at, ends_at=ends_at, **counts)


# ---------------------------------------------------------------- who has what
def reservations() -> QuerySet[Reservation]:
    return Reservation.objects.select_related("category", "part__shift", "inspection__asset", "inspection__map")


def reservation_of(category: Category, actor: Actor, *, now: datetime | None = None) -> Reservation | None:
    """The part that this person has before them; None where that lapsed, or somebody decided elsewhere meanwhile."""
    if actor is None:
        return None
    mine = reservations().filter(category=category, reviewer=actor.pk, expires_at__gt=now or timezone.now())
    return mine.filter(inspection__standing__isnull=True, part__decision__isnull=True).first()


# ---------------------------------------------------------------- what comes next
@dataclass(frozen=True)
class Offer:
    """A part that somebody may be given, and why."""

    inspection_id: uuid.UUID
    cause: str
    why: str
    part_id: int | None = None


def production_version(category: Category) -> ModelVersion:
    """Raises `Conflict` where no version of the category is in production."""
    version = ModelVersion.objects.filter(category=category, stage=ModelVersion.Stage.PRODUCTION).first()
    if version is None:
        raise Conflict(
            f"No version of {category.name} is in production, so there is nothing to review. Promote one first.",
            code="nothing_in_production",
        )
    return version


def offers(category: Category, actor: Actor) -> Iterator[Offer]:
    """What this person may be given, in the order in which it should be; parts that others have are left out."""
    progress = progress_of(category)
    blind = list(_blind_parts(category, actor))
    turn = is_blind_turn(
        done=progress.done, done_blind=progress.done_blind, open_blind=len(blind), budget=progress.budget
    )
    if turn:
        yield from map(_blind_offer, blind)
    for place in ranked(category, actor):
        yield Offer(place.key, place.cause, place.why)
    if not turn:
        yield from map(_blind_offer, blind)


def _blind_parts(category: Category, actor: Actor) -> QuerySet[DrawnPart]:
    parts = parts_blind_for(actor).filter(shift__category=category)
    return parts.exclude(inspection__in=_not_for(category, actor)).order_by(*QUEUE_ORDER)


def _blind_offer(part: DrawnPart) -> Offer:
    why = f"Drawn at random from the shift that ended {timezone.localtime(part.shift.ends_at):%Y-%m-%d %H:%M}."
    return Offer(part.inspection_id, Cause.RANDOM_AUDIT, f"{why} The model's verdict is hidden.", part.pk)


def _not_for(category: Category, actor: Actor) -> set[uuid.UUID]:
    """What somebody else has before them, and what this person was given before."""
    key = actor.pk if actor is not None else None
    taken = Reservation.objects.filter(category=category, expires_at__gt=timezone.now()).exclude(reviewer=key)
    given = QueueDecision.objects.filter(category=category, reviewer=key).order_by("-created_at")
    return {*taken.values_list("inspection", flat=True), *given.values_list("inspection", flat=True)[:POOL]}


def ranked(category: Category, actor: Actor) -> list[Place]:
    """The records that nobody reviewed, of the newest ones of the version in production, by what they teach.

    A part that waits for a blind review is not among them: whoever saw its verdict would spoil it.
    """
    version = production_version(category)
    newest = Inspection.objects.filter(model_version=version, score__isnull=False).order_by("-created_at", "-id")
    excluded = _not_for(category, actor)
    candidates: dict[uuid.UUID, Candidate] = {}
    reviewed = []
    for pk, score, statistics, verdict, drawn, decided, discarded in newest.values_list(*_COLUMNS)[:POOL]:
        if verdict is not None:
            reviewed.append(statistics or {})
        elif pk not in excluded and discarded is None and (drawn is None or decided is not None):
            candidates[pk] = Candidate(pk, score, statistics or {})
    for pk, sentence in _disagreements(version, list(candidates)).items():
        candidates[pk] = replace(candidates[pk], disagreement=sentence)
    model = Model(threshold_in_force(version.pk).value, version.held_out_scores, version.image_statistics or {})
    return rank(list(candidates.values()), reviewed[:_MAX_REVIEWED], model)


def _disagreements(version: ModelVersion, inspections: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Those of these records of which another version says the opposite, and what it says.

    Second opinions are those of challengers, then those of re-scoring runs; of each the newest one of a record.
    """
    judged = (Inspection.Outcome.GOOD, Inspection.Outcome.DEFECTIVE)
    challenged = ChallengerResult.objects.filter(inspection__in=inspections, disagrees=True, outcome__in=judged)
    rescored = (
        Rescored.objects.filter(inspection__in=inspections, outcome__in=judged)
        .exclude(outcome=F("inspection__outcome"))
        .exclude(run__model_version=version)
    )
    sentences: dict[uuid.UUID, str] = {}
    for opinions, number in (
        (challenged, "challenger__model_version__number"),
        (rescored, "run__model_version__number"),
    ):
        rows = opinions.order_by("-id").values_list("inspection", number, "outcome", "inspection__outcome")
        for pk, version_number, says, recorded in rows:
            words = f"Version {version_number} says {says}, the record says {recorded.replace('_', ' ')}."
            sentences.setdefault(pk, words)
    return sentences
