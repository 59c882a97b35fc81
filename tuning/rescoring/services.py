"""Writes: scoring records of the past again, in slices, under a lease; what a killed worker left is taken up.

A run goes through its records in the order in which they were written. What a slice came to and the place that it
reached are written in one transaction, by the holder of the claim only: a worker that lost it writes nothing, and the
next one begins where the last slice ended.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.history.filters import Filters
from inspection.models import Inspection
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from modelzoo.services import required_reason
from records.audit.services import Actor, audit
from tuning.models import Rescored, RescoringRun
from tuning.rescoring.stored_images import score_records

log = logging.getLogger(__name__)
RESCORINGS = JobKind(RescoringRun, "tuning.tasks.work_on_rescoring")
_SLICE_SECONDS = 2.0  # a run lets single images pass at least this often
_Status = RescoringRun.Status


# ---------------------------------------------------------------- asking for one
@transaction.atomic
def request_rescoring(
    *,
    version: ModelVersion,
    filters: Filters,
    reason: str,
    actor: Actor,
    runtime_options: Mapping[str, str] | None = None,
) -> RescoringRun:
    """Write down which records shall be scored again with a version, and call a worker once that is committed.

    The records are those of the version's category that the filters mean and that are there now. The threshold is the
    one in force now. `runtime_options`: device, runtime and precision, as the settings say where they are not given.

    Raises `Forbidden`, and `UserError` for a missing reason or where there is nothing to score.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A rescoring")
    frozen = _frozen_filters(filters, version)
    total = frozen.apply(Inspection.objects.all()).count()
    if not total:
        raise UserError(
            f"No record of {version.category.name} matches these filters, so there is nothing to re-score.",
            code="no_records",
        )
    options = {name: value for name, value in (runtime_options or {}).items() if value}
    run = RescoringRun.objects.create(
        model_version=version,
        threshold=threshold_in_force(version.pk),
        device_requested=options.get("device", settings.DEVICE),
        runtime=options.get("runtime", settings.RUNTIME),
        precision=options.get("precision", settings.PRECISION),
        filters=frozen.as_dict(),
        reason=reason,
        total=total,
        requested_by_id=actor.pk if actor else None,
        lease_expires_at=RESCORINGS.lease(),
    )
    audit(
        kind="rescoring.requested",
        subject=run,
        actor=actor,
        after={
            "model_version": version.pk,
            "threshold": run.threshold_id,
            "filters": run.filters,
            "records": total,
            "reason": run.reason,
            **run.runtime_options,
        },
    )
    RESCORINGS.publish_on_commit(run.pk)
    return run


def _frozen_filters(filters: Filters, version: ModelVersion) -> Filters:
    """The same filters, of the version's category, and of nothing that is written from now on."""
    if filters.category not in (None, version.category):
        raise UserError(
            f"{version} cannot score records of {filters.category}: it was trained on {version.category.name}.",
            code="invalid",
        )
    now = timezone.now()
    return replace(filters, category=version.category, until=min(filters.until or now, now))


@transaction.atomic
def cancel_rescoring(*, run: RescoringRun, actor: Actor) -> RescoringRun:
    """End a run now. Results that are written stay; a worker that is at it loses its claim and writes nothing more.

    Raises `Forbidden`, and `Conflict` where the run is over.
    """
    require(actor, Right.TUNE)
    if not RESCORINGS.end(run.pk, status=_Status.CANCELLED):
        run.refresh_from_db(fields=["status"])
        raise Conflict(f"This re-scoring is already {run.status}. Nothing was changed.", code="rescoring_over")
    run.refresh_from_db()
    _audit_end(run, actor=actor)
    return run


# ---------------------------------------------------------------- working on it
def work_on_rescoring(*, run_id: uuid.UUID, worker: str) -> None:
    """Score some slices of a run, then hand it on; in the worker."""
    claim = RESCORINGS.take(run_id, worker=worker)
    if claim is None:
        return
    try:
        if claim.in_slices(lambda: _score_slice(claim), seconds=_SLICE_SECONDS):
            # Where the filters ask for reviews, the records may be more or fewer by now than at the request.
            total = F("done") + F("failed")
            _end(claim, _Status.FINISHED, total=total, rank_correlation=_rank_correlation(run_id))
    except ClaimLost:
        log.warning("Rescoring %s was taken away while it was worked on; nothing was written.", run_id)
    except UserError as error:  # the model cannot be loaded, or the filters name what is not there any more
        _end(claim, _Status.FAILED, error_code=error.code, error=error.detail)
    RESCORINGS.notify(run_id)


