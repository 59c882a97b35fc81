"""Models in the administration: promote, archive, roll back, verify, export; through the services, with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

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
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A worker that loads what it is called for; what it was called for."""
    sent: list[Any] = []

    def publish(task: str, *ids: Any) -> bool:
        sent.append((task, *ids))
        assert activate(deployment=Deployment.objects.get(pk=ids[0]), device="cpu", worker="test")
        return True

    monkeypatch.setattr(broker, "publish", publish)
    return sent


def post(client: Client, model: str, action: str, *rows: Any, **more: Any) -> Any:
    data = {"action": action, "_selected_action": [row.pk for row in rows]} | more
    return client.post(f"/admin/modelzoo/{model}/", data, follow=True)


def act(client: Client, model: str, action: str, *rows: Any, reason: str = "because", **more: Any) -> str:
    """Asked for, then confirmed with a reason."""
    asked = post(client, model, action, *rows, **more)
    assert asked.status_code == 200
    assert "Kept in the audit log." in asked.content.decode()
    assert str(rows[0]) in asked.content.decode()
    return str(post(client, model, action, *rows, confirmed="1", reason=reason, **more).content.decode())


@pytest.mark.parametrize("key", ["\0", "x", "1.5", "9" * 40])
def test_a_ticked_row_that_is_none_changes_nothing(client: Client, version: ModelVersion, key: str) -> None:
    before = AuditEvent.objects.count()
    data = {"action": "promote", "_selected_action": [key], "confirmed": "1", "reason": "because"}
    assert client.post("/admin/modelzoo/modelversion/", data).status_code in (302, 400)
    assert AuditEvent.objects.count() == before


def test_nothing_is_done_before_a_reason_is_given(client: Client, version: ModelVersion, loaded: list[Any]) -> None:
    for name in ("promote", "approve", "archive"):
        asked = post(client, "modelversion", name, version)
        assert asked.templates[0].name == "administration/confirm.html"
        refused = post(client, "modelversion", name, version, confirmed="1", reason=" ")
        assert refused.status_code == 422
        assert 'class="error"' in refused.content.decode()
    version.refresh_from_db()
    assert version.stage == "candidate"
    assert not Deployment.objects.exists()
    assert loaded == []


def test_promoting_waits_for_what_becomes_of_it(
    client: Client, administrator: User, version: ModelVersion, loaded: list[Any]
) -> None:
    page = act(client, "modelversion", "promote", version, reason="fewer escapes")
    asked = Deployment.objects.get()
    assert loaded == [("inspection.tasks.load", asked.pk)]
    assert (asked.kind, asked.reason, asked.requested_by) == ("promotion", "fewer escapes", administrator)
    assert "is in production, on cpu" in page
    version.refresh_from_db()
    assert version.stage == "production"
    event = AuditEvent.objects.get(kind="deployment.requested")
    assert (event.source, event.actor_name) == ("admin", "ada")


def test_an_act_of_a_page_leads_back_to_it(client: Client, version: ModelVersion, loaded: list[Any]) -> None:
    address = f"/admin/modelzoo/modelversion/{version.pk}/change/"
    page = client.get(address).content.decode()
    for words in ("Promote to production", "Approve", "Archive", "Verify artifact", "Export as a signed file"):
        assert words in page
    for words in ("Roll back", "Withdraw approval"):
        assert words not in page, "it does not apply"
    done = post(client, "modelversion", "approve", version, of_page="1", confirmed="1", reason="trial")
    assert done.redirect_chain[-1][0] == address
    assert "Withdraw approval" in done.content.decode()


def test_what_cannot_be_done_is_told_and_changes_nothing(
    client: Client, version: ModelVersion, loaded: list[Any]
) -> None:
    other = another(version)
    serve(version)
    assert "already in production" in act(client, "modelversion", "promote", version)
    assert "roll back" in act(client, "modelversion", "archive", version)
    assert "No other version of" in act(client, "modelversion", "roll_back", version)
    assert "It is not in production" in act(client, "modelversion", "roll_back", other)
    both = post(client, "modelversion", "promote", version, other).content.decode()
    assert "choose one row" in both
    assert loaded == []
    assert Deployment.objects.count() == 1


