"""Several categories in force: a request that names none is never judged by whatever was loaded last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from inspection.models import BatchRun, Inspection, InspectionRequest
from inspection.watching.services import TemporarilyUnavailable, Watch, Watcher
from modelzoo.models import Category, Deployment, ModelVersion
from modelzoo.selectors import deployment_in_force
from modelzoo.services import set_default_category
from records.models import Asset, AuditEvent
from tests import parts
from tests.mvtec_site.test_api import problem, upload
from tests.versions import another, serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def ring(deployment: Deployment) -> Deployment:
    """A second category, loaded last."""
    return serve(another(deployment.model_version, category="ring"))


def put(client: Client, **body: Any) -> Any:
    return client.put("/api/default-category", json.dumps(body), content_type="application/json")


def load(client: Client, **body: Any) -> Any:
    return client.post("/api/load_model", json.dumps(body), content_type="application/json")


# ---------------------------------------------------------------- which model judges
def test_an_image_without_a_category_is_refused_and_leaves_no_trace(
    signed_in: Client, ring: Deployment, worker: None
) -> None:
    for path, what in (("test_image", "image"), ("batch_test", "images"), ("batches", "images")):
        document = problem(signed_in.post(f"/api/{path}", {what: upload(parts.png(1))}), 409, "several_categories")
        assert document["categories"] == ["disc", "ring"]
        assert "disc, ring" in document["detail"]
    assert not Asset.objects.exists()
    assert not InspectionRequest.objects.exists()
    assert not BatchRun.objects.exists()
    for name in ("disc", "ring"):
        judged = signed_in.post("/api/test_image", {"image": upload(parts.png(1)), "category": name}).json()
        assert judged["category"] == name


def test_one_category_in_force_is_meant_by_all(signed_in: Client, deployment: Deployment, worker: None) -> None:
    another(deployment.model_version, category="ring")  # trained, and not in force
    assert signed_in.post("/api/test_image", {"image": upload(parts.png(1))}).json()["category"] == "disc"
    document = problem(
        signed_in.post("/api/test_image", {"image": upload(parts.png(1)), "category": "disk"}), 409, "no_model_loaded"
    )
    assert "In production: disc" in document["detail"]


def test_a_repeated_request_is_answered_whatever_was_loaded_meanwhile(
    signed_in: Client, deployment: Deployment, worker: None
) -> None:
    def ask() -> Any:
        return signed_in.post(
            "/api/test_image", {"image": upload(parts.png(1))}, headers={"Idempotency-Key": "part 4711"}
        )

    first = ask().json()
    serve(another(deployment.model_version, category="ring"))
    assert ask().json()["inspection_id"] == first["inspection_id"]
    assert Inspection.objects.count() == 1


def test_the_pages_forms_are_refused_too(signed_in: Client, ring: Deployment, worker: None) -> None:
    page = signed_in.post("/inspect", {"image": upload(parts.png(1))})
    assert page.status_code == 409
    assert "disc, ring" in page.content.decode()
    page = signed_in.post("/batches/", {"images": upload(parts.png(1))})
    assert page.status_code == 409
    assert not InspectionRequest.objects.exists()


def test_the_watcher_waits_and_the_commands_refuse(
    ring: Deployment, worker: None, tmp_path: Path, settings: Any
) -> None:
    image = tmp_path / "camera" / "a.png"
    image.parent.mkdir()
    image.write_bytes(parts.png(1))
    with pytest.raises(CommandError, match="disc, ring"):
        call_command("watch_folder", str(image.parent), "--station", "S1", "--once")
    with pytest.raises(CommandError, match="disc, ring"):
        call_command("inspect", str(image))
    # A second category may be loaded while a watcher runs: its files are no refused ones.
    watcher = Watcher(Watch(folder=image.parent, station="S1", settle=0.0), lambda _: None)
    with pytest.raises(TemporarilyUnavailable, match="disc, ring"):
        list(watcher.once())
    assert image.exists()
    assert not Inspection.objects.exists()
    set_default_category(category=Category.objects.get(name="disc"), reason="line 1", actor=None)
    assert [result.status for result in watcher.once()] == ["inspected"]
    assert Inspection.objects.get().category.name == "disc"


# ---------------------------------------------------------------- the default
def test_a_default_is_set_on_purpose_and_audited(signed_in: Client, ring: Deployment, worker: None) -> None:
    status = signed_in.get("/api/status").json()
    assert (status["model_loaded"], status["model"], status["default_category"]) == (True, None, None)
    assert put(signed_in, category="disc", reason="line 1 sends none").json() == {"category": "disc"}
    assert signed_in.post("/api/test_image", {"image": upload(parts.png(1))}).json()["category"] == "disc"
    status = signed_in.get("/api/status").json()
    assert (status["model"]["category"], status["default_category"]) == ("disc", "disc")
    rows = signed_in.get("/api/categories").json()["results"]
    assert {row["name"]: row["is_default"] for row in rows} == {"disc": True, "ring": False}
    put(signed_in, category="ring", reason="line 2 now")
    assert list(Category.objects.filter(is_default=True).values_list("name", flat=True)) == ["ring"]
    event = AuditEvent.objects.latest("sequence")
    assert (event.kind, event.actor_name) == ("category.default_set", "olga")
    assert (json.loads(event.before), json.loads(event.after)) == (
        {"category": "disc"},
        {"category": "ring", "reason": "line 2 now"},
    )
    assert put(signed_in, category=None, reason="no more").json() == {"category": None}
    assert signed_in.get("/api/default-category").json() == {"category": None}
    with pytest.raises(Exception, match="names none"):
        deployment_in_force()


def test_what_no_default_can_be(signed_in: Client, deployment: Deployment, operator: User) -> None:
    another(deployment.model_version, category="ring")
    problem(put(signed_in, category="ring", reason="x"), 409, "no_model_loaded")
    problem(put(signed_in, category="rong", reason="x"), 404, "category_not_found")
    problem(put(signed_in, category="disc"), 400, "invalid")
    problem(put(signed_in, category="disc", reason=" "), 400, "invalid")
    client = Client()
    client.force_login(operator)
    problem(put(client, category="disc", reason="x"), 403, "permission_denied")
    assert not Category.objects.filter(is_default=True).exists()
    assert not AuditEvent.objects.filter(kind="category.default_set").exists()


def test_the_database_keeps_one_default_at_most(ring: Deployment) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Category.objects.update(is_default=True)


def test_the_command_sets_it(ring: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("set_default_category", "ring", "--reason", "line 2", "--json")
    assert json.loads(capsys.readouterr().out) == {"category": "ring"}
    assert deployment_in_force().category.name == "ring"
    call_command("set_default_category", "--none", "--reason", "over")
    with pytest.raises(CommandError, match="no category named 'rong'"):
        call_command("set_default_category", "rong", "--reason", "x")


def test_the_models_page_sets_it(signed_in: Client, ring: Deployment, operator: User) -> None:
    page = signed_in.get("/models/").content.decode()
    assert "Images without a category are refused" in page
    refused = signed_in.post("/models/default-category", {"category": "disc", "reason": ""})
    assert refused.status_code == 400
    assert "needs a reason" in refused.content.decode()
    done = signed_in.post("/models/default-category", {"category": "disc", "reason": "line 1"}, follow=True)
    assert "Images without a category are judged as disc" in done.content.decode()
    client = Client()
    client.force_login(operator)
    assert "Default category: disc" in client.get("/models/").content.decode()
    assert client.post("/models/default-category", {"reason": "x"}).status_code == 403
    assert deployment_in_force().category.name == "disc"


def test_the_models_page_says_nothing_of_it_where_one_category_is_in_force(
    signed_in: Client, deployment: Deployment
) -> None:
    assert "Default category" not in signed_in.get("/models/").content.decode()


# ---------------------------------------------------------------- which version is loaded
def test_an_empty_load_model_means_the_only_category(signed_in: Client, version: ModelVersion, worker: None) -> None:
    assert load(signed_in).json()["model_version"] == version.pk
    other = another(version, category="ring")
    for body in ({}, {"model_version": "latest"}, {"threshold": 99}, {"algorithm": "padim"}):
        document = problem(load(signed_in, **body), 409, "several_categories")
        assert document["categories"] == ["disc", "ring"]
    assert load(signed_in, category="ring").json()["model_version"] == other.pk
    assert load(signed_in, model_version=str(version.pk)).json()["category"] == "disc"
    with pytest.raises(CommandError, match="disc, ring"):
        call_command("calibrate", "--percentile", "90")


def test_a_version_and_a_category_that_contradict_each_other(
    signed_in: Client, version: ModelVersion, worker: None
) -> None:
    another(version, category="ring")
    document = problem(load(signed_in, model_version=str(version.pk), category="ring"), 400, "invalid")
    assert "is for disc, not for ring" in document["detail"]
    document = problem(load(signed_in, model_version=str(version.pk), algorithm="patchcore"), 400, "invalid")
    assert not Deployment.objects.exists()
