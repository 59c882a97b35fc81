"""`/api/` of modelzoo. Every path works with and without a trailing slash."""

from django.urls import re_path

from modelzoo.api import views
from modelzoo.lifecycle import api as lifecycle
from modelzoo.scales import api as scales
from modelzoo.signatures import api as signatures

VERSION = r"^model-versions/(?P<version_id>[0-9]{1,18})"

urlpatterns = [
    re_path(r"^categories/?$", views.CategoriesView.as_view(), name="categories"),
    re_path(
        r"^categories/(?P<name>[^/]{1,100})/input-checks/?$", views.InputChecksView.as_view(), name="api-input-checks"
    ),
    re_path(
        r"^categories/(?P<name>[^/]{1,100})/promotion-gates/?$",
        lifecycle.PromotionGatesView.as_view(),
        name="api-promotion-gates",
    ),
    re_path(
        r"^categories/(?P<name>[^/]{1,100})/signature-rules/?$",
        signatures.SignatureRulesView.as_view(),
        name="api-signature-rules",
    ),
    re_path(
        r"^categories/(?P<name>[^/]{1,100})/calibrations/?$",
        scales.CalibrationsView.as_view(),
        name="api-calibrations",
    ),
    re_path(r"^calibration-pictures/?$", scales.CalibrationPicturesView.as_view(), name="api-calibration-pictures"),
    re_path(r"^default-category/?$", views.DefaultCategoryView.as_view(), name="api-default-category"),
    re_path(r"^model-versions/?$", views.ModelVersionsView.as_view(), name="model-versions"),
    re_path(rf"{VERSION}/?$", views.ModelVersionView.as_view(), name="model-version"),
    re_path(rf"{VERSION}/metrics/?$", views.MetricsView.as_view(), name="model-version-metrics"),
    re_path(rf"{VERSION}/mean-image/?$", views.MeanImageView.as_view(), name="model-version-mean-image"),
    re_path(rf"{VERSION}/ignore-mask/?$", views.IgnoreMaskView.as_view(), name="model-version-ignore-mask"),
    re_path(rf"{VERSION}/card/?$", views.CardView.as_view(), name="model-version-card"),
    re_path(rf"{VERSION}/artifact/?$", views.ArtifactView.as_view(), name="model-version-artifact"),
    re_path(rf"{VERSION}/archive/?$", views.ArchiveView.as_view(), name="model-version-archive"),
    re_path(rf"{VERSION}/release/?$", lifecycle.ReleaseView.as_view(), name="model-version-release"),
    re_path(rf"{VERSION}/approve/?$", lifecycle.ApproveView.as_view(), name="model-version-approve"),
    re_path(
        rf"{VERSION}/withdraw-approval/?$",
        lifecycle.WithdrawApprovalView.as_view(),
        name="model-version-withdraw-approval",
    ),
    re_path(rf"{VERSION}/size-rule/?$", scales.SizeRuleView.as_view(), name="api-size-rule"),
    re_path(r"^thresholds/?$", views.ThresholdsView.as_view(), name="api-thresholds"),
    re_path(r"^thresholds/(?P<threshold_id>[0-9]{1,18})/?$", views.ThresholdView.as_view(), name="api-threshold"),
]
