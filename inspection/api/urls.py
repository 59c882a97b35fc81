"""`/api/`: the original system's paths with and without a trailing slash."""

from django.urls import re_path

from inspection.batches import api
from inspection.history import api as history
from inspection.judging import api as views
from inspection.judging import request_api
from inspection.part_layouts import api as part_layouts
from inspection.parts import api as parts
from inspection.reviews import api as reviews
from modelzoo.api import deployments
from modelzoo.api.urls import VERSION

_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_LAYOUT = r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,99})"

urlpatterns = [
    re_path(r"^deployments/?$", deployments.DeploymentsView.as_view(), name="deployments"),
    re_path(r"^deployments/(?P<deployment_id>[0-9]{1,18})/?$", deployments.DeploymentView.as_view(), name="deployment"),
    re_path(rf"{VERSION}/promote/?$", deployments.PromotionView.as_view(), name="model-version-promote"),
    re_path(r"^categories/(?P<name>[^/]{1,100})/rollback/?$", deployments.RollbackView.as_view(), name="rollback"),
    re_path(r"^load_model/?$", views.LoadModelView.as_view(), name="load-model"),
    re_path(r"^status/?$", views.StatusView.as_view(), name="status"),
    re_path(r"^test_image/?$", views.TestImageView.as_view(), name="test-image"),
    re_path(rf"^requests/(?P<request_id>{_UUID})/?$", request_api.RequestView.as_view(), name="api-request"),
    re_path(
        rf"^requests/(?P<request_id>{_UUID})/inspect/?$",
        request_api.InspectAgainView.as_view(),
        name="api-request-inspect",
    ),
    re_path(r"^batch_test/?$", api.BatchTestView.as_view(), name="batch-test"),
    re_path(r"^batches/?$", api.BatchesView.as_view(), name="api-batches"),
    re_path(rf"^batches/(?P<batch_id>{_UUID})/?$", api.BatchView.as_view(), name="batch"),
    re_path(rf"^batches/(?P<batch_id>{_UUID})/cancel/?$", api.CancelBatchView.as_view(), name="cancel-batch"),
    re_path(rf"^batches/(?P<batch_id>{_UUID})/report/?$", api.BatchReportView.as_view(), name="batch-report"),
    re_path(r"^parts/?$", parts.PartsView.as_view(), name="api-parts"),
    re_path(r"^parts/views/?$", parts.PartViewsView.as_view(), name="api-part-views"),
    re_path(r"^parts/export/?$", parts.PartsExportView.as_view(), name="api-parts-export"),
    re_path(rf"^parts/(?P<part_id>{_UUID})/?$", parts.PartView.as_view(), name="api-part"),
    re_path(r"^part-layouts/?$", part_layouts.PartLayoutsView.as_view(), name="api-part-layouts"),
    re_path(rf"^part-layouts/{_LAYOUT}/?$", part_layouts.PartLayoutView.as_view(), name="api-part-layout"),
    re_path(
        rf"^part-layouts/{_LAYOUT}/retire/?$",
        part_layouts.RetirePartLayoutView.as_view(),
        name="api-part-layout-retire",
    ),
    re_path(r"^inspections/?$", history.HistoryView.as_view(), name="api-inspections"),
    re_path(r"^inspections/export/?$", history.ExportView.as_view(), name="inspections-export"),
    re_path(rf"^inspections/(?P<inspection_id>{_UUID})/?$", views.InspectionView.as_view(), name="api-inspection"),
    re_path(
        rf"^inspections/(?P<inspection_id>{_UUID})/reviews/?$",
        reviews.InspectionReviewsView.as_view(),
        name="inspection-reviews",
    ),
    re_path(r"^reviews/?$", reviews.ReviewsView.as_view(), name="reviews"),
    re_path(r"^reviews/(?P<review_id>[0-9]{1,18})/?$", reviews.ReviewView.as_view(), name="review"),
    re_path(r"^reviews/agreement/?$", reviews.AgreementView.as_view(), name="agreement"),
    re_path(r"^datasets/from-reviews/?$", reviews.FromReviewsView.as_view(), name="dataset-from-reviews"),
    *(
        re_path(rf"^inspections/(?P<inspection_id>{_UUID})/{name}/?$", view.as_view(), name=f"inspection-{name}")
        for name, view in {
            "image": views.ImageView,
            "picture": views.BrowserPictureView,
            "thumbnail": views.ThumbnailView,
            "map": views.MapView,
            "overlay": views.OverlayView,
        }.items()
    ),
]
