"""The pages of canaries, and where else they are shown."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from modelzoo.models import Deployment, ModelVersion
from monitoring.drift.services import evaluate
from monitoring.models import DriftMonitor
from tests.rollout.live import live, strict

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_station_is_given_another_version_and_back(version: ModelVersion, signed_in: Client, operator: User):
    candidate = strict(version)
    assert f"/models/canaries/?model_version={candidate.pk}" in text(signed_in, f"/models/{candidate.pk}/")
    assert "No canary yet." in text(signed_in, "/models/canaries/")
    asked = {"model_version": candidate.pk, "station": "east", "reason": "trial of May"}
    assert signed_in.post("/models/canaries/", asked | {"station": ""}).status_code == 422
    other = Client()
    other.force_login(operator)
    assert other.post("/models/canaries/", asked).status_code == 403
    made = signed_in.post("/models/canaries/", asked)
    canary = Deployment.objects.get(kind="canary")
    page = f"/models/canaries/{canary.pk}/"
    assert made["Location"] == page
    assert signed_in.post("/models/canaries/", asked).status_code == 409
    live(2, station="east")
    live(1, begin=9, station="west")
    assert "100.0 %" in text(signed_in, page)
    assert "Canary of <a" in text(signed_in, f"/models/{candidate.pk}/")
    assert "<strong>canary v2</strong>" in text(signed_in, "/")
    assert "disc, station east" in text(signed_in, "/models/canaries/")
    evaluate(until=timezone.now())
    monitor = DriftMonitor.objects.get(station="east")
    assert "disc v2 (padim)</a> judges this station" in text(signed_in, f"/monitoring/drift/{monitor.pk}/")
    assert "End the canary" not in text(other, page)
    assert other.post(f"{page}end", {"reason": "x"}).status_code == 403
    assert signed_in.post(f"{page}end", {"reason": ""}).status_code == 400
    assert signed_in.post(f"{page}end", {"reason": "rejects all"}).status_code == 302
    assert signed_in.post(f"{page}end", {"reason": "rejects all"}).status_code == 409
    assert "ended" in text(signed_in, page)
    assert "canary" not in text(signed_in, "/").lower()


def test_what_is_not_there(signed_in: Client, deployment: Deployment):
    assert signed_in.get("/models/canaries/99/").status_code == 404
    assert signed_in.get(f"/models/canaries/{deployment.pk}/").status_code == 404
