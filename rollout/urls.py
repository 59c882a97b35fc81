"""Pages of rollout."""

from django.urls import path

from rollout.canaries import views as canaries
from rollout.challengers import views as challengers

urlpatterns = [
    path("models/canaries/", canaries.canaries, name="canaries"),
    path("models/canaries/<int:deployment_id>/", canaries.canary, name="canary"),
    path("models/canaries/<int:deployment_id>/end", canaries.end, name="canary-end"),
    path("models/challengers/", challengers.challengers, name="challengers"),
    path("models/challengers/<uuid:challenger_id>/", challengers.challenger, name="challenger"),
    path("models/challengers/<uuid:challenger_id>/stop", challengers.stop, name="challenger-stop"),
    path("models/challengers/results/<int:result_id>/mark", challengers.mark, name="disagreement-mark"),
]
