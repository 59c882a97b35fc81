"""Writes: judging, in the worker; and picking up what a killed worker left."""

from __future__ import annotations

import contextlib
import logging
import platform
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from PIL import Image

from common.database import UNAVAILABLE, drop_broken_connection
from common.errors import UserError
from common.observability import tracing
from common.observability.ids import log_ids
from common.paths import without_server_paths
from common.pixels.budget import LARGE, give_memory_back
from common.version import code_version
from inspection.audited_rows import expected_inspection
from inspection.endings import note_recorded, note_unjudged
from inspection.models import Inspection, InspectionRequest
from inspection.parts.completion import complete_part
from jobs import broker
from jobs.metrics import definitions as metrics
from jobs.metrics.stages import note_stage
from modelzoo.anomaly_maps import MEDIA_TYPE as MAP_MEDIA_TYPE
from modelzoo.anomaly_maps import encode_map, reduce_map
from modelzoo.evaluation.calibration import p_value
from modelzoo.evaluation.region_sizes import RuleResult, apply_rule
from modelzoo.evaluation.regions import defect_regions
from modelzoo.loading import scoring
from modelzoo.loading.reports import load_deployed
from modelzoo.models import ModelVersion, ScaleCalibration, Threshold
from modelzoo.scales.selectors import scale_for, scales_in_force
from modelzoo.selectors import category_label, input_rules, threshold_in_force
from records.assets import pixel_cache
from records.assets.images import for_model
from records.assets.services import save_asset_row, store_file
from records.audit.services import audit, lock_audit_chain
from records.models import Asset
from records.storage.errors import StorageFailed, with_image_kept

log = logging.getLogger(__name__)

R = TypeVar("R")
MAX_PIXELS_TOGETHER = 64_000_000  # of images that are judged together; a larger one is judged alone
_REGIONS_LISTED = 50  # of each record; their number and the largest are kept whatever it is
# Nobody has given the request up.
IN_TIME = Q(deadline__isnull=True) | Q(deadline__gt=Now())


@transaction.atomic
def expire_request(request: InspectionRequest) -> bool:
    """Give a request up, so that no worker judges it later. False when one just did, or others wait longer for it."""
    ended = InspectionRequest.objects.filter(
        pk=request.pk, status__in=InspectionRequest.OPEN, deadline=request.deadline
    ).update(status=InspectionRequest.Status.EXPIRED, claim=None)
    if ended:
        request.status = InspectionRequest.Status.EXPIRED
        transaction.on_commit(metrics.REQUESTS.labels("expired").inc)
        audit(
            kind="inspection.unanswered",
            subject=request,
            actor=request.operator,
            after={"filename": request.filename},
        )
        note_unjudged(request)
    return bool(ended)


def judge_request(
    *, request_id: uuid.UUID, worker: str, redelivered: bool = False, runtime_options: Mapping[str, str] | None = None
) -> None:
    """Claim one request, and others that wait for the same model, and judge them together; in the worker.

    A request that is not to be had is somebody else's or over: often it was judged with another one, and its message
    only comes after. `redelivered`: the broker gives the message back because the worker that began it died.
    """
    if redelivered:
        _give_back_neighbours(request_id)
    claim = uuid.uuid4()
    requests = _claim_waiting(request_id, claim=claim, worker=worker)
    if requests:
        try:
            judge_claimed(requests, worker=worker, claim=claim, runtime_options=runtime_options)
        except UNAVAILABLE:
            _take_back_attempt(claim)
            raise
        if any(_pixels_of(request) >= LARGE for request in requests):
            give_memory_back()
        broker.notify(*(str(request.pk) for request in requests))


def _take_back_attempt(claim: uuid.UUID) -> None:
    """The database failed, and no worker died: this does not count towards what is given up as `worker_died`."""
    drop_broken_connection()
    with contextlib.suppress(*UNAVAILABLE):
        InspectionRequest.objects.filter(claim=claim).update(attempt=F("attempt") - 1)


