"""Pages of tuning."""

from django.urls import path

from tuning import views

urlpatterns = [
    path("thresholds/", views.thresholds, name="thresholds"),
    path("thresholds/<int:version_id>/", views.threshold, name="threshold"),
    path("models/compare/", views.compare, name="models-compare"),
]
