"""Letting a model version learn from more good images. Here and not beside versions: what they learn from is ours."""

from __future__ import annotations

from http import HTTPStatus

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.base import ApiView, parsed, problems
from common.api.parsers import JSONParser
from common.rights import Right
from modelzoo.selectors import find_version
from training.api.serializers import FullTrainingRunOutput
from training.datasets import selectors as datasets_selectors
from training.runs import documents as runs_documents
from training.runs import selectors as runs_selectors
from training.runs import services as runs_services


class ExtendInput(serializers.Serializer):
    dataset = serializers.CharField(max_length=100, help_text="its name, then the newest snapshot is meant, or its id")


class ExtendView(ApiView):
    """Let a version learn from the good training images of a data set; a new candidate comes of it."""

    rights = {"POST": Right.TRAIN}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[OpenApiParameter("version_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        request=ExtendInput,
        responses={202: FullTrainingRunOutput, **problems(409, 415)},
        operation_id="extend_model_version",
        examples=[OpenApiExample("hard good examples", value={"dataset": "screw-hard"}, request_only=True)],
    )
    def post(self, request: Request, version_id: str) -> Response:
        given = parsed(ExtendInput, request.data)
        run = runs_services.queue_extension(
            version=find_version(wanted=version_id),
            dataset=datasets_selectors.wanted_dataset(given["dataset"]),
            actor=request.user,
        )
        return Response(
            runs_documents.full_run_document(runs_selectors.find_run(run.pk)),
            status=HTTPStatus.ACCEPTED,
            headers={"Location": f"/api/training-runs/{run.pk}"},
        )
