"""Categories, model versions, thresholds and deployments over the API."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from inspection.judging.services import Submission, inspect_here
from jobs import broker
from modelzoo import documents, pages
from modelzoo.models import Deployment, ModelVersion, Threshold
from records.models import AuditEvent
from tests import parts
from tests.mvtec_site.test_api import problem
from tests.tasks import run_now
from tests.versions import another, serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker inside this process: what would be sent to the broker is done at once."""

    monkeypatch.setattr(broker, "publish", run_now)
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def signed(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# ---------------------------------------------------------------- reading
def test_a_category_tells_what_judges_its_parts(signed_in: Client, version: ModelVersion) -> None:
    [row] = signed_in.get("/api/categories").json()["results"]
    assert (row["name"], row["production"], row["deployment"]) == ("disc", None, None)
    deployment = serve(another(version))
    [row] = signed_in.get("/api/categories/").json()["results"]
    assert row["production"] == {"id": deployment.model_version_id, "number": 2, "algorithm": "padim"}
    assert (row["deployment"], row["model_versions"], row["datasets"]) == (deployment.pk, 2, 0)


def test_versions_are_found_by_category_algorithm_and_stage(signed_in: Client, version: ModelVersion) -> None:
    second = another(version)
    serve(version)

    def found(**words: str) -> list[int]:
        return [row["number"] for row in signed_in.get("/api/model-versions", words).json()["results"]]

    assert found() == [2, 1]
    assert found(stage="production", category="disc", algorithm="padim") == [1]
    assert found(category="ring") == found(algorithm="patchcore") == found(stage="archived") == []
    problem(signed_in.get("/api/model-versions", {"stage": "best"}), 400, "invalid")
    problem(signed_in.get("/api/model-versions", {"category": "a\0"}), 400, "invalid")
    first = signed_in.get("/api/model-versions", {"limit": "1"}).json()
    assert [row["id"] for row in first["results"]] == [second.pk]
    assert [row["id"] for row in signed_in.get(first["next"]).json()["results"]] == [version.pk]


def test_one_version_tells_what_it_is_made_of(signed_in: Client, version: ModelVersion) -> None:
    document = signed_in.get(f"/api/model-versions/{version.pk}").json()
    assert (document["stage"], document["number"], document["seed"]) == ("candidate", 1, 0)
    assert document["config"] == version.config
    assert document["threshold"] == version.thresholds.get().value
    assert (document["training_run"], document["dataset_id"], document["auroc"]) == (None, None, None)
    problem(signed_in.get("/api/model-versions/999"), 404, "model_version_not_found")
    metrics = signed_in.get(f"/api/model-versions/{version.pk}/metrics").json()
    assert metrics["held_out_scores"] == version.held_out_scores
    problem(signed_in.get("/api/model-versions/999/metrics"), 404, "model_version_not_found")


@pytest.mark.parametrize("name", ["categories", "model-versions", "thresholds", "deployments"])
def test_pages_ask_the_database_the_same_number_of_questions_however_long_they_are(
    signed_in: Client, version: ModelVersion, name: str, django_assert_max_num_queries: Any
) -> None:
    for _ in range(4):
        serve(another(version))
    with django_assert_max_num_queries(8):
        assert signed_in.get(f"/api/{name}").status_code == 200


def test_what_is_long_is_read_only_where_it_is_shown(signed_in: Client, version: ModelVersion) -> None:
    ModelVersion.objects.update(metrics={"image": {"auroc": 0.75}})
    for rows in (documents.versions(), pages.versions()):
        row: Any = rows.get(pk=version.pk)
        assert documents.version_document(row)["auroc"] == 0.75
        long = {"metrics", "held_out_scores", "config", "preprocessing", "versions", "image_statistics", "origin"}
        assert row.get_deferred_fields() == long
    with CaptureQueriesContext(connection) as asked:
        document = signed_in.get(f"/api/model-versions/{version.pk}").json()
    assert (document["auroc"], document["config"]) == (0.75, version.config)
    read = " ".join(query["sql"] for query in asked)
    assert '"modelzoo_modelversion"."config"' in read
    for column in ('"held_out_scores"', '"training_trainingrun"."log"', '"training_trainingrun"."history"'):
        assert column not in read
    with CaptureQueriesContext(connection) as asked:
        shown = pages.find_version(version.pk)
    assert shown.get_deferred_fields() == set()
    assert '"training_trainingrun"."log"' not in asked[0]["sql"]


# ---------------------------------------------------------------- the artifact
def unpacked(response: Any) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_artifact_comes_as_one_signed_file(signed_in: Client, version: ModelVersion) -> None:
    address = f"/api/model-versions/{version.pk}/artifact"
    response = signed_in.get(address)
    assert response["Content-Type"] == "application/zip"
    assert 'filename="disc-v1-padim.zip"' in response["Content-Disposition"]
    files = unpacked(response)
    assert {"package.json", "package.sig", "version.json", "evaluation.json", "model_card.json"} <= files.keys()
    for name in ("manifest.json", "model.safetensors"):
        assert files[name] == (version.artifact_path / name).read_bytes()
    exports = AuditEvent.objects.filter(kind="model_version.exported", actor_name="olga")
    assert exports.count() == 1
    assert hashlib.sha256(files["manifest.json"]).hexdigest() == version.artifact_sha256
    again: list[Any] = [signed_in.get(address) for _ in range(2)]
    assert len({b"".join(one.streaming_content) for one in again}) == 1, "the same files are the same bytes"
    known = signed_in.get(address, headers={"If-None-Match": response["ETag"]})
    assert (known.status_code, known.content, known["ETag"]) == (304, b"", response["ETag"])
    assert exports.count() == 3, "nothing was taken out by the last one"


@pytest.mark.parametrize("damage", ["manifest changed", "weights cut", "weights gone", "folder gone"])
def test_an_artifact_that_is_not_the_recorded_one_is_not_sent(
    signed_in: Client, version: ModelVersion, damage: str
) -> None:
    manifest, weights = (version.artifact_path / name for name in ("manifest.json", "model.safetensors"))
    if damage == "manifest changed":
        manifest.write_text(manifest.read_text().replace("padim", "padam"))
    elif damage == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "weights gone":
        weights.unlink()
    else:
        version.artifact_path.rename(version.artifact_path.with_name("elsewhere"))
    document = problem(signed_in.get(f"/api/model-versions/{version.pk}/artifact"), 409, "model_unusable")
    assert "Restore it from a backup" in document["detail"]


def test_an_artifact_is_for_those_who_deploy(version: ModelVersion, operator: User, auditor: User) -> None:
    for someone in (operator, auditor):
        problem(signed(someone).get(f"/api/model-versions/{version.pk}/artifact"), 403, "permission_denied")


# ---------------------------------------------------------------- promote, roll back, archive
def test_promotion_and_rollback(signed_in: Client, version: ModelVersion, worker: None) -> None:
    second = another(version)
    for one in (version, second):
        promoted = post(signed_in, f"/api/model-versions/{one.pk}/promote", {"reason": "better", "precision": "fp32"})
        assert promoted.status_code == 200, promoted.content
        document = promoted.json()
        assert (document["kind"], document["status"], document["model_version"]) == ("promotion", "active", one.pk)
        assert (document["reason"], document["precision_chosen"], document["requested_by"]) == (
            "better",
            "fp32",
            "olga",
        )
    assert signed_in.get(f"/api/deployments/{document['id']}").json() == document
    assert signed_in.get(f"/api/model-versions/{version.pk}").json()["stage"] == "archived"
    problem(post(signed_in, f"/api/model-versions/{second.pk}/promote", {"reason": "x"}), 409, "already_in_production")
    document = post(signed_in, "/api/categories/disc/rollback", {"reason": "rejects half of lot 7"}).json()
    assert (document["kind"], document["model_version"]) == ("rollback", version.pk)
    assert signed_in.get(f"/api/model-versions/{second.pk}").json()["stage"] == "archived"
    problem(post(signed_in, "/api/categories/disc/rollback", {"reason": "more"}), 409, "nothing_to_roll_back_to")
    kinds = [row["kind"] for row in signed_in.get("/api/deployments", {"status": "replaced"}).json()["results"]]
    assert kinds == ["promotion", "promotion"]


def test_what_is_asked_for_wrongly_changes_nothing(signed_in: Client, version: ModelVersion) -> None:
    promote = f"/api/model-versions/{version.pk}/promote"
    reasons: list[Any] = [{}, {"reason": ""}, {"reason": "a\0b"}, {"reason": "x" * 501}, []]
    for body in [*reasons, {"reason": "x", "device": "tpu"}]:
        problem(post(signed_in, promote, body), 400, "invalid")
    problem(post(signed_in, "/api/model-versions/999/promote", {"reason": "x"}), 404, "model_version_not_found")
    problem(post(signed_in, "/api/categories/ring/rollback", {"reason": "x"}), 404, "category_not_found")
    problem(post(signed_in, "/api/categories/disc/rollback", {"reason": "x"}), 409, "no_model_loaded")
    problem(signed_in.get(promote), 405, "method_not_allowed")
    assert not Deployment.objects.exists()


def test_a_promotion_that_fails_says_so(signed_in: Client, version: ModelVersion, worker: None) -> None:
    (version.artifact_path / "manifest.json").write_text("{}")
    problem(post(signed_in, f"/api/model-versions/{version.pk}/promote", {"reason": "x"}), 409, "model_unusable")
    [row] = signed_in.get("/api/deployments").json()["results"]
    assert (row["status"], row["error_code"]) == ("failed", "model_unusable")
    assert ModelVersion.objects.get().stage == "candidate"


def test_a_candidate_is_archived(signed_in: Client, version: ModelVersion) -> None:
    address = f"/api/model-versions/{version.pk}/archive"
    problem(post(signed_in, address, {}), 400, "invalid")
    document = post(signed_in, address, {"reason": "blind to scratches"}).json()
    assert (document["id"], document["stage"]) == (version.pk, "archived")
    problem(post(signed_in, address, {"reason": "again"}), 409, "already_archived")
    event = AuditEvent.objects.get(kind="model_version.archived")
    assert (event.actor_name, json.loads(event.after)["reason"]) == ("olga", "blind to scratches")
    second = another(version)
    serve(second)
    document = problem(
        post(signed_in, f"/api/model-versions/{second.pk}/archive", {"reason": "x"}), 409, "in_production"
    )
    assert "roll back" in document["detail"]


# ---------------------------------------------------------------- deployments
def test_a_deployment_does_what_load_model_does(signed_in: Client, version: ModelVersion, worker: None) -> None:
    body = {"model_version": version.pk, "threshold": 5.5, "threshold_reason": "as on line 2", "device": "cpu"}
    response = post(signed_in, "/api/deployments", body)
    assert response.status_code == 201, response.content
    document = response.json()
    assert (document["status"], document["kind"], document["threshold"]) == ("active", "load", 5.5)
    assert signed_in.get(response["Location"]).json() == document
    status = signed_in.get("/api/status").json()
    assert (status["threshold"], status["model"]["threshold_revision"]) == (5.5, 2)
    assert ModelVersion.objects.get().stage == "production"


def test_load_model_moves_stages_and_threshold_too(signed_in: Client, version: ModelVersion, worker: None) -> None:
    serve(version)
    second = another(version)
    loaded = post(signed_in, "/api/load_model", {"model_version": str(second.pk), "threshold": 7.0}).json()
    assert (loaded["model_version"], loaded["threshold"], loaded["threshold_revision"]) == (second.pk, 7.0, 2)
    stages = dict(ModelVersion.objects.values_list("number", "stage"))
    assert stages == {1: "archived", 2: "production"}
    activated = AuditEvent.objects.filter(kind="deployment.activated").latest("sequence")
    threshold = AuditEvent.objects.filter(kind="threshold.set").latest("sequence")
    assert threshold.sequence < activated.sequence, "in one transaction: no image meets the version without it"


@pytest.mark.parametrize("threshold", ["1e999", "9" * 400, "true", '"many"'])
def test_load_model_with_a_threshold_that_is_no_number(
    signed_in: Client, version: ModelVersion, threshold: str
) -> None:
    problem(post(signed_in, "/api/load_model", f'{{"threshold": {threshold}}}'), 400, "invalid")
    assert not Deployment.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model_version": 0},
        {"model_version": "latest"},
        {"model_version": 10**30},
        {"threshold": 1.0},
        {"threshold_reason": "why"},
        {"threshold": 10**400, "threshold_reason": "x"},
        {"threshold": True, "threshold_reason": "x"},
        {"runtime": "abacus"},
    ],
)
def test_deployments_that_make_no_sense(signed_in: Client, version: ModelVersion, body: dict[str, Any]) -> None:
    given = body if "model_version" in body or not body else {"model_version": version.pk} | body
    problem(post(signed_in, "/api/deployments", given), 400, "invalid")
    assert not Deployment.objects.exists()