def _claim_waiting(request_id: uuid.UUID, *, claim: uuid.UUID, worker: str) -> list[InspectionRequest]:
    """The request and those that wait with it, claimed; empty when it is not to be had.

    It comes last: it is written last, so that while anything of the claim is open, its redelivered message tells so.
    What was begun before is judged alone: an image that kills workers takes others with it once at most.
    """
    waiting = InspectionRequest.objects.filter(IN_TIME, batch__isnull=True, status=InspectionRequest.Status.QUEUED)
    first = with_everything(waiting).filter(pk=request_id).order_by().first()
    if first is None:
        return []
    if first.attempt >= settings.MAX_ATTEMPTS:
        _give_up(request_id)
        return []
    requests = [first]
    if first.deployment_id is not None and first.attempt == 0:
        neighbours = with_everything(waiting.filter(deployment_id=first.deployment_id, attempt=0)).exclude(pk=first.pk)
        left = MAX_PIXELS_TOGETHER - _pixels_of(first)
        requests = [*_oldest_waiting(neighbours, settings.INFERENCE_BATCH_SIZE - 1, pixels=left), first]
    claims = {"status": InspectionRequest.Status.RUNNING, "claim": claim, "worker": worker}
    ids = [request.pk for request in requests]
    number = waiting.filter(pk__in=ids).update(**claims, attempt=F("attempt") + 1)
    if number < len(requests):  # somebody was faster with some of them
        held = set(InspectionRequest.objects.filter(pk__in=ids, claim=claim).values_list("pk", flat=True))
        requests = [request for request in requests if request.pk in held]
    for request in requests:
        for name, value in claims.items():
            setattr(request, name, value)
        request.attempt += 1
        note_stage("queue", (timezone.now() - request.created_at).total_seconds())
    return requests


def _give_up(request_id: uuid.UUID) -> None:
    """Close a request whose image was begun so often that it is taken for what ends the workers."""
    claim = uuid.uuid4()
    waiting = InspectionRequest.objects.filter(pk=request_id, status=InspectionRequest.Status.QUEUED)
    if waiting.update(status=InspectionRequest.Status.RUNNING, claim=claim):
        request = with_everything().get(pk=request_id)
        fail_request(request, worker_died(), claim=claim)
        broker.notify(str(request_id))


def worker_died() -> UserError:
    """Why an image is not tried any more."""
    return UserError(
        f"The inspection service stopped {settings.MAX_ATTEMPTS} times while judging this image.", code="worker_died"
    )


def within(pixels: int, rows: Iterable[tuple[R, int | None]]) -> list[R]:
    """Of requests with the pixels of their images the first ones that have so many together at most."""
    fitting = []
    for request, size in rows:
        pixels -= size or 0
        if pixels < 0:
            break
        fitting.append(request)
    return fitting


def _oldest_waiting(waiting: QuerySet[InspectionRequest], limit: int, *, pixels: int) -> list[InspectionRequest]:
    """Those that wait longest, once they are enough or the time that one may be kept waiting is over."""
    until = time.monotonic() + settings.INFERENCE_BATCH_WAIT_MS / 1000
    while True:
        rows = list(waiting.order_by("created_at")[:limit]) if limit else []
        requests = within(pixels, [(row, _pixels_of(row)) for row in rows])
        if len(requests) < len(rows):
            return requests
        left = until - time.monotonic()
        if len(requests) == limit or left <= 0:
            return requests
        time.sleep(min(left, 0.002))


def _give_back_neighbours(request_id: uuid.UUID) -> None:
    """Put a request that a dead worker had begun back into the queue, and what it had claimed with it."""
    running = InspectionRequest.objects.filter(batch__isnull=True, status=InspectionRequest.Status.RUNNING)
    claim = running.filter(pk=request_id).values_list("claim", flat=True).first()
    if claim is not None:
        _give_back(running.filter(claim=claim), published=request_id)


def give_back_claims_of(*, worker: str) -> None:
    """Put back what a worker of this name had begun when it was killed; called when it starts anew.

    One that lives after all loses nothing but its work: without its claim it writes nothing.
    """
    running = InspectionRequest.objects.filter(batch__isnull=True, status=InspectionRequest.Status.RUNNING)
    _give_back(running.filter(worker=worker))


