"""Pages of inspection."""

from django.urls import path

from inspection.views import line, record

urlpatterns = [
    path("", line.line, name="line"),
    path("line/status", line.line_status, name="line-status"),
    path("inspect", line.inspect, name="inspect"),
    path("inspections/<uuid:inspection_id>/", record.inspection, name="inspection"),
]