def test_deployments_are_found_by_category_and_status(signed_in: Client, deployment: Deployment) -> None:
    for words, number in (({}, 1), ({"category": "disc", "status": "active"}, 1), ({"status": "failed"}, 0)):
        assert len(signed_in.get("/api/deployments", words).json()["results"]) == number
    problem(signed_in.get("/api/deployments", {"status": "fine"}), 400, "invalid")
    problem(signed_in.get("/api/deployments/999"), 404, "deployment_not_found")


# ---------------------------------------------------------------- thresholds
def test_a_threshold_is_set_with_reason_and_evidence_and_judges_the_next_image(
    signed_in: Client, version: ModelVersion
) -> None:
    def inspect() -> Any:
        image = parts.png(7)
        return inspect_here(
            data=image,
            submission=Submission(filename="a.png", source="command", actor=None),
            version=version,
        )

    before = inspect()
    body = {
        "model_version": version.pk,
        "value": before.score / 2,
        "method": "cost",
        "parameters": {"cost_escape": 50},
        "evidence": {"what_if": {"escapes": 0, "n": 812}},
        "reason": "lot 4711 escaped",
    }
    response = post(signed_in, "/api/thresholds", body)
    assert response.status_code == 201, response.content
    document = response.json()
    assert body.items() <= document.items()
    assert (document["revision"], document["in_force"], document["author"]) == (2, True, "olga")
    assert signed_in.get(response["Location"]).json() == document
    after = inspect()
    before.refresh_from_db()
    assert [(r.outcome, r.threshold.revision) for r in (before, after)] == [("good", 1), ("defective", 2)]
    rows = signed_in.get("/api/thresholds", {"model_version": str(version.pk), "category": "disc"}).json()["results"]
    assert [(row["revision"], row["in_force"]) for row in rows] == [(2, True), (1, False)]
    assert signed_in.get("/api/thresholds", {"category": "ring"}).json()["results"] == []


