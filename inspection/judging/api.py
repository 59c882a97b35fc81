"""The endpoints of the original system for single images, and one record. Each parses, calls one service, answers."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.throttles import caller
from common.api.parsers import FormParser, JSONParser, MultiPartParser
from common.api.requests import check_one_image
from common.api.schema import problems
from common.api.validation import parsed
from common.api.views import ApiView, OneForm, immutable
from common.pixels import budget as pixels
from common.rights import Right
from inspection.judging import documents, pictures, selectors, serializers, services, status
from inspection.judging.idempotency import HEADER, REPLAYED
from inspection.judging.idempotency_schema import KEY, REPLAY
from inspection.models import Inspection
from modelzoo.loading import deployments
from modelzoo.selectors import find_version
from modelzoo.services import request_deployment
from records.assets.images import ImageRejected, check_size, pixels_to_decode
from records.assets.selectors import upload_limits
from records.assets.services import report_refusal

_PICTURE_SECONDS = 20.0  # that a picture of a record waits for others to be decoded
_PROBLEMS = problems(409, 413, 415, 422, 507)


def read_upload(file: UploadedFile, *, actor: Any) -> bytes:
    """The bytes of an uploaded image. One that is too large is refused before it is read."""
    size = file.size or 0
    try:
        check_size(size, upload_limits())
    except ImageRejected as refusal:
        report_refusal(filename=file.name or "", size=size, refusal=refusal, actor=actor)
        raise refusal.as_not_stored() from refusal
    return file.read()


class LoadModelView(ApiView):
    """Load a model version on the workers and put it in force for its category."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser, FormParser, MultiPartParser]

    @extend_schema(
        request=serializers.LoadModelInput,
        responses={200: serializers.LoadedModelOutput, **_PROBLEMS},
        operation_id="load_model",
    )
    def post(self, request: Request) -> Response:
        fields = parsed(serializers.LoadModelInput, request.data)
        version = find_version(
            reference=fields["model_version"], category=fields["category"], algorithm=fields["algorithm"]
        )
        deployment = request_deployment(
            version=version,
            device=fields["device"] or "",
            runtime=fields["runtime"] or "",
            precision=fields["precision"] or "",
            threshold=fields["threshold"],
            threshold_reason="given with load_model",
            actor=request.user,
        )
        deployment = deployments.await_deployment(deployment=deployment)
        return Response(status.deployment_document(deployment))


class StatusView(ApiView):
    """What is loaded, who works, what waits."""

    rights = {"GET": (Right.READ, Right.INSPECT)}

    @extend_schema(responses={200: serializers.StatusOutput, **problems()}, operation_id="status")
    def get(self, request: Request) -> Response:
        return Response(status.line_status())


class TestImageView(ApiView):
    """Judge one image. The record is written before it is answered."""

    rights = {"POST": Right.INSPECT}
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": serializers.TestImageInput},
        responses={200: serializers.InspectionOutput, **_PROBLEMS},
        parameters=[KEY, REPLAY],
        operation_id="test_image",
    )
    def post(self, request: Request) -> Response:
        check_one_image(request.FILES)
        fields = parsed(serializers.TestImageInput, request.data)
        data = read_upload(fields["image"], actor=request.user)
        with pixels.budget().hold(pixels_to_decode(data, upload_limits()), caller=caller(request)):
            inspection = services.inspect_image(
                data=data,
                submission=services.Submission(
                    filename=fields["image"].name,
                    source="api",
                    actor=request.user,
                    part=part_of(fields),
                    idempotency_key=request.headers.get(HEADER),
                ),
                category=fields["category"],
            )
        document = documents.inspection_document(inspection, anomaly_map=fields["anomaly_map"])
        return Response(document, headers={REPLAYED: "true"} if inspection.replayed else None)


def part_of(fields: dict[str, Any]) -> services.PartContext:
    return services.PartContext(**{name: fields[name] for name in services.PART_FIELDS})


class InspectionView(ApiView):
    """One record."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[OpenApiParameter("anomaly_map", str, enum=list(documents.MAP_FORMS), default="url")],
        responses={200: serializers.InspectionOutput, **_PROBLEMS},
        operation_id="inspection",
    )
    def get(self, request: Request, inspection_id: uuid.UUID) -> Response:
        form = documents.check_map_form(request.query_params.get("anomaly_map", "url"))
        return Response(documents.inspection_document(selectors.find_inspection(inspection_id), anomaly_map=form))


# ---------------------------------------------------------------- pictures of a record
class PictureView(ApiView):
    """A picture of a record. It never changes: the address is the identity, and browsers may keep it for good."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm
    decodes = True  # whether the picture is made from the image's pixels

    @abstractmethod
    def picture(self, inspection: Inspection) -> pictures.Picture:
        """Which one."""

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY, 304: None, **problems(410)})
    def get(self, request: Request, inspection_id: uuid.UUID) -> HttpResponseBase:
        inspection = selectors.find_inspection(inspection_id)

        def picture() -> HttpResponse:
            asset = inspection.asset
            size = asset.width * asset.height if self.decodes else 0
            with pixels.budget().hold(size, wait=_PICTURE_SECONDS):
                stored = self.picture(inspection)
            return HttpResponse(stored.data, content_type=stored.media_type, headers=stored.headers)

        return immutable(request, f"{type(self).__name__}:{inspection_id}", picture)


class ImageView(PictureView):
    decodes = False

    def picture(self, inspection: Inspection) -> pictures.Picture:
        return pictures.original(inspection)


class BrowserPictureView(PictureView):
    """The image as it was judged, in a form that every browser shows."""

    def picture(self, inspection: Inspection) -> pictures.Picture:
        return pictures.for_page(inspection)


class ThumbnailView(PictureView):
    def picture(self, inspection: Inspection) -> pictures.Picture:
        return pictures.small(inspection)


class MapView(PictureView):
    decodes = False

    def picture(self, inspection: Inspection) -> pictures.Picture:
        return pictures.raw_map(inspection)


class OverlayView(PictureView):
    def picture(self, inspection: Inspection) -> pictures.Picture:
        return pictures.heat(inspection)
