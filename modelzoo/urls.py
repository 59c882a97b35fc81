"""Pages of models."""

from django.urls import path

from modelzoo import views
from modelzoo.lifecycle import views as lifecycle
from modelzoo.scales import views as scales
from modelzoo.signatures import views as signatures

urlpatterns = [
    path("models/", views.models, name="models"),
    path("models/default-category", views.set_default, name="default-category"),
    path("models/pictures/<str:name>/", views.input_checks, name="input-checks"),
    path("models/gates/<str:name>/", lifecycle.promotion_gates, name="promotion-gates"),
    path("models/signatures/<str:name>/", signatures.signature_rules, name="signature-rules"),
    path("models/scale-pictures/<str:sha256>", scales.picture, name="scale-picture-file"),
    path("models/scales/<str:name>/", scales.scales, name="scales"),
    path("models/scales/<str:name>/picture", scales.store_picture, name="scale-picture"),
    path("models/<int:version_id>/size-rule/", scales.size_rule, name="size-rule"),
    path("models/<int:version_id>/", views.model, name="model"),
    path("models/<int:version_id>/card/", views.card, name="model-card"),
    path("models/<int:version_id>/approve", lifecycle.approve, name="model-approve"),
    path("models/<int:version_id>/withdraw-approval", lifecycle.withdraw_approval, name="model-withdraw-approval"),
    path("models/<int:version_id>/archive", views.archive, name="model-archive"),
    path("models/<int:version_id>/promote", views.promote, name="model-promote"),
    path("models/<int:version_id>/roll-back", views.roll_back, name="model-roll-back"),
]
