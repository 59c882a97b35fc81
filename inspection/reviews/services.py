"""Writes: what people say about records after looking at them. A review never changes the record that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden, Right, require
from inspection.audited_rows import expected_review
from inspection.history.filter_values import NO_CHARACTER
from inspection.judging.documents import standing_document
from inspection.models import Inspection, Review, Standing
from modelzoo.signatures.selectors import (
    Act,
    Signature,
    SignatureRequired,
    acts_to_sign,
    check_signature,
    with_signature,
)
from records.audit.services import Actor, audit
from records.models import Asset

MAX_REGIONS = 50
MAX_COMMENT_LENGTH = 2000
MAX_DEFECT_TYPE_LENGTH = 100
MAX_REVIEWS_AT_ONCE = 500
# The class of the good parts in every data set that reviews end in.
_NO_DEFECT_TYPE = "good"


class Outdated(Conflict):
    """The reviewer looked at a record that somebody else has reviewed meanwhile."""

    code = "review_outdated"


@dataclass(frozen=True)
class Marked:
    """A place that a person marked: a box in pixels of the image, after its EXIF orientation."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class _Verdict:
    """What is the same for every record of one act."""

    verdict: str
    defect_type: str
    comment: str


@dataclass(frozen=True)
class _Act:
    """A review, and where its record stood before and stands after it."""

    review: Review
    before: Standing | None
    after: Standing | None


def record_review(
    *,
    inspection: Inspection,
    verdict: str,
    actor: Actor,
    defect_type: str = "",
    comment: str = "",
    regions: Sequence[Mapping[str, Any]] = (),
    expected_reviews: int | None = None,
    signature: Signature | None = None,
) -> Review:
    """Say what a part is. A later review stands beside the earlier ones; the last one is where the record stands.

    Args:
        verdict: `good` or `defective`; only a defective part has a defect type and regions.
        regions: mappings with whole numbers x, y, width and height, in pixels of the image.
        expected_reviews: how many reviews there were when the reviewer looked; None: it does not matter.

    Raises:
        Forbidden, Outdated, `SignatureRequired` where the category requires one, and `UserError` for what cannot be a
        review. Nothing was written then.
    """
    reviewer = _reviewer(actor)
    check_signature(Act.REVIEW, [inspection.category_id], signature=signature, actor=actor)
    new_verdict = _check_verdict(verdict=verdict, defect_type=defect_type, comment=comment)
    marked_regions = _check_regions(regions, inspection.asset, verdict)
    with transaction.atomic():
        [locked] = _lock_records([inspection])
        act = _append(locked, new_verdict, marked_regions, reviewer, expected_reviews)
        _audit(act, actor, signature)
    return act.review


def record_reviews(
    *,
    inspections: Sequence[Inspection],
    verdict: str,
    actor: Actor,
    defect_type: str = "",
    comment: str = "",
    signature: Signature | None = None,
) -> list[Review]:
    """Say the same of many records: all of them are reviewed, each with an event of its own, or none is.

    A signature is one of each of them.

    Returns the reviews in the order of the records; a record that is named twice is reviewed once.
    """
    reviewer = _reviewer(actor)
    new_verdict = _check_verdict(verdict=verdict, defect_type=defect_type, comment=comment)
    records = list({inspection.pk: inspection for inspection in inspections}.values())
    if not 0 < len(records) <= MAX_REVIEWS_AT_ONCE:
        raise UserError(
            f"{len(records)} records were chosen; 1 to {MAX_REVIEWS_AT_ONCE} can be reviewed at once. Nothing was "
            "saved.",
            code="too_many_records" if records else "no_records",
        )
    check_signature(Act.REVIEW, {record.category_id for record in records}, signature=signature, actor=actor)
    with transaction.atomic():
        done = {locked.pk: _append(locked, new_verdict, [], reviewer, None) for locked in _lock_records(records)}
        for act in done.values():
            _audit(act, actor, signature)
    return [done[inspection.pk].review for inspection in records]


