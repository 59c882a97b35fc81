"""Writes: many images as one job, in slices, and what a killed worker left of it. Reads: how far a batch is."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Right, require
from inspection.models import BatchRun, Inspection, InspectionRequest
from inspection.selectors import inspection_document
from inspection.services import PartContext, fail_request, judge_claimed, lease, with_everything
from modelzoo.models import Deployment
from mvtec_site import broker
from mvtec_site.errors import NotFound, UserError
from records.images import ImageRejected, clean_name
from records.models import Asset
from records.services import Actor, audit, receive_image

_SLICE_SECONDS = 2.0  # a batch lets single images pass at least this often


# ---------------------------------------------------------------- asking for one
@dataclass
class BatchItem:
    """One image of a batch to be: either kept already (`asset`) or refused (`refusal`)."""

    filename: str
    asset: Asset | None = None
    refusal: UserError | None = None
    part: PartContext = field(default_factory=PartContext)


def receive_items(*, files: Iterable[tuple[str, bytes]], actor: Actor) -> list[BatchItem]:
    """Gate and keep the files of a batch. A refused file becomes a failed item; it does not stop the others."""
    items = []
    for name, data in files:
        try:
            asset, gated = receive_image(data=data, filename=name, actor=actor)
            items.append(BatchItem(filename=gated.clean_name, asset=asset))
        except ImageRejected as refusal:
            items.append(BatchItem(filename=clean_name(name), refusal=refusal))
    return items


@transaction.atomic
def request_batch(
    *, items: Sequence[BatchItem], name: str, deployment: Deployment, source: str, actor: Actor
) -> BatchRun:
    """Write a batch and its items down and call a worker once it is committed."""
    require(actor, Right.INSPECT)
    if not items:
        raise UserError("The batch has no images. Send files, a zip, or the name of a data set.", code="empty_batch")
    batch = BatchRun.objects.create(
        deployment=deployment, name=name[:200], requested_by_id=actor.pk if actor else None, lease_expires_at=lease()
    )
    InspectionRequest.objects.bulk_create(
        [
            InspectionRequest(
                batch=batch,
                position=position,
                asset=item.asset,
                model_version=deployment.model_version,
                deployment=deployment,
                filename=item.filename,
                source=source,
                operator_id=batch.requested_by_id,
                status=InspectionRequest.Status.FAILED if item.refusal else InspectionRequest.Status.QUEUED,
                error_code=item.refusal.code if item.refusal else "",
                error=item.refusal.detail if item.refusal else "",
                **vars(item.part),
            )
            for position, item in enumerate(items)
        ],
        batch_size=500,
    )
    audit(
        kind="batch.requested",
        subject=batch,
        actor=actor,
        after={"name": batch.name, "images": len(items), "deployment": deployment.pk},
    )
    transaction.on_commit(lambda: _publish_batch(batch.pk))
    return batch


def _publish_batch(batch_id: uuid.UUID) -> bool:
    from inspection.tasks import work_on_batch

    return broker.publish(work_on_batch, batch_id)


def work_on_batch(*, batch_id: uuid.UUID, worker: str) -> None:
    """Judge one slice of a batch, then hand it on; in the worker.

    The batch is claimed by one conditional UPDATE, so a doubled message finds nothing to do. Items that a killed
    worker had begun are tried again one by one, so that an image which kills workers takes no neighbour with it.
    """
    token = uuid.uuid4()
    free = Q(claim__isnull=True) | Q(lease_expires_at__lt=timezone.now())
    claimed = BatchRun.objects.filter(free, pk=batch_id, status__in=BatchRun.OPEN).update(
        status=BatchRun.Status.RUNNING, claim=token, lease_expires_at=lease()
    )
    if not claimed:
        return
    BatchRun.objects.filter(pk=batch_id, started_at__isnull=True).update(started_at=timezone.now())
    until = time.monotonic() + _SLICE_SECONDS
    while slice_ := _claim_slice(batch_id, token):
        judge_claimed(slice_, worker=worker, claim=token)
        still_mine = BatchRun.objects.filter(pk=batch_id, claim=token).update(lease_expires_at=lease())
        broker.notify(str(batch_id))
        if not still_mine:
            return
        if time.monotonic() >= until:
            BatchRun.objects.filter(pk=batch_id, claim=token).update(claim=None)
            _publish_batch(batch_id)
            return
    _finish_batch(batch_id, token)
    broker.notify(str(batch_id))


def _claim_slice(batch_id: uuid.UUID, token: uuid.UUID) -> list[InspectionRequest]:
    """The next images, marked as begun. Only the holder of the batch's claim gets any."""
    with transaction.atomic():
        held = BatchRun.objects.select_for_update().filter(pk=batch_id, claim=token).exists()
        if not held:
            return []
        # What is `running` under another token belonged to a worker that lost the batch.
        open_items = InspectionRequest.objects.filter(batch_id=batch_id, status__in=InspectionRequest.OPEN)
        items = list(open_items.order_by("position").values_list("pk", "attempt")[: settings.BATCH_SIZE])
        begun = [pk for pk, attempt in items if attempt > 0]
        chosen = begun[:1] or [pk for pk, _ in items]
        InspectionRequest.objects.filter(pk__in=chosen).update(
            status=InspectionRequest.Status.RUNNING, claim=token, attempt=F("attempt") + 1
        )
    requests = list(with_everything().filter(pk__in=chosen).order_by("position"))
    if requests and requests[0].attempt > settings.MAX_ATTEMPTS:
        hopeless = UserError(
            f"The worker died {settings.MAX_ATTEMPTS} times while it judged this image.", code="worker_died"
        )
        fail_request(requests[0], hopeless, claim=token)
        return _claim_slice(batch_id, token)
    return requests


