"""Pages of data sets and training."""

from django.urls import path

from training.datasets import views
from training.datasets.uploads import views as upload_views
from training.runs import views as runs_views
from training.runs.ignore_masks import views as ignore_masks_views

urlpatterns = [
    path("datasets/", upload_views.datasets, name="datasets"),
    path("datasets/uploads/<slug:token>/", upload_views.pending, name="dataset-upload"),
    path("datasets/uploads/<slug:token>/progress", upload_views.progress, name="dataset-upload-progress"),
    path("datasets/<int:dataset_id>/", views.dataset, name="dataset"),
    path("datasets/images/<int:image_id>/thumbnail", views.thumbnail, name="dataset-thumbnail"),
    path("datasets/images/<int:image_id>/picture", views.picture, name="dataset-picture"),
    path("datasets/images/<int:image_id>/outline", views.outline, name="dataset-outline"),
    path("datasets/<int:dataset_id>/mean-image", ignore_masks_views.mean_image, name="dataset-mean-image"),
    path("training/ignored-regions/", ignore_masks_views.editor, name="ignored-regions"),
    path("training/", runs_views.training, name="training"),
    path("training/new/", runs_views.start, name="training-new"),
    path("training/<int:run_id>/", runs_views.run, name="run"),
    path("training/<int:run_id>/live", runs_views.live, name="run-live"),
    path("training/<int:run_id>/cancel", runs_views.cancel, name="run-cancel"),
    path("training/<int:run_id>/report/", runs_views.run_report, name="run-report"),
    path("training/evaluations/<int:evaluation_id>/", runs_views.evaluation, name="evaluation"),
]
