"""`/api/parts`: one part, several views."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.throttles import caller
from common.api.pagination import PAGE_PARAMETERS, read_page
from common.api.parsers import MultiPartParser
from common.api.requests import check_one_image
from common.api.schema import page_output, problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView, OneForm
from common.errors import UserError
from common.pixels import budget as pixels
from common.rights import Right
from inspection.history.api import DIALECT
from inspection.judging.api import read_upload
from inspection.judging.idempotency import HEADER, REPLAYED
from inspection.judging.idempotency_schema import KEY, REPLAY
from inspection.judging.services import PART_FIELDS, PartContext
from inspection.models import PartRequest
from inspection.part_layouts.models import MAX_VIEWS
from inspection.parts import exports, selectors, services
from inspection.parts.documents import part_document
from inspection.parts.serializers import InspectPartInput, InspectViewInput, PartOutput, PartQuery
from records.assets.images import pixels_to_decode
from records.assets.selectors import upload_limits

_PROBLEMS = problems(409, 413, 415, 422, 507)
_TEXT = {"type": "string", "maxLength": 100}
_FILTERS = ("outcome", "layout", "part_id", "serial_number", "lot", "station")
# Files by the names of views, which no serializer knows.
_BODY = {
    "type": "object",
    "required": ["layout"],
    "properties": {
        "layout": {**_TEXT, "description": "name of a part layout"},
        "part_id": {
            **_TEXT,
            "description": "what the line calls this inspection of the part; the same id is the same part. Empty: made "
            "from the Idempotency-Key, else new",
        },
        **dict.fromkeys(PART_FIELDS, _TEXT),
    },
    "additionalProperties": {
        "type": "string",
        "format": "binary",
        "description": "the image of a view; the name of the field is the name of the view",
    },
}


class PartsView(ApiView):
    """The parts that were asked for, newest first; having a part inspected in one call."""

    rights = {"GET": Right.READ, "POST": Right.INSPECT}
    parser_classes = [MultiPartParser]

    @extend_schema(
        parameters=[PartQuery, *PAGE_PARAMETERS],
        responses={200: page_output(PartOutput), **problems()},
        operation_id="parts",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(PartQuery, request)
        filters = {name: query[name] for name in _FILTERS}
        if query["status"] == PartRequest.Status.OPEN:
            if any(filters.values()):
                raise UserError(
                    "Open parts are listed without other filters. Nothing was read. Leave them out.",
                    code="invalid_filter",
                    parameter=next(name for name, value in filters.items() if value),
                )
            page = read_page(selectors.open_parts(), request, ordering=("-opened_at", "-id"))
            return page.response(part_document(selectors.open_part(row)) for row in page.rows)
        page = read_page(selectors.records(**filters), request, ordering=("-created_at", "-request_id"))
        return page.response(part_document(part) for part in selectors.with_views(page.rows))

    @extend_schema(
        request={"multipart/form-data": _BODY},
        responses={200: PartOutput, **_PROBLEMS},
        parameters=[KEY, REPLAY],
        operation_id="inspect_part",
    )
    def post(self, request: Request) -> Response:
        """Each file is a view: the name of its field is the name of the view. Answered when all sent views are judged.

        A part of which all views were sent has its verdict then; else it waits for the others until its time is over.
        """
        fields = parsed(InspectPartInput, request.POST)
        uploads = [(name, file) for name, files in request.FILES.lists() for file in files]
        names = [name for name, _ in uploads]
        if not uploads or len(set(names)) < len(names) or len(names) > MAX_VIEWS:
            raise UserError(
                f"Send 1 to {MAX_VIEWS} views, each as one file whose field has the name of the view. Nothing was "
                "judged.",
                code="no_image" if not uploads else "invalid",
            )
        part_id = services.part_id_of(
            part_id=fields["part_id"], idempotency_key=request.headers.get(HEADER), actor=request.user
        )
        images = [services.ViewImage(name, file.name or "", _read(file, request)) for name, file in uploads]
        with ExitStack() as held:
            _hold_pixels(held, images, request)
            part = services.inspect_part(submission=_submission(fields, part_id, request), images=images)
        return _answer(part)


class PartViewsView(ApiView):
    """One view of a part, which begins with its first view."""

    rights = {"POST": Right.INSPECT}
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": InspectViewInput},
        responses={200: PartOutput, **_PROBLEMS},
        parameters=[REPLAY],
        operation_id="inspect_view",
    )
    def post(self, request: Request) -> Response:
        """Answered when the view is judged. The last view's answer has the verdict of the part.

        Part id and view are the key: the same image again is answered with its record, another one is refused.
        """
        check_one_image(request.FILES)
        fields = parsed(InspectViewInput, request.data)
        image = services.ViewImage(fields["view"], fields["image"].name, _read(fields["image"], request))
        with ExitStack() as held:
            _hold_pixels(held, [image], request)
            part, _ = services.inspect_view(submission=_submission(fields, fields["part_id"], request), image=image)
        return _answer(part)


def _read(file: UploadedFile, request: Request) -> bytes:
    """The bytes of a view. One that is too large ends the call unread; an empty one is refused as what came for it."""
    return read_upload(file, actor=request.user) if file.size else b""


def _hold_pixels(held: ExitStack, images: list[services.ViewImage], request: Request) -> None:
    size = sum(pixels_to_decode(image.data, upload_limits()) for image in images)
    held.enter_context(pixels.budget().hold(size, caller=caller(request)))


def _submission(fields: dict[str, Any], part_id: str, request: Request) -> services.PartSubmission:
    return services.PartSubmission(
        layout=fields["layout"],
        part_id=part_id,
        source="api",
        actor=request.user,
        part=PartContext(**{name: fields[name] for name in PART_FIELDS}),
    )


def _answer(part: PartRequest) -> Response:
    document = part_document(selectors.find_part(part.pk))
    return Response(document, headers={"Location": document["url"]} | ({REPLAYED: "true"} if part.replayed else {}))


class PartView(ApiView):
    """One part, open or closed."""

    rights = {"GET": (Right.READ, Right.INSPECT)}

    @extend_schema(responses={200: PartOutput, **problems()}, operation_id="part")
    def get(self, request: Request, part_id: uuid.UUID) -> Response:
        return Response(part_document(selectors.find_part(part_id)))


class PartsExportView(ApiView):
    """The parts that were asked for as a CSV table, newest first, made while it is read."""

    rights = {"GET": Right.EXPORT}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[
            DIALECT,
            *(OpenApiParameter(name, str) for name in _FILTERS),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR, **problems()},
        description=f"Columns: {', '.join(exports.COLUMNS)}.",
        operation_id="export_parts",
    )
    def get(self, request: Request) -> HttpResponseBase:
        query = request.query_params
        export = exports.export_parts(
            filters={name: query[name] for name in _FILTERS if query.get(name)},
            dialect=query.get("dialect", ""),
            actor=request.user,
        )
        return StreamingHttpResponse(
            export.content,
            content_type=export.media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{export.filename}"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            },
        )
