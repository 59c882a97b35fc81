"""Edge nodes: made, changed; and what nodes themselves call with their token."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.throttles import caller
from accounts.models import ApiToken
from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser, MultiPartParser
from common.api.schema import page_output, problems
from common.api.validation import NoInput, parsed
from common.api.views import ApiView
from common.pixels import budget as pixels
from common.rights import Right, confine
from edge.nodes import documents, selectors, services
from edge.nodes import serializers as shapes
from edge.nodes.models import EdgeNode
from edge.nodes.taking import take_record
from records.assets.images import check_size, pixels_to_decode
from records.assets.selectors import upload_limits

_ID = OpenApiParameter("node_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class NodesView(ApiView):
    """All edge nodes, by name."""

    rights = {"GET": Right.READ, "POST": Right.ADMINISTER}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.NodeOutput), **problems()},
        operation_id="edge_nodes",
    )
    def get(self, request: Request) -> Response:
        return page_response(selectors.nodes(), request, documents.node_document, ordering=("name",))

    @extend_schema(
        request=shapes.NodeInput,
        responses={201: shapes.NodeWithTokenOutput, **problems(409, 413, 415)},
        operation_id="create_edge_node",
        examples=[OpenApiExample("of one station", value={"name": "east", "station": "east"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """A new node with its token, which is shown this once."""
        node, token = services.create_node(actor=request.user, **parsed(shapes.NodeInput, request.data))
        return _with_token(node, token, status=201, headers={"Location": reverse("api-edge-node", args=[node.pk])})


def _with_token(node: EdgeNode, token: str, **answer: Any) -> Response:
    document = documents.node_document(selectors.find_node(node.pk))
    response = Response(document | {"token": token}, **answer)
    response["Cache-Control"] = "no-store"
    return response


class NodeView(ApiView):
    """One edge node."""

    rights = {"GET": Right.READ, "PATCH": Right.ADMINISTER}
    parser_classes = [JSONParser]

    @extend_schema(parameters=[_ID], responses={200: shapes.NodeOutput, **problems()}, operation_id="edge_node")
    def get(self, request: Request, node_id: str) -> Response:
        return Response(documents.node_document(selectors.find_node(int(node_id))))

    @extend_schema(
        parameters=[_ID],
        request=shapes.NodeChangeInput,
        responses={200: shapes.NodeOutput, **problems(409, 413, 415)},
        operation_id="change_edge_node",
        examples=[OpenApiExample("stolen", value={"enabled": False}, request_only=True)],
    )
    def patch(self, request: Request, node_id: str) -> Response:
        fields = parsed(shapes.NodeChangeInput, request.data)
        node = selectors.find_node(int(node_id))
        services.change_node(
            node=node, station=fields.get("station"), is_enabled=fields.get("enabled"), actor=request.user
        )
        return Response(documents.node_document(selectors.find_node(node.pk)))


class NodeTokenView(ApiView):
    """Another token for a node; the one before it is revoked at once."""

    rights = {"POST": Right.ADMINISTER}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_ID],
        request=None,
        responses={201: shapes.NodeWithTokenOutput, **problems(413, 415)},
        operation_id="renew_edge_node_token",
    )
    def post(self, request: Request, node_id: str) -> Response:
        parsed(NoInput, request.data)
        node = selectors.find_node(int(node_id))
        return _with_token(node, services.renew_token(node=node, actor=request.user), status=201)


# ---------------------------------------------------------------- what a node calls
class OfNodeView(ApiView):
    """For the token of a node alone. Its account has no role, so it may do nothing elsewhere.

    Between nodes and centres of this product, so in no schema for others: docs/edge-node.md says what goes over it.
    """

    node: EdgeNode | None = None

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        if isinstance(request.auth, ApiToken):
            self.node = selectors.node_of(request.auth.user_id)
            if self.node is not None:
                confine(request.user, Right.FORWARD)

    def calling_node(self) -> EdgeNode:
        """Raises `Forbidden`."""
        return services.require_node(self.node)


class ContactView(OfNodeView):
    """A sign of life of a node; where its audit chain is anchored here."""

    rights = {"POST": Right.FORWARD}
    parser_classes = [JSONParser]

    @extend_schema(
        request=shapes.ContactInput,
        responses={200: shapes.ContactOutput, **problems(409, 413, 415)},
        operation_id="node_contact",
        exclude=True,
    )
    def post(self, request: Request) -> Response:
        fields = parsed(shapes.ContactInput, request.data)
        node = self.calling_node()
        receipt = services.note_contact(
            node=node,
            name=fields["node"],
            waiting=fields.get("waiting"),
            oldest_waiting_at=fields.get("oldest_waiting_at"),
        )
        state = selectors.chain_state(node)
        return Response(
            {
                "node": node.name,
                "station": node.station,
                "sequence": state.sequence,
                "head": state.head,
                "receipt": receipt,
            }
        )


class NodeRecordsView(OfNodeView):
    """Records of the node that calls: handed over, each exactly once; and those that are here."""

    rights = {"GET": Right.FORWARD, "POST": Right.FORWARD}
    parser_classes = [MultiPartParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.NodeRecordOutput), **problems()},
        operation_id="node_records",
        exclude=True,
    )
    def get(self, request: Request) -> Response:
        rows = selectors.records(self.calling_node()).select_related("inspection__asset", "inspection__map")
        return page_response(rows, request, documents.record_document, ordering=("sequence",))

    @extend_schema(
        request={"multipart/form-data": shapes.RecordInput},
        responses={200: shapes.TakenOutput, 201: shapes.TakenOutput, **problems(409, 413, 415, 422, 507)},
        operation_id="forward_record",
        exclude=True,
    )
    def post(self, request: Request) -> Response:
        """201 for a new record, 200 for one that is here already, the very same."""
        fields = parsed(shapes.RecordInput, request.data)
        node = self.calling_node()
        limits = upload_limits()
        files = [fields["image"], *([fields["map"]] if "map" in fields else [])]
        for file in files:
            check_size(file.size or 0, limits)
        image, *maps = [file.read() for file in files]
        with pixels.budget().hold(pixels_to_decode(image, limits), caller=caller(request)):
            record, repeated = take_record(
                node=node, text=fields["record"], image=image, anomaly_map=maps[0] if maps else None, actor=request.user
            )
        return Response(documents.taken_document(record, repeated=repeated), status=200 if repeated else 201)


class NodeAnchorsView(OfNodeView):
    """States of the audit chain of the node that calls: another one, and those that are anchored here."""

    rights = {"GET": Right.FORWARD, "POST": Right.FORWARD}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: page_output(shapes.AnchorOutput), **problems()},
        operation_id="node_anchors",
        exclude=True,
    )
    def get(self, request: Request) -> Response:
        rows = selectors.anchors(self.calling_node())
        return page_response(rows, request, documents.anchor_document, ordering=("sequence",))

    @extend_schema(
        request=shapes.EventsInput,
        responses={200: shapes.ReceiptOutput, **problems(409, 413, 415)},
        operation_id="anchor_chain",
        exclude=True,
    )
    def post(self, request: Request) -> Response:
        """Anchor the node's audit chain in the one here; the answer is a signed receipt."""
        events = parsed(shapes.EventsInput, request.data)["events"]
        node = self.calling_node()
        return Response(services.anchor_chain(node=node, events=events, actor=request.user))
