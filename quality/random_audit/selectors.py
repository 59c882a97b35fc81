"""Reads: plans, shifts and their parts, what is open for a reviewer, and what the decisions tell."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery

from common.errors import NotFound
from inspection.models import Inspection
from modelzoo.models import Category, ModelVersion
from quality.models import AuditedShift, BlindDecision, DrawnPart, SamplingPlan
from quality.random_audit.bounds import LEVEL, binomial_interval, hypergeometric_interval
from quality.random_audit.draw import DEFECTIVE, GOOD, Member, draw, population_hash
from quality.random_audit.shifts import next_end
from records.audit.services import Actor
from records.models import AuditEvent

PLAN_SET = "sampling_plan.set"
_RECORDED = "inspection.recorded"
_CHUNK = 2000
SHIFT_ORDER = ("-ends_at", "-id")
QUEUE_ORDER = ("shift__ends_at", "id")  # the oldest shift first, in the order of the draw


# ---------------------------------------------------------------- plans
def plans() -> QuerySet[SamplingPlan]:
    return SamplingPlan.objects.select_related("category", "author")


def plans_in_force() -> QuerySet[SamplingPlan]:
    """The highest revision of each category that has one."""
    last = SamplingPlan.objects.filter(category=OuterRef("category")).order_by().values("category")
    return plans().filter(revision=Subquery(last.annotate(last=Max("revision")).values("last")))


def plan_in_force(category: Category) -> SamplingPlan | None:
    return plans().filter(category=category).order_by("-revision").first()


def find_plan(plan_id: int) -> SamplingPlan:
    plan = plans().filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"There is no sampling plan {plan_id}.", code="sampling_plan_not_found")
    return plan


# ---------------------------------------------------------------- shifts
@dataclass(frozen=True)
class OpenShift:
    """The shift that goes on, or has ended and is not closed yet."""

    plan: SamplingPlan
    number: int
    starts_at: datetime
    ends_at: datetime
    first_sequence: int


def open_shift(category: Category) -> OpenShift:
    """Of a category that has a plan. It begins where the last one ended, in time and in the audit chain."""
    last = AuditedShift.objects.filter(category=category).order_by("-number").first()
    of_category = SamplingPlan.objects.select_related("category").filter(category=category)
    if last is None:
        first = of_category.get(revision=1)
        event = AuditEvent.objects.filter(
            kind=PLAN_SET, object_type=Category._meta.label_lower, object_id=str(category.pk)
        )
        sequence = event.order_by("sequence").values_list("sequence", flat=True)[0]
        starts_at, number = first.created_at, 1
    else:
        sequence, starts_at, number = last.last_sequence, last.ends_at, last.number + 1
    # A plan that was set during a shift is not in force before the next one: nobody can lower it after a bad shift.
    plan = of_category.filter(created_at__lte=starts_at).order_by("-revision")[0]
    return OpenShift(plan, number, starts_at, next_end(starts_at, plan.shift_starts), sequence + 1)


def last_event_before(moment: datetime, first_sequence: int) -> int:
    """The last event of a shift that ends at this moment; one less than the first where there is none.

    What another process writes at this moment and is not seen yet has a higher sequence: it belongs to the next shift.
    """
    events = AuditEvent.objects.filter(at__lt=moment, sequence__gte=first_sequence).order_by("-at", "-sequence")
    last = events.values_list("sequence", flat=True).first()
    return first_sequence - 1 if last is None else last


def population(category_id: int, first_sequence: int, last_sequence: int) -> list[Member]:
    """The judged parts of a category that these audit events report, in the order of the chain."""
    versions = set(ModelVersion.objects.filter(category=category_id).order_by().values_list("pk", flat=True))
    events = AuditEvent.objects.filter(
        kind=_RECORDED, sequence__gte=first_sequence, sequence__lte=last_sequence
    ).order_by("sequence")
    members = []
    for object_id, event_hash, text in events.values_list("object_id", "hash", "after").iterator(chunk_size=_CHUNK):
        after = json.loads(text)
        if after["model_version"] in versions and after["outcome"] in (GOOD, DEFECTIVE):
            members.append(Member(object_id, after["outcome"], event_hash))
    return members


def uuid_of(member: Member) -> uuid.UUID:
    return uuid.UUID(member.inspection_id)


def shifts() -> QuerySet[AuditedShift]:
    return AuditedShift.objects.select_related("category", "plan")


def find_shift(shift_id: uuid.UUID) -> AuditedShift:
    shift = shifts().filter(pk=shift_id).first()
    if shift is None:
        raise NotFound(f"There is no audited shift {shift_id}.", code="audited_shift_not_found")
    return shift


def mismatch(shift: AuditedShift) -> str:
    """What does not agree when the shift's parts and its draw are made again from the audit chain; empty: all does."""
    members = population(shift.category_id, shift.first_sequence, shift.last_sequence)
    if population_hash(members) != shift.population_sha256:
        return "the parts of the shift are not those that the closing event fixed"
    drawn = draw(members, seed=shift.seed, passed=shift.draws, rejected=shift.controls)
    rows = shift.parts.order_by("position").values_list("inspection_id", flat=True)
    if [uuid_of(member) for member in drawn] != list(rows):
        return "the parts under review are not those that the draw gives"
    return ""


# ---------------------------------------------------------------- parts
def parts() -> QuerySet[DrawnPart]:
    return DrawnPart.objects.select_related("shift__category", "inspection", "decision__reviewer")


