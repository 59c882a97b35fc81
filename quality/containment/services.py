"""Writes: containments. Parts are searched in slices under a lease; at the end the list is signed.

What a slice found and the part that it reached are written in one transaction, by the holder of the claim only.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from common.errors import UserError
from common.rights import Right, require
from inspection.history.filters import Filters
from inspection.models import Inspection
from inspection.record.similar import MIN_LIKENESS, likeness_of
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from modelzoo.models import ModelVersion
from modelzoo.services import actor_id, required_reason
from quality.containment import selectors
from quality.containment.documents import list_csv
from quality.models import ContainedPart, Containment
from quality.sealing import seal
from records.audit.services import Actor, audit
from tuning.models import Rescored
from tuning.rescoring.services import request_rescoring

log = logging.getLogger(__name__)
CONTAINMENTS = JobKind(Containment, "quality.tasks.work_on_containment")
_SLICE_SECONDS = 2.0  # single images pass at least this often
_SLICE = 100  # parts
_WAIT = timedelta(seconds=4)  # for a re-scoring that goes on: until the next sweep


@transaction.atomic
def request_containment(
    *,
    escape: Inspection,
    reason: str,
    actor: Actor,
    version: ModelVersion | None = None,
    min_likeness: float = MIN_LIKENESS,
    use_reference_parts: bool = True,
) -> Containment:
    """Freeze under which conditions a part escaped, and call a worker that searches all that passed under them.

    `version`: another one that scores those parts again; what it rejects is listed too. `use_reference_parts`: a
    station is searched from when it was last proven.

    Raises `Forbidden`, `Conflict` where the record is no escape, and `UserError` without a reason.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A containment")
    if not 0 <= min_likeness <= 1:
        raise UserError("The likeness is a number from 0 to 1. Nothing was started.", code="invalid")
    selectors.check_escape(escape)
    conditions = selectors.conditions_of(escape)
    bounds = [bound.as_dict() for bound in conditions.bounds] if use_reference_parts else []
    until = timezone.now()
    rescoring = None
    if version is not None:
        rescoring = request_rescoring(
            version=version,
            filters=Filters(
                model_version=escape.model_version_id,
                threshold=escape.threshold_id,
                outcome=(Inspection.Outcome.GOOD,),
                since=conditions.since,
                until=until,
            ),
            reason=reason,
            actor=actor,
        )
    containment = Containment.objects.create(
        escape=escape,
        since=conditions.since,
        since_what=conditions.since_what,
        bounds=bounds,
        until=until,
        min_likeness=min_likeness,
        rescoring=rescoring,
        reason=reason,
        passed=selectors.passed_records(escape, conditions.since, until, bounds).count(),
        lease_expires_at=CONTAINMENTS.lease(),
        requested_by_id=actor_id(actor),
    )
    audit(
        kind="containment.requested",
        subject=containment,
        actor=actor,
        after={
            "inspection": str(escape.pk),
            "model_version": escape.model_version_id,
            "threshold": escape.threshold_id,
            "since": conditions.since,
            "bounds": bounds,
            "until": until,
            "passed": containment.passed,
            "min_likeness": min_likeness,
            "rescoring": str(rescoring.pk) if rescoring else None,
            "reason": reason,
        },
    )
    CONTAINMENTS.publish_on_commit(containment.pk)
    return containment


def work_on_containment(*, containment_id: uuid.UUID) -> None:
    """Search some slices, then hand it on; in the worker."""
    claim = CONTAINMENTS.take(containment_id)
    if claim is None:
        return
    try:
        rescoring = selectors.find_containment(containment_id).rescoring
        if rescoring is not None and rescoring.is_open:
            claim.release(lease_expires_at=timezone.now() + _WAIT)
            return
        if rescoring is not None and rescoring.status != rescoring.Status.FINISHED:
            raise UserError(
                f"The re-scoring {rescoring.status}. {rescoring.error} Nothing was listed. Start another containment.",
                code="rescoring_over",
            )
        if claim.in_slices(lambda: _search_slice(claim), seconds=_SLICE_SECONDS):
            _finish(claim)
    except ClaimLost:
        log.warning("Containment %s was taken over by another worker.", containment_id)
    except UserError as error:
        _fail(claim, error)


def _search_slice(claim: Claim[Containment]) -> bool:
    """Search the next parts, and keep those that are alike or rejected by the other version. False: none are left."""
    containment = selectors.find_containment(claim.pk)
    records = list(selectors.next_records(containment)[:_SLICE])
    if not records:
        return False
    results: dict[uuid.UUID, Rescored] = {}
    if containment.rescoring_id:
        rescored = Rescored.objects.filter(run=containment.rescoring_id, inspection__in=records)
        results = {result.inspection_id: result for result in rescored}
    escape = Inspection.objects.select_related("map").get(pk=containment.escape_id)
    found, without_map = [], 0
    for record in records:
        value = likeness_of(escape, record)
        without_map += value is None
        # Rounded before it is compared: what the list shows is what a person asks for again.
        likeness = None if value is None else round(max(0.0, value), 6)
        result = results.get(record.pk)
        is_rejected = result is not None and result.outcome == Inspection.Outcome.DEFECTIVE
        if record.pk == escape.pk or not (is_rejected or (likeness or 0.0) >= containment.min_likeness):
            continue
        found.append(
            ContainedPart(
                containment=containment,
                inspection=record,
                likeness=likeness,
                rescored_outcome=result.outcome if result else "",
                rescored_score=result.score if result else None,
            )
        )
    with transaction.atomic():
        claim.renew(
            searched=containment.searched + len(records),
            without_map=containment.without_map + without_map,
            listed=containment.listed + len(found),
            reached_at=records[-1].created_at,
            reached_id=records[-1].pk,
        )
        ContainedPart.objects.bulk_create(found)
    return True


@transaction.atomic
def _finish(claim: Claim[Containment]) -> None:
    """Sign the list, if the claim still holds."""
    containment = selectors.find_containment(claim.pk)
    made = seal(list_csv(containment))
    sealed = {
        "list_sha256": made.sha256,
        "signature": made.signature,
        "key_id": made.key_id,
        "expected": selectors.expected_escapes(containment),
    }
    if claim.end(status=Containment.Status.FINISHED, **sealed):
        audit(
            kind="containment.finished",
            subject=containment,
            actor=containment.requested_by,
            after={"searched": containment.searched, "listed": containment.listed, **sealed},
        )


@transaction.atomic
def _fail(claim: Claim[Containment], error: UserError) -> None:
    if claim.end(status=Containment.Status.FAILED, error_code=error.code, error=error.detail):
        containment = selectors.find_containment(claim.pk)
        audit(
            kind="containment.failed",
            subject=containment,
            actor=containment.requested_by,
            after={"code": error.code, "error": error.detail},
        )
