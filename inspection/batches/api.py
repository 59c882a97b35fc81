"""`/api/batches`: many images as one job."""

from __future__ import annotations

import hashlib
import threading
import uuid
from functools import lru_cache
from typing import Any

from csp.decorators import csp
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils.datastructures import MultiValueDict
from django.utils.decorators import method_decorator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, read_page
from common.api.parsers import JSONParser, MultiPartParser
from common.api.schema import page_output, problems
from common.api.validation import NoInput, parsed
from common.api.views import ApiView, OneForm
from common.database import UNAVAILABLE
from common.errors import UserError
from common.rights import Right
from inspection.batches import documents as batches_documents
from inspection.batches import gathering, reports, selectors, services
from inspection.batches.serializers import (
    BatchOutput,
    BatchReportOutput,
    BatchRowOutput,
    BatchTestInput,
    NamedBatchInput,
)
from inspection.history.api import DIALECT
from inspection.history.filter_values import refuse
from inspection.history.filters import parse_filters
from inspection.judging import documents
from inspection.judging.api import part_of
from inspection.judging.idempotency import HEADER, REPLAYED, fingerprint
from inspection.judging.idempotency_schema import KEY, REPLAY
from inspection.models import BatchRun
from modelzoo.selectors import deployment_in_force

_PROBLEMS = problems(409, 413, 415, 422, 507)
_FILTERS = ("since", "until", "category")


_EXAMPLES = [
    OpenApiExample(
        "a folder of the server",
        value={"folder": "line3/2026-11-24", "category": "screw", "lot": "L-1042", "station": "line 3"},
        request_only=True,
    ),
    OpenApiExample("a data set", value={"dataset": "screw", "wait": 30}, request_only=True),
]
_ASK: dict[str, Any] = {
    "request": {"multipart/form-data": BatchTestInput, "application/json": NamedBatchInput},
    "responses": {200: BatchOutput, 202: BatchOutput, **_PROBLEMS},
    "parameters": [KEY, REPLAY],
    "examples": _EXAMPLES,
}


class BatchTestView(ApiView):
    """Judge many images: files, a zip, the test split of a data set by name, or a folder of the server."""

    rights = {"POST": Right.INSPECT}
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(**_ASK, operation_id="batch_test")
    def post(self, request: Request) -> Response:
        return _ask_for_batch(request)


