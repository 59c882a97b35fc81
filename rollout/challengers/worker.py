"""Writes: the challenger scores what production judged, in slices, under a lease; images of the line go first.

A worker takes a challenger, scores what is new in small steps, and gives it back: the sweep calls again some seconds
later. It stops before a step as soon as an image of the line waits. What came while no worker ran is scored later:
records are found by their audit events, whose order no late commit changes.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from common.errors import UserError
from inspection.judging.selectors import waiting_requests
from inspection.models import Inspection, InspectionRequest
from jobs.engine import Claim
from jobs.errors import ClaimLost
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from records.audit.services import audit
from records.models import AuditEvent, Discarded
from rollout.challengers.audited_rows import SCORED, expected_slice
from rollout.challengers.services import CHALLENGERS, audit_end
from rollout.models import Challenger, ChallengerResult, ChallengerSlice
from tuning.rescoring.stored_images import StoredScore, score_records

log = logging.getLogger(__name__)
_TURN_SECONDS = 1.0  # then other work of the queue passes
_SCAN = 50  # audit events that are looked through for records at a time
_AT_ONCE = 4  # images scored before it is asked whether one of the line waits
_RECORDED = "inspection.recorded"
_Status = Challenger.Status


@dataclass(frozen=True)
class _Live:
    """A record of the line, and the audit event that reported it."""

    record: Inspection
    sequence: int


@dataclass(frozen=True)
class _Step:
    """What a step has before it: live records of production, in order, and the event up to which these are all."""

    live: Sequence[_Live]
    reaches: int


def work_on_challenger(*, challenger_id: uuid.UUID) -> None:
    """Score what is new, then give it back; in the worker."""
    claim = CHALLENGERS.take(challenger_id)
    if claim is None:
        return
    try:
        if claim.in_slices(lambda: _score_step(claim), seconds=_TURN_SECONDS):
            _rest(claim)
    except ClaimLost:
        log.warning("Challenger %s was taken away while it was worked on; nothing was written.", challenger_id)
    except UserError as error:  # the model cannot be loaded
        _end(claim, _Status.FAILED, error.detail)


def _image_waits() -> bool:
    return waiting_requests().filter(status=InspectionRequest.Status.QUEUED).exists()


def _score_step(claim: Claim[Challenger]) -> bool:
    """Score the next records and keep what came of it. False: nothing is new, or the line comes first."""
    if _image_waits():
        return False
    challenger, step = _begin(claim)
    if not step.live:
        if step.reaches > challenger.reached_sequence:
            claim.renew(reached_sequence=step.reaches)
            return True
        return False
    version = challenger.model_version
    chosen = [one.record for one in step.live if is_sampled(one.record.pk, challenger.share)]
    there = [record for record in chosen if record.asset.discarded_at is None]
    threshold = threshold_in_force(version.pk)
    scores: list[StoredScore] = []
    left: Inspection | None = None  # the first record that has to wait
    if there:
        loaded = scoring.load_model(version)
        for begin in range(0, len(there), _AT_ONCE):
            if begin and _image_waits():
                left = there[begin]
                break
            records = there[begin : begin + _AT_ONCE]
            scores += score_records(loaded, records, version=version, threshold=threshold.value)
    done = step if left is None else _before(step, left)
    results = []
    for record, score in zip(there, scores, strict=False):
        if score.error_code != Discarded.code:  # else retention removed it just now
            results.append(
                ChallengerResult(
                    challenger=challenger,
                    inspection=record,
                    threshold=threshold,
                    threshold_value=threshold.value,
                    **asdict(score),
                    **_compared(score, threshold.value, record),
                )
            )
    written = {one.record.pk for one in done.live}
    discarded = sum(record.pk in written for record in chosen) - len(results)
    _save(claim, done, results, discarded=discarded)
    return left is None


def _before(step: _Step, first: Inspection) -> _Step:
    """The records of a step before one, and the last event of theirs."""
    position = next(index for index, one in enumerate(step.live) if one.record.pk == first.pk)
    live = step.live[:position]
    return _Step(live, live[-1].sequence)


def is_sampled(record_id: uuid.UUID, share: float) -> bool:
    """Whether a record is among the share that is scored: its id ends at random, and is the same for everybody."""
    return record_id.int % 1_000_003 < share * 1_000_003


def _compared(score: StoredScore, threshold: float, record: Inspection) -> dict[str, bool | float]:
    """Whether a result is another verdict than the record's, and how far apart both lie."""
    disagrees = bool(score.outcome) and score.outcome != record.outcome
    if score.score is None or record.score is None:
        return {"disagrees": disagrees, "distance": float(disagrees)}
    places = [one / (one + limit) for one, limit in ((score.score, threshold), (record.score, record.threshold_value))]
    return {"disagrees": disagrees, "distance": abs(places[0] - places[1])}


