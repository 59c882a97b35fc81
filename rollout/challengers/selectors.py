"""Reads: challengers, their results, the disagreements that nobody looked at, and how both versions agree."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from common.errors import NotFound
from inspection.models import Inspection
from modelzoo.evaluation.intervals import Interval, proportion_interval
from modelzoo.models import ModelVersion
from records.models import AuditEvent
from rollout.models import Challenger, ChallengerResult

CHALLENGER_ORDER = ("-created_at", "-id")
DISAGREEMENT_ORDER = ("-distance", "-id")
# A person looked at the image: by a review of the record that stands, or by saying so.
LOOKED_AT = Q(mark__isnull=False) | Q(inspection__standing__isnull=False)
_RELATED = ("category", "model_version__category", "production__category", "requested_by")


def challengers(*, category: str = "") -> QuerySet[Challenger]:
    rows = Challenger.objects.select_related(*_RELATED).defer(
        *ModelVersion.long_columns("model_version"), *ModelVersion.long_columns("production")
    )
    return rows.filter(category__name=category) if category else rows


def find_challenger(challenger_id: uuid.UUID) -> Challenger:
    challenger = challengers().filter(pk=challenger_id).first()
    if challenger is None:
        raise NotFound(f"There is no challenger {challenger_id}.", code="challenger_not_found")
    return challenger


def running_challengers() -> list[Challenger]:
    return list(challengers().filter(status__in=Challenger.OPEN).order_by("category__name"))


def results(
    challenger: Challenger, *, disagreements: bool = False, looked_at: bool | None = None
) -> QuerySet[ChallengerResult]:
    """What it said about each image. `looked_at`: those that a person looked at, or that nobody did."""
    rows = ChallengerResult.objects.filter(challenger=challenger).select_related(
        "inspection__asset", "inspection__request", "inspection__standing__reviewer", "mark__author"
    )
    if disagreements:
        rows = rows.filter(disagrees=True)
    if looked_at is None:
        return rows
    return rows.filter(LOOKED_AT) if looked_at else rows.exclude(LOOKED_AT)


def find_result(result_id: int) -> ChallengerResult:
    rows = ChallengerResult.objects.select_related(
        "inspection__asset", "inspection__request", "inspection__standing__reviewer", "mark__author"
    )
    result = rows.filter(pk=result_id).first()
    if result is None:
        raise NotFound(f"There is no result {result_id} of a challenger.", code="challenger_result_not_found")
    return result


def open_disagreements(challenger: Challenger) -> int:
    """How many nobody looked at."""
    return results(challenger, disagreements=True, looked_at=False).count()


def images_behind(challenger: Challenger) -> int:
    """About how many live images it has not scored yet: those since the event that it reached."""
    reached = AuditEvent.objects.filter(pk=challenger.reached_sequence).values_list("at", flat=True).first()
    live = Inspection.objects.filter(
        model_version=challenger.production_id, deployment__isnull=False, request__batch__isnull=True
    )
    return live.filter(created_at__gt=reached).count() if reached else 0


# ---------------------------------------------------------------- both beside each other
@dataclass(frozen=True)
class Counts:
    """What one version said about the images that both scored."""

    good: int
    defective: int
    not_comparable: int

    @property
    def judged(self) -> int:
        return self.good + self.defective

    @property
    def defect_share(self) -> float | None:
        return self.defective / self.judged if self.judged else None

    @property
    def interval(self) -> Interval | None:
        """Of the defect share, exact at 95 %."""
        return proportion_interval(self.defective, self.judged)


@dataclass(frozen=True)
class Agreement:
    """How often both versions said what. `table`: by the verdict of the record, then of the challenger."""

    table: dict[str, dict[str, int]]

    @property
    def production(self) -> Counts:
        return Counts(*(sum(self.table[before].values()) for before in Inspection.Outcome.values))

    @property
    def challenger(self) -> Counts:
        outcomes = Inspection.Outcome.values
        return Counts(*(sum(self.table[before][after] for before in outcomes) for after in outcomes))

    @property
    def total(self) -> int:
        return sum(sum(row.values()) for row in self.table.values())

    @property
    def agreeing(self) -> int:
        return sum(self.table[outcome][outcome] for outcome in Inspection.Outcome.values)


def agreement_of(challenger: Challenger) -> Agreement:
    """Of the images that both scored."""
    outcomes = Inspection.Outcome.values
    table = {before: dict.fromkeys(outcomes, 0) for before in outcomes}
    rows = ChallengerResult.objects.filter(challenger=challenger, error_code="").order_by()
    for before, after, count in rows.values_list("inspection__outcome", "outcome").annotate(count=Count("*")):
        table[before][after] = count
    return Agreement(table)


# ---------------------------------------------------------------- what a promotion gate asks
@dataclass(frozen=True)
class Evidence:
    """What a version showed beside another one, at the threshold that is in force for it now."""

    images: int
    disagreements: int
    open: int


def evidence_of(version_id: int, production_id: int, threshold_id: int) -> Evidence:
    """Results at an earlier threshold count for nothing: they are those of another decision."""
    rows = ChallengerResult.objects.filter(
        challenger__model_version=version_id,
        challenger__production=production_id,
        threshold=threshold_id,
        error_code="",
    )
    disagreements = rows.filter(disagrees=True)
    return Evidence(rows.count(), disagreements.count(), disagreements.exclude(LOOKED_AT).count())
