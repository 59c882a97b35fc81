"""`/api/` of tuning. Every path works with and without a trailing slash."""

from django.urls import re_path

from tuning.api import views
from tuning.retraining import api as retraining

_UUID = r"(?P<run_id>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
_COMPARISON = _UUID.replace("run_id", "comparison_id")

urlpatterns = [
    re_path(r"^what-if/?$", views.WhatIfView.as_view(), name="what-if"),
    re_path(r"^rescorings/?$", views.RescoringsView.as_view(), name="rescorings"),
    re_path(rf"^rescorings/{_UUID}/?$", views.RescoringView.as_view(), name="rescoring"),
    re_path(rf"^rescorings/{_UUID}/results/?$", views.RescoringResultsView.as_view(), name="rescoring-results"),
    re_path(rf"^rescorings/{_UUID}/cancel/?$", views.CancelRescoringView.as_view(), name="cancel-rescoring"),
    re_path(r"^categories/(?P<name>[^/]{1,100})/retrain/?$", retraining.RetrainView.as_view(), name="retrain"),
    re_path(r"^comparisons/?$", retraining.ComparisonsView.as_view(), name="comparisons"),
    re_path(rf"^comparisons/{_COMPARISON}/?$", retraining.ComparisonView.as_view(), name="api-comparison"),
    re_path(
        rf"^comparisons/{_COMPARISON}/images/?$", retraining.ComparisonImagesView.as_view(), name="comparison-images"
    ),
]
