"""Writes: working on batches in slices, in the worker; and what a killed worker left."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F
from PIL import Image

from common.database import UNAVAILABLE
from common.pixels.sixteen_bit import Window
from inspection.batches import folders
from inspection.batches.gathering import ValidatedImage, validate_image, validate_images
from inspection.batches.selectors import batch_counts
from inspection.judging.worker import (
    MAX_PIXELS_TOGETHER,
    fail_request,
    judge_claimed,
    with_everything,
    within,
    worker_died,
)
from inspection.models import BatchRun, InspectionRequest
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from records.assets.services import store_image
from records.audit.services import Actor, audit

BATCHES = JobKind(BatchRun, "inspection.tasks.work_on_batch")
_SLICE_SECONDS = 2.0  # all open batches together let single images pass about this often
_MAX_PIXEL_BYTES = 128 * 1024**2  # of a slice, kept in memory; the rest is decoded again


# ---------------------------------------------------------------- working on it
def work_on_batch(*, batch_id: uuid.UUID, worker: str) -> None:
    """Judge some slices of a batch, then hand it on; in the worker.

    Items that a killed worker had begun are tried again one by one, so that an image which kills workers takes no
    neighbour with it.
    """
    claim = BATCHES.take(batch_id)
    if claim is None:
        return
    # In the queue a single image stands behind a slice of each.
    open_batches = BatchRun.objects.filter(status__in=BatchRun.OPEN).count()
    with contextlib.suppress(ClaimLost):
        if claim.in_slices(lambda: _judge_slice(claim, worker), seconds=_SLICE_SECONDS / max(1, open_batches)):
            _end_claimed_batch(claim)
    BATCHES.notify(batch_id)


def _judge_slice(claim: Claim[BatchRun], worker: str) -> bool:
    """Judge the next images. False when there are none."""
    requests = _claim_slice(claim)
    if not requests:
        return False
    readable, pixels = _read_files(requests, claim.token)
    claim.renew()
    if readable:
        judge_claimed(readable, worker=worker, claim=claim.token, pixels=pixels)
        claim.renew()
    return True


def _claim_slice(claim: Claim[BatchRun]) -> list[InspectionRequest]:
    """The next images, marked as begun. Only the holder of the batch's claim gets any; none once it is called off."""
    with transaction.atomic():
        if not claim.rows().select_for_update().filter(cancel_requested=False).exists():
            return []
        # What is `running` under another token belonged to a worker that lost the batch.
        open_items = InspectionRequest.objects.filter(batch_id=claim.pk, status__in=InspectionRequest.OPEN)
        sizes = F("asset__width") * F("asset__height")  # unknown of what is still to be read
        items = list(open_items.order_by("position").values_list("pk", "attempt", sizes)[: settings.BATCH_SIZE])
        begun = [pk for pk, attempt, _ in items if attempt > 0]
        together = within(MAX_PIXELS_TOGETHER, ((pk, size) for pk, _, size in items))
        request_ids = begun[:1] or together or [pk for pk, *_ in items[:1]]
        InspectionRequest.objects.filter(pk__in=request_ids).update(
            status=InspectionRequest.Status.RUNNING, claim=claim.token, attempt=F("attempt") + 1
        )
    requests = list(with_everything().select_related("batch").filter(pk__in=request_ids).order_by("position"))
    if requests and requests[0].attempt > settings.MAX_ATTEMPTS:
        fail_request(requests[0], worker_died(), claim=claim.token)
        return _claim_slice(claim)
    return requests


def _read_files(
    requests: Sequence[InspectionRequest], token: uuid.UUID
) -> tuple[list[InspectionRequest], dict[uuid.UUID, Image.Image]]:
    """Those of a slice whose images are kept, and the pixels of those that were read from the batch's folder for it.

    What cannot be read, or is refused by upload validation, fails here, and alone.
    """
    unread = [request for request in requests if request.asset_id is None]
    pixels: dict[uuid.UUID, Image.Image] = {}
    size = 0
    window = requests[0].model_version.window  # here: threads must not touch the database
    for request, image in validate_images(partial(_read_and_validate, window=window), unread):
        try:
            if isinstance(image, Exception):
                raise image
            _store_image(request, image, token)
        except UNAVAILABLE:
            raise  # this is no image's fault: the batch goes on when the database answers
        except Exception as error:  # noqa: BLE001 - it ends this request and no other
            fail_request(request, error, claim=token)
            continue
        size += image.facts.width * image.facts.height * len(image.pixels.getbands())
        if size <= _MAX_PIXEL_BYTES:
            pixels[request.pk] = image.pixels
    return [request for request in requests if request.asset_id is not None], pixels


def _read_and_validate(request: InspectionRequest, *, window: Window | None) -> ValidatedImage:
    assert request.batch is not None
    file = (request.path, folders.read_in_roots(Path(request.batch.folder), request.path))
    return validate_image(file, window=window)


def _store_image(request: InspectionRequest, image: ValidatedImage, token: uuid.UUID) -> None:
    asset = store_image(data=image.data, facts=image.facts)
    InspectionRequest.objects.filter(pk=request.pk, claim=token).update(asset=asset)
    request.asset = asset


@transaction.atomic
def _end_claimed_batch(claim: Claim[BatchRun]) -> None:
    batch = claim.rows().select_for_update().first()
    if batch:
        end_batch(batch, actor=batch.requested_by)


def end_batch(batch: BatchRun, *, actor: Actor) -> None:
    """Write down that it is over: finished, or cancelled when something of it was not judged any more.

    Inside the transaction that holds its row.
    """
    left = batch.items.filter(status__in=InspectionRequest.OPEN)
    cancelled = left.update(status=InspectionRequest.Status.CANCELLED, claim=None)
    status = BatchRun.Status.CANCELLED if cancelled else BatchRun.Status.FINISHED
    BATCHES.end(batch.pk, status=status)
    counts = batch_counts(batch)
    audit(
        kind=f"batch.{status}",
        subject=batch,
        actor=actor,
        after={name: counts[name] for name in ("failed", "not_comparable", "cancelled")},
    )