def test_a_threshold_by_rule_is_computed_here(signed_in: Client, version: ModelVersion) -> None:
    body = {
        "model_version": version.pk,
        "method": "percentile",
        "parameters": {"percentile": 100},
        "reason": "none of the good ones",
    }
    document = post(signed_in, "/api/thresholds", body).json()
    assert document["value"] == max(version.held_out_scores)
    assert document["evidence"] == {"scores": "held-out good images", "n": 12, "above": 0, "quantile": 1.0}
    body |= {"method": "conformal", "parameters": {"false_reject_rate": 0.001}}
    problem(post(signed_in, "/api/thresholds", body), 409, "too_few_scores")
    problem(post(signed_in, "/api/thresholds", body | {"method": "best_f1"}), 400, "value_missing")


@pytest.mark.parametrize("name", ["percentile", "false_reject_rate"])
@pytest.mark.parametrize("given", [None, True, "95", [95]])
def test_the_parameter_of_a_rule_is_a_number_beside_a_value_too(
    signed_in: Client, version: ModelVersion, name: str, given: Any
) -> None:
    body = {
        "model_version": version.pk,
        "value": 1.0,
        "method": "percentile",
        "parameters": {name: given},
        "reason": "x",
    }
    problem(post(signed_in, "/api/thresholds", body), 400, "invalid_parameters")
    assert version.thresholds.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"reason": ""},
        {"reason": "   "},
        {"reason": None},
        {"value": "many"},
        {"value": 1e308},
        {"value": True},
        {"value": 10**400},
        {"model_version": 2**70},
        {"method": "dice"},
        {"parameters": [1]},
        {"parameters": {"a": 2**70}},
        {"evidence": {"a": "b\0"}},
        {"evidence": {"a\0": 1}},
        {"evidence": "text"},
    ],
)
def test_thresholds_that_make_no_sense(signed_in: Client, version: ModelVersion, change: dict[str, Any]) -> None:
    body = {"model_version": version.pk, "value": 3.0, "reason": "test"} | change
    problem(post(signed_in, "/api/thresholds", json.dumps(body)), 400, "invalid")
    assert Threshold.objects.count() == 1