class BatchesView(ApiView):
    """The batches there were, newest first, without their items; asking for another one, as `batch_test` does."""

    rights = {"GET": (Right.READ, Right.INSPECT), "POST": Right.INSPECT}
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(
        parameters=[
            OpenApiParameter("status", str, enum=["", *BatchRun.Status.values]),
            OpenApiParameter("since", str, description="requested at or after: a day, or a time (ISO 8601)"),
            OpenApiParameter("until", str, description="requested before: a time; a day is included"),
            OpenApiParameter("category", str),
            *PAGE_PARAMETERS,
        ],
        responses={200: page_output(BatchRowOutput), **problems()},
        operation_id="batches",
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        filters = parse_filters({name: query[name] for name in _FILTERS if name in query})
        status = query.get("status", "")
        if status and status not in BatchRun.Status.values:
            refuse("status", f"must be one of {', '.join(BatchRun.Status.values)}")
        batches = selectors.batches(status=status, since=filters.since, until=filters.until, category=filters.category)
        page = read_page(batches, request, ordering=("-created_at", "-id"))
        return page.response(batches_documents.summaries(page.rows))

    @extend_schema(**_ASK, operation_id="create_batch")
    def post(self, request: Request) -> Response:
        return _ask_for_batch(request)


def _ask_for_batch(request: Request) -> Response:
    body = _body(request)
    key = request.headers.get(HEADER)
    request_fingerprint = _fingerprint(body) if key is not None else ""
    batch = services.repeated_batch(idempotency_key=key, request_fingerprint=request_fingerprint, actor=request.user)
    if batch is None:
        deployment = deployment_in_force(body["category"], station=part_of(body).station)
        gathered = gathering.gather(
            files=body["images"],
            archive=body["archive"],
            dataset=body["dataset"],
            folder=body["folder"],
            actor=request.user,
            window=deployment.model_version.window,
        )
        try:
            batch = services.request_batch(
                items=gathered.items,
                name=gathered.name,
                folder=gathered.folder,
                warnings=gathered.warnings,
                deployment=deployment,
                source="api",
                actor=request.user,
                part=part_of(body),
                idempotency_key=key,
                request_fingerprint=request_fingerprint,
            )
        except UNAVAILABLE as error:  # perhaps while it was committed
            raise services.BatchOutcomeUnknown(None) from error
    try:
        over = _await(batch, body["wait"])
        document = batches_documents.batch_document(batch, anomaly_map=body["anomaly_map"])
    except UNAVAILABLE as error:
        raise services.BatchOutcomeUnknown(batch) from error
    headers = {"Location": document["url"]} | ({REPLAYED: "true"} if batch.replayed else {})
    return Response(document, status=200 if over else 202, headers=headers)


@lru_cache(maxsize=1)
def _waiting_places() -> threading.BoundedSemaphore:
    """Threads of this process that may wait for batches: uploads and exports need the others."""
    return threading.BoundedSemaphore(max(1, settings.WEB_TRANSFER_THREADS - 2))


def _await(batch: BatchRun, seconds: float) -> bool:
    """Whether the batch is over, after so many seconds at most; at once where as many wait as may."""
    places = _waiting_places()
    if seconds and places.acquire(blocking=False):
        try:
            return services.await_batch(batch, seconds=seconds)
        finally:
            places.release()
    return services.await_batch(batch, seconds=0)


def _body(request: Request) -> dict[str, Any]:
    """What was sent, `image` being another name of `images`."""
    data: Any = request.data
    if hasattr(data, "getlist"):
        data = MultiValueDict(dict(data.lists()))
        data.setlist("images", data.pop("images", []) + data.pop("image", []))
    return parsed(BatchTestInput, data)


def _fingerprint(body: dict[str, Any]) -> str:
    """Of as requested; how long the caller waits for it, and how it is shown, are no part of that."""
    archive = body["archive"]
    return fingerprint(
        images=[_sha256(file) for file in body["images"]],
        archive=_sha256(archive) if archive else "",
        dataset=body["dataset"],
        folder=body["folder"],
        category=body["category"],
        **vars(part_of(body)),
    )


def _sha256(file: UploadedFile) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


class BatchView(ApiView):
    """Progress and results of a batch."""

    rights = {"GET": (Right.READ, Right.INSPECT)}

    @extend_schema(
        parameters=[
            OpenApiParameter("anomaly_map", str, enum=batches_documents.MAP_FORMS),
            OpenApiParameter(
                "results", str, enum=["yes", "no"], description="no: the counts alone, for who asks again and again"
            ),
        ],
        responses={200: BatchOutput, **_PROBLEMS},
        operation_id="batch",
    )
    def get(self, request: Request, batch_id: uuid.UUID) -> Response:
        form = documents.check_map_form(
            request.query_params.get("anomaly_map", "url"), allowed=batches_documents.MAP_FORMS
        )
        results = request.query_params.get("results", "yes")
        if results not in ("yes", "no"):
            raise UserError("results must be yes or no.", code="invalid")
        batch = selectors.find_batch(batch_id)
        return Response(batches_documents.batch_document(batch, anomaly_map=form, results=results == "yes"))


class CancelBatchView(ApiView):
    """Call a batch off: what is not judged yet is not judged any more, records stay."""

    rights = {"POST": Right.INSPECT}

    @extend_schema(
        request=None,
        responses={200: BatchRowOutput, 202: BatchRowOutput, **problems(409)},
        operation_id="cancel_batch",
        examples=[OpenApiExample("nothing more is needed", value={}, request_only=True)],
    )
    def post(self, request: Request, batch_id: uuid.UUID) -> Response:
        parsed(NoInput, request.data)
        batch = services.cancel_batch(batch_id=batch_id, actor=request.user)
        # 202: a worker is at it, and stops after its slice.
        status = 202 if batch.is_open else 200
        return Response(batches_documents.summaries([batch])[0], status=status)


@method_decorator(csp(reports.HTML_POLICY), name="dispatch")
class BatchReportView(ApiView):
    """The report of a batch: a table, a document, or a page to print. Partial, and saying so, while it is not over."""

    rights = {"GET": (Right.READ, Right.INSPECT)}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=list(reports.FORMS), default="json"), DIALECT],
        responses={
            (200, "application/json"): BatchReportOutput,
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "text/html"): OpenApiTypes.STR,
            **problems(),
        },
        operation_id="batch_report",
    )
    def get(self, request: Request, batch_id: uuid.UUID) -> HttpResponseBase:
        form = request.query_params.get("format", "json")
        dialect = request.query_params.get("dialect", "")
        report = reports.batch_report(selectors.find_batch(batch_id), form=form, dialect=dialect)
        response = StreamingHttpResponse(report.content, content_type=report.media_type)
        place = "inline" if form == "html" else "attachment"
        response["Content-Disposition"] = f'{place}; filename="{report.filename}"'
        response["X-Content-Type-Options"] = "nosniff"
        response["Cache-Control"] = "private, no-store"
        return response
