"""Categories, model versions and thresholds. Each view parses, calls one service or selector, answers.

What needs a worker (loading, promotion, rollback) is in `modelzoo.api.deployments`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import patch_cache_control
from django.utils.http import content_disposition_header, parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView, OneForm, immutable
from common.rights import Right
from modelzoo import documents, services
from modelzoo.api import serializers
from modelzoo.card.documents import card_document, find_for_card
from modelzoo.loading import artifact_pictures
from modelzoo.models import ModelVersion
from modelzoo.selectors import find_category, find_version, input_rules
from modelzoo.signatures.requests import api_signature
from modelzoo.signatures.selectors import Act
from modelzoo.transfer.services import make_package, note_export

_CATEGORY = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)
VERSION_ID = OpenApiParameter("version_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_THRESHOLD_ID = OpenApiParameter("threshold_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class CategoriesView(ApiView):
    """Kinds of parts, the one added last first: what judges them, how many versions and data sets there are."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: serializers.CategoryPageOutput, **problems()},
        operation_id="categories",
    )
    def get(self, request: Request) -> Response:
        return page_response(documents.categories(), request, documents.category_document)


class DefaultCategoryView(ApiView):
    """Which category is used for images without a category while several are in production; null: they are refused."""

    rights = {"GET": Right.READ, "PUT": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(responses={200: serializers.DefaultCategoryOutput, **problems()}, operation_id="default_category")
    def get(self, request: Request) -> Response:
        return Response(documents.default_category_document())

    @extend_schema(
        request=serializers.DefaultCategoryInput,
        responses={200: serializers.DefaultCategoryOutput, **problems(409, 413, 415)},
        operation_id="set_default_category",
        examples=[
            OpenApiExample(
                "a category in production",
                value={"category": "screw", "reason": "line 1 sends no category; it makes screws only"},
                request_only=True,
            )
        ],
    )
    def put(self, request: Request) -> Response:
        fields = parsed(serializers.DefaultCategoryInput, request.data)
        category = find_category(fields["category"]) if fields["category"] is not None else None
        services.set_default_category(category=category, reason=fields["reason"], actor=request.user)
        return Response(documents.default_category_document())


class InputChecksView(ApiView):
    """What is checked of a picture before it is judged as one of a category: size, aspect, colour, likeness."""

    rights = {"GET": Right.READ, "PUT": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY],
        responses={200: serializers.InputChecksOutput, **problems()},
        operation_id="input_checks",
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(documents.input_check_document(find_category(name)))

    @extend_schema(
        parameters=[_CATEGORY],
        request=serializers.InputChecksInput,
        responses={200: serializers.InputChecksOutput, **problems(413, 415)},
        operation_id="set_input_checks",
        examples=[
            OpenApiExample(
                "cameras of several sizes",
                value={"size": "off", "reason": "two cameras, 2 and 12 megapixels"},
                request_only=True,
            )
        ],
    )
    def put(self, request: Request, name: str) -> Response:
        fields = parsed(serializers.InputChecksInput, request.data)
        category, reason = find_category(name), fields.pop("reason")
        rules = replace(input_rules(category.pk), **fields)
        services.set_input_checks(category=category, rules=rules, reason=reason, actor=request.user)
        return Response(documents.input_check_document(category))


# ---------------------------------------------------------------- model versions
class ModelVersionsView(ApiView):
    """Trained detectors, newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[serializers.VersionListInput, *PAGE_PARAMETERS],
        responses={200: serializers.ModelVersionPageOutput, **problems()},
        operation_id="model_versions",
    )
    def get(self, request: Request) -> Response:
        filters = parsed_query(serializers.VersionListInput, request)
        return page_response(documents.versions(**filters), request, documents.version_document)


class ModelVersionView(ApiView):
    """One version: what it is made of, and what made it."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[VERSION_ID],
        responses={200: serializers.FullModelVersionOutput, **problems()},
        operation_id="model_version",
    )
    def get(self, request: Request, version_id: str) -> Response:
        return Response(documents.full_version_document(int(version_id)))


class MeanImageView(ApiView):
    """The mean of good images as the model sees them: cropped and, under pose alignment, turned to the part (PNG)."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[VERSION_ID],
        responses={(200, "image/png"): OpenApiTypes.BINARY, **problems()},
        operation_id="model_version_mean_image",
    )
    def get(self, request: Request, version_id: str) -> HttpResponseBase:
        version = find_version(reference=version_id)
        return _picture(request, version, "mean image", lambda: artifact_pictures.mean_image(version))


class IgnoreMaskView(ApiView):
    """What a version does not judge, white on black, in the pixels of its mean image (PNG); 404 where it judges all."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[VERSION_ID],
        responses={(200, "image/png"): OpenApiTypes.BINARY, **problems()},
        operation_id="model_version_ignore_mask",
    )
    def get(self, request: Request, version_id: str) -> HttpResponseBase:
        version = find_version(reference=version_id)
        return _picture(request, version, "ignore mask", lambda: artifact_pictures.ignored(version))


