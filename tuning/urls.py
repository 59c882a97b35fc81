"""Pages of tuning."""

from django.urls import path

from tuning import views
from tuning.retraining import views as retraining

urlpatterns = [
    path("thresholds/", views.thresholds, name="thresholds"),
    path("thresholds/<int:version_id>/", views.threshold, name="threshold"),
    path("models/compare/", views.compare, name="models-compare"),
    path("models/<int:version_id>/retrain", retraining.retrain, name="model-retrain"),
    path("models/<int:version_id>/compare", retraining.start, name="comparison-start"),
    path("models/comparisons/<uuid:comparison_id>/", retraining.comparison, name="comparison"),
]
