"""Writes: the budget of a shift, who has which part before them, and what they say of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.models import Review, Standing
from inspection.reviews.services import MAX_COMMENT_LENGTH, record_review
from modelzoo.models import Category
from modelzoo.services import actor_id, lock_category, required_reason
from modelzoo.signatures.selectors import Signature
from quality.models import BlindDecision, QueueDecision, Reservation, ReviewBudget
from quality.random_audit import services as random_audit
from quality.random_audit.shifts import parse_starts
from quality.review_queue import selectors
from quality.review_queue.models import MAX_PER_SHIFT
from quality.review_queue.selectors import Offer
from records.audit.services import Actor, audit

BUDGET_SET = "review_budget.set"
DECIDED = "queue_review.decided"
# How long a part is kept for whoever has it before them: long enough to look, short enough for those who wait.
KEPT = timedelta(minutes=5)
_MAX_TRIES = 50  # parts that others took in the moment between looking and taking
_Decision = QueueDecision.Decision


@transaction.atomic
def set_budget(
    *, category: Category, per_shift: int, shift_starts: list[str], reason: str, actor: Actor
) -> ReviewBudget:
    """A new revision of how many parts of a category people review in a shift, in force at once.

    Raises `Forbidden`, and `UserError` for a number out of range, times that are none, or a missing reason.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A review budget")
    starts = parse_starts(shift_starts)
    if not 1 <= per_shift <= MAX_PER_SHIFT:
        raise UserError(f"A budget is 1 to {MAX_PER_SHIFT} parts per shift. Nothing was saved.", code="invalid")
    lock_category(category.pk)
    before, last = selectors.budget_in_force(category), selectors.newest_budget(category)
    row = ReviewBudget.objects.create(
        category=category,
        revision=last.revision + 1 if last else 1,
        per_shift=per_shift,
        shift_starts=starts,
        reason=reason[:500],
        author_id=actor_id(actor),
        created_at=timezone.now(),
    )
    audit(
        kind=BUDGET_SET,
        subject=category,
        actor=actor,
        before=asdict(before),
        after=asdict(selectors.budget_in_force(category))
        | {"category": category.name, "revision": row.revision, "reason": row.reason},
        attests=[row],
        changes_subject=False,
    )
    return row


def take_next(*, category: Category, actor: Actor, now: datetime | None = None) -> Reservation | None:
    """Put the next part before a person, for as long as `KEPT`; None where there is none for them.

    Whoever has a part already keeps it for as long again. No audit event: nothing is said of a part by looking at it.

    Raises `Forbidden`, and `Conflict` where no version is in production.
    """
    reviewer = _reviewer(actor)
    moment = now or timezone.now()
    mine = selectors.reservation_of(category, actor, now=moment)
    if mine is not None:
        Reservation.objects.filter(pk=mine.pk).update(expires_at=moment + KEPT)
        return mine
    Reservation.objects.filter(category=category, reviewer=reviewer).delete()
    for _, offer in zip(range(_MAX_TRIES), selectors.offers(category, actor), strict=False):
        if _reserve(category, offer, reviewer, moment):
            break
    return selectors.reservation_of(category, actor, now=moment)


@transaction.atomic
def _reserve(category: Category, offer: Offer, reviewer: int, now: datetime) -> bool:
    """Whether the part is this person's: the database lets one of several have it."""
    Reservation.objects.filter(inspection=offer.inspection_id, expires_at__lte=now).delete()
    row = Reservation(
        category=category,
        inspection_id=offer.inspection_id,
        part_id=offer.part_id,
        reviewer_id=reviewer,
        cause=offer.cause,
        why=offer.why,
        expires_at=now + KEPT,
    )
    Reservation.objects.bulk_create([row], ignore_conflicts=True)
    # With a part that this person took in another window, the queue has given them what it gives.
    return Reservation.objects.filter(category=category, reviewer=reviewer).exists()


@transaction.atomic
def decide(
    *,
    reservation_id: int,
    decision: str,
    actor: Actor,
    defect_type: str = "",
    comment: str = "",
    signature: Signature | None = None,
) -> QueueDecision:
    """Say what the part before a person is. Good and defective become a review of its record; of a part of the random
    audit, its blind review, where unclear is doubtful. Skipped: nothing is said, and it does not count.

    Raises `Forbidden`; `Conflict` where the part is not this person's any more, or was reviewed elsewhere meanwhile;
    and `UserError` for what is no decision.
    """
    reviewer = _reviewer(actor)
    if decision not in _Decision.values:
        raise UserError(
            "The decision must be good, defective, unclear or skipped. Nothing was saved.", code="invalid_review"
        )
    if len(comment) > MAX_COMMENT_LENGTH:
        raise UserError(f"The comment has more than {MAX_COMMENT_LENGTH} characters.", code="invalid_review")
    held = Reservation.objects.select_for_update(of=("self",)).filter(pk=reservation_id, reviewer=reviewer)
    reservation = held.select_related("category", "part__shift", "inspection__asset").first()
    if reservation is None:
        raise Conflict(
            "This part is not before you any more: you decided on it already, or its time was over. Nothing was "
            "saved. Go on with the next part.",
            code="queue_part_lapsed",
        )
    if Standing.objects.filter(inspection=reservation.inspection_id).exists():
        raise Conflict(
            "Somebody else reviewed this part meanwhile. Nothing was saved. Go on with the next part.",
            code="queue_part_reviewed",
        )
    made = QueueDecision.objects.create(
        category=reservation.category,
        inspection=reservation.inspection,
        decision=decision,
        cause=reservation.cause,
        why=reservation.why,
        review=_review(reservation, decision, actor, defect_type, comment, signature),
        reviewer_id=reviewer,
        created_at=timezone.now(),
    )
    reservation.delete()
    audit(
        kind=DECIDED,
        subject=made,
        actor=actor,
        after={
            "category": made.category.name,
            "inspection": str(made.inspection_id),
            "decision": decision,
            "cause": made.cause,
            "review": made.review_id,
            "comment": comment.strip() if made.review_id is None else "",
        },
    )
    return made


def _review(
    reservation: Reservation, decision: str, actor: Actor, defect_type: str, comment: str, signature: Signature | None
) -> Review | None:
    if decision == _Decision.SKIPPED:
        return None
    if reservation.part is not None:
        verdict = BlindDecision.Verdict.DOUBTFUL if decision == _Decision.UNCLEAR else decision
        return random_audit.decide(
            part=reservation.part,
            verdict=verdict,
            actor=actor,
            defect_type=defect_type,
            comment=comment,
            signature=signature,
        ).review
    if decision == _Decision.UNCLEAR:
        return None
    return record_review(
        inspection=reservation.inspection,
        verdict=decision,
        actor=actor,
        defect_type=defect_type,
        comment=comment,
        signature=signature,
    )


def _reviewer(actor: Actor) -> int:
    """Raises `Forbidden`, and `UserError` where nobody is signed in."""
    require(actor, Right.REVIEW)
    if actor is None or actor.pk is None:
        raise UserError("A review needs a signed-in person. Nothing was saved.", code="reviewer_missing")
    key: int = actor.pk
    return key