def undo_reviews(*, reviews: Sequence[Review], actor: Actor) -> list[Review]:
    """Take back what was just said, by a new review of each record that restores what stood before: the word of the
    person before, with their name, or nobody's. All of them are undone, or none is.

    An undo can be undone in the same way. Returns the new reviews, in the order of those that they undo.

    Raises:
        Forbidden: somebody else wrote one of them.
        Outdated: one of them is not the newest of its record any more.
        SignatureRequired: reviews of the category are signed, and an undo is not: another review takes its place.
    """
    reviewer = _reviewer(actor)
    distinct = list({review.pk: review for review in reviews}.values())
    if not 0 < len(distinct) <= MAX_REVIEWS_AT_ONCE:
        raise UserError(
            f"{len(distinct)} reviews were named; 1 to {MAX_REVIEWS_AT_ONCE} can be undone at once. Nothing was saved.",
            code="too_many_records" if distinct else "no_records",
        )
    if any(review.reviewer_id != reviewer for review in distinct):
        raise Forbidden("Only the reviewer can undo a review. Nothing was saved. Review the part again instead.")
    if any(Act.REVIEW in acts_to_sign(category) for category in {one.inspection.category_id for one in distinct}):
        raise SignatureRequired(
            "Reviews are signed in this category, so none is undone by a click. Nothing was saved. Review the part "
            "again and sign that: both reviews stay."
        )
    with transaction.atomic():
        locked = {inspection.pk: inspection for inspection in _lock_records([review.inspection for review in distinct])}
        done = [_undo(locked[review.inspection_id], review, reviewer) for review in distinct]
        for act in done:
            _audit(act, actor, None)
    return [act.review for act in done]


def _undo(inspection: Inspection, review: Review, reviewer: int) -> _Act:
    thread = list(inspection.reviews.order_by("number"))
    if thread[-1].pk != review.pk:
        raise Outdated(
            f"The record now has {len(thread)} reviews: another one came after yours, and only the newest can be "
            "undone. Nothing was saved. Check the record and review it again if necessary.",
            reviews=len(thread),
        )
    before = Standing.objects.filter(inspection=inspection).select_related("reviewer").first()
    # Without itself and what it undoes, the review leaves what stood before it.
    standing = effective_reviews([*thread, Review(undoes=review, number=len(thread) + 1)])
    last = standing[-1] if standing else None
    undo = Review.objects.create(
        inspection=inspection,
        number=len(thread) + 1,
        verdict=last.verdict if last else Review.WITHDRAWN,
        agrees=last.agrees if last else None,
        defect_type=last.defect_type if last else "",
        regions=last.regions if last else [],
        comment=f"undo of review {review.number}",
        undoes=review,
        reviewer_id=reviewer,
        created_at=timezone.now(),
    )
    if last is None:
        Standing.objects.filter(inspection=inspection).delete()
        return _Act(undo, before, None)
    after = Standing(
        inspection=inspection,
        last_review=last,
        verdict=last.verdict,
        defect_type=last.defect_type,
        reviewer_id=last.reviewer_id,
        overruled=last.agrees is False,
        contested=len({one.verdict for one in standing}) > 1,
        reviews=undo.number,
        inspected_at=inspection.created_at,
    )
    after.save(force_insert=before is None, force_update=before is not None)
    return _Act(undo, before, after)


def effective_reviews(reviews: Iterable[Review]) -> list[Review]:
    """The reviews of one record that count, of all in their order: without those that were undone, and the undos."""
    states: list[list[Review]] = [[]]  # after each review; an undo leads back to the state before the one it undoes
    for review in reviews:
        states.append(states[-2] if review.undoes_id else [*states[-1], review])
    return states[-1]


def _lock_records(inspections: Sequence[Inspection]) -> list[Inspection]:
    """The records, with nobody else reviewing them until the transaction ends; in one order, so that none wait in a
    circle. (SQLite has one writer anyway.)"""
    records = Inspection.objects.select_for_update(no_key=True).only("pk", "outcome", "created_at")
    return list(records.filter(pk__in=[inspection.pk for inspection in inspections]).order_by("pk"))


