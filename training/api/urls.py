"""`/api/` of training. Every path works with and without a trailing slash."""

from django.urls import re_path

from training.datasets import api
from training.runs import api as runs_api
from training.runs.ignore_masks import api as ignore_masks_api

_DATASET = r"^datasets/(?P<dataset_id>[0-9]{1,18})"
_IMAGE = r"^dataset-images/(?P<image_id>[0-9]{1,18})"
_RUN = r"^training-runs/(?P<run_id>[0-9]{1,18})"

urlpatterns = [
    re_path(r"^datasets/?$", api.DatasetsView.as_view(), name="api-datasets"),
    re_path(rf"{_DATASET}/?$", api.DatasetView.as_view(), name="api-dataset"),
    re_path(rf"{_DATASET}/images/?$", api.DatasetImagesView.as_view(), name="dataset-images"),
    re_path(rf"{_IMAGE}/image/?$", api.DatasetImageView.as_view(), name="dataset-image"),
    re_path(rf"{_IMAGE}/mask/?$", api.DatasetMaskView.as_view(), name="dataset-mask"),
    re_path(
        r"^model-versions/(?P<version_id>[0-9]{1,18})/extend/?$",
        runs_api.ExtendView.as_view(),
        name="model-version-extend",
    ),
    re_path(r"^ignore-masks/?$", ignore_masks_api.IgnoreMasksView.as_view(), name="ignore-masks"),
    re_path(
        r"^ignore-masks/(?P<sha256>[0-9a-f]{64})/?$",
        ignore_masks_api.IgnoreMaskPictureView.as_view(),
        name="ignore-mask",
    ),
    re_path(r"^training-runs/?$", runs_api.TrainingRunsView.as_view(), name="training-runs"),
    re_path(rf"{_RUN}/?$", runs_api.TrainingRunView.as_view(), name="training-run"),
    re_path(rf"{_RUN}/cancel/?$", runs_api.CancelView.as_view(), name="training-run-cancel"),
    re_path(rf"{_RUN}/log/?$", runs_api.LogView.as_view(), name="training-run-log"),
]
