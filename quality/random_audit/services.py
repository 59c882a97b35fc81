"""Writes: plans, closed shifts with the parts drawn from them, and blind decisions.

A shift is closed in one transaction: one audit event fixes its parts (by their number and a hash over all of them) and
how many are drawn, and the hash of this very event is the seed of the draw. So the seed is known to nobody before the
parts are fixed, any change of the parts would change it, and nobody is asked anything in between.
"""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.models import Inspection
from inspection.reviews.services import MAX_COMMENT_LENGTH, record_review
from modelzoo.models import Category
from modelzoo.services import actor_id, required_reason
from modelzoo.signatures.selectors import Signature
from quality.models import AuditedShift, BlindDecision, DrawnPart, SamplingPlan
from quality.random_audit import selectors
from quality.random_audit.audited_rows import DECIDED, SHIFT_CLOSED, expected_decision, expected_shift
from quality.random_audit.draw import DEFECTIVE, GOOD, draw, number_to_draw, population_hash
from quality.random_audit.models import MAX_CONTROLS
from quality.random_audit.shifts import parse_starts
from records.audit.services import Actor, attest_rows, audit

log = logging.getLogger(__name__)
_MAX_AT_ONCE = 30  # shifts of a category that one sweep closes: after a long stop the next ones close the rest


