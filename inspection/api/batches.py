"""`/api/batches`: many images as one job."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.roles import Right
from inspection import batches, selectors
from inspection.api.serializers import InspectionOutput, PartInput, text_field
from inspection.api.views import part_of
from inspection.models import BatchRun, InspectionRequest
from inspection.services import PartContext
from modelzoo.selectors import deployment_in_force
from mvtec_site import broker
from mvtec_site.api import ApiView, parsed, problems
from mvtec_site.errors import UserError
from records.images import ImageRejected
from training.archives import ArchiveLimits, iter_images
from training.selectors import images_of, latest_dataset

_PROBLEMS = problems(409, 413, 415, 422, 507)


class BatchTestInput(PartInput):
    images = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True), required=False, default=list, help_text="files"
    )
    archive = serializers.FileField(required=False, default=None, help_text="a zip of images")
    dataset = text_field()
    wait = serializers.FloatField(
        required=False, default=0.0, min_value=0.0, max_value=60.0, help_text="seconds to wait for the results"
    )
    anomaly_map = serializers.ChoiceField(choices=["url", "none"], required=False, default="url")


class BatchItemOutput(InspectionOutput):
    """The fields of a record are there when `status` is done, `code` and `detail` when it is failed."""

    position = serializers.IntegerField()
    status = serializers.ChoiceField(choices=InspectionRequest.Status.choices)
    code = serializers.CharField()
    detail = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        for name, field in fields.items():
            field.required = name in ("position", "status", "filename")
        return fields


class BatchOutput(serializers.Serializer):
    batch_id = serializers.UUIDField()
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=BatchRun.Status.choices)
    url = serializers.CharField()
    model_version = serializers.IntegerField()
    category = serializers.CharField()
    total = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    good = serializers.IntegerField()
    defective = serializers.IntegerField()
    not_comparable = serializers.IntegerField()
    progress = serializers.FloatField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    results = BatchItemOutput(many=True)


class BatchTestView(ApiView):
    """Judge many images: files, a zip, or the test split of a data set by name."""

    rights = {"POST": Right.INSPECT}
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(
        request={"multipart/form-data": BatchTestInput},
        responses={200: BatchOutput, 202: BatchOutput, **_PROBLEMS},
        operation_id="batch_test",
    )
    def post(self, request: Request) -> Response:
        data = request.data.copy() if hasattr(request.data, "copy") else request.data
        if isinstance(request.data, dict) and hasattr(request.data, "getlist"):
            data = {name: request.data.get(name) for name in request.data}
            data["images"] = request.data.getlist("images") + request.data.getlist("image")
        given = parsed(BatchTestInput, data)
        deployment = deployment_in_force(given["category"])
        name, items = _batch_items(given, request.user)
        batch = batches.request_batch(items=items, name=name, deployment=deployment, source="api", actor=request.user)
        finished = _await_batch(batch, given["wait"])
        document = batches.batch_document(batch, anomaly_map=given["anomaly_map"])
        return Response(document, status=200 if finished else 202, headers={"Location": document["url"]})


def _batch_items(given: dict[str, Any], actor: Any) -> tuple[str, list[batches.BatchItem]]:
    """The one of the three forms that was sent."""
    part = part_of(given)
    forms = [name for name in ("images", "archive", "dataset") if given[name]]
    if len(forms) != 1:
        raise UserError("Send exactly one of: images (files), archive (a zip), dataset (a name).", code="invalid")
    if forms == ["dataset"]:
        dataset = latest_dataset(given["dataset"])
        images = images_of(dataset, "test")
        return f"{dataset} test", [
            batches.BatchItem(filename=image.path, asset=image.asset, part=part) for image in images
        ]
    if forms == ["archive"]:
        limits = ArchiveLimits(max_files=settings.BATCH_MAX_ZIP_FILES, max_total_bytes=settings.BATCH_MAX_BYTES)
        items = batches.receive_items(files=iter_images(given["archive"], limits), actor=actor)
        return str(given["archive"].name), _with_part(items, part)
    files = given["images"]
    if len(files) > settings.BATCH_MAX_FILES:
        raise UserError(
            f"{len(files)} files are more than one request may carry ({settings.BATCH_MAX_FILES}). Send a zip.",
            code="too_many_files",
            status=ImageRejected.TOO_LARGE,
        )
    items = batches.receive_items(files=((file.name, file.read()) for file in files), actor=actor)
    return f"{len(files)} files", _with_part(items, part)


def _with_part(items: list[batches.BatchItem], part: PartContext) -> list[batches.BatchItem]:
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

    @extend_schema(responses={200: BatchOutput, **_PROBLEMS}, operation_id="batch")
    def get(self, request: Request, batch_id: uuid.UUID) -> Response:
        # Never the maps themselves: a batch may have thousands.
        form = selectors.check_map_form(request.query_params.get("anomaly_map", "url"), allowed=("url", "none"))
        return Response(batches.batch_document(batches.find_batch(batch_id), anomaly_map=form))
