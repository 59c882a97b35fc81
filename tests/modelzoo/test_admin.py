"""Models in the administration site: promote, archive, roll back, set a threshold; all through the services."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs import broker
from modelzoo.models import Deployment, ModelVersion, Threshold
from modelzoo.services import activate
from records.models import AuditEvent
from tests.conftest import person
from tests.versions import another, serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What workers were called for."""
    sent: list[Any] = []

    def publish(task: str, *ids: Any) -> bool:
        sent.append((task, *ids))
        return True

    monkeypatch.setattr(broker, "publish", publish)
    return sent


def act(client: Client, model: str, action: str, *rows: Any, reason: str = "because") -> str:
    data = {"action": action, "_selected_action": [row.pk for row in rows], "reason": reason, "index": "0"}
    response = client.post(f"/admin/modelzoo/{model}/", data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_promoting_calls_a_worker_and_says_so(
    client: Client, administrator: User, version: ModelVersion, called: list[Any]
) -> None:
    page = act(client, "modelversion", "promote", version, reason="fewer escapes")
    asked = Deployment.objects.get()
    assert called == [("inspection.tasks.load", asked.pk)]
    assert (asked.kind, asked.reason, asked.requested_by) == ("promotion", "fewer escapes", administrator)
    assert "The version is being loaded" in page
    assert activate(deployment=asked, device="cpu", worker="test")
    version.refresh_from_db()
    assert version.stage == "production"
    event = AuditEvent.objects.get(kind="deployment.requested")
    assert (event.source, event.actor_name) == ("admin", "ada")


def test_what_cannot_be_done_is_told_and_changes_nothing(
    client: Client, version: ModelVersion, called: list[Any]
) -> None:
    assert "needs a reason" in act(client, "modelversion", "promote", version, reason=" ")
    serve(version)
    assert "already in production" in act(client, "modelversion", "promote", version)
    assert "roll back" in act(client, "modelversion", "archive", version)
    assert "No other version of" in act(client, "category", "roll_back", version.category)
    assert called == []
    assert Deployment.objects.count() == 1


def test_without_a_broker_the_promotion_has_failed(client: Client, version: ModelVersion) -> None:
    assert "The message broker does not answer" in act(client, "modelversion", "promote", version)
    assert Deployment.objects.get().error_code == "no_worker"


def test_candidates_are_archived_one_by_one(client: Client, version: ModelVersion) -> None:
    second, third = another(version), another(version)
    serve(second)
    page = act(client, "modelversion", "archive", version, second, third, reason="old")
    assert "Archived." in page
    stages = dict(ModelVersion.objects.values_list("number", "stage"))
    assert stages == {1: "archived", 2: "production", 3: "archived"}


def test_rolling_back_a_category(client: Client, version: ModelVersion, called: list[Any]) -> None:
    serve(version)
    serve(another(version))
    assert "previous version" in act(client, "category", "roll_back", version.category, reason="rejects too many")
    asked = Deployment.objects.latest("id")
    assert (asked.kind, asked.model_version, called) == (
        "rollback",
        version,
        [("inspection.tasks.load", asked.pk)],
    )


def test_setting_a_threshold(client: Client, version: ModelVersion, administrator: User) -> None:
    page = client.get(f"/admin/modelzoo/threshold/add/?model_version={version.pk}").content.decode()
    assert f'<option value="{version.pk}" selected>' in page
    assert "parameters" not in page
    body = {"model_version": version.pk, "value": "21.5", "reason": "lot 4711 escaped"}
    response = client.post("/admin/modelzoo/threshold/add/", body, follow=True)
    assert "was added successfully" in response.content.decode()
    made = Threshold.objects.latest("id")
    assert (made.revision, made.value, made.method, made.reason) == (2, 21.5, "manual", "lot 4711 escaped")
    assert made.author == administrator
    assert json.loads(AuditEvent.objects.filter(kind="threshold.set").latest("sequence").after)["value"] == 21.5
    for wrong in ({"reason": ""}, {"value": "nan"}, {"value": "inf"}, {"model_version": "999"}):
        client.post("/admin/modelzoo/threshold/add/", body | wrong)
    assert Threshold.objects.count() == 2
    assert client.get(f"/admin/modelzoo/threshold/{made.pk}/change/").status_code == 200
    assert client.post(f"/admin/modelzoo/threshold/{made.pk}/change/", body).status_code == 403


def test_only_those_with_the_right_are_offered_the_actions(
    client: Client, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client.get("/admin/modelzoo/modelversion/").content.decode()
    assert "Promote to production" in page
    assert "threshold/add/?model_version=" in page
    monkeypatch.setattr("modelzoo.admin.may", lambda user, *rights: False)
    page = client.get("/admin/modelzoo/modelversion/").content.decode()
    assert "Promote to production" not in page
    assert "threshold/add/" not in page
    act(client, "modelversion", "archive", version)
    version.refresh_from_db()
    assert version.stage == "candidate"
    assert client.get("/admin/modelzoo/threshold/add/").status_code == 403


def test_engineers_do_it_elsewhere(version: ModelVersion) -> None:
    engineer = Client()
    engineer.force_login(person("eve", "engineer"))
    assert engineer.get("/admin/modelzoo/modelversion/", follow=True).status_code == 403
