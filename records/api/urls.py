"""`/api/` of records. Every path works with and without a trailing slash."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
