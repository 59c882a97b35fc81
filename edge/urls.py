"""Pages of connections to the line."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
