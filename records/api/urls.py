"""`/api/` of records. Every path works with and without a trailing slash."""

from django.urls import re_path

from records.audit import api

_SEQUENCE = r"(?P<sequence>[0-9]{1,20})"

urlpatterns = [
    re_path(r"^audit-events/?$", api.AuditEventsView.as_view(), name="api-audit-events"),
    re_path(r"^audit-events/export/?$", api.AuditExportView.as_view(), name="api-audit-export"),
    re_path(rf"^audit-events/{_SEQUENCE}/?$", api.AuditEventView.as_view(), name="api-audit-event"),
    re_path(r"^audit-checkpoints/?$", api.AuditCheckpointsView.as_view(), name="api-audit-checkpoints"),
    re_path(rf"^audit-checkpoints/{_SEQUENCE}/?$", api.AuditCheckpointView.as_view(), name="api-audit-checkpoint"),
]
