"""The API of masks of what is not judged: each view parses, calls one service or selector, answers."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.parsers import MultiPartParser
from common.api.schema import problems
from common.api.validation import parsed
from common.api.views import ApiView, OneForm, immutable
from common.rights import Right
from records.assets.images import check_size
from records.assets.selectors import upload_limits
from training.runs import serializers
from training.runs.ignore_masks.services import find_mask, read_mask, receive_mask


class IgnoreMasksView(ApiView):
    """Store a mask of what is not judged, for `ignore_mask` of a training run. The same mask twice is one file."""

    rights = {"POST": Right.TRAIN}
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": serializers.IgnoreMaskInput},
        responses={201: serializers.IgnoreMaskOutput, **problems(413, 415, 422, 507)},
        operation_id="store_ignore_mask",
    )
    def post(self, request: Request) -> Response:
        file = parsed(serializers.IgnoreMaskInput, request.data)["mask"]
        check_size(file.size or 0, upload_limits())
        asset = receive_mask(data=file.read(), filename=file.name or "", actor=request.user)
        document = {
            "sha256": asset.sha256,
            "width": asset.width,
            "height": asset.height,
            "share": float(read_mask(asset).mean()),
        }
        headers = {"Location": f"/api/ignore-masks/{asset.sha256}"}
        return Response(document, status=HTTPStatus.CREATED, headers=headers)


class IgnoreMaskPictureView(ApiView):
    """A stored mask: white is not judged (PNG)."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[OpenApiParameter("sha256", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses={(200, "image/png"): OpenApiTypes.BINARY, **problems(410, 422)},
        operation_id="ignore_mask",
    )
    def get(self, request: Request, sha256: str) -> HttpResponseBase:
        asset = find_mask(sha256)
        return immutable(request, sha256, lambda: HttpResponse(asset.read(), content_type="image/png"))
