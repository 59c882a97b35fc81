"""The API of calibrations and size rules: each view parses, calls one service or selector, answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser, MultiPartParser
from common.api.schema import problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right
from modelzoo.api.views import VERSION_ID
from modelzoo.evaluation.region_sizes import Grade, SizeRule
from modelzoo.models import Category, ScaleCalibration
from modelzoo.scales import documents, serializers, services
from modelzoo.scales.requests import calibrate
from modelzoo.scales.selectors import calibrations, find_calibration
from modelzoo.selectors import find_category, find_version
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act
from records.assets.images import check_size
from records.assets.selectors import upload_limits

_CATEGORY = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)


class CalibrationsView(ApiView):
    """How many millimetres a pixel stands for at each station of a category: all revisions, the newest first."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY, serializers.CalibrationListInput, *PAGE_PARAMETERS],
        responses={200: serializers.ScaleCalibrationPageOutput, **problems()},
        operation_id="calibrations",
    )
    def get(self, request: Request, name: str) -> Response:
        category = find_category(name)
        station = parsed_query(serializers.CalibrationListInput, request)["station"]
        rows = calibrations().filter(category=category)
        in_force = documents.ids_in_force(category.pk)

        def document(row: ScaleCalibration) -> dict[str, Any]:
            return documents.calibration_document(row, in_force=row.pk in in_force)

        return page_response(rows.filter(station=station) if station else rows, request, document)

    @extend_schema(
        parameters=[_CATEGORY],
        request=serializers.ScaleCalibrationInput,
        responses={201: serializers.ScaleCalibrationOutput, **problems(409, 410, 413, 415)},
        operation_id="calibrate_station",
        examples=[
            OpenApiExample(
                "a known length",
                value={
                    "station": "east",
                    "method": "known_length",
                    "picture": "0" * 64,
                    "points": [[102.5, 240], [901, 243.5]],
                    "length_mm": 80,
                    "length_error_mm": 0.02,
                    "reason": "gauge block G7",
                },
                request_only=True,
            ),
            OpenApiExample(
                "a checkerboard",
                value={
                    "station": "east",
                    "method": "checkerboard",
                    "picture": "0" * 64,
                    "columns": 9,
                    "rows": 6,
                    "square_mm": 5,
                    "reason": "new lens",
                },
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request, name: str) -> Response:
        fields = parsed(serializers.ScaleCalibrationInput, request.data)
        category: Category = find_category(name)
        row = calibrate(category=category, fields=fields, actor=request.user)
        row = find_calibration(row.pk)
        in_force = row.pk in documents.ids_in_force(category.pk)
        return Response(documents.calibration_document(row, in_force=in_force), status=HTTPStatus.CREATED)


class CalibrationPicturesView(ApiView):
    """Store a picture to calibrate a station with. Nothing judges it; the same picture twice is one file."""

    rights = {"POST": Right.TUNE}
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": serializers.CalibrationPictureInput},
        responses={201: serializers.CalibrationPictureOutput, **problems(413, 415, 422, 507)},
        operation_id="store_calibration_picture",
    )
    def post(self, request: Request) -> Response:
        file = parsed(serializers.CalibrationPictureInput, request.data)["image"]
        check_size(file.size or 0, upload_limits())
        asset = services.store_picture(data=file.read(), filename=file.name or "", actor=request.user)
        document = {"sha256": asset.sha256, "width": asset.width, "height": asset.height}
        return Response(document, status=HTTPStatus.CREATED)


class SizeRuleView(ApiView):
    """Which regions a version ignores by area, and how severe the others are: part of its threshold's revision."""

    rights = {"GET": Right.READ, "PUT": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[VERSION_ID], responses={200: serializers.SizeRuleOutput, **problems()}, operation_id="size_rule"
    )
    def get(self, request: Request, version_id: str) -> Response:
        return Response(documents.size_rule_document(find_version(reference=version_id)))

    @extend_schema(
        parameters=[VERSION_ID],
        request=serializers.SizeRuleInput,
        responses={200: serializers.SizeRuleOutput, **problems(409, 413, 415, 422)},
        operation_id="set_size_rule",
        examples=[
            OpenApiExample(
                "ignore what is below half a square millimetre",
                value={
                    "min_area_mm2": 0.5,
                    "grades": [{"name": "minor"}, {"name": "critical", "min_area_mm2": 4}],
                    "reason": "customer agreement of May: specks below 0.5 mm2 are accepted",
                },
                request_only=True,
            )
        ],
    )
    def put(self, request: Request, version_id: str) -> Response:
        fields = parsed(serializers.SizeRuleInput, request.data)
        version = find_version(reference=version_id)
        signature = api_signature(request, act=Act.THRESHOLD, about=version, credentials=fields["signature"])
        rule = SizeRule(fields["min_area_mm2"], tuple(Grade(**grade) for grade in fields["grades"]))
        services.set_size_rule(
            version=version, rule=rule, reason=fields["reason"], actor=request.user, signature=signature
        )
        return Response(documents.size_rule_document(version))