def test_a_promotion_that_fails_says_why(client: Client, version: ModelVersion, settings: Any) -> None:
    settings.LOAD_TIMEOUT = 0.1
    page = act(client, "modelversion", "promote", version)
    assert "was not loaded within" in page
    assert Deployment.objects.get().error_code == "no_worker"


def test_versions_are_approved_and_approvals_withdrawn(client: Client, version: ModelVersion) -> None:
    assert "is approved" in act(client, "modelversion", "approve", version, reason="line trial")
    assert "already approved" in act(client, "modelversion", "approve", version, reason="again")
    assert "was withdrawn" in act(client, "modelversion", "withdraw_approval", version, reason="wrong lamp")
    version.refresh_from_db()
    assert version.stage == "candidate"


def test_candidates_are_archived_together(client: Client, version: ModelVersion) -> None:
    second, third = another(version), another(version)
    serve(second)
    page = act(client, "modelversion", "archive", version, second, third, reason="old")
    assert page.count("was archived") == 2
    stages = dict(ModelVersion.objects.values_list("number", "stage"))
    assert stages == {1: "archived", 2: "production", 3: "archived"}


@pytest.mark.parametrize("model", ["modelversion", "deployment"])
def test_rolling_back_from_a_version_or_a_deployment(
    client: Client, version: ModelVersion, loaded: list[Any], model: str
) -> None:
    serve(version)
    second = another(version)
    row: Any = serve(second)
    if model == "modelversion":
        row = ModelVersion.objects.get(pk=second.pk)
    assert "is in production" in act(client, model, "roll_back", row, reason="rejects too many")
    asked = Deployment.objects.latest("id")
    assert (asked.kind, asked.model_version, loaded) == ("rollback", version, [("inspection.tasks.load", asked.pk)])
    if model == "deployment":
        replaced = Deployment.objects.get(pk=row.pk)
        assert "It is not active" in act(client, model, "roll_back", replaced)
        assert "is in production" in act(client, model, "promote", replaced, reason="the lamp was it")


def test_artifacts_are_verified(client: Client, version: ModelVersion) -> None:
    page = post(client, "modelversion", "verify", version).content.decode()
    assert "every byte of the artifact is as it was recorded" in page
    (version.artifact_path / "model.safetensors").write_bytes(b"other")
    page = post(client, "modelversion", "verify", version).content.decode()
    assert "model.safetensors" in page
    assert "Restore the artifact" in page
    faults = [json.loads(event.after)["fault"] for event in AuditEvent.objects.filter(kind="model_version.verified")]
    assert sorted(map(bool, faults)) == [False, True]


def test_exporting_is_the_download_of_the_site(client: Client, version: ModelVersion) -> None:
    data = {"action": "export", "_selected_action": [version.pk]}
    answer = client.post("/admin/modelzoo/modelversion/", data)
    assert (answer.status_code, answer["Location"]) == (302, reverse("model-version-artifact", args=[version.pk]))


def test_thresholds_are_set_on_their_page(client: Client, version: ModelVersion) -> None:
    assert client.get("/admin/modelzoo/threshold/add/").status_code == 403
    first = Threshold.objects.get()
    assert client.post(f"/admin/modelzoo/threshold/{first.pk}/change/", {"value": "1"}).status_code == 403
    page = client.get(f"/admin/modelzoo/threshold/{first.pk}/change/").content.decode()
    assert reverse("threshold", args=[version.pk]) in page
    assert Threshold.objects.count() == 1


def test_only_those_with_the_right_are_offered_the_actions(
    client: Client, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/admin/modelzoo/modelversion/{version.pk}/change/"
    assert "Promote to production" in client.get(address).content.decode()
    monkeypatch.setattr("common.web.administration.may", lambda user, *rights: False)
    for path in (address, "/admin/modelzoo/modelversion/"):
        assert "Promote to production" not in client.get(path).content.decode()
    post(client, "modelversion", "archive", version, confirmed="1", reason="x")
    version.refresh_from_db()
    assert version.stage == "candidate"


def test_engineers_do_it_elsewhere(version: ModelVersion) -> None:
    engineer = Client()
    engineer.force_login(person("eve", "engineer"))
    assert engineer.get("/admin/modelzoo/modelversion/", follow=True).status_code == 403
    assert post(engineer, "modelversion", "archive", version, confirmed="1", reason="x").status_code == 403
    version.refresh_from_db()
    assert version.stage == "candidate"