def test_evidence_with_half_a_character(signed_in: Client, version: ModelVersion) -> None:
    body = {"model_version": version.pk, "value": 3.0, "reason": "test", "evidence": {"a": ["\ud800"]}}
    problem(post(signed_in, "/api/thresholds", json.dumps(body)), 400, "unreadable_text")
    assert Threshold.objects.count() == 1


@pytest.mark.parametrize("text", ['{"a": 1e999}', '{"a": NaN}', '{"a": ' + "[" * 50 + "]" * 50 + "}"])
def test_evidence_that_no_database_keeps(signed_in: Client, version: ModelVersion, text: str) -> None:
    body = f'{{"model_version": {version.pk}, "value": 3, "reason": "x", "evidence": {text}}}'
    response = post(signed_in, "/api/thresholds", body)
    assert response.status_code == 400, response.content
    assert Threshold.objects.count() == 1


def test_a_threshold_of_nothing(signed_in: Client, version: ModelVersion) -> None:
    problem(
        post(signed_in, "/api/thresholds", {"model_version": 999, "value": 1, "reason": "x"}),
        404,
        "model_version_not_found",
    )
    problem(signed_in.get("/api/thresholds/999"), 404, "threshold_not_found")
    problem(signed_in.get("/api/thresholds", {"model_version": "x"}), 400, "invalid")
    problem(signed_in.get("/api/thresholds", {"model_version": str(2**70)}), 400, "invalid")


