"""`/api/` of accounts. Every path works with and without a trailing slash."""

from django.urls import re_path

from accounts.api import views

urlpatterns = [
    re_path(r"^me/?$", views.MeView.as_view(), name="api-me"),
    re_path(r"^tokens/?$", views.TokensView.as_view(), name="api-tokens"),
    re_path(r"^tokens/(?P<token_id>[0-9]{1,18})/?$", views.TokenView.as_view(), name="api-token"),
]
