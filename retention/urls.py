"""Pages of retention, among the settings."""

from django.urls import path

from retention import views

urlpatterns = [
    path("settings/retention/", views.retention, name="retention"),
    path("settings/retention/policy", views.set_policy, name="retention-set"),
    path("settings/retention/run", views.start_run, name="retention-start"),
]
