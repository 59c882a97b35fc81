"""`/api/` of connections to the line. Every path works with and without a trailing slash."""

from django.urls import re_path

from edge.connections import api
from edge.nodes import api as nodes
from edge.passages import api as passages

_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_NODE = r"^edge-nodes/(?P<node_id>[0-9]{1,18})"
_CONNECTION = r"^connections/(?P<connection_id>[0-9]{1,18})"

urlpatterns = [
    re_path(r"^connection-kinds/?$", api.KindsView.as_view(), name="api-connection-kinds"),
    re_path(r"^connections/?$", api.ConnectionsView.as_view(), name="api-connections"),
    re_path(rf"{_CONNECTION}/?$", api.ConnectionView.as_view(), name="api-connection"),
    re_path(rf"{_CONNECTION}/secrets/?$", api.SecretsView.as_view(), name="api-connection-secrets"),
    re_path(rf"{_CONNECTION}/end-secrets/?$", api.EndSecretsView.as_view(), name="api-connection-end-secrets"),
    re_path(rf"{_CONNECTION}/deliveries/?$", api.DeliveriesView.as_view(), name="api-connection-deliveries"),
    re_path(rf"{_CONNECTION}/resend/?$", api.ResendAllView.as_view(), name="api-connection-resend"),
    re_path(r"^edge-nodes/?$", nodes.NodesView.as_view(), name="api-edge-nodes"),
    re_path(rf"{_NODE}/?$", nodes.NodeView.as_view(), name="api-edge-node"),
    re_path(rf"{_NODE}/token/?$", nodes.NodeTokenView.as_view(), name="api-edge-node-token"),
    re_path(r"^edge-nodes/self/contact/?$", nodes.ContactView.as_view(), name="api-node-contact"),
    re_path(r"^edge-nodes/self/records/?$", nodes.NodeRecordsView.as_view(), name="api-node-records"),
    re_path(r"^edge-nodes/self/anchors/?$", nodes.NodeAnchorsView.as_view(), name="api-node-anchors"),
    re_path(rf"^deliveries/(?P<delivery_id>{_UUID})/resend/?$", api.ResendView.as_view(), name="api-delivery-resend"),
    re_path(r"^passages/?$", passages.PassagesView.as_view(), name="api-passages"),
    re_path(r"^passage-counters/?$", passages.PassageCountersView.as_view(), name="api-passage-counters"),
    re_path(
        r"^passage-counters/(?P<counter_id>[0-9]{1,18})/passages/?$",
        passages.CounterPassagesView.as_view(),
        name="api-counter-passages",
    ),
]