# ---------------------------------------------------------------- who may
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/model-versions/{id}/promote", {"reason": "x"}),
        ("/api/model-versions/{id}/archive", {"reason": "x"}),
        ("/api/categories/disc/rollback", {"reason": "x"}),
        ("/api/deployments", {"model_version": "{id}"}),
        ("/api/thresholds", {"model_version": "{id}", "value": 1.0, "reason": "x"}),
    ],
)
def test_operators_and_auditors_see_and_change_nothing(
    version: ModelVersion, operator: User, auditor: User, path: str, body: dict[str, Any]
) -> None:
    events = AuditEvent.objects.count()
    for someone in (operator, auditor):
        problem(post(signed(someone), path.format(id=version.pk), body), 403, "permission_denied")
        assert signed(someone).get(f"/api/model-versions/{version.pk}").status_code == 200
    assert AuditEvent.objects.count() == events


# ---------------------------------------------------------------- what is checked of pictures
def test_input_checks_are_read_and_set(signed_in: Client, version: ModelVersion, operator: User) -> None:
    path = "/api/categories/disc/input-checks"
    found = signed_in.get(path).json()
    assert (found["aspect"], found["size_factor"], found["created_at"]) == ("refuse", 4.0, None)
    answer = signed_in.put(path, {"aspect": "warn", "reason": "two cameras"}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["aspect"], answer.json()["size"], answer.json()["author"]) == ("warn", "refuse", "olga")
    assert signed_in.get(path + "/").json() == answer.json()
    for body in (
        {"aspect": "no", "reason": "x"},
        {"size_factor": "much", "reason": "x"},
        {"size_factor": 0.5, "reason": "x"},
        {"aspect": "off"},
    ):
        assert signed_in.put(path, body, content_type="application/json").status_code == 400, body
    assert signed_in.get("/api/categories/nothing/input-checks").status_code == 404
    refused = signed(operator).put(path, {"aspect": "off", "reason": "x"}, content_type="application/json")
    assert refused.status_code == 403
    assert signed_in.get(path).json()["aspect"] == "warn"


# ---------------------------------------------------------------- thresholds from too few images
def test_a_threshold_from_too_few_images_warns_wherever_it_is_read(signed_in: Client, version: ModelVersion) -> None:
    body = {"model_version": version.pk, "method": "percentile", "parameters": {"percentile": 90}, "reason": "x"}
    made = post(signed_in, "/api/thresholds", body).json()
    [warning] = made["warnings"]
    assert "12 held-out good images" in warning
    assert "23 are needed" in warning
    assert signed_in.get(f"/api/model-versions/{version.pk}").json()["threshold_warnings"] == [warning]
    for page in (f"/models/{version.pk}/", f"/thresholds/{version.pk}/"):
        assert "Too few images for this threshold" in signed_in.get(page).content.decode(), page


@pytest.mark.parametrize("value", [0, -1, 0.0])
def test_a_threshold_that_rejects_everything_is_refused(signed_in: Client, version: ModelVersion, value: float) -> None:
    answer = post(signed_in, "/api/thresholds", {"model_version": version.pk, "value": value, "reason": "x"})
    problem(answer, 400, "threshold_not_positive")
    assert version.thresholds.count() == 1
