"""The audit log and its checkpoints. Who may not read them is told that nothing is there."""

from __future__ import annotations

import json
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.schema import page_output, problems
from common.api.validation import NoInput, parsed, parsed_query
from common.api.views import ApiView, OneForm
from common.rights import Right
from records.audit import selectors, serializers, services
from records.audit.chain.checkpoints import checkpoint_of
from records.audit.chain.export import MEDIA_TYPE, lines_of
from records.models import AuditCheckpoint, AuditEvent

_NUMBER = OpenApiParameter("sequence", OpenApiTypes.INT64, OpenApiParameter.PATH)
_CHECKPOINT = OpenApiExample(
    "a checkpoint",
    value={
        "format": "mvtec-audit-checkpoint-2",
        "sequence": 41872,
        "head": "5b1e...",
        "events": 41872,
        "at": "2026-11-25T03:00:00.118213+00:00",
        "key_id": "9f2c1a7be0d34c55",
        "signature": "kP3x...",
        "authenticated_from": 1,
    },
    response_only=True,
)


def _filters_of(request: Request) -> dict[str, Any]:
    return parsed_query(serializers.AuditFilters, request)


def event_document(event: AuditEvent) -> dict[str, Any]:
    return {
        "sequence": event.sequence,
        "at": event.at,
        "actor": event.actor_name,
        "actor_id": event.actor_id,
        "kind": event.kind,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "before": json.loads(event.before),
        "after": json.loads(event.after),
        "source": event.source,
        "request_id": event.request_id,
        "address": event.address,
        "previous_hash": event.previous_hash,
        "hash": event.hash,
        "url": f"/api/audit-events/{event.sequence}",
    }


def checkpoint_document(row: AuditCheckpoint) -> dict[str, Any]:
    return checkpoint_of(row).document()


class AuditEventsView(ApiView):
    """Everything that changed state, newest first."""

    rights = {"GET": Right.AUDIT}
    hidden = True

    @extend_schema(
        parameters=[serializers.AuditFilters, *PAGE_PARAMETERS],
        responses={200: page_output(serializers.AuditEventOutput), **problems()},
        operation_id="audit_events",
    )
    def get(self, request: Request) -> Response:
        filters = _filters_of(request)
        # A period is found through the index on time, whose order is that of the chain but for a clock set back.
        ordering = ("-at", "-sequence") if filters["since"] or filters["until"] else ("-sequence",)
        return page_response(selectors.filter_events(**filters), request, event_document, ordering=ordering)


class AuditEventView(ApiView):
    """One event, with what changed as a list."""

    rights = {"GET": Right.AUDIT}
    hidden = True

    @extend_schema(
        parameters=[_NUMBER],
        responses={200: serializers.AuditEventDetailOutput, **problems()},
        operation_id="audit_event",
    )
    def get(self, request: Request, sequence: str) -> Response:
        document = event_document(selectors.find_event(int(sequence)))
        return Response(document | {"changes": selectors.changes_of(document["before"], document["after"])})


class AuditExportView(ApiView):
    """Events as JSON Lines, oldest first, with all that is needed to verify them elsewhere (docs/audit.md).

    The export is itself an event, written before the first line is sent, and the last line where the filters let it in.
    """

    rights = {"GET": Right.AUDIT}
    hidden = True
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[serializers.AuditFilters],
        responses={(200, MEDIA_TYPE): OpenApiTypes.STR, **problems()},
        operation_id="audit_export",
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        filters = _filters_of(request)
        events = selectors.filter_events(**filters)
        filter_texts = {name: str(value) for name, value in request.query_params.items() if value and name in filters}
        event = services.note_export(filters=filter_texts, actor=request.user)
        lines = lines_of(selectors.stream_events(events, last=event.sequence))
        response = StreamingHttpResponse(lines, content_type=MEDIA_TYPE)
        response["Content-Disposition"] = f'attachment; filename="audit-{event.sequence}.jsonl"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


class AuditCheckpointsView(ApiView):
    """Signed checkpoints of the chain, newest first; the public key is had by `audit_checkpoint --public-key`."""

    rights = {"GET": Right.AUDIT, "POST": Right.ADMINISTER}
    hidden = True

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(serializers.CheckpointOutput), **problems()},
        operation_id="audit_checkpoints",
    )
    def get(self, request: Request) -> Response:
        return page_response(AuditCheckpoint.objects.all(), request, checkpoint_document, ordering=("-sequence",))

    @extend_schema(
        request=None,
        responses={200: serializers.CheckpointOutput, 201: serializers.CheckpointOutput, **problems(409, 507)},
        examples=[_CHECKPOINT],
        operation_id="make_audit_checkpoint",
        description="Seal the chain as it is now: 201. 200 with the last checkpoint when nothing happened since.",
    )
    def post(self, request: Request) -> Response:
        parsed(NoInput, request.data)
        row, is_new = services.make_checkpoint(actor=request.user)
        location = f"/api/audit-checkpoints/{row.sequence}"
        return Response(checkpoint_document(row), status=201 if is_new else 200, headers={"Location": location})


class AuditCheckpointView(ApiView):
    """One checkpoint, by the event that it names."""

    rights = {"GET": Right.AUDIT}
    hidden = True

    @extend_schema(
        parameters=[_NUMBER],
        responses={200: serializers.CheckpointOutput, **problems()},
        operation_id="audit_checkpoint",
    )
    def get(self, request: Request, sequence: str) -> Response:
        return Response(checkpoint_document(selectors.find_checkpoint(int(sequence))))
