"""`/api/` of rollout. Every path works with and without a trailing slash."""

from django.urls import re_path

from rollout.canaries import api as canaries
from rollout.challengers import api as challengers

_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_CHALLENGER = rf"^challengers/(?P<challenger_id>{_UUID})"
_CANARY = r"^canaries/(?P<deployment_id>[0-9]{1,18})"
_RESULT = r"^challenger-results/(?P<result_id>[0-9]{1,18})"

urlpatterns = [
    re_path(r"^canaries/?$", canaries.CanariesView.as_view(), name="api-canaries"),
    re_path(rf"{_CANARY}/?$", canaries.CanaryView.as_view(), name="api-canary"),
    re_path(rf"{_CANARY}/end/?$", canaries.EndView.as_view(), name="canary-end-api"),
    re_path(r"^challengers/?$", challengers.ChallengersView.as_view(), name="api-challengers"),
    re_path(rf"{_CHALLENGER}/?$", challengers.ChallengerView.as_view(), name="api-challenger"),
    re_path(rf"{_CHALLENGER}/stop/?$", challengers.StopView.as_view(), name="challenger-stop-api"),
    re_path(rf"{_CHALLENGER}/results/?$", challengers.ResultsView.as_view(), name="challenger-results"),
    re_path(
        rf"{_CHALLENGER}/disagreements/?$", challengers.DisagreementsView.as_view(), name="challenger-disagreements"
    ),
    re_path(rf"{_CHALLENGER}/csv/?$", challengers.CsvView.as_view(), name="challenger-csv"),
    re_path(rf"{_RESULT}/mark/?$", challengers.MarkView.as_view(), name="api-disagreement-mark"),
]