def _give_back(begun: QuerySet[InspectionRequest], *, published: uuid.UUID | None = None) -> None:
    """Their messages may be gone, so each gets another one, except the one whose message is in hand."""
    ids = list(begun.values_list("pk", "claim"))
    for pk, claim in ids:
        freed = begun.filter(pk=pk, claim=claim).update(status=InspectionRequest.Status.QUEUED, claim=None)
        if freed and pk != published:
            broker.publish("inspection.tasks.judge", pk)


def with_everything(requests: QuerySet[InspectionRequest] | None = None) -> QuerySet[InspectionRequest]:
    """Requests with all that is read of each of them while it is judged."""
    # Not model version and deployment: they are one for all that are judged together.
    rows = InspectionRequest.objects.all() if requests is None else requests
    return rows.select_related("asset", "operator", "part_view")


def _judging_version(request: InspectionRequest) -> ModelVersion:
    """The version without what judging does not read: figures of a thousand images take longer to fetch than to use."""
    unread = {*ModelVersion.long_columns(in_list=True), "learning_curve"} - {"held_out_scores"}
    return ModelVersion.objects.select_related("category").defer(*unread).get(pk=request.model_version_id)


def judge_claimed(
    requests: Sequence[InspectionRequest],
    *,
    worker: str,
    claim: uuid.UUID,
    runtime_options: Mapping[str, str] | None = None,
    pixels: Mapping[uuid.UUID, Image.Image] | None = None,
) -> None:
    """Score requests of one version together and write each one's end. An image's fault is that image's alone.

    `pixels`: of the requests whose images the caller has just had through upload validation, by their ids.
    """
    pixels = pixels or {}
    version, deployment = _judging_version(requests[0]), requests[0].deployment
    try:
        if deployment and not runtime_options:
            loaded = load_deployed(deployment, version)
        else:
            loaded = scoring.load_model(version, **(runtime_options or {}))
        images = [_image_of(request, pixels.get(request.pk)) for request in requests]
        with tracing.span("score", images=len(images)):
            results = scoring.score(scoring.with_rules(loaded, input_rules(version.category_id)), images)
    except UNAVAILABLE:
        raise  # this is no image's fault: all of them are tried again
    except Exception as error:  # noqa: BLE001 - whatever goes wrong must end the request, with its reason
        if len(requests) > 1 and not isinstance(error, scoring.ModelUnusable):
            for request in requests:
                judge_claimed([request], worker=worker, claim=claim, runtime_options=runtime_options, pixels=pixels)
            return
        for request in requests:
            fail_request(request, error, claim=claim)
        return
    pairs = list(zip(requests, results, strict=True))
    while pairs:
        threshold, scales = threshold_in_force(version.pk), scales_in_force(version.category_id)
        measured = [(result, _scale_of(request, scales)) for request, result in pairs]
        decide = partial(_decide_one, version=version, threshold=threshold)
        verdicts = [_with_map_stored(verdict) for verdict in scoring.in_threads(decide, measured)]
        began = time.perf_counter()
        with transaction.atomic():
            _hold([request for request, _ in pairs])
            if threshold_in_force(version.pk) != threshold or scales_in_force(version.category_id) != scales:
                continue  # a new one was set meanwhile, and it is in force now
            for (request, _), verdict in zip(pairs, verdicts, strict=True):
                _conclude(
                    request, verdict, threshold=threshold, loaded=loaded, version=version, worker=worker, claim=claim
                )
            # Last of all: whoever of them had to wait for the database until now may have been told that nothing
            # was recorded, or have asked again since.
            too_late = _past_deadline([request for request, _ in pairs]).exists()
            if too_late:
                transaction.set_rollback(True)
        if not too_late:
            note_stage("record", time.perf_counter() - began)
            return
        _close_too_late([request for request, _ in pairs], claim=claim)
        pairs = _still_claimed(pairs, claim=claim)


