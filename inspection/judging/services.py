"""Writes: asking for inspections, judging, and picking up what a killed worker left.

All roads lead through `InspectionRequest`: a single image is one request, a batch (`inspection.batches`) is many. A
worker claims, scores and writes the record, its audit event and the end of the request in one transaction. Single
images that wait for the same model are judged together; what each of them ends in is its own.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from common.database import UNAVAILABLE, database_now, drop_broken_connection
from common.errors import Conflict, NotFound, Unavailable, UserError
from common.observability import tracing
from common.observability.ids import log_ids
from common.pixels.budget import budget
from common.rights import Right, require
from inspection.endings import note_requested
from inspection.judging.idempotency import check_same, fingerprint, own_key
from inspection.judging.worker import expire_request, judge_request, worker_name
from inspection.models import Inspection, InspectionRequest
from inspection.parts.completion import move_view
from jobs import broker
from jobs.errors import NoWorker
from jobs.metrics.stages import note_stage, stage
from modelzoo.loading import scoring
from modelzoo.models import Deployment, ModelVersion
from modelzoo.selectors import deployment_in_force
from records.assets import pixel_cache
from records.assets.services import check_upload, receive_image, save_asset_row, store_image_file
from records.audit.services import Actor, audit
from records.models import Asset
from records.storage.errors import StorageFailed, StorageUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartContext:
    """What the caller says about the part: kept as given."""

    station: str = ""
    part_number: str = ""
    lot: str = ""
    serial_number: str = ""


PART_FIELDS = tuple(field.name for field in fields(PartContext))
# What a worker may end a request in that is no fault of the image or the model, by its code.
_STORAGE_ERRORS = {kind.code: kind for kind in (StorageFailed, StorageUnavailable)}
# Rows of a request that are those of its record too, and how a record fetches them.
_SHARED = {"asset": "asset", "model_version": "model_version__category"}


@dataclass(frozen=True)
class Submission:
    """One image that somebody has inspected: what it is called, how it came, who sent it, and which part it shows."""

    filename: str
    source: str
    actor: Actor
    part: PartContext = PartContext()
    idempotency_key: str | None = None


class OutcomeUnknown(Unavailable):
    """The image may have been recorded, or may be yet: whoever asked must ask again before sending it again."""

    code = "outcome_unknown"


class NothingRecorded(Unavailable):
    """The database failed before the request was written down: nothing will come of it."""

    code = "database_unavailable"


# ---------------------------------------------------------------- one image
def inspect_image(
    *,
    data: bytes,
    submission: Submission,
    timeout: float | None = None,
    category: str = "",
    deployment: Deployment | None = None,
    on_request: Callable[[InspectionRequest], None] | None = None,
) -> Inspection:
    """Gate an image, keep it, have a worker judge it, and return the record that the worker wrote.

    It is judged by what is in force for `category` and its station (see `deployment_in_force`), unless a `deployment`
    is given. `on_request`: see `submit_image`.

    With an idempotency key the same caller gets the same record for the same request (the image, what is said about
    the part, and `category` as the caller named it), whenever and however often it is repeated; a record that was
    asked for before is `replayed`. What ended without a record is tried anew.

    Raises `NoModelLoaded`, `SeveralCategories` and `ImageRejected` (nothing kept), `NoWorker` when nobody judged it in
    time (the image is kept, no record is written, now or later), `KeyReused`, or the error that judging ended in.
    Where the database fails: `NothingRecorded`, or `OutcomeUnknown`, which says how to ask.
    """
    patience = settings.ANSWER_TIMEOUT if timeout is None else timeout
    with _explain_database_errors() as pending:
        request, is_repeat = _submit(
            data=data,
            submission=submission,
            patience=patience,
            category=category,
            deployment=deployment,
            on_request=on_request,
            pending=pending,
        )
        return _rejoin(request, patience=patience) if is_repeat else await_inspection(request=request, timeout=patience)


def submit_image(
    *, data: bytes, submission: Submission, category: str, on_request: Callable[[InspectionRequest], None]
) -> InspectionRequest:
    """The same without waiting: the request, for which `await_inspection` or `rejoin` waits.

    `on_request` is called with a new request, in the transaction that writes it down; what it raises undoes that.
    """
    with _explain_database_errors() as pending:
        return _submit(
            data=data,
            submission=submission,
            patience=settings.ANSWER_TIMEOUT,
            category=category,
            deployment=None,
            on_request=on_request,
            pending=pending,
        )[0]


def rejoin(*, request: InspectionRequest) -> Inspection:
    """The record of a request that was made before, waited for where it is not there yet."""
    with _explain_database_errors() as pending:
        pending.request = request
        return _rejoin(request, patience=settings.ANSWER_TIMEOUT)


def _submit(
    *,
    data: bytes,
    submission: Submission,
    patience: float,
    category: str,
    deployment: Deployment | None,
    on_request: Callable[[InspectionRequest], None] | None,
    pending: _PendingRequest,
) -> tuple[InspectionRequest, bool]:
    """The request for an image, and whether it was made before with the same key."""
    actor = submission.actor
    require(actor, Right.INSPECT)
    key, request_fingerprint = own_key(submission.idempotency_key, actor=actor), ""
    if key is not None:
        request_fingerprint = fingerprint(
            image=hashlib.sha256(data).hexdigest(), category=category, **vars(submission.part)
        )
        existing = InspectionRequest.objects.filter(idempotency_key=key).first()
        if existing and existing.status not in InspectionRequest.WITHOUT_RECORD:
            pending.request = existing
            check_same(existing_fingerprint=existing.fingerprint, request_fingerprint=request_fingerprint)
            return existing, True
    deployment = deployment or deployment_in_force(category, station=submission.part.station)
    with stage("decode"):
        facts, pixels = check_upload(
            data=data, filename=submission.filename, actor=actor, window=deployment.model_version.window
        )
    filed = store_image_file(data=data, facts=facts)
    pixel_cache.put(facts.sha256, pixels)
    try:
        with transaction.atomic():
            request = request_inspection(
                asset=save_asset_row(filed),
                submission=replace(submission, filename=facts.clean_name),
                version=deployment.model_version,
                deployment=deployment,
                patience=patience,
                key=key,
                request_fingerprint=request_fingerprint,
                repeat_of=_release_key(key, request_fingerprint=request_fingerprint),
                on_request=on_request,
            )
            pending.request = request  # from here on its commit is under way
    except IntegrityError:
        # Somebody was faster with the same key: there is one request, and both wait for it.
        concurrent = InspectionRequest.objects.filter(idempotency_key=key).first() if key is not None else None
        if concurrent is None:
            raise
        pending.request = concurrent
        check_same(existing_fingerprint=concurrent.fingerprint, request_fingerprint=request_fingerprint)
        return concurrent, True
    return request, False


def _release_key(key: str | None, *, request_fingerprint: str) -> uuid.UUID | None:
    """What ended without a record gives its key up to what is tried now; the first request for that part, if any.

    Where the key stands for something else now, that is another part: "Try again" of the first must not find it.
    """
    ended = InspectionRequest.objects.filter(idempotency_key=key, status__in=InspectionRequest.WITHOUT_RECORD)
    before = ended.first() if key is not None else None
    if before is None:
        return None
    ended.update(idempotency_key=None)
    return (before.repeat_of_id or before.pk) if before.fingerprint == request_fingerprint else None


def inspect_again(*, request_id: uuid.UUID, source: str, actor: Actor, timeout: float | None = None) -> Inspection:
    """Have the kept image of a request that ended without a record judged by what is in force now.

    File name and facts of the part are those of the request. However often it is asked for, one part gets one record:
    whoever asks while it is judged waits for the same one, and who asks afterwards is answered with it (`replayed`).

    Raises `NotFound`, `Conflict` where there is no image to judge, and what `inspect_image` raises when judging fails.
    """
    require(actor, Right.INSPECT)
    patience = settings.ANSWER_TIMEOUT if timeout is None else timeout
    with _explain_database_errors() as pending:
        before = InspectionRequest.objects.select_related("asset", "model_version__category").filter(pk=request_id)
        ended = before.first()
        if ended is None:
            raise NotFound(f"There is no request {request_id}.", code="request_not_found")
        first = ended.repeat_of_id or ended.pk
        standing = _repeats(first).exclude(status__in=InspectionRequest.WITHOUT_RECORD)
        if existing := standing.first():
            pending.request = existing
            return _rejoin(existing, patience=patience)
        asset = _require_image(ended)
        with budget().hold(asset.width * asset.height, caller=f"user-{actor.pk}" if actor else ""):
            try:
                with transaction.atomic():
                    request = _repeat(ended, first=first, source=source, actor=actor, patience=patience)
                    pending.request = request
            except IntegrityError:
                existing = standing.first()
                if existing is None:
                    raise
                pending.request = existing
                return _rejoin(existing, patience=patience)
            return await_inspection(request=request, timeout=patience)


def _repeats(first: uuid.UUID) -> QuerySet[InspectionRequest]:
    """A request and those that repeat it: of all of them one at most leads to a record."""
    return InspectionRequest.objects.filter(Q(pk=first) | Q(repeat_of=first))


def _require_image(ended: InspectionRequest) -> Asset:
    if ended.batch_id is not None:
        raise Conflict("This image belongs to a batch. Nothing was done. Start the batch again.", code="not_repeatable")
    if ended.asset is None or ended.asset.discarded_at is not None:
        raise Conflict("The image is no longer stored. Nothing was done. Send it again.", code="image_not_kept")
    return ended.asset


def _repeat(
    ended: InspectionRequest, *, first: uuid.UUID, source: str, actor: Actor, patience: float
) -> InspectionRequest:
    """The new request; it takes over the key, so that sending the image again with it is the same as this."""
    assert ended.asset is not None
    deployment = deployment_in_force(ended.model_version.category.name, station=ended.station)
    holder = _repeats(first).filter(idempotency_key__isnull=False).first()
    if holder:
        InspectionRequest.objects.filter(pk=holder.pk).update(idempotency_key=None)
    request = request_inspection(
        asset=ended.asset,
        submission=Submission(
            filename=ended.filename,
            source=source,
            actor=actor,
            part=PartContext(**{name: getattr(ended, name) for name in PART_FIELDS}),
        ),
        version=deployment.model_version,
        deployment=deployment,
        patience=patience,
        key=holder.idempotency_key if holder else None,
        request_fingerprint=holder.fingerprint if holder else "",
        repeat_of=first,
        on_request=lambda request: move_view(ended=ended, request=request),
    )
    audit(
        kind="inspection.repeated",
        subject=request,
        actor=actor,
        after={"request": str(ended.pk), "filename": request.filename},
    )
    return request


def _rejoin(existing: InspectionRequest, *, patience: float) -> Inspection:
    if existing.status == InspectionRequest.Status.DONE:
        return _mark_replayed(_record_of(existing))  # its notice may be long gone, and need not be waited for
    if existing.status in InspectionRequest.OPEN:
        # Whoever waited first does not give up what is still waited for (see `expire_request`).
        now = database_now()
        longer = max(existing.deadline or now, now + timedelta(seconds=patience))
        waiting = InspectionRequest.objects.filter(pk=existing.pk, status__in=InspectionRequest.OPEN)
        if waiting.update(deadline=longer):
            existing.deadline = longer
    if existing.status == InspectionRequest.Status.QUEUED:
        # Its message may be gone: a broker was restarted, or its caller was killed before it was sent. A doubled
        # message finds nothing to do.
        broker.publish("inspection.tasks.judge", existing.pk)
    return _mark_replayed(await_inspection(request=existing, timeout=patience))


def _mark_replayed(inspection: Inspection) -> Inspection:
    inspection.replayed = True
    return inspection


@dataclass
class _PendingRequest:
    """The request of a call once its commit has begun: from then on nobody but the database knows what became of it."""

    request: InspectionRequest | None = None


@contextmanager
def _explain_database_errors() -> Iterator[_PendingRequest]:
    """A failing database becomes an answer that is true: nothing came of it, or nobody knows and how to ask."""
    pending = _PendingRequest()
    try:
        yield pending
    except UNAVAILABLE as error:
        log.exception("The database failed.")
        drop_broken_connection()
        if pending.request is None:
            raise NothingRecorded(
                "The database does not answer. Nothing was recorded by this call and the image will not be judged. "
                "Send it again."
            ) from error
        raise outcome_unknown(pending.request, "The database does not answer") from error


def outcome_unknown(request: InspectionRequest, why: str) -> OutcomeUnknown:
    address = reverse("api-request", args=[request.pk])
    again = ", or send it again with the same Idempotency-Key" if request.idempotency_key else ""
    return OutcomeUnknown(
        f"{why}, so it is not known whether the image was or will be recorded. Before you send it again, check "
        f"the history or {address}{again}.",
        request_id=str(request.pk),
        request_url=address,
    )


def inspect_here(
    *,
    data: bytes,
    submission: Submission,
    version: ModelVersion,
    runtime_options: Mapping[str, str] | None = None,
) -> Inspection:
    """The same as `inspect_image`, judged in this process by a version that need not be in force.

    `runtime_options`: device, runtime and precision, see `runtime.load_model`.
    """
    asset, facts = receive_image(data=data, filename=submission.filename, actor=submission.actor, window=version.window)
    request = request_inspection(
        asset=asset,
        submission=replace(submission, filename=facts.clean_name),
        version=version,
        deployment=None,
        patience=settings.LOAD_TIMEOUT + settings.LEASE_SECONDS,
    )
    judge_request(request_id=request.pk, worker=worker_name(None), runtime_options=runtime_options)
    return await_inspection(request=request, timeout=0.0)


@transaction.atomic(savepoint=False)
def request_inspection(
    *,
    asset: Asset,
    submission: Submission,
    version: ModelVersion,
    deployment: Deployment | None,
    patience: float,
    key: str | None = None,
    request_fingerprint: str = "",
    repeat_of: uuid.UUID | None = None,
    on_request: Callable[[InspectionRequest], None] | None = None,
) -> InspectionRequest:
    """Write the request down and, where a deployment shall judge it, call a worker once it is committed.

    `key`: the idempotency key as it is kept (see `own_key`). `on_request`: see `submit_image`.
    """
    request = InspectionRequest.objects.create(
        asset=asset,
        model_version=version,
        deployment=deployment,
        filename=submission.filename,
        source=submission.source,
        operator_id=submission.actor.pk if submission.actor else None,
        deadline=database_now() + timedelta(seconds=patience),
        idempotency_key=key,
        fingerprint=request_fingerprint,
        repeat_of_id=repeat_of,
        **vars(submission.part),
    )
    # Nobody need ask: it is a view of a part where `on_request` makes it one.
    InspectionRequest._meta.get_field("part_view").set_cached_value(request, None)
    if on_request is not None:
        on_request(request)
    note_requested(request)
    if deployment:
        transaction.on_commit(lambda: broker.publish("inspection.tasks.judge", request.pk))
    return request


def await_inspection(*, request: InspectionRequest, timeout: float) -> Inspection:
    """The record, once a worker wrote it. Gives the request up when none does in time, before it says so.

    Raises `NoWorker` when it is given up, and `OutcomeUnknown` when it could not be.
    """

    def settled() -> bool:
        try:
            request.refresh_from_db(fields=["status", "error_code", "error"])
        except UNAVAILABLE as error:
            # For a moment, perhaps: the caller's time is not over.
            log.warning("Request %s cannot be looked at: %s", request.pk, error)
            drop_broken_connection()
            return False
        return request.status not in InspectionRequest.OPEN

    try:
        with log_ids(inspection_request=request.pk), tracing.span("wait"):
            in_time = broker.wait_until(settled, topic=str(request.pk), timeout=timeout)
        if not in_time and not expire_request(request):
            settled()  # it just was, or somebody with the same key waits on
        if request.idempotency_key or request.repeat_of_id:
            broker.notify(str(request.pk))  # a notice wakes one, and others may wait for the same
        if request.status == InspectionRequest.Status.DONE:
            inspection = _record_of(request)
            note_stage("answer", (timezone.now() - inspection.created_at).total_seconds())
            return inspection
    except UNAVAILABLE as error:
        log.exception("The database failed while request %s was waited for.", request.pk)
        drop_broken_connection()
        raise outcome_unknown(request, "The database does not answer") from error
    if request.status == InspectionRequest.Status.FAILED:
        if storage_error := _STORAGE_ERRORS.get(request.error_code):
            raise storage_error(request.error, **_addresses(request))
        raise UserError(
            request.error, code=request.error_code, status=scoring.ModelUnusable.status, **_addresses(request)
        )
    if request.status in InspectionRequest.OPEN:
        raise outcome_unknown(
            request, (f"The image was not judged within {timeout:g} seconds, but another request still waits")
        )
    raise NoWorker(_no_worker_text(timeout), **_addresses(request))


def _record_of(request: InspectionRequest) -> Inspection:
    """The record of a request, which has with it what the record shares with it: that is not fetched a second time."""
    is_here = {name: InspectionRequest._meta.get_field(name).is_cached(request) for name in _SHARED}  # type: ignore[union-attr]
    missing = [path for name, path in _SHARED.items() if not is_here[name]]
    rows = Inspection.objects.select_related("threshold", "map", "standing__reviewer", "calibration", *missing)
    inspection = rows.get(request_id=request.pk)
    inspection.request = request
    for name in _SHARED:
        if is_here[name]:
            setattr(inspection, name, getattr(request, name))
    return inspection


def _addresses(request: InspectionRequest) -> dict[str, Any]:
    return {
        "request_id": str(request.pk),
        "request_url": reverse("api-request", args=[request.pk]),
        "repeat_url": reverse("api-request-inspect", args=[request.pk]),
    }


def _no_worker_text(timeout: float) -> str:
    consequence = "The image is kept; no inspection was recorded and none will be."
    if broker.inference_workers():
        return (
            f"The inspection service did not answer within {timeout:g} seconds. {consequence} Try again; if that does "
            "not help, call support."
        )
    return f"The inspection service is down. {consequence} Call support, then try again."
