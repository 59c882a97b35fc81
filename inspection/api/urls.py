"""`/api/`: the seed's paths with and without a trailing slash."""

from django.urls import re_path

from inspection.api import batches, views

_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"

urlpatterns = [
    re_path(r"^load_model/?$", views.LoadModelView.as_view(), name="load-model"),
    re_path(r"^status/?$", views.StatusView.as_view(), name="status"),
    re_path(r"^test_image/?$", views.TestImageView.as_view(), name="test-image"),
    re_path(r"^batch_test/?$", batches.BatchTestView.as_view(), name="batch-test"),
    re_path(rf"^batches/(?P<batch_id>{_UUID})/?$", batches.BatchView.as_view(), name="batch"),
    re_path(rf"^inspections/(?P<inspection_id>{_UUID})/?$", views.InspectionView.as_view(), name="api-inspection"),
    *(
        re_path(rf"^inspections/(?P<inspection_id>{_UUID})/{name}/?$", view.as_view(), name=f"inspection-{name}")
        for name, view in {
            "image": views.ImageView,
            "thumbnail": views.ThumbnailView,
            "map": views.MapView,
            "overlay": views.OverlayView,
        }.items()
    ),
]
