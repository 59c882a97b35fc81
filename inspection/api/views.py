"""The four endpoints of the original system, and the batches they start. Each parses, calls one service, answers."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.roles import Right
from inspection import selectors, services
from inspection.api import serializers as shapes
from inspection.models import BatchRun, Inspection
from modelzoo.models import Threshold
from modelzoo.selectors import deployment_in_force, find_version
from modelzoo.services import request_deployment, set_threshold
from mvtec_site import broker
from mvtec_site.api import ApiView, OneForm, immutable, parsed, problems
from mvtec_site.errors import UserError
from records.images import ImageRejected
from records.services import report_refusal
from training.archives import ArchiveLimits, iter_images
from training.selectors import images_of, latest_dataset

_PROBLEMS = problems(409, 413, 415, 422, 507)


def read_upload(file: UploadedFile, *, actor: Any) -> bytes:
    """The bytes of an uploaded image. One that is too large is refused before it is read."""
    size = file.size or 0
    if size > settings.MAX_FILE_SIZE:
        refusal = ImageRejected(
            f"{file.name} has {size:,} bytes; at most {settings.MAX_FILE_SIZE:,} are allowed (MAX_FILE_SIZE).",
            code="file_too_large",
            status=ImageRejected.TOO_LARGE,
        )
        report_refusal(filename=file.name or "", size=size, refusal=refusal, actor=actor)
        raise refusal
    return file.read()


class LoadModelView(ApiView):
    """Load a model version on the workers and put it in force for its category."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser, FormParser, MultiPartParser]

    @extend_schema(
        request=shapes.LoadModelInput, responses={200: shapes.DeploymentOutput, **_PROBLEMS}, operation_id="load_model"
    )
    def post(self, request: Request) -> Response:
        given = parsed(shapes.LoadModelInput, request.data)
        version = find_version(wanted=given["model_version"], category=given["category"], algorithm=given["algorithm"])
        deployment = request_deployment(
            version=version,
            device=given["device"] or settings.DEVICE,
            runtime=given["runtime"] or "",
            precision=given["precision"] or "",
            actor=request.user,
        )
        deployment = services.await_deployment(deployment=deployment)
        if given["threshold"] is not None:
            set_threshold(
                version=version,
                value=given["threshold"],
                method=Threshold.Method.MANUAL,
                reason="given with load_model",
                actor=request.user,
            )
        return Response(selectors.deployment_document(deployment))


class StatusView(ApiView):
    """What is loaded, who works, what waits."""

    rights = {"GET": (Right.READ, Right.INSPECT)}

    @extend_schema(responses={200: shapes.StatusOutput, **problems()}, operation_id="status")
    def get(self, request: Request) -> Response:
        return Response(selectors.line_status())


class TestImageView(ApiView):
    """Judge one image. The record is written before it is answered."""

    rights = {"POST": Right.INSPECT}
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": shapes.TestImageInput},
        responses={200: shapes.InspectionOutput, **_PROBLEMS},
        operation_id="test_image",
    )
    def post(self, request: Request) -> Response:
        given = parsed(shapes.TestImageInput, request.data)
        data = read_upload(given["image"], actor=request.user)
        inspection = services.inspect_image(
            data=data,
            filename=given["image"].name,
            deployment=deployment_in_force(given["category"]),
            source="api",
            actor=request.user,
            part=_part(given),
        )
        return Response(selectors.inspection_document(inspection, anomaly_map=given["anomaly_map"]))


def _part(given: dict[str, Any]) -> services.PartContext:
    return services.PartContext(**{name: given[name] for name in ("station", "part_number", "lot", "serial_number")})


class BatchTestView(ApiView):
    """Judge many images: files, a zip, or the test split of a data set by name."""

    rights = {"POST": Right.INSPECT}
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(
        request={"multipart/form-data": shapes.BatchTestInput},
        responses={200: shapes.BatchOutput, 202: shapes.BatchOutput, **_PROBLEMS},
        operation_id="batch_test",
    )
    def post(self, request: Request) -> Response:
        data = request.data.copy() if hasattr(request.data, "copy") else request.data
        if isinstance(request.data, dict) and hasattr(request.data, "getlist"):
            data = {name: request.data.get(name) for name in request.data}
            data["images"] = request.data.getlist("images") + request.data.getlist("image")
        given = parsed(shapes.BatchTestInput, data)
        deployment = deployment_in_force(given["category"])
        name, items = _batch_items(given, request.user)
        batch = services.request_batch(items=items, name=name, deployment=deployment, source="api", actor=request.user)
        finished = _await_batch(batch, given["wait"])
        document = selectors.batch_document(batch, anomaly_map=given["anomaly_map"])
        return Response(document, status=200 if finished else 202, headers={"Location": document["url"]})