def _append(
    inspection: Inspection, new_verdict: _Verdict, regions: list[Marked], reviewer: int, expected: int | None
) -> _Act:
    before = Standing.objects.filter(inspection=inspection).select_related("reviewer").first()
    count = before.reviews if before else inspection.reviews.count()  # all may be undone
    if expected is not None and expected != count:
        raise Outdated(
            f"The record now has {count} reviews, not {expected} as when you opened it. Your review was not "
            "saved. Check the record and send your review again.",
            reviews=count,
        )
    has_verdict = inspection.outcome != Inspection.Outcome.NOT_COMPARABLE
    agrees = new_verdict.verdict == inspection.outcome if has_verdict else None
    review = Review.objects.create(
        inspection=inspection,
        number=count + 1,
        agrees=agrees,
        regions=[asdict(region) for region in regions],
        reviewer_id=reviewer,
        created_at=timezone.now(),
        **vars(new_verdict),
    )
    after = Standing(
        inspection=inspection,
        last_review=review,
        verdict=new_verdict.verdict,
        defect_type=new_verdict.defect_type,
        reviewer_id=reviewer,
        overruled=agrees is False,
        contested=before is not None and (before.contested or before.verdict != new_verdict.verdict),
        reviews=review.number,
        inspected_at=inspection.created_at,
    )
    after.save(force_insert=before is None, force_update=before is not None)
    return _Act(review, before, after)


def _audit(act: _Act, actor: Actor, signature: Signature | None) -> None:
    review = act.review
    audit(
        kind="review.recorded",
        subject=review,
        actor=actor,
        before=standing_document(act.before),
        after=with_signature(
            {
                **expected_review(review),
                "filename": review.inspection.filename,
                "serial_number": review.inspection.serial_number,
                "overruled": act.after is not None and act.after.overruled,
                "contested": act.after is not None and act.after.contested,
            },
            signature,
        ),
    )


# ---------------------------------------------------------------- what can be a review
def _reviewer(actor: Actor) -> int:
    require(actor, Right.REVIEW)
    if actor is None or actor.pk is None:
        raise UserError("A review belongs to a person. Nothing was saved. Name the reviewer.", code="reviewer_missing")
    return int(actor.pk)


def _check_verdict(*, verdict: str, defect_type: str, comment: str) -> _Verdict:
    if verdict not in Review.Verdict.values:
        raise UserError("The verdict of a review must be good or defective. Nothing was saved.", code="invalid_review")
    new_verdict = _Verdict(
        verdict,
        _text("defect_type", defect_type, MAX_DEFECT_TYPE_LENGTH),
        _text("comment", comment, MAX_COMMENT_LENGTH),
    )
    if new_verdict.defect_type and verdict != Review.Verdict.DEFECTIVE:
        raise UserError("Only a defect has a defect type. Nothing was saved.", code="invalid_review")
    if new_verdict.defect_type.casefold() == _NO_DEFECT_TYPE:
        raise UserError("A defect type cannot be “good”. Nothing was saved.", code="invalid_review")
    return new_verdict


def _text(name: str, value: str, max_length: int) -> str:
    text = value.replace("\r\n", "\n").strip()  # as browsers count what a text area holds
    if len(text) > max_length:
        raise UserError(f"{name} has more than {max_length} characters. Nothing was saved.", code="invalid_review")
    if NO_CHARACTER.search(text):
        raise UserError(f"{name} contains an invalid character. Nothing was saved.", code="invalid_review")
    return text


def _check_regions(regions: Sequence[Mapping[str, Any]], asset: Asset, verdict: str) -> list[Marked]:
    if regions and verdict != Review.Verdict.DEFECTIVE:
        raise UserError("Only a defect has regions. Nothing was saved.", code="invalid_review")
    if len(regions) > MAX_REGIONS:
        raise UserError(f"More than {MAX_REGIONS} regions. Nothing was saved.", code="invalid_review")
    return [_checked_region(region, asset) for region in regions]


def _checked_region(region: Mapping[str, Any], asset: Asset) -> Marked:
    numbers = [region.get(name) for name in Marked.__dataclass_fields__]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise UserError(
            "A region has x, y, width and height in whole pixels. Nothing was saved.", code="invalid_region"
        )
    marked = Marked(*numbers)  # type: ignore[arg-type]
    inside = (
        marked.x >= 0
        and marked.y >= 0
        and marked.width >= 1
        and marked.height >= 1
        and marked.x + marked.width <= asset.width
        and marked.y + marked.height <= asset.height
    )
    if not inside:
        raise UserError(
            f"The region {tuple(vars(marked).values())} is not inside the image ({asset.width} x {asset.height} "
            "pixels). Nothing was saved.",
            code="invalid_region",
        )
    return marked