def _hold(requests: Sequence[InspectionRequest]) -> None:
    """Keep requests, and then the end of the audit chain, until the caller's transaction ends.

    Whoever gives one of them up holds its row and waits for the chain: with the chain held first, and the row of the
    second image wanted after the event of the first, each would wait for the other.
    """
    if connection.vendor == "postgresql":
        rows = InspectionRequest.objects.select_for_update(no_key=True).filter(pk__in=[one.pk for one in requests])
        list(rows.order_by("pk").values_list("pk", flat=True))
        lock_audit_chain()


def _past_deadline(requests: Sequence[InspectionRequest]) -> QuerySet[InspectionRequest]:
    return InspectionRequest.objects.filter(pk__in=[request.pk for request in requests], deadline__lte=Now())


def _close_too_late(requests: Sequence[InspectionRequest], *, claim: uuid.UUID) -> None:
    """Say of what was judged too late that it has no record; whoever still waits for one has prolonged its deadline."""
    for request in _past_deadline(requests).filter(claim=claim).select_related("operator"):
        log.warning("Request %s was judged after its deadline; nothing was written.", request.pk)
        expire_request(request)


def _still_claimed(
    pairs: Sequence[tuple[InspectionRequest, R]], *, claim: uuid.UUID
) -> list[tuple[InspectionRequest, R]]:
    claimed = InspectionRequest.objects.filter(claim=claim, status=InspectionRequest.Status.RUNNING)
    mine = set(claimed.filter(pk__in=[request.pk for request, _ in pairs]).values_list("pk", flat=True))
    return [pair for pair in pairs if pair[0].pk in mine]


def _image_of(request: InspectionRequest, pixels: Image.Image | None) -> bytes | Image.Image:
    """The pixels that upload validation decoded, where they can be had, else the stored file."""
    asset = _asset_of(request)
    if request.batch_id is None:
        pixels = pixel_cache.take(asset.sha256)
    return asset.read() if pixels is None else for_model(pixels)


def _pixels_of(request: InspectionRequest) -> int:
    asset = _asset_of(request)
    return asset.width * asset.height


def _asset_of(request: InspectionRequest) -> Asset:
    assert request.asset is not None, "a constraint of the database: what is judged has an image"
    return request.asset


@dataclass(frozen=True)
class Verdict:
    """What the record will say at a threshold, and the anomaly map as a file, if there is one."""

    columns: dict[str, Any]
    timings: dict[str, float | str]
    map_png: bytes = b""
    map_size: tuple[int, int] = (0, 0)  # width, height
    map: Asset | None = None


def _scale_of(request: InspectionRequest, scales: Mapping[str, ScaleCalibration]) -> ScaleCalibration | None:
    asset = _asset_of(request)
    return scale_for(scales, station=request.station, width=asset.width, height=asset.height)


def _decide_one(
    measured: tuple[scoring.ImageScore | scoring.IncomparableImage, ScaleCalibration | None],
    *,
    version: ModelVersion,
    threshold: Threshold,
) -> Verdict | Exception:
    result, scale = measured
    return decide_verdict(result, version=version, threshold=threshold, scale=scale)