def _batch_items(given: dict[str, Any], actor: Any) -> tuple[str, list[services.BatchItem]]:
    """The one of the three forms that was sent."""
    part = _part(given)
    forms = [name for name in ("images", "archive", "dataset") if given[name]]
    if len(forms) != 1:
        raise UserError("Send exactly one of: images (files), archive (a zip), dataset (a name).", code="invalid")
    if forms == ["dataset"]:
        dataset = latest_dataset(given["dataset"])
        images = images_of(dataset, "test")
        return f"{dataset} test", [
            services.BatchItem(filename=image.path, asset=image.asset, part=part) for image in images
        ]
    if forms == ["archive"]:
        limits = ArchiveLimits(max_files=settings.BATCH_MAX_ZIP_FILES, max_total_bytes=settings.BATCH_MAX_BYTES)
        items = services.receive_items(files=iter_images(given["archive"], limits), actor=actor)
        return str(given["archive"].name), _with_part(items, part)
    files = given["images"]
    if len(files) > settings.BATCH_MAX_FILES:
        raise UserError(
            f"{len(files)} files are more than one request may carry ({settings.BATCH_MAX_FILES}). Send a zip.",
            code="too_many_files",
            status=ImageRejected.TOO_LARGE,
        )
    items = services.receive_items(files=((file.name, file.read()) for file in files), actor=actor)
    return f"{len(files)} files", _with_part(items, part)


def _with_part(items: list[services.BatchItem], part: services.PartContext) -> list[services.BatchItem]:
    for item in items:
        item.part = part
    return items


def _await_batch(batch: BatchRun, seconds: float) -> bool:
    def settled() -> bool:
        batch.refresh_from_db(fields=["status", "finished_at"])
        return batch.status == BatchRun.Status.FINISHED

    return broker.wait_until(settled, topic=str(batch.pk), timeout=seconds)


class BatchView(ApiView):
    """Progress and results of a batch."""

    rights = {"GET": (Right.READ, Right.INSPECT)}

    @extend_schema(responses={200: shapes.BatchOutput, **_PROBLEMS}, operation_id="batch")
    def get(self, request: Request, batch_id: uuid.UUID) -> Response:
        # Never the maps themselves: a batch may have thousands.
        form = selectors.check_map_form(request.query_params.get("anomaly_map", "url"), allowed=("url", "none"))
        return Response(selectors.batch_document(selectors.find_batch(batch_id), anomaly_map=form))


class InspectionView(ApiView):
    """One record."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: shapes.InspectionOutput, **_PROBLEMS}, operation_id="inspection")
    def get(self, request: Request, inspection_id: uuid.UUID) -> Response:
        form = selectors.check_map_form(request.query_params.get("anomaly_map", "url"))
        return Response(selectors.inspection_document(selectors.find_inspection(inspection_id), anomaly_map=form))


# ---------------------------------------------------------------- pictures of a record
class PictureView(ApiView):
    """A picture of a record. It never changes: the address is the identity, and browsers may keep it for good."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @abstractmethod
    def picture(self, inspection: Inspection) -> selectors.Picture:
        """Which one."""

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY, 304: None, **problems(410)})
    def get(self, request: Request, inspection_id: uuid.UUID) -> HttpResponseBase:
        inspection = selectors.find_inspection(inspection_id)

        def picture() -> HttpResponse:
            found = self.picture(inspection)
            return HttpResponse(found.data, content_type=found.media_type, headers=found.headers)

        return immutable(request, f"{type(self).__name__}:{inspection_id}", picture)


class ImageView(PictureView):
    def picture(self, inspection: Inspection) -> selectors.Picture:
        return selectors.original(inspection)


class ThumbnailView(PictureView):
    def picture(self, inspection: Inspection) -> selectors.Picture:
        return selectors.small(inspection)


class MapView(PictureView):
    def picture(self, inspection: Inspection) -> selectors.Picture:
        return selectors.raw_map(inspection)


class OverlayView(PictureView):
    def picture(self, inspection: Inspection) -> selectors.Picture:
        return selectors.heat(inspection)