@transaction.atomic
def _begin(claim: Claim[Challenger]) -> tuple[Challenger, _Step]:
    """The next records, marked as begun. Only the holder of the claim gets any.

    What a dead worker had begun is tried one by one, so that an image which kills workers takes no other with it; the
    one that did so too often is written down as such.
    """
    challenger = claim.rows().select_for_update().first()
    if challenger is None:
        raise ClaimLost
    step = _next_step(challenger)
    if step.live and challenger.attempt >= settings.MAX_ATTEMPTS:
        hopeless = step.live[0]
        threshold = threshold_in_force(challenger.model_version_id)
        result = ChallengerResult(
            challenger=challenger,
            inspection=hopeless.record,
            threshold=threshold,
            threshold_value=threshold.value,
            error_code="worker_died",
            disagrees=False,
            distance=0.0,
        )
        _write(challenger, _Step([hopeless], hopeless.sequence), [result], discarded=0)
        step = _next_step(challenger)
    if challenger.begun and step.live:
        step = _Step(step.live[:1], step.live[0].sequence)
    challenger.begun = challenger.begun or len(step.live)
    challenger.attempt += bool(step.live)
    challenger.save(update_fields=["begun", "attempt"])
    return challenger, step


def _next_step(challenger: Challenger) -> _Step:
    left = None if challenger.max_images is None else challenger.max_images - challenger.scored
    if left is not None and left <= 0:
        return _Step([], challenger.reached_sequence)
    events = AuditEvent.objects.filter(kind=_RECORDED, sequence__gt=challenger.reached_sequence).order_by("sequence")
    rows = list(events.values_list("sequence", "object_id", "after")[:_SCAN])
    sequences = {
        uuid.UUID(object_id): sequence
        for sequence, object_id, after in rows
        if json.loads(after)["model_version"] == challenger.production_id
    }
    # Batches are other images than the line's, such as old or collected ones.
    records = Inspection.objects.filter(
        pk__in=sequences, deployment__isnull=False, request__batch__isnull=True
    ).select_related("asset")
    live = sorted((_Live(record, sequences[record.pk]) for record in records), key=lambda one: one.sequence)
    if left is not None and len(live) > left:  # never more than are to be scored, sampled or not
        return _Step(live[:left], live[left - 1].sequence)
    return _Step(live, rows[-1][0] if rows else challenger.reached_sequence)


@transaction.atomic
def _save(claim: Claim[Challenger], step: _Step, results: Sequence[ChallengerResult], *, discarded: int) -> None:
    challenger = claim.rows().select_for_update().first()
    if challenger is None:
        raise ClaimLost
    _write(challenger, step, results, discarded=discarded)


def _write(challenger: Challenger, step: _Step, results: Sequence[ChallengerResult], *, discarded: int) -> None:
    """A slice with its results, inside the transaction that holds the challenger's row."""
    last = ChallengerSlice.objects.filter(challenger=challenger).order_by("-number").first()
    part = ChallengerSlice.objects.create(
        challenger=challenger,
        number=last.number + 1 if last else 1,
        reached_sequence=step.reaches,
        seen=len(step.live),
        discarded=discarded,
        created_at=timezone.now(),
    )
    for result in results:
        result.slice = part
    ChallengerResult.objects.bulk_create(results)
    scored = [result for result in results if not result.error_code]
    challenger.seen += len(step.live)
    challenger.scored += len(scored)
    challenger.disagreements += sum(result.disagrees for result in scored)
    challenger.failed += len(results) - len(scored)
    challenger.discarded += discarded
    challenger.reached_sequence = step.reaches
    challenger.begun, challenger.attempt = max(0, challenger.begun - len(step.live)), 0
    challenger.lease_expires_at = CHALLENGERS.lease()
    challenger.save(
        update_fields=[
            *("seen", "scored", "disagreements", "failed", "discarded"),
            *("reached_sequence", "begun", "attempt", "lease_expires_at"),
        ]
    )
    written = ChallengerSlice.objects.select_related("challenger").prefetch_related("results").get(pk=part.pk)
    audit(kind=SCORED, subject=part, actor=None, after=expected_slice(written))


def _rest(claim: Claim[Challenger]) -> None:
    """Nothing to do now: end it where it has come to its end, else give it back until the next sweep."""
    challenger = Challenger.objects.select_related("model_version", "production").get(pk=claim.pk)
    if challenger.max_images is not None and challenger.scored >= challenger.max_images:
        _end(claim, _Status.FINISHED, f"It scored {challenger.scored:,} images.")
    elif why := _superseded(challenger):
        _end(claim, _Status.FINISHED, why)
    else:
        claim.release(lease_expires_at=timezone.now())


def _superseded(challenger: Challenger) -> str:
    """Why there is nothing more to compare with; empty while there is."""
    stages = ModelVersion.Stage
    if challenger.model_version.stage == stages.ARCHIVED:
        return "The challenger was archived."
    rest = _next_step(challenger)
    if challenger.production.stage == stages.PRODUCTION or rest.reaches > challenger.reached_sequence:
        return ""
    if challenger.model_version.stage == stages.PRODUCTION:
        return "The challenger was promoted."
    return "Another version went into production."


@transaction.atomic
def _end(claim: Claim[Challenger], status: str, why: str) -> None:
    """Close it, if the claim still holds. The worker acts for whoever started it."""
    if claim.end(status=status, end_reason=why[:500]):
        challenger = Challenger.objects.select_related("category", "requested_by").get(pk=claim.pk)
        audit_end(challenger, actor=challenger.requested_by)