def decide_verdict(
    result: scoring.ImageScore | scoring.IncomparableImage,
    *,
    version: ModelVersion,
    threshold: Threshold,
    scale: ScaleCalibration | None = None,
) -> Verdict | Exception:
    """What the record will say, or what went wrong with this image. Touches no database: it runs in threads.

    Without a `scale` no region is measured, and the verdict is that of the threshold alone, the safe side.
    One whole map for each thread is in memory at once, however many images were scored together.
    """
    if isinstance(result, scoring.IncomparableImage):
        columns: dict[str, Any] = {
            "outcome": Inspection.Outcome.NOT_COMPARABLE,
            "reason": result.reason,
            "explanation": result.explanation,
            "image_statistics": result.statistics,
        }
        return Verdict(columns, result.timings)
    try:
        began = time.perf_counter()
        score, whole = result.score, result.map()
        reduced = reduce_map(whole)
        data, maximum = encode_map(reduced)
        height, width = reduced.shape
        regions = defect_regions(whole, threshold.value) if score > threshold.value else []
        sizes = RuleResult() if scale is None else apply_rule(threshold.size_rule, regions, scale.scale)
        largest = max((region.area_px for region in regions), default=0)
        columns = {
            "outcome": Inspection.Outcome.of(
                score, threshold.value, largest_region_px=largest, min_region_px=sizes.min_region_px
            ),
            "calibration": scale,
            "min_region_px": sizes.min_region_px,
            "ignored_region_count": sizes.ignored,
            "severity": sizes.severity,
            "score": score,
            "p_value": p_value(score, version.held_out_scores) if version.held_out_scores else None,
            "map_maximum": maximum,
            "regions": [asdict(region) for region in regions[:_REGIONS_LISTED]],
            "region_count": len(regions),
            "largest_region_px": largest,
            "input_findings": [finding.as_dict() for finding in result.findings] or None,
            "ignored_outlines": result.ignored_outlines() or None,
            "image_statistics": result.statistics,
        }
        timings = result.timings | {"map_ms": round((time.perf_counter() - began) * 1000, 3)}
        return Verdict(columns, timings, data, (width, height))
    except Exception as error:  # noqa: BLE001 - it ends this request and no other
        return error


def _with_map_stored(verdict: Verdict | Exception) -> Verdict | Exception:
    """With the anomaly map's file in place; its row is a matter of the transaction that writes the record."""
    if isinstance(verdict, Exception) or not verdict.map_png:
        return verdict
    width, height = verdict.map_size
    try:
        filed = store_file(
            data=verdict.map_png, extension="png", content_type=MAP_MEDIA_TYPE, width=width, height=height
        )
    except Exception as error:  # noqa: BLE001 - it ends this request and no other
        return error
    return replace(verdict, map=filed)


def _conclude(
    request: InspectionRequest,
    verdict: Verdict | Exception,
    *,
    threshold: Threshold,
    loaded: scoring.LoadedModel,
    version: ModelVersion,
    worker: str,
    claim: uuid.UUID,
) -> None:
    """Write how a request ended: its record, or the reason why there is none."""
    if isinstance(verdict, Exception):
        return fail_request(request, verdict, claim=claim)
    try:
        _record(request, verdict, threshold=threshold, loaded=loaded, version=version, worker=worker, claim=claim)
    except UNAVAILABLE:
        raise  # this is no image's fault: all of them are tried again
    except Exception as error:  # noqa: BLE001
        fail_request(request, error, claim=claim)


@transaction.atomic
def _record(
    request: InspectionRequest,
    verdict: Verdict,
    *,
    threshold: Threshold,
    loaded: scoring.LoadedModel,
    version: ModelVersion,
    worker: str,
    claim: uuid.UUID,
) -> None:
    """The record, its audit event and the end of the request, all or nothing, if the claim still holds."""
    asset = _asset_of(request)
    mine = InspectionRequest.objects.filter(pk=request.pk, claim=claim, status=InspectionRequest.Status.RUNNING).update(
        status=InspectionRequest.Status.DONE, claim=None
    )
    if not mine:
        log.warning("Request %s was taken away while it was judged; nothing was written.", request.pk)
        return
    inspection = Inspection.objects.create(
        request=request,
        asset=asset,
        deployment_id=request.deployment_id,
        model_version=version,
        category_id=version.category_id,
        threshold=threshold,
        threshold_value=threshold.value,
        **verdict.columns,
        map=save_asset_row(verdict.map) if verdict.map else None,
        filename=request.filename,
        source=request.source,
        station=request.station,
        part_number=request.part_number,
        lot=request.lot,
        serial_number=request.serial_number,
        operator=request.operator,
        timings=verdict.timings,
        device=loaded.device,
        worker=worker,
        code_version=code_version(),
        backbone_sha256=version.backbone_sha256,
        created_at=timezone.now(),
    )
    transaction.on_commit(partial(_count, inspection, version, verdict.timings))
    note_recorded(inspection)
    audit(
        kind="inspection.recorded",
        subject=inspection,
        actor=request.operator,
        after=expected_inspection(inspection),
    )
    _complete_part_of(request)


