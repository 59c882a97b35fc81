"""`/api/` of retention. Every path works with and without a trailing slash."""

from django.urls import re_path

from retention.api import views

_ID = r"[0-9]{1,18}"

urlpatterns = [
    re_path(r"^retention-policies/?$", views.RetentionPoliciesView.as_view(), name="retention-policies"),
    re_path(
        rf"^retention-policies/(?P<policy_id>{_ID})/?$", views.RetentionPolicyView.as_view(), name="retention-policy"
    ),
    re_path(r"^retention-runs/?$", views.RetentionRunsView.as_view(), name="retention-runs"),
    re_path(rf"^retention-runs/(?P<run_id>{_ID})/?$", views.RetentionRunView.as_view(), name="retention-run"),
]
