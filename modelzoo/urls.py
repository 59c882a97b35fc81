"""Pages of models."""

from django.urls import path

from modelzoo import views
from modelzoo.lifecycle import views as lifecycle
from modelzoo.signatures import views as signatures

urlpatterns = [
    path("models/", views.models, name="models"),
    path("models/default-category", views.set_default, name="default-category"),
    path("models/pictures/<str:name>/", views.input_checks, name="input-checks"),
    path("models/gates/<str:name>/", lifecycle.promotion_gates, name="promotion-gates"),
    path("models/signatures/<str:name>/", signatures.signature_rules, name="signature-rules"),
    path("models/<int:version_id>/", views.model, name="model"),
    path("models/<int:version_id>/card/", views.card, name="model-card"),
    path("models/<int:version_id>/approve", lifecycle.approve, name="model-approve"),
    path("models/<int:version_id>/withdraw-approval", lifecycle.withdraw_approval, name="model-withdraw-approval"),
    path("models/<int:version_id>/archive", views.archive, name="model-archive"),
    path("models/<int:version_id>/promote", views.promote, name="model-promote"),
    path("models/<int:version_id>/roll-back", views.roll_back, name="model-roll-back"),
]
