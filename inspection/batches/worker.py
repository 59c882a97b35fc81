"""Writes: working on batches in slices, in the worker; and what a killed worker left."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from PIL import Image

from common.database import UNAVAILABLE
from common.errors import UserError
from inspection.batches import folders
from inspection.batches.gathering import ValidatedImage, validate_image, validate_images
from inspection.batches.selectors import batch_counts
from inspection.judging.worker import fail_request, judge_claimed, with_everything
from inspection.models import BatchRun, InspectionRequest
from jobs import broker
from jobs.leases import lease
from records.assets.services import store_image
from records.audit.services import Actor, audit

_SLICE_SECONDS = 2.0  # a batch lets single images pass at least this often
_PIXELS_HELD = 128 * 1024**2  # bytes of a slice that are kept from the gate to the model; the rest is decoded again


def publish_batch(batch_id: uuid.UUID) -> bool:
    return broker.publish("inspection.tasks.work_on_batch", batch_id)


# ---------------------------------------------------------------- working on it
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
        readable, pixels = _read_files(slice_, token)
        if readable and _still_mine(batch_id, token):
            judge_claimed(readable, worker=worker, claim=token, pixels=pixels)
        still_mine = _still_mine(batch_id, token)
        broker.notify(str(batch_id))
        if not still_mine:
            return
        if time.monotonic() >= until:
            BatchRun.objects.filter(pk=batch_id, claim=token).update(claim=None)
            publish_batch(batch_id)
            return
    _end_batch(batch_id, token)
    broker.notify(str(batch_id))


def _still_mine(batch_id: uuid.UUID, token: uuid.UUID) -> bool:
    """Give a sign of life. False when the batch was taken away for want of one."""
    return bool(BatchRun.objects.filter(pk=batch_id, claim=token).update(lease_expires_at=lease()))


def _claim_slice(batch_id: uuid.UUID, token: uuid.UUID) -> list[InspectionRequest]:
    """The next images, marked as begun. Only the holder of the batch's claim gets any; none once it is called off."""
    with transaction.atomic():
        mine = BatchRun.objects.select_for_update().filter(pk=batch_id, claim=token, cancel_requested=False)
        if not mine.exists():
            return []
        # What is `running` under another token belonged to a worker that lost the batch.
        open_items = InspectionRequest.objects.filter(batch_id=batch_id, status__in=InspectionRequest.OPEN)
        items = list(open_items.order_by("position").values_list("pk", "attempt")[: settings.BATCH_SIZE])
        begun = [pk for pk, attempt in items if attempt > 0]
        chosen = begun[:1] or [pk for pk, _ in items]
        InspectionRequest.objects.filter(pk__in=chosen).update(
            status=InspectionRequest.Status.RUNNING, claim=token, attempt=F("attempt") + 1
        )
    requests = list(with_everything().select_related("batch").filter(pk__in=chosen).order_by("position"))
    if requests and requests[0].attempt > settings.MAX_ATTEMPTS:
        hopeless = UserError(
            f"The worker died {settings.MAX_ATTEMPTS} times while it judged this image.", code="worker_died"
        )
        fail_request(requests[0], hopeless, claim=token)
        return _claim_slice(batch_id, token)
    return requests


def _read_files(
    requests: Sequence[InspectionRequest], token: uuid.UUID
) -> tuple[list[InspectionRequest], dict[uuid.UUID, Image.Image]]:
    """Those of a slice whose images are kept, and the pixels of those that were read from the batch's folder for it.

    What cannot be read, or is refused by the gate, fails here, and alone.
    """
    pixels: dict[uuid.UUID, Image.Image] = {}
    held = 0
    for request, passed in validate_images(_look_into, [request for request in requests if request.asset_id is None]):
        try:
            if isinstance(passed, Exception):
                raise passed
            _keep(request, passed, token)
        except UNAVAILABLE:
            raise  # this is no image's fault: the batch goes on when the database answers
        except Exception as error:  # noqa: BLE001 - it ends this request and no other
            fail_request(request, error, claim=token)
            continue
        held += passed.gated.width * passed.gated.height * len(passed.pixels.getbands())
        if held <= _PIXELS_HELD:
            pixels[request.pk] = passed.pixels
    return [request for request in requests if request.asset_id is not None], pixels


def _look_into(request: InspectionRequest) -> ValidatedImage:
    assert request.batch is not None
    return validate_image((request.path, folders.read_in_roots(Path(request.batch.folder), request.path)))


def _keep(request: InspectionRequest, passed: ValidatedImage, token: uuid.UUID) -> None:
    asset = store_image(data=passed.data, gated=passed.gated)
    InspectionRequest.objects.filter(pk=request.pk, claim=token).update(asset=asset)
    request.asset = asset


@transaction.atomic
def _end_batch(batch_id: uuid.UUID, token: uuid.UUID) -> None:
    batch = BatchRun.objects.select_for_update().filter(pk=batch_id, claim=token).first()
    if batch:
        end_batch(batch, actor=batch.requested_by)


def end_batch(batch: BatchRun, *, actor: Actor) -> None:
    """Write down that it is over: finished, or cancelled when something of it was not judged any more."""
    left = batch.items.filter(status__in=InspectionRequest.OPEN)
    cancelled = left.update(status=InspectionRequest.Status.CANCELLED, claim=None)
    batch.status = BatchRun.Status.CANCELLED if cancelled else BatchRun.Status.FINISHED
    batch.claim = batch.lease_expires_at = None
    batch.finished_at = timezone.now()
    batch.save(update_fields=["status", "claim", "lease_expires_at", "finished_at"])
    counts = batch_counts(batch)
    audit(
        kind=f"batch.{batch.status}",
        subject=batch,
        actor=actor,
        after={name: counts[name] for name in ("failed", "not_comparable", "cancelled")},
    )


def sweep_batches() -> None:
    """Call a worker again for batches that nobody gave a sign of life for."""
    now = timezone.now()
    for batch in BatchRun.objects.filter(status__in=BatchRun.OPEN, lease_expires_at__lt=now):
        if batch.claim is None:
            BatchRun.objects.filter(pk=batch.pk, claim__isnull=True).update(lease_expires_at=lease())
        publish_batch(batch.pk)