def parts_blind_for(actor: Actor) -> QuerySet[DrawnPart]:
    """The parts that nobody has decided on, and that this person has neither inspected nor reviewed."""
    key = actor.pk if actor is not None else None
    return (
        parts()
        .filter(decision__isnull=True)
        .exclude(inspection__operator=key)
        .exclude(inspection__reviews__reviewer=key)
    )


def review_queue(actor: Actor) -> QuerySet[DrawnPart]:
    """What this person can review blind, in its order."""
    return parts_blind_for(actor).order_by(*QUEUE_ORDER)


def open_parts() -> int:
    return DrawnPart.objects.filter(decision__isnull=True).count()


def find_part(part_id: int) -> DrawnPart:
    part = parts().select_related("inspection__asset", "inspection__model_version").filter(pk=part_id).first()
    if part is None:
        raise NotFound(f"There is no drawn part {part_id}.", code="drawn_part_not_found")
    return part


# ---------------------------------------------------------------- what the decisions tell
@dataclass(frozen=True)
class AuditCounts:
    """Drawn parts that the model judged good, by what people said of them without knowing that."""

    drawn: int = 0
    good: int = 0
    defective: int = 0
    doubtful: int = 0

    @property
    def open(self) -> int:
        return self.drawn - self.good - self.defective - self.doubtful

    @property
    def unclear(self) -> int:
        """Open and doubtful ones: good for a lower bound, defective for an upper one."""
        return self.open + self.doubtful

    @property
    def rate(self) -> float | None:
        """The share of defective parts among those that were decided clearly."""
        return self.defective / (self.good + self.defective) if self.good + self.defective else None


@dataclass(frozen=True)
class _Drawn:
    """Drawn parts by the model's verdict, and the shifts that they are of."""

    counts: dict[str, AuditCounts]
    shifts: int

    @classmethod
    def of(cls, parts_of: QuerySet[DrawnPart]) -> _Drawn:
        """One query, however many parts there are."""
        rows = list(
            parts_of.order_by()
            .values_list("shift", "inspection__outcome", "decision__verdict")
            .annotate(count=Count("*"))
        )
        by_outcome: dict[str, Counter[str | None]] = {GOOD: Counter(), DEFECTIVE: Counter()}
        for _, outcome, verdict, count in rows:
            by_outcome[outcome][verdict] += count
        counts = {
            outcome: AuditCounts(by_verdict.total(), *(by_verdict[one] for one in BlindDecision.Verdict.values))
            for outcome, by_verdict in by_outcome.items()
        }
        return cls(counts, len({shift for shift, *_ in rows}))

    def figures(self) -> dict[str, Any]:
        """What is counted, without bounds."""
        counts, control = self.counts[GOOD], self.counts[DEFECTIVE]
        return {
            "drawn": counts.drawn,
            "good": counts.good,
            "defective": counts.defective,
            "doubtful": counts.doubtful,
            "open": counts.open,
            "level": LEVEL,
            "escape_rate": counts.rate,
            "interval": None,
            "exact_interval": None,
            "control": {
                "drawn": control.drawn,
                "good": control.good,
                "defective": control.defective,
                "doubtful": control.doubtful,
            },
        }


def shift_figures(shift: AuditedShift) -> dict[str, Any]:
    """The share of defective parts among all that passed in a shift, with bounds for this shift's finite population."""
    drawn = _Drawn.of(shift.parts.all())
    counts, figures = drawn.counts[GOOD], drawn.figures() | {"passed": shift.passed}
    if counts.drawn:
        for name, mid_p in (("interval", True), ("exact_interval", False)):
            bounds = hypergeometric_interval(
                counts.defective, counts.drawn, shift.passed, unclear=counts.unclear, mid_p=mid_p
            )
            figures[name] = [bound / shift.passed for bound in bounds]
            figures[name.replace("interval", "escapes")] = list(bounds)
    return figures


def figures_of(
    *,
    category: Category | None = None,
    version_id: int | None = None,
    threshold_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    station: str | None = None,
    lot: str | None = None,
) -> dict[str, Any]:
    """The same over several shifts, of what was judged by a version or at a threshold: the share of the process.

    `since`, `until`: of shifts that ended after the one, and by the other.
    """
    condition = Q()
    for name, value in (
        ("shift__category", category),
        ("inspection__model_version", version_id),
        ("inspection__threshold", threshold_id),
        ("shift__ends_at__gt", since),
        ("shift__ends_at__lte", until),
        ("inspection__station", station),
        ("inspection__lot", lot),
    ):
        if value is not None:
            condition &= Q(**{name: value})
    drawn = _Drawn.of(DrawnPart.objects.filter(condition))
    counts, figures = drawn.counts[GOOD], drawn.figures() | {"shifts": drawn.shifts}
    if counts.drawn:
        for name, mid_p in (("interval", True), ("exact_interval", False)):
            figures[name] = list(binomial_interval(counts.defective, counts.drawn, unclear=counts.unclear, mid_p=mid_p))
    return figures


def counts_by_shift(rows: Iterable[AuditedShift]) -> dict[uuid.UUID, Counter[str]]:
    """Of the parts judged good of these shifts how many have which decision; "open" without one."""
    chosen = DrawnPart.objects.filter(shift__in=list(rows), inspection__outcome=Inspection.Outcome.GOOD).order_by()
    counts: dict[uuid.UUID, Counter[str]] = {}
    for shift_id, verdict in chosen.values_list("shift", "decision__verdict"):
        counts.setdefault(shift_id, Counter())[verdict or "open"] += 1
    return counts
