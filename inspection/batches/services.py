"""Writes: many images as one job, in slices; calling it off, and what a killed worker left of it. Reads: how far it is.

The files of a folder are not opened when the batch is requested: a worker validates them when their slice comes, so
that nobody waits for thousands of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from common.errors import Conflict, Unavailable, UserError
from common.rights import Right, require
from inspection.batches.gathering import BatchItem
from inspection.batches.selectors import batch_not_found, find_batch, with_deployment
from inspection.batches.worker import BATCHES, end_batch
from inspection.judging.idempotency import check_same, own_key
from inspection.judging.services import PartContext
from inspection.models import BatchRun, InspectionRequest
from modelzoo.models import Deployment
from records.audit.services import Actor, audit


class BatchOutcomeUnknown(Unavailable):
    """The database failed once the batch was, or may have been, written down: it may be judged all the same."""

    code = "outcome_unknown"

    def __init__(self, batch: BatchRun | None) -> None:
        address = reverse("batch", args=[batch.pk]) if batch else reverse("api-batches")
        super().__init__(
            f"The database does not answer, so it is not known whether the batch was started. Check {address} "
            "before you send it again, or send it again with the same Idempotency-Key if you sent one.",
            batch_url=address,
        )


@transaction.atomic
def request_batch(
    *,
    items: Sequence[BatchItem],
    name: str,
    deployment: Deployment,
    source: str,
    actor: Actor,
    part: PartContext | None = None,
    folder: Path | None = None,
    warnings: Sequence[str] = (),
    idempotency_key: str | None = None,
    request_fingerprint: str = "",
) -> BatchRun:
    """Write a batch and its items down and call a worker once it is committed.

    `request_fingerprint`: that of the request that bears the key. Where somebody was faster with the same key, theirs
    is the batch.
    """
    require(actor, Right.INSPECT)
    if not items:
        raise UserError(
            "The batch has no images. Send files, a zip, the name of a data set, or a folder with images.",
            code="empty_batch",
        )
    batch = BatchRun(
        deployment=deployment,
        name=name[:200],
        folder=str(folder or ""),
        warnings=list(warnings),
        requested_by_id=actor.pk if actor else None,
        lease_expires_at=BATCHES.lease(),
        idempotency_key=own_key(idempotency_key, actor=actor),
        fingerprint=request_fingerprint,
    )
    try:
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError:
        concurrent = repeated_batch(
            idempotency_key=idempotency_key, request_fingerprint=request_fingerprint, actor=actor
        )
        if concurrent is None:
            raise
        return concurrent
    _request_items(batch, items, source=source, part=part or PartContext())
    audit(
        kind="batch.requested",
        subject=batch,
        actor=actor,
        after={"name": batch.name, "images": len(items), "deployment": deployment.pk, "folder": batch.folder},
    )
    BATCHES.publish_on_commit(batch.pk)
    return batch


def _request_items(batch: BatchRun, items: Sequence[BatchItem], *, source: str, part: PartContext) -> None:
    """A request for each image, in order. What was refused when it came in has failed already."""
    status = InspectionRequest.Status
    requests = [
        InspectionRequest(
            batch=batch,
            position=position,
            asset=item.asset,
            path=item.path,
            model_version=batch.deployment.model_version,
            deployment=batch.deployment,
            filename=item.filename,
            source=source,
            operator_id=batch.requested_by_id,
            status=status.FAILED if item.refusal else status.QUEUED,
            error_code=item.refusal.code if item.refusal else "",
            error=item.refusal.detail if item.refusal else "",
            **vars(part),
        )
        for position, item in enumerate(items)
    ]
    InspectionRequest.objects.bulk_create(requests, batch_size=500)


def repeated_batch(*, idempotency_key: str | None, request_fingerprint: str, actor: Actor) -> BatchRun | None:
    """The batch that this caller asked for with this key before. Raises `KeyReused` when that was another one."""
    key = own_key(idempotency_key, actor=actor)
    batch = with_deployment().filter(idempotency_key=key).first() if key is not None else None
    if batch:
        check_same(existing_fingerprint=batch.fingerprint, request_fingerprint=request_fingerprint)
        batch.replayed = True
    return batch


@transaction.atomic
def cancel_batch(*, batch_id: uuid.UUID, actor: Actor) -> BatchRun:
    """Call a batch off. What nobody works on ends at once, what is worked on after its slice; records stay.

    Raises `Conflict` when it is over already.
    """
    require(actor, Right.INSPECT)
    batch = BatchRun.objects.select_for_update().filter(pk=batch_id).first()
    if batch is None:
        raise batch_not_found(batch_id)
    if not batch.is_open:
        raise Conflict(
            f"The batch is already {batch.status}. Nothing was changed. Its records are kept.", code="batch_over"
        )
    BatchRun.objects.filter(pk=batch_id).update(cancel_requested=True)
    if batch.claim is None or (batch.lease_expires_at and batch.lease_expires_at < timezone.now()):
        end_batch(batch, actor=actor)
    elif not batch.cancel_requested:
        audit(kind="batch.cancel_requested", subject=batch, actor=actor, after={"name": batch.name})
    transaction.on_commit(lambda: BATCHES.notify(batch_id))
    return find_batch(batch_id)


def await_batch(batch: BatchRun, *, seconds: float) -> bool:
    """Wait until a batch is over, so long at most. Returns whether it is."""
    fields = ["status", "cancel_requested", "started_at", "finished_at"]  # what it is shown with stays as it was read
    return BATCHES.wait(batch, timeout=seconds, fields=fields)