@transaction.atomic
def _finish_batch(batch_id: uuid.UUID, token: uuid.UUID) -> None:
    ended = BatchRun.objects.filter(pk=batch_id, claim=token).update(
        status=BatchRun.Status.FINISHED, claim=None, lease_expires_at=None, finished_at=timezone.now()
    )
    if ended:
        batch = BatchRun.objects.select_related("requested_by").get(pk=batch_id)
        failed = batch.items.filter(status=InspectionRequest.Status.FAILED).count()
        odd = batch.items.filter(inspection__outcome=Inspection.Outcome.NOT_COMPARABLE).count()
        audit(
            kind="batch.finished",
            subject=batch,
            actor=batch.requested_by,
            after={"failed": failed, "not_comparable": odd},
        )


def sweep_batches() -> None:
    """Call a worker again for batches that nobody gave a sign of life for."""
    now = timezone.now()
    for batch in BatchRun.objects.filter(status__in=BatchRun.OPEN, lease_expires_at__lt=now):
        if batch.claim is None:
            BatchRun.objects.filter(pk=batch.pk, claim__isnull=True).update(lease_expires_at=lease())
        _publish_batch(batch.pk)


# ---------------------------------------------------------------- reading
def find_batch(batch_id: uuid.UUID) -> BatchRun:
    found = BatchRun.objects.select_related("deployment__model_version__category").filter(pk=batch_id).first()
    if found is None:
        raise NotFound(f"There is no batch {batch_id}.", code="batch_not_found")
    return found


def batch_counts(batch: BatchRun) -> dict[str, int]:
    """How far a batch is. What is done is good, defective or not comparable; `failed` is what has no record."""
    status, outcome = InspectionRequest.Status, Inspection.Outcome
    return dict(
        InspectionRequest.objects.filter(batch=batch).aggregate(
            total=Count("pk"),
            done=Count("pk", filter=Q(status=status.DONE)),
            failed=Count("pk", filter=Q(status=status.FAILED)),
            good=Count("pk", filter=Q(inspection__outcome=outcome.GOOD)),
            defective=Count("pk", filter=Q(inspection__outcome=outcome.DEFECTIVE)),
            not_comparable=Count("pk", filter=Q(inspection__outcome=outcome.NOT_COMPARABLE)),
        )
    )


def batch_document(batch: BatchRun, *, anomaly_map: str = "url") -> dict[str, Any]:
    """A batch with its progress and, item by item, the record or the reason why there is none."""
    counts = batch_counts(batch)
    items = (
        InspectionRequest.objects.filter(batch=batch)
        .select_related(
            *(
                f"inspection__{name}"
                for name in ("model_version__category", "threshold", "asset", "map", "standing__reviewer")
            )
        )
        .order_by("position")
    )
    results = []
    for item in items:
        result: dict[str, Any] = {"position": item.position, "filename": item.filename, "status": item.status}
        if item.status == InspectionRequest.Status.DONE:
            result |= inspection_document(item.inspection, anomaly_map=anomaly_map)
        elif item.status == InspectionRequest.Status.FAILED:
            result |= {"code": item.error_code, "detail": item.error}
        results.append(result)
    return {
        "batch_id": str(batch.pk),
        "name": batch.name,
        "status": batch.status,
        "url": reverse("batch", args=[batch.pk]),
        "model_version": batch.deployment.model_version_id,
        "category": batch.deployment.model_version.category.name,
        **counts,
        "progress": (counts["done"] + counts["failed"]) / counts["total"],
        "created_at": batch.created_at.isoformat(),
        "finished_at": batch.finished_at.isoformat() if batch.finished_at else None,
        "results": results,
    }