def _picture(request: Request, version: ModelVersion, what: str, pixels: Callable[[], np.ndarray]) -> HttpResponseBase:
    return immutable(
        request,
        f"{what} {version.artifact_sha256}",
        lambda: HttpResponse(artifact_pictures.as_png(pixels()), content_type="image/png"),
    )


class MetricsView(ApiView):
    """The figures of the evaluation at the end of training, and the held-out scores that thresholds are set from."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[VERSION_ID],
        responses={200: serializers.MetricsOutput, **problems()},
        operation_id="model_version_metrics",
    )
    def get(self, request: Request, version_id: str) -> Response:
        return Response(documents.metrics_document(int(version_id)))


class CardView(ApiView):
    """The model card: intended use, data, figures, robustness, limits, shortcut audit, thresholds."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[VERSION_ID],
        responses={200: serializers.ModelCardOutput, **problems()},
        operation_id="model_version_card",
    )
    def get(self, request: Request, version_id: str) -> Response:
        return Response(card_document(find_for_card(int(version_id))))


class ArtifactView(ApiView):
    """A version as one signed file for another installation: a zip of artifact, threshold, evaluation and model card.

    The same version at the same threshold is the same bytes. That it was taken out is in the audit log.
    """

    rights = {"GET": Right.DEPLOY}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[VERSION_ID],
        responses={(200, "application/zip"): OpenApiTypes.BINARY, 304: None, **problems(409)},
        operation_id="model_version_artifact",
    )
    def get(self, request: Request, version_id: str) -> HttpResponseBase:
        made = make_package(find_for_card(int(version_id)))  # before the first byte, so that a refusal can be told
        etag = f'"{made.identity[:32]}"'
        if etag in parse_etags(request.headers.get("If-None-Match", "")):
            response: HttpResponseBase = HttpResponse(status=304)
        else:
            note_export(made=made, actor=request.user)
            response = StreamingHttpResponse(made.chunks(), content_type="application/zip")
            response["Content-Disposition"] = content_disposition_header(True, made.filename) or "attachment"
            response["Content-Length"] = str(made.size_bytes)
        response["ETag"] = etag
        response["X-Content-Type-Options"] = "nosniff"
        patch_cache_control(response, private=True, no_cache=True)
        return response


class ArchiveView(ApiView):
    """Put a candidate aside."""

    rights = {"POST": Right.DEPLOY}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[VERSION_ID],
        request=serializers.ReasonInput,
        responses={200: serializers.FullModelVersionOutput, **problems(409, 413, 415)},
        operation_id="archive_model_version",
        examples=[OpenApiExample("a reason", value={"reason": "rejects every tenth good part"}, request_only=True)],
    )
    def post(self, request: Request, version_id: str) -> Response:
        fields = parsed(serializers.ReasonInput, request.data)
        version = find_version(reference=version_id)
        services.archive_version(version=version, reason=fields["reason"], actor=request.user)
        return Response(documents.full_version_document(version.pk))


# ---------------------------------------------------------------- thresholds
class ThresholdsView(ApiView):
    """Threshold revisions, newest first. The highest of a version is in force, from the next image on, everywhere."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[serializers.ThresholdListInput, *PAGE_PARAMETERS],
        responses={200: serializers.ThresholdPageOutput, **problems()},
        operation_id="thresholds",
    )
    def get(self, request: Request) -> Response:
        filters = parsed_query(serializers.ThresholdListInput, request)
        return page_response(documents.thresholds(**filters), request, documents.threshold_document)

    @extend_schema(
        request=serializers.ThresholdInput,
        responses={201: serializers.ThresholdOutput, **problems(409, 413, 415, 422)},
        operation_id="set_threshold",
        examples=[
            OpenApiExample(
                "a value", value={"model_version": 7, "value": 21.5, "reason": "lot 4711 escaped"}, request_only=True
            ),
            OpenApiExample(
                "a rule on the held-out scores",
                value={
                    "model_version": 7,
                    "method": "conformal",
                    "parameters": {"false_reject_rate": 0.02},
                    "reason": "at most 2 % of good parts are to be looked at again",
                },
                request_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        fields = parsed(serializers.ThresholdInput, request.data)
        version = find_version(reference=fields.pop("model_version"))
        fields["signature"] = api_signature(request, act=Act.THRESHOLD, about=version, credentials=fields["signature"])
        threshold = services.decide_threshold(version=version, actor=request.user, **fields)
        return Response(
            documents.threshold_document(documents.find_threshold(threshold.pk)),
            status=201,
            headers={"Location": f"/api/thresholds/{threshold.pk}"},
        )


class ThresholdView(ApiView):
    """One revision."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_THRESHOLD_ID], responses={200: serializers.ThresholdOutput, **problems()}, operation_id="threshold"
    )
    def get(self, request: Request, threshold_id: str) -> Response:
        return Response(documents.threshold_document(documents.find_threshold(int(threshold_id))))
