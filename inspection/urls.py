"""Pages of inspection."""

from django.urls import path

from inspection.views import history, line, record

urlpatterns = [
    path("", line.line, name="line"),
    path("line/status", line.line_status, name="line-status"),
    path("inspect", line.inspect, name="inspect"),
    path("inspections/", history.browse, name="history"),
    path("inspections/figures", history.figures, name="history-figures"),
    path("inspections/views", history.keep, name="history-keep"),
    path("inspections/views/<int:view_id>/delete", history.forget, name="history-forget"),
    path("inspections/<uuid:inspection_id>/", record.inspection, name="inspection"),
]
