"""Pages of connections to the line."""

from django.urls import path

from edge.connections import views

urlpatterns = [
    path("connections/", views.connections, name="connections"),
    path("connections/new/", views.new, name="connection-new"),
    path("connections/<int:connection_id>/", views.connection, name="connection"),
    path("connections/<int:connection_id>/secret", views.secret, name="connection-secret"),
    path("connections/<int:connection_id>/end-secrets", views.end_secrets, name="connection-end-secrets"),
    path("connections/<int:connection_id>/resend", views.resend, name="connection-resend"),
]
