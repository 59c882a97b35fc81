"""`/api/` of training. Every path works with and without a trailing slash."""

from django.urls import re_path

from training.api import extend, views

_DATASET = r"^datasets/(?P<dataset_id>[0-9]{1,18})"
_IMAGE = r"^dataset-images/(?P<image_id>[0-9]{1,18})"
_RUN = r"^training-runs/(?P<run_id>[0-9]{1,18})"

urlpatterns = [
    re_path(r"^datasets/?$", views.DatasetsView.as_view(), name="api-datasets"),
    re_path(rf"{_DATASET}/?$", views.DatasetView.as_view(), name="api-dataset"),
    re_path(rf"{_DATASET}/images/?$", views.DatasetImagesView.as_view(), name="dataset-images"),
    re_path(rf"{_IMAGE}/image/?$", views.DatasetImageView.as_view(), name="dataset-image"),
    re_path(rf"{_IMAGE}/mask/?$", views.DatasetMaskView.as_view(), name="dataset-mask"),
    re_path(
        r"^model-versions/(?P<version_id>[0-9]{1,18})/extend/?$",
        extend.ExtendView.as_view(),
        name="model-version-extend",
    ),
    re_path(r"^training-runs/?$", views.TrainingRunsView.as_view(), name="training-runs"),
    re_path(rf"{_RUN}/?$", views.TrainingRunView.as_view(), name="training-run"),
    re_path(rf"{_RUN}/cancel/?$", views.CancelView.as_view(), name="training-run-cancel"),
    re_path(rf"{_RUN}/log/?$", views.LogView.as_view(), name="training-run-log"),
]
