"""Connections to the line: made, changed, disabled; what waits for them, and dead letters."""

from __future__ import annotations

import uuid
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import NoInput, parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right
from edge.connections import documents, selectors, services
from edge.connections import serializers as shapes
from edge.connections.registry import KINDS
from edge.deliveries import services as deliveries
from modelzoo.selectors import find_category

_ID = OpenApiParameter("connection_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_ORDER = ("-created_at", "-sequence", "-id")


class KindsView(ApiView):
    """The kinds of connections, and what each takes."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: shapes.KindsOutput, **problems()}, operation_id="connection_kinds")
    def get(self, request: Request) -> Response:
        return Response({"kinds": [documents.kind_document(kind) for kind in KINDS.values()]})


class ConnectionsView(ApiView):
    """All connections, by name."""

    rights = {"GET": Right.READ, "POST": Right.CONNECT}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.ConnectionOutput), **problems()},
        operation_id="connections",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.connections(), request, documents.connection_document, ordering=("name",))

    @extend_schema(
        request=shapes.ConnectionInput,
        responses={201: shapes.FullConnectionOutput, **problems(409, 413, 415)},
        operation_id="create_connection",
        examples=[
            OpenApiExample(
                "a webhook of the MES",
                value={
                    "name": "MES",
                    "kind": "webhook",
                    "settings": {"url": "https://mes.example/verdicts"},
                    "secrets": {"signing_secret": "sixteen or more characters"},
                    "line_time_ms": 1500,
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """A new connection; it is opened within seconds."""
        fields = _in_words_of_services(parsed(shapes.ConnectionInput, request.data))
        made = services.create_connection(actor=request.user, **fields)
        return Response(
            documents.full_connection_document(selectors.find_connection(made.pk)),
            status=201,
            headers={"Location": reverse("api-connection", args=[made.pk])},
        )


class ConnectionView(ApiView):
    """One connection, and how it is."""

    rights = {"GET": Right.READ, "PATCH": Right.CONNECT}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ID], responses={200: shapes.FullConnectionOutput, **problems()}, operation_id="connection"
    )
    def get(self, request: Request, connection_id: str) -> Response:
        return Response(documents.full_connection_document(selectors.find_connection(int(connection_id))))

    @extend_schema(
        parameters=[_ID],
        request=shapes.ConnectionChangeInput,
        responses={200: shapes.FullConnectionOutput, **problems(409, 413, 415)},
        operation_id="change_connection",
        examples=[OpenApiExample("disable it", value={"enabled": False}, request_only=True)],
    )
    def patch(self, request: Request, connection_id: str) -> Response:
        changes = _in_words_of_services(parsed(shapes.ConnectionChangeInput, request.data))
        connection = selectors.find_connection(int(connection_id))
        services.change_connection(connection=connection, changes=changes, actor=request.user)
        return Response(documents.full_connection_document(selectors.find_connection(connection.pk)))


def _in_words_of_services(fields: dict[str, Any]) -> dict[str, Any]:
    if "enabled" in fields:
        fields["is_enabled"] = fields.pop("enabled")
    if fields.get("category") is not None:
        fields["category"] = find_category(fields["category"])
    return fields


class SecretsView(ApiView):
    """The secrets of a connection: set, and never given back."""

    rights = {"POST": Right.CONNECT}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ID],
        request=shapes.SecretInput,
        responses={201: shapes.FullConnectionOutput, **problems(413, 415)},
        operation_id="set_connection_secret",
        examples=[
            OpenApiExample(
                "another one",
                value={"name": "signing_secret", "value": "sixteen or more characters"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request, connection_id: str) -> Response:
        """A new secret; the one before it holds beside it for as long as the kind says."""
        fields = parsed(shapes.SecretInput, request.data)
        connection = selectors.find_connection(int(connection_id))
        services.set_secret(connection=connection, actor=request.user, **fields)
        return Response(documents.full_connection_document(selectors.find_connection(connection.pk)), status=201)


class EndSecretsView(ApiView):
    """End secrets that hold on beside a newer one."""

    rights = {"POST": Right.CONNECT}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ID],
        request=shapes.SecretEndInput,
        responses={200: shapes.EndedSecretsOutput, **problems(413, 415)},
        operation_id="end_connection_secrets",
        examples=[OpenApiExample("at once", value={"name": "signing_secret"}, request_only=True)],
    )
    def post(self, request: Request, connection_id: str) -> Response:
        fields = parsed(shapes.SecretEndInput, request.data)
        connection = selectors.find_connection(int(connection_id))
        ended = services.end_old_secrets(connection=connection, name=fields["name"], actor=request.user)
        return Response({"ended": ended})


class DeliveriesView(ApiView):
    """What waits for a connection, went over it or is a dead letter (`failed`), newest first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_ID, shapes.DeliveryListInput, *PAGE_PARAMETERS],
        responses={200: page_output(shapes.DeliveryOutput), **problems()},
        operation_id="deliveries",
    )
    def get(self, request: Request, connection_id: str) -> Response:
        status = parsed_query(shapes.DeliveryListInput, request)["status"]
        connection = selectors.find_connection(int(connection_id))
        rows = selectors.deliveries(connection, status=status)
        return page_response(rows, request, documents.delivery_document, ordering=_ORDER)


class ResendAllView(ApiView):
    """Send all dead letters of a connection again."""

    rights = {"POST": Right.CONNECT}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ID],
        request=None,
        responses={200: shapes.ResentOutput, **problems(413, 415)},
        operation_id="resend_dead_letters",
    )
    def post(self, request: Request, connection_id: str) -> Response:
        parsed(NoInput, request.data)
        connection = selectors.find_connection(int(connection_id))
        return Response({"resent": deliveries.resend_all(connection=connection, actor=request.user)})


class ResendView(ApiView):
    """Send one dead letter again."""

    rights = {"POST": Right.CONNECT}
    parser_classes = [JSONParser]

    @extend_schema(
        request=None,
        responses={200: shapes.DeliveryOutput, **problems(409, 413, 415)},
        operation_id="resend_delivery",
    )
    def post(self, request: Request, delivery_id: uuid.UUID) -> Response:
        parsed(NoInput, request.data)
        resent = deliveries.resend(delivery=selectors.find_delivery(delivery_id), actor=request.user)
        return Response(documents.delivery_document(resent))