def _score_slice(claim: Claim[RescoringRun]) -> bool:
    """Score the next records and keep what came of it. False when there are none."""
    records = _begin_slice(claim)
    if not records:
        return False
    run = RescoringRun.objects.select_related("model_version", "threshold").get(pk=claim.pk)
    loaded = _load_model(run)
    claim.renew(runtime_chosen=loaded.scorer.choice["runtime"], precision_chosen=loaded.scorer.choice["precision"])
    scores = score_records(loaded, records, version=run.model_version, threshold=run.threshold.value)
    results = [
        Rescored(run=run, inspection=record, **asdict(score)) for record, score in zip(records, scores, strict=True)
    ]
    with transaction.atomic():
        mine = claim.rows().select_for_update().first()
        if mine is None:
            raise ClaimLost
        _save_results(mine, results, records[-1])
    return True


@transaction.atomic
def _begin_slice(claim: Claim[RescoringRun]) -> list[Inspection]:
    """The next records, marked as begun. Only the holder of the run's claim gets any.

    What a dead worker had begun is tried one by one, so that an image which kills workers takes no other with it; the
    one that did so too often gets its result here: none.
    """
    run = claim.rows().select_for_update().first()
    if run is None:
        return []
    if run.attempt >= settings.MAX_ATTEMPTS:
        for hopeless in _next_records(run)[:1]:
            _save_results(run, [Rescored(run=run, inspection=hopeless, error_code="worker_died")], hopeless)
    records = list(_next_records(run)[: 1 if run.begun else settings.BATCH_SIZE])
    run.begun = run.begun or len(records)
    run.attempt += 1
    run.save(update_fields=["begun", "attempt"])
    return records


def _next_records(run: RescoringRun) -> QuerySet[Inspection]:
    records = Filters.from_dict(run.filters).apply(Inspection.objects.select_related("asset"))
    if run.reached_at is not None:
        later = Q(created_at__gt=run.reached_at) | Q(created_at=run.reached_at, id__gt=run.reached_id)
        records = records.filter(later, created_at__gte=run.reached_at)
    return records.order_by("created_at", "id")


def _load_model(run: RescoringRun) -> scoring.LoadedModel:
    """The model, run as the first worker chose to: the scores of a run can be compared with each other."""
    loaded = scoring.load_model(run.model_version, **run.runtime_options)
    chosen = {"runtime": run.runtime_chosen, "precision": run.precision_chosen}
    # Nothing is chosen yet, or not by runs of before: then what was requested stays.
    chosen = {name: value for name, value in chosen.items() if value}
    if all(value == loaded.scorer.choice[name] for name, value in chosen.items()):
        return loaded
    return scoring.load_model(run.model_version, **run.runtime_options | chosen)


def _save_results(run: RescoringRun, results: Sequence[Rescored], last: Inspection) -> None:
    """The results of a slice and the place that it reached, inside the transaction that holds the run's row."""
    Rescored.objects.bulk_create(results)
    done = [result for result in results if not result.error_code]
    run.done += len(done)
    run.failed += len(results) - len(done)
    run.changed += sum(result.outcome != result.inspection.outcome for result in done)
    run.reached_at, run.reached_id = last.created_at, last.pk
    run.begun, run.attempt = max(0, run.begun - len(results)), 0
    run.lease_expires_at = RESCORINGS.lease()
    run.save(
        update_fields=[
            "done",
            "failed",
            "changed",
            "reached_at",
            "reached_id",
            "begun",
            "attempt",
            "lease_expires_at",
        ]
    )


# ---------------------------------------------------------------- how it ends
def _rank_correlation(run_id: uuid.UUID) -> float | None:
    """Spearman's, of the two scores of each record: the scales of two models have nothing to do with each other."""
    from scipy.stats import spearmanr

    both = Rescored.objects.filter(run=run_id, score__isnull=False, inspection__score__isnull=False)
    pairs = list(both.order_by().values_list("inspection__score", "score"))
    if len({old for old, _ in pairs}) < 2 or len({new for _, new in pairs}) < 2:
        return None
    return float(np.clip(spearmanr(*zip(*pairs, strict=True)).statistic, -1, 1))  # rounding may lead beyond


@transaction.atomic
def _end(claim: Claim[RescoringRun], status: str, **fields: Any) -> None:
    """Close a run, if the claim still holds. The worker acts for whoever asked for the run."""
    if claim.end(status=status, **fields):
        run = RescoringRun.objects.select_related("requested_by").get(pk=claim.pk)
        _audit_end(run, actor=run.requested_by)


def _audit_end(run: RescoringRun, *, actor: Actor) -> None:
    audit(
        kind=f"rescoring.{run.status}",
        subject=run,
        actor=actor,
        after={
            "model_version": run.model_version_id,
            "records": run.total,
            "done": run.done,
            "failed": run.failed,
            "changed": run.changed,
            **({"code": run.error_code, "error": run.error} if run.error_code else {}),
        },
    )
