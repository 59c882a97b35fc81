"""Pages of models."""

from django.urls import path

from modelzoo import views

urlpatterns = [
    path("models/", views.models, name="models"),
    path("models/default-category", views.set_default, name="default-category"),
    path("models/pictures/<str:name>/", views.input_checks, name="input-checks"),
    path("models/<int:version_id>/", views.model, name="model"),
    path("models/<int:version_id>/archive", views.archive, name="model-archive"),
    path("models/<int:version_id>/promote", views.promote, name="model-promote"),
    path("models/<int:version_id>/roll-back", views.roll_back, name="model-roll-back"),
]
