"""Pages of data sets and training."""

from django.urls import path

from training import views

urlpatterns = [
    path("datasets/", views.datasets, name="datasets"),
    path("datasets/<int:dataset_id>/", views.dataset, name="dataset"),
    path("datasets/images/<int:image_id>/thumbnail", views.thumbnail, name="dataset-thumbnail"),
    path("datasets/images/<int:image_id>/outline", views.outline, name="dataset-outline"),
    path("training/", views.training, name="training"),
    path("training/new/", views.start, name="training-new"),
    path("training/<int:run_id>/", views.run, name="run"),
    path("training/<int:run_id>/live", views.live, name="run-live"),
    path("training/<int:run_id>/cancel", views.cancel, name="run-cancel"),
    path("training/<int:run_id>/report/", views.run_report, name="run-report"),
    path("training/evaluations/<int:evaluation_id>/", views.evaluation, name="evaluation"),
]