def _complete_part_of(request: InspectionRequest) -> None:
    """Where the image was the last view of a part, the part's record is written with that of the image."""
    view = getattr(request, "part_view", None)
    if view is not None:
        complete_part(part_request_id=view.part_id)


def _count(inspection: Inspection, version: ModelVersion, timings: Mapping[str, float | str]) -> None:
    metrics.INSPECTIONS.labels(category_label(version.category_id), inspection.outcome).inc()
    metrics.REQUESTS.labels("recorded").inc()
    for stage, names in _STAGES.items():
        if measured := [float(timings[name]) for name in names if name in timings]:
            note_stage(stage, sum(measured) / 1000)
    with log_ids(inspection=inspection.pk, inspection_request=inspection.request_id):
        log.info("Inspection %s of request %s is recorded.", inspection.pk, inspection.request_id)


# The stages of the metrics, from what a record keeps of its own.
_STAGES = {"prepare": ("decode_ms", "statistics_ms"), "model": ("model_ms",), "map": ("map_ms",)}


def fail_request(request: InspectionRequest, error: Exception, *, claim: uuid.UUID) -> None:
    """Close a request with the reason. Nothing of it was recorded as an inspection."""
    if isinstance(error, StorageFailed):
        code, sentence = error.code, with_image_kept(error)
    elif isinstance(error, UserError):
        code, sentence = error.code, error.detail
    else:
        log.exception("Judging request %s failed.", request.pk, exc_info=error)
        text = without_server_paths(f"The image could not be judged ({type(error).__name__}: {error}).")
        code, sentence = "inspection_failed", text
    with transaction.atomic():
        ended = InspectionRequest.objects.filter(
            pk=request.pk, claim=claim, status=InspectionRequest.Status.RUNNING
        ).update(
            status=InspectionRequest.Status.FAILED,
            error_code=code,
            error=sentence,
            claim=None,
        )
        if ended:
            transaction.on_commit(metrics.REQUESTS.labels("failed").inc)
            audit(
                kind="inspection.failed",
                subject=request,
                actor=request.operator,
                after={"code": code, "error": sentence[:500], "filename": request.filename},
            )
            request.error_code, request.error = code, sentence
            note_unjudged(request)
            _complete_part_of(request)


def sweep_requests() -> None:
    """Close single requests that nobody waits for any more; call a worker for those that none knows of."""
    pixel_cache.sweep(settings.LEASE_SECONDS + settings.ANSWER_TIMEOUT)
    stale = InspectionRequest.objects.filter(
        batch__isnull=True, status__in=InspectionRequest.OPEN, deadline__lte=Now()
    ).select_related("operator")
    for request in stale:
        expire_request(request)
    _give_back_claims_of_the_dead()
    _publish_unheard()


def _give_back_claims_of_the_dead() -> None:
    """What a worker had begun that is gone for good: its host is, or it came back under another name."""
    running = InspectionRequest.objects.filter(
        batch__isnull=True, deployment__isnull=False, status=InspectionRequest.Status.RUNNING
    )
    working = set(running.values_list("worker", flat=True))
    # The living are asked for after the claims: nobody claims anything before the first sign of life.
    for worker in working - {worker_name(name) for name in broker.live_workers()} if working else ():
        if broker.is_reachable():
            give_back_claims_of(worker=worker)


def _publish_unheard() -> None:
    """Where nothing is on its way to a worker, what is queued has lost its message with a broker or a web server."""
    if broker.queue_depths([broker.INFERENCE])[broker.INFERENCE] == 0:
        queued = InspectionRequest.objects.filter(
            IN_TIME, batch__isnull=True, deployment__isnull=False, status=InspectionRequest.Status.QUEUED
        )
        for pk in queued.order_by("created_at").values_list("pk", flat=True):
            broker.publish("inspection.tasks.judge", pk)


def worker_name(hostname: str | None) -> str:
    return (hostname or platform.node())[:100]