# ---------------------------------------------------------------- plans
@transaction.atomic
def set_plan(
    *,
    category: Category,
    percent: Decimal,
    shift_starts: list[str],
    reason: str,
    actor: Actor,
    at_least: int = 1,
    controls: int = 0,
) -> SamplingPlan:
    """A new revision of a category's plan, in force from the next shift on; the first one begins a shift at once.

    Raises `Forbidden`, and `UserError` for what is no plan.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A sampling plan")
    starts = parse_starts(shift_starts)
    share = _percent(percent)
    if not (0 <= at_least <= MAX_CONTROLS and 0 <= controls <= MAX_CONTROLS):
        raise UserError(f"Numbers of parts are 0 to {MAX_CONTROLS}. Nothing was saved.", code="invalid")
    Category.objects.select_for_update(no_key=True).get(pk=category.pk)
    last = selectors.plan_in_force(category)
    plan = SamplingPlan.objects.create(
        category=category,
        revision=last.revision + 1 if last else 1,
        percent=share,
        at_least=at_least,
        controls=controls,
        shift_starts=starts,
        reason=reason,
        author_id=actor_id(actor),
        created_at=timezone.now(),
    )
    audit(
        kind=selectors.PLAN_SET,
        subject=category,
        actor=actor,
        before=_rule(last) if last else None,
        after=_rule(plan),
        attests=[plan],
        changes_subject=False,
    )
    return plan


def _percent(value: Decimal) -> Decimal:
    try:
        share = Decimal(value).quantize(Decimal("0.01"))
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 100:
        raise UserError("The share is a percentage from 0 to 100. Nothing was saved.", code="invalid")
    return share


def _rule(plan: SamplingPlan) -> dict[str, Any]:
    return {
        "category": plan.category.name,
        "revision": plan.revision,
        "percent": f"{plan.percent:f}",
        "at_least": plan.at_least,
        "controls": plan.controls,
        "shift_starts": plan.shift_starts,
        "reason": plan.reason,
    }


# ---------------------------------------------------------------- shifts
def close_due_shifts(*, now: datetime | None = None) -> list[AuditedShift]:
    """Close every shift that has ended, of every category that has a plan, and draw its parts. For the sweep."""
    moment = now or timezone.now()
    closed = []
    for category in Category.objects.filter(sampling_plans__revision=1).order_by("pk"):
        for _ in range(_MAX_AT_ONCE):
            shift = _close_next(category, moment)
            if shift is None:
                break
            closed.append(shift)
    return closed


def _close_next(category: Category, now: datetime) -> AuditedShift | None:
    """The next shift of a category, closed; None where it goes on, or somebody else closes it."""
    if selectors.open_shift(category).ends_at > now:
        return None
    with transaction.atomic():
        Category.objects.select_for_update(no_key=True).get(pk=category.pk)
        opened = selectors.open_shift(category)
        if opened.ends_at > now:
            return None
        return _close(category, opened)


def _close(category: Category, opened: selectors.OpenShift) -> AuditedShift:
    last_sequence = selectors.last_event_before(opened.ends_at, opened.first_sequence)
    members = selectors.population(category.pk, opened.first_sequence, last_sequence)
    passed = sum(member.outcome == GOOD for member in members)
    rejected = sum(member.outcome == DEFECTIVE for member in members)
    plan = opened.plan
    draws = number_to_draw(passed, plan.percent, plan.at_least)
    shift = AuditedShift(
        category=category,
        plan=plan,
        number=opened.number,
        starts_at=opened.starts_at,
        ends_at=opened.ends_at,
        first_sequence=opened.first_sequence,
        last_sequence=last_sequence,
        passed=passed,
        rejected=rejected,
        population_sha256=population_hash(members),
        draws=draws,
        controls=min(rejected, plan.controls if draws else 0),
    )
    event = audit(kind=SHIFT_CLOSED, subject=shift, actor=None, after=expected_shift(shift))
    shift.event_sequence, shift.seed = event.sequence, event.hash
    shift.save(force_insert=True)
    drawn = draw(members, seed=shift.seed, passed=shift.draws, rejected=shift.controls)
    assets = dict(
        Inspection.objects.filter(pk__in=[member.inspection_id for member in drawn]).values_list("pk", "asset_id")
    )
    DrawnPart.objects.bulk_create(
        DrawnPart(shift=shift, position=position, inspection_id=pk, asset_id=assets[pk])
        for position, pk in enumerate((selectors.uuid_of(member) for member in drawn), 1)
    )
    attest_rows(rows=[shift])
    log.info("%s: %d of %d passed parts were drawn for blind review.", shift, shift.draws, passed)
    return shift


# ---------------------------------------------------------------- blind review
@transaction.atomic
def decide(
    *,
    part: DrawnPart,
    verdict: str,
    actor: Actor,
    defect_type: str = "",
    comment: str = "",
    signature: Signature | None = None,
) -> BlindDecision:
    """Say what a drawn part is, once. Good and defective are a review of its record too, signed as any other.

    Raises `Forbidden`; `Conflict` where it was decided already, or is not blind for this person, who inspected or
    reviewed the part; and `UserError` for what is no decision.
    """
    require(actor, Right.REVIEW)
    if actor is None or actor.pk is None:
        raise UserError("A blind review needs a signed-in person. Nothing was saved.", code="reviewer_missing")
    if verdict not in BlindDecision.Verdict.values:
        raise UserError("The verdict must be good, defective or doubtful. Nothing was saved.", code="invalid_review")
    if len(comment) > MAX_COMMENT_LENGTH:
        raise UserError(f"The comment has more than {MAX_COMMENT_LENGTH} characters.", code="invalid_review")
    DrawnPart.objects.select_for_update(no_key=True).get(pk=part.pk)
    if BlindDecision.objects.filter(part=part).exists():
        raise Conflict(
            "Somebody else reviewed this part meanwhile. Nothing was saved. Go on with the next part.",
            code="blind_review_decided",
        )
    if not selectors.parts_blind_for(actor).filter(pk=part.pk).exists():
        raise Conflict(
            "You inspected or reviewed this part before, so your review would not be blind. Nothing was saved. "
            "Somebody else has to review it.",
            code="not_blind",
        )
    review = None
    if verdict != BlindDecision.Verdict.DOUBTFUL:
        review = record_review(
            inspection=part.inspection,
            verdict=verdict,
            actor=actor,
            defect_type=defect_type,
            comment=comment,
            signature=signature,
        )
    decision = BlindDecision.objects.create(
        part=part,
        verdict=verdict,
        comment=comment.strip(),
        review=review,
        reviewer_id=actor.pk,
        created_at=timezone.now(),
    )
    audit(kind=DECIDED, subject=decision, actor=actor, after=expected_decision(decision))
    return decision
