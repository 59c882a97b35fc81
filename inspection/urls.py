"""Pages of inspection."""

from django.urls import path

from inspection import views

urlpatterns = [
    path("", views.line, name="line"),
    path("line/status", views.line_status, name="line-status"),
    path("inspect", views.inspect, name="inspect"),
    path("inspections/<uuid:inspection_id>/", views.inspection, name="inspection"),
]
