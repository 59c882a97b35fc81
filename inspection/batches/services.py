"""Writes: many images as one job, in slices; calling it off, and what a killed worker left of it. Reads: how far it is.

The files of a folder are not looked into when they are asked for: a worker has them through the gate when their slice
comes, so that thousands of them keep nobody waiting.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from common.database import UNAVAILABLE
from common.errors import Conflict, NotFound, Unavailable, UserError
from common.rights import Right, require
from inspection.batches import folders
from inspection.judging.idempotency import check_same, own_key
from inspection.judging.selectors import inspection_document
from inspection.judging.services import PartContext, fail_request, judge_claimed, lease, with_everything
from inspection.models import BatchRun, Inspection, InspectionRequest
from jobs import broker
from modelzoo.loading import runtime
from modelzoo.models import Category, Deployment
from records.assets.file_tree import LeftOut
from records.assets.images import GatedImage, ImageRejected, clean_name, pass_gate
from records.models import Asset
from records.selectors import gate_limits
from records.services import Actor, audit, report_refusal, store_image
from training.datasets.archives import ArchiveLimits, iter_images
from training.selectors import images_of, latest_dataset

T = TypeVar("T")


class BatchOutcomeUnknown(Unavailable):
    """The database failed once the batch was, or may have been, written down: it may be judged all the same."""

    code = "outcome_unknown"

    def __init__(self, batch: BatchRun | None) -> None:
        address = reverse("batch", args=[batch.pk]) if batch else reverse("api-batches")
        super().__init__(
            "The database does not answer, so it is not known how far the batch is, or whether there is one. Look at "
            f"{address} before you send it again, or send it again with the same Idempotency-Key where you sent one.",
            batch_url=address,
        )


MAP_FORMS = ("url", "none")  # never the maps themselves: a batch may have thousands
_SLICE_SECONDS = 2.0  # a batch lets single images pass at least this often
_LONGEST_PATH = 1000  # characters, of a file within its folder
_GATED_TOGETHER = 4  # decoded at once, at most, whatever their size
_PIXELS_HELD = 128 * 1024**2  # bytes of a slice that are kept from the gate to the model; the rest is decoded again


# ---------------------------------------------------------------- asking for one
@dataclass(frozen=True)
class BatchItem:
    """One image of a batch to be: kept already (`asset`), still to be read, or refused (`refusal`)."""

    filename: str
    asset: Asset | None = None
    path: str = ""  # in its archive or folder; what has no asset yet is read from there
    refusal: UserError | None = None


def receive_items(*, files: Iterable[tuple[str, bytes]], actor: Actor, in_archive: bool = False) -> list[BatchItem]:
    """Gate and keep the files of a batch. A refused file becomes a failed item; it does not stop the others.

    `in_archive`: the names are paths within an archive, and are kept as such beside the names.
    """
    items = []
    for (name, data), passed in _at_the_gate(_look_at, files):
        path = _kept_path(name) if in_archive else ""
        if isinstance(passed, ImageRejected):
            report_refusal(filename=name, size=len(data), refusal=passed, actor=actor)
            items.append(BatchItem(filename=clean_name(name), path=path, refusal=passed))
        elif isinstance(passed, Exception):
            raise passed
        else:
            asset = store_image(data=data, gated=passed.gated)
            items.append(BatchItem(filename=passed.gated.clean_name, path=path, asset=asset))
    return items


def _kept_path(path: str) -> str:
    """A path within an archive as it is kept: nothing of it is opened by that name again."""
    return "".join(character for character in path if character.isprintable())[:_LONGEST_PATH]


def items_in(folder: Path) -> tuple[list[BatchItem], LeftOut]:
    """The images of a folder, not read yet, and what was left out; see `inspection.batches.folders`."""
    listing = folders.images_in(folder)
    return [_item_at(path) for path in listing.images], listing.left_out


def _item_at(path: str) -> BatchItem:
    if path.isprintable() and len(path) <= _LONGEST_PATH:
        return BatchItem(filename=clean_name(path), path=path)
    refusal = folders.FileUnreadable(
        f"The path of the file cannot be kept: more than {_LONGEST_PATH} characters, or some that are not printable."
    )
    return BatchItem(filename=clean_name(path), refusal=refusal)


@dataclass(frozen=True)
class _Passed:
    """An image that passed the gate: its bytes, what is known of it, and its pixels."""

    data: bytes
    gated: GatedImage
    pixels: Image.Image


def _look_at(file: tuple[str, bytes]) -> _Passed:
    name, data = file
    gated, pixels = pass_gate(data, name, gate_limits())
    return _Passed(data, gated, pixels)


def _at_the_gate(look: Callable[[T], _Passed], files: Iterable[T]) -> Iterator[tuple[T, _Passed | Exception]]:
    """Each file and what the gate says, decoded by as many threads as there are cores, a few at a time."""

    def outcome(file: T) -> _Passed | Exception:
        try:
            return look(file)
        except Exception as error:  # noqa: BLE001 - it is this file's and stops no other
            return error

    waiting = iter(files)
    while together := list(islice(waiting, _GATED_TOGETHER)):
        yield from zip(together, runtime.in_threads(outcome, together), strict=True)


@dataclass(frozen=True)
class Gathered:
    """What a batch is to be made of, by one of the ways that images come in."""

    name: str
    items: list[BatchItem]
    folder: Path | None = None
    warnings: tuple[str, ...] = ()  # what was left out, and what may be misread, in sentences


def gather(
    *,
    files: Sequence[UploadedFile] = (),
    archive: UploadedFile | None = None,
    dataset: str = "",
    folder: str = "",
    actor: Actor,
) -> Gathered:
    """The images of exactly one of: files, a zip, the test split of a data set, a folder of the server."""
    require(actor, Right.INSPECT)
    if len([way for way in (files, archive, dataset, folder) if way]) != 1:
        raise UserError(
            "Send exactly one of: images (files), archive (a zip), dataset (a name), folder (of the server).",
            code="invalid",
        )
    if dataset:
        named = latest_dataset(dataset)
        items = [
            BatchItem(filename=image.path, path=image.path, asset=image.asset) for image in images_of(named, "test")
        ]
        return Gathered(f"{named} test", items)
    if folder:
        found = folders.find_folder(folder)
        items, left_out = items_in(found)
        return _with_images(Gathered(folder, items, found, left_out.sentences()))
    if archive:
        limits = ArchiveLimits(max_files=settings.BATCH_MAX_ZIP_FILES, max_total_bytes=settings.BATCH_MAX_BYTES)
        # Read once before anything of it is kept: damage may be in its last file. Decoding takes ten times as long.
        for _ in iter_images(cast(BinaryIO, archive), limits):
            pass
        left_out = LeftOut()
        images = iter_images(cast(BinaryIO, archive), limits, left_out)
        items = receive_items(files=images, actor=actor, in_archive=True)
        return _with_images(Gathered(str(archive.name), items, warnings=left_out.sentences()))
    if len(files) > settings.BATCH_MAX_FILES:
        raise UserError(
            f"{len(files)} files are more than one request may carry ({settings.BATCH_MAX_FILES}). Send a zip.",
            code="too_many_files",
            status=ImageRejected.TOO_LARGE,
        )
    # The gate refuses one byte too many.
    read = ((file.name or "", file.read(settings.MAX_FILE_SIZE + 1)) for file in files)
    items = receive_items(files=read, actor=actor)
    return Gathered(f"{len(files)} file{'s' if len(files) > 1 else ''}", items)


def _with_images(gathered: Gathered) -> Gathered:
    """Raises `UserError` that says what there was instead."""
    if not gathered.items and gathered.warnings:
        raise UserError(
            f"There is no PNG or JPEG in {gathered.name[:200]}. {' '.join(gathered.warnings)} Nothing was kept.",
            code="empty_batch",
        )
    return gathered


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
    asked_for: str = "",
) -> BatchRun:
    """Write a batch and its items down and call a worker once it is committed.

    `asked_for`: the fingerprint of the request that bears the key. Where somebody was faster with the same key, theirs
    is the batch.
    """
    require(actor, Right.INSPECT)
    if not items:
        raise UserError(
            "The batch has no images. Send files, a zip, the name of a data set, or a folder that has some.",
            code="empty_batch",
        )
    batch = BatchRun(
        deployment=deployment,
        name=name[:200],
        folder=str(folder or ""),
        warnings=list(warnings),
        requested_by_id=actor.pk if actor else None,
        lease_expires_at=lease(),
        idempotency_key=own_key(idempotency_key, actor=actor),
        fingerprint=asked_for,
    )
    try:
        with transaction.atomic():
            batch.save(force_insert=True)
    except IntegrityError:
        faster = repeated_batch(idempotency_key=idempotency_key, asked_for=asked_for, actor=actor)
        if faster is None:
            raise
        return faster
    InspectionRequest.objects.bulk_create(
        [
            InspectionRequest(
                batch=batch,
                position=position,
                asset=item.asset,
                path=item.path,
                model_version=deployment.model_version,
                deployment=deployment,
                filename=item.filename,
                source=source,
                operator_id=batch.requested_by_id,
                status=InspectionRequest.Status.FAILED if item.refusal else InspectionRequest.Status.QUEUED,
                error_code=item.refusal.code if item.refusal else "",
                error=item.refusal.detail if item.refusal else "",
                **vars(part or PartContext()),
            )
            for position, item in enumerate(items)
        ],
        batch_size=500,
    )
    audit(
        kind="batch.requested",
        subject=batch,
        actor=actor,
        after={"name": batch.name, "images": len(items), "deployment": deployment.pk, "folder": batch.folder},
    )
    transaction.on_commit(lambda: _publish_batch(batch.pk))
    return batch


def repeated_batch(*, idempotency_key: str | None, asked_for: str, actor: Actor) -> BatchRun | None:
    """The batch that this caller asked for with this key before. Raises `KeyReused` when that was another one."""
    key = own_key(idempotency_key, actor=actor)
    found = _batches().filter(idempotency_key=key).first() if key is not None else None
    if found:
        check_same(kept=found.fingerprint, asked_for=asked_for)
        found.replayed = True
    return found


def _publish_batch(batch_id: uuid.UUID) -> bool:
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
            _publish_batch(batch_id)
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
    for request, passed in _at_the_gate(_look_into, [request for request in requests if request.asset_id is None]):
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


def _look_into(request: InspectionRequest) -> _Passed:
    assert request.batch is not None
    return _look_at((request.path, folders.read_in_roots(Path(request.batch.folder), request.path)))


def _keep(request: InspectionRequest, passed: _Passed, token: uuid.UUID) -> None:
    asset = store_image(data=passed.data, gated=passed.gated)
    InspectionRequest.objects.filter(pk=request.pk, claim=token).update(asset=asset)
    request.asset = asset


@transaction.atomic
def _end_batch(batch_id: uuid.UUID, token: uuid.UUID) -> None:
    batch = BatchRun.objects.select_for_update().filter(pk=batch_id, claim=token).first()
    if batch:
        _end(batch, actor=batch.requested_by)


def _end(batch: BatchRun, *, actor: Actor) -> None:
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


@transaction.atomic
def cancel_batch(*, batch_id: uuid.UUID, actor: Actor) -> BatchRun:
    """Call a batch off. What nobody works on ends at once, what is worked on after its slice; records stay.

    Raises `Conflict` when it is over already.
    """
    require(actor, Right.INSPECT)
    batch = BatchRun.objects.select_for_update().filter(pk=batch_id).first()
    if batch is None:
        raise _not_found(batch_id)
    if batch.status not in BatchRun.OPEN:
        raise Conflict(
            f"The batch is {batch.status} already; nothing was changed. Its records stay.", code="batch_over"
        )
    BatchRun.objects.filter(pk=batch_id).update(cancel_requested=True)
    if batch.claim is None or (batch.lease_expires_at and batch.lease_expires_at < timezone.now()):
        _end(batch, actor=actor)
    elif not batch.cancel_requested:
        audit(kind="batch.cancel_requested", subject=batch, actor=actor, after={"name": batch.name})
    transaction.on_commit(lambda: broker.notify(str(batch_id)))
    return find_batch(batch_id)


def sweep_batches() -> None:
    """Call a worker again for batches that nobody gave a sign of life for."""
    now = timezone.now()
    for batch in BatchRun.objects.filter(status__in=BatchRun.OPEN, lease_expires_at__lt=now):
        if batch.claim is None:
            BatchRun.objects.filter(pk=batch.pk, claim__isnull=True).update(lease_expires_at=lease())
        _publish_batch(batch.pk)


# ---------------------------------------------------------------- reading
def _batches() -> QuerySet[BatchRun]:
    """With what every view of them names."""
    return BatchRun.objects.select_related("deployment__model_version__category", "requested_by").defer(
        "deployment__model_version__metrics", "deployment__model_version__held_out_scores"
    )


def batches(
    *, status: str = "", since: datetime | None = None, until: datetime | None = None, category: Category | None = None
) -> QuerySet[BatchRun]:
    """Those that were asked for in a time (from `since`, before `until`); what is not given asks for nothing."""
    conditions = {
        "status": status,
        "created_at__gte": since,
        "created_at__lt": until,
        "deployment__category": category,
    }
    return _batches().filter(**{name: value for name, value in conditions.items() if value})


def find_batch(batch_id: uuid.UUID) -> BatchRun:
    found = _batches().filter(pk=batch_id).first()
    if found is None:
        raise _not_found(batch_id)
    return found


def _not_found(batch_id: uuid.UUID) -> NotFound:
    return NotFound(f"There is no batch {batch_id}.", code="batch_not_found")


def await_batch(batch: BatchRun, *, seconds: float) -> bool:
    """Wait until a batch is over, so long at most. Returns whether it is."""

    def over() -> bool:
        batch.refresh_from_db(fields=["status", "cancel_requested", "started_at", "finished_at"])
        return batch.status not in BatchRun.OPEN

    return broker.wait_until(over, topic=str(batch.pk), timeout=seconds)


_COUNTS = (
    *("total", "done", "failed", "cancelled", "good", "defective", "not_comparable", "reviewed", "overruled"),
    *("stands_good", "stands_defective", "stands_not_comparable"),
)
# What a part is taken for now, as `Inspection.stands`.
_STANDS = Coalesce("inspection__standing__verdict", "inspection__outcome")


def batch_counts(batch: BatchRun) -> dict[str, int]:
    """How far a batch is. What is done is good, defective or not comparable, says the model; `stands_` is what holds
    after the reviews; `failed` is what has no record.
    """
    return _counts_of([batch])[batch.pk]


def _counts_of(some: Sequence[BatchRun]) -> dict[uuid.UUID, dict[str, int]]:
    status, outcome = InspectionRequest.Status, Inspection.Outcome
    rows: Any = (
        InspectionRequest.objects.filter(batch__in=[batch.pk for batch in some])
        .order_by()
        .annotate(stands=_STANDS)
        .values("batch")
        .annotate(
            total=Count("pk"),
            done=Count("pk", filter=Q(status=status.DONE)),
            failed=Count("pk", filter=Q(status=status.FAILED)),
            cancelled=Count("pk", filter=Q(status=status.CANCELLED)),
            good=Count("pk", filter=Q(inspection__outcome=outcome.GOOD)),
            defective=Count("pk", filter=Q(inspection__outcome=outcome.DEFECTIVE)),
            not_comparable=Count("pk", filter=Q(inspection__outcome=outcome.NOT_COMPARABLE)),
            reviewed=Count("inspection__standing"),
            overruled=Count("pk", filter=Q(inspection__standing__overruled=True)),
            stands_good=Count("pk", filter=Q(stands=outcome.GOOD)),
            stands_defective=Count("pk", filter=Q(stands=outcome.DEFECTIVE)),
            stands_not_comparable=Count("pk", filter=Q(stands=outcome.NOT_COMPARABLE)),
        )
    )
    return {row["batch"]: {name: row[name] for name in _COUNTS} for row in rows}


def summaries(some: Sequence[BatchRun]) -> list[dict[str, Any]]:
    """Batches with their counts and their speed, without their items."""
    counts = _counts_of(some)
    return [_summary(batch, counts[batch.pk]) for batch in some]


def _summary(batch: BatchRun, counts: dict[str, int]) -> dict[str, Any]:
    seconds = ((batch.finished_at or timezone.now()) - batch.started_at).total_seconds() if batch.started_at else None
    version = batch.deployment.model_version
    return {
        "batch_id": str(batch.pk),
        "name": batch.name,
        "status": batch.status,
        "cancel_requested": batch.cancel_requested,
        "url": reverse("batch", args=[batch.pk]),
        "model_version": version.pk,
        "version_number": version.number,
        "algorithm": version.algorithm,
        "category": version.category.name,
        "requested_by": batch.requested_by.get_username() if batch.requested_by else None,
        **counts,
        "progress": (counts["done"] + counts["failed"]) / counts["total"],
        "created_at": batch.created_at.isoformat(),
        "started_at": batch.started_at.isoformat() if batch.started_at else None,
        "finished_at": batch.finished_at.isoformat() if batch.finished_at else None,
        "duration_seconds": None if seconds is None else round(seconds, 3),
        "images_per_second": round(counts["done"] / seconds, 3) if seconds else None,
    }


_QUANTILES = {"minimum": 0.0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "maximum": 1.0}


def batch_summary(batch: BatchRun) -> dict[str, Any]:
    """One batch without its items, with why some failed and how the scores lie."""
    items = InspectionRequest.objects.filter(batch=batch).order_by()
    failed = items.filter(status=InspectionRequest.Status.FAILED).values_list("error_code").annotate(Count("pk"))
    scored = items.filter(inspection__score__isnull=False).values_list("inspection__score", flat=True)
    scores = np.array(list(scored), np.float64)
    quantiles = np.quantile(scores, list(_QUANTILES.values())).tolist() if scores.size else None
    return summaries([batch])[0] | {
        "failed_by_code": dict(sorted(failed)),
        "warnings": batch.warnings,
        "scores": dict(zip(_QUANTILES, quantiles, strict=True)) if quantiles else None,
    }


def items_of(batch: BatchRun) -> QuerySet[InspectionRequest]:
    """In order, with all that is shown of their records."""
    names = (
        *("model_version__category", "threshold", "asset", "map"),
        *("standing__reviewer", "standing__last_review"),
    )
    return (
        InspectionRequest.objects.filter(batch=batch)
        .select_related(*(f"inspection__{name}" for name in names))
        .defer("inspection__model_version__metrics", "inspection__model_version__held_out_scores")
        .order_by("position")
    )


def item_document(item: InspectionRequest, *, anomaly_map: str = "url") -> dict[str, Any]:
    """One image of a batch: its record, or the reason why there is none."""
    shown: dict[str, Any] = {"position": item.position, "filename": item.filename, "status": item.status}
    if item.path:
        shown["path"] = item.path
    if item.status == InspectionRequest.Status.DONE:
        record = item.inspection
        standing = getattr(record, "standing", None)
        shown |= inspection_document(record, anomaly_map=anomaly_map) | {
            "version_number": record.model_version.number,
            "standing_verdict": record.stands,
            "reviewed_at": standing.last_review.created_at.isoformat() if standing else None,
        }
    elif item.status == InspectionRequest.Status.FAILED:
        shown |= {"code": item.error_code, "detail": item.error}
    return shown


def batch_document(batch: BatchRun, *, anomaly_map: str = "url", results: bool = True) -> dict[str, Any]:
    """A batch with its progress and, item by item, the record or the reason why there is none."""
    items = items_of(batch) if results else ()
    return batch_summary(batch) | {"results": [item_document(item, anomaly_map=anomaly_map) for item in items]}
