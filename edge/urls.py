"""Pages of connections to the line, and of edge nodes."""

from django.urls import path

from edge.cameras import views as cameras
from edge.connections import views
from edge.nodes import views as nodes

urlpatterns = [
    path("connections/", views.connections, name="connections"),
    path("connections/new/", views.new, name="connection-new"),
    path("connections/<int:connection_id>/", views.connection, name="connection"),
    path("connections/<int:connection_id>/secret", views.secret, name="connection-secret"),
    path("connections/<int:connection_id>/end-secrets", views.end_secrets, name="connection-end-secrets"),
    path("connections/<int:connection_id>/resend", views.resend, name="connection-resend"),
    path("nodes/", nodes.nodes, name="edge-nodes"),
    path("nodes/new", nodes.create, name="edge-node-create"),
    path("nodes/<int:node_id>/act", nodes.act, name="edge-node-act"),
    path("connections/<int:connection_id>/live/", cameras.live, name="connection-live"),
    path("connections/<int:connection_id>/live/state", cameras.state, name="connection-live-state"),
    path("connections/<int:connection_id>/live/frame", cameras.frame, name="connection-live-frame"),
]
