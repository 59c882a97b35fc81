"""Which version serves a category, how it came there, and who may change that."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from common.errors import Conflict, NotFound, UserError
from common.rights import Forbidden
from jobs import broker
from modelzoo import services
from modelzoo.loading import deployments
from modelzoo.models import Deployment, ModelVersion, Threshold
from modelzoo.selectors import (
    deployment_in_force,
    find_version,
    newest_of_each_algorithm,
    rollback_target,
    threshold_by_rule,
    threshold_in_force,
)
from records.audit.selectors import verify_chain
from records.models import AuditEvent
from tests.tasks import run_now
from tests.versions import another, serve

pytestmark = pytest.mark.django_db
Stage = ModelVersion.Stage


def stages() -> dict[int, str]:
    """By number."""
    return dict(ModelVersion.objects.order_by("number").values_list("number", "stage"))


def told(kind: str) -> list[tuple[str, Any, Any]]:
    events = AuditEvent.objects.filter(kind=kind).order_by("sequence")
    return [(event.object_id, json.loads(event.before), json.loads(event.after)) for event in events]


# ---------------------------------------------------------------- stages follow deployments
def test_what_is_loaded_is_in_production_and_what_it_replaces_is_archived(version: ModelVersion) -> None:
    second = another(version)
    assert stages() == {1: "candidate", 2: "candidate"}
    serve(version)
    assert stages() == {1: "production", 2: "candidate"}
    serve(second)
    assert stages() == {1: "archived", 2: "production"}
    serve(version)
    assert stages() == {1: "production", 2: "archived"}


def test_loading_the_same_version_again_changes_no_stage(version: ModelVersion) -> None:
    serve(version)
    events = AuditEvent.objects.filter(kind__startswith="model_version.").count()
    serve(version)
    assert stages() == {1: "production"}
    assert AuditEvent.objects.filter(kind__startswith="model_version.").count() == events


def test_a_promotion_tells_what_changed_and_why(version: ModelVersion, user: User) -> None:
    second = another(version)
    serve(version)
    asked = services.request_promotion(version=second, reason=" fewer escapes ", actor=user, precision="fp32")
    assert (asked.kind, asked.reason, asked.precision) == ("promotion", "fewer escapes", "fp32")
    assert stages() == {1: "production", 2: "candidate"}, "nothing changes before a worker holds it"
    assert services.activate(deployment=asked, device="cpu", worker="test")
    assert stages() == {1: "archived", 2: "production"}
    because = {"reason": "fewer escapes"}
    assert told("model_version.archived") == [
        (str(version.pk), {"stage": "production"}, {"stage": "archived"} | because)
    ]
    assert told("model_version.promoted")[-1] == (
        str(second.pk),
        {"stage": "candidate"},
        {"stage": "production", "kind": "promotion", "instead_of": version.pk} | because,
    )
    before, after = told("deployment.activated")[-1][1:]
    assert before["model_version"] == version.pk
    assert (after["model_version"], after["kind"], after["reason"]) == (second.pk, "promotion", "fewer escapes")
    assert told("deployment.requested")[-1][2]["reason"] == "fewer escapes"
    assert AuditEvent.objects.latest("sequence").actor == user
    assert verify_chain().broken_at is None


def test_what_cannot_be_promoted(version: ModelVersion, user: User, operator: User) -> None:
    serve(version)
    with pytest.raises(Conflict, match="already in production") as caught:
        services.request_promotion(version=version, reason="again", actor=user)
    assert caught.value.code == "already_in_production"
    second = another(version)
    with pytest.raises(UserError, match="needs a reason"):
        services.request_promotion(version=second, reason=" ", actor=user)
    with pytest.raises(Forbidden):
        services.request_promotion(version=second, reason="mine", actor=operator)
    assert Deployment.objects.count() == 1


def test_a_version_that_cannot_be_loaded_changes_nothing(version: ModelVersion, user: User) -> None:
    second = another(version)
    serve(version)
    (second.artifact_path / "manifest.json").write_text("{}")
    asked = services.request_promotion(version=second, reason="newer", actor=user)
    deployments.load_deployment(deployment_id=asked.pk, worker="test")
    asked.refresh_from_db()
    assert (asked.status, asked.error_code) == ("failed", "model_unusable")
    assert stages() == {1: "production", 2: "candidate"}
    assert deployment_in_force("disc").model_version == version


# ---------------------------------------------------------------- rollback
def roll_back(version: ModelVersion, user: User) -> Deployment:
    asked = services.request_rollback(category=version.category, reason="rejects half the lot", actor=user)
    assert services.activate(deployment=asked, device="cpu", worker="test")
    return asked


def test_a_rollback_loads_what_served_before_the_way_it_ran(version: ModelVersion, user: User) -> None:
    serve(version, precision="fp32")
    serve(another(version))
    asked = roll_back(version, user)
    assert (asked.model_version, asked.kind, asked.precision) == (version, "rollback", "fp32")
    assert stages() == {1: "production", 2: "archived"}
    assert told("model_version.archived")[-1][2]["reason"] == "rejects half the lot"
    promoted = told("model_version.promoted")[-1][2]
    assert (promoted["kind"], promoted["instead_of"]) == ("rollback", ModelVersion.objects.get(number=2).pk)


def test_a_second_rollback_goes_one_step_further_back(version: ModelVersion, user: User) -> None:
    second, third = another(version), another(version)
    for one in (version, second, second, third):
        serve(one)
    assert roll_back(version, user).model_version == second
    serve(second)  # loaded again: that leads nowhere new
    assert roll_back(version, user).model_version == version
    with pytest.raises(Conflict, match="The other versions of disc were rolled back") as caught:
        roll_back(version, user)
    assert caught.value.code == "nothing_to_roll_back_to"
    serve(third)
    assert rollback_target(version.category).model_version == version


def test_what_failed_to_load_is_not_rolled_back_to(version: ModelVersion, user: User) -> None:
    second = another(version)
    services.fail_deployment(
        deployment=services.request_deployment(version=second, device="cpu", actor=None), code="x", error="x"
    )
    serve(version)
    with pytest.raises(Conflict):
        services.request_rollback(category=version.category, reason="back", actor=user)


def test_a_rollback_needs_something_in_force_a_reason_and_the_right(
    version: ModelVersion, user: User, operator: User
) -> None:
    with pytest.raises(UserError, match="No model is loaded"):
        services.request_rollback(category=version.category, reason="back", actor=user)
    serve(version)
    serve(another(version))
    with pytest.raises(UserError, match="needs a reason"):
        services.request_rollback(category=version.category, reason="", actor=user)
    with pytest.raises(Forbidden):
        services.request_rollback(category=version.category, reason="back", actor=operator)


# ---------------------------------------------------------------- archiving, and what `latest` means
def test_a_candidate_is_put_aside(version: ModelVersion, user: User) -> None:
    second = another(version)
    assert find_version() == second
    services.archive_version(version=second, reason="blind to scratches", actor=user)
    assert find_version() == version
    assert told("model_version.archived") == [
        (str(second.pk), {"stage": "candidate"}, {"stage": "archived", "reason": "blind to scratches"})
    ]
    with pytest.raises(Conflict, match="already archived"):
        services.archive_version(version=second, reason="again", actor=user)


def test_what_serves_is_not_archived(version: ModelVersion, user: User, operator: User) -> None:
    serve(version)
    with pytest.raises(Conflict, match="Promote another version or roll back") as caught:
        services.archive_version(version=version, reason="old", actor=user)
    assert caught.value.code == "in_production"
    with pytest.raises(Forbidden):
        services.archive_version(version=another(version), reason="old", actor=operator)
    with pytest.raises(UserError, match="reason"):
        services.archive_version(version=another(version), reason="", actor=user)


def test_latest_finds_what_served_before_where_nothing_else_is_left(version: ModelVersion) -> None:
    """Whoever goes back and forth between two algorithms means the one that was archived by the other."""
    other = another(version)
    ModelVersion.objects.filter(pk=other.pk).update(algorithm="patchcore")
    serve(version)
    serve(other)
    assert find_version(algorithm="padim") == version
    assert [found.algorithm for found in newest_of_each_algorithm()] == ["patchcore"]
    rejected = another(version)
    services.archive_version(version=rejected, reason="worse", actor=None)
    assert find_version(algorithm="padim") == version, "what was put aside never served"
    ModelVersion.objects.filter(pk=rejected.pk).update(algorithm="autoencoder")
    with pytest.raises(NotFound):
        find_version(algorithm="autoencoder")


# ---------------------------------------------------------------- the last request wins
def test_an_older_request_does_not_replace_a_newer_one(version: ModelVersion) -> None:
    older = services.request_deployment(version=version, device="cpu", actor=None)
    newer = serve(another(version))
    assert not services.activate(deployment=older, device="cpu", worker="slow")
    older.refresh_from_db()
    assert (older.status, older.error_code) == ("failed", "superseded")
    assert "the last request wins" in older.error
    assert deployment_in_force("disc") == newer
    assert stages() == {1: "candidate", 2: "production"}


def test_the_caller_of_a_superseded_request_is_told(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    older = services.request_deployment(version=version, device="cpu", actor=None)
    serve(another(version))
    monkeypatch.setattr(broker, "publish", run_now)
    with pytest.raises(UserError, match="last request wins") as caught:
        deployments.await_deployment(deployment=older)
    assert (caught.value.code, caught.value.status) == ("superseded", 409)


def test_an_older_request_that_is_quicker_serves_until_the_newer_one_does(version: ModelVersion) -> None:
    older = services.request_deployment(version=version, device="cpu", actor=None)
    newer = services.request_deployment(version=another(version), device="cpu", actor=None)
    assert services.activate(deployment=older, device="cpu", worker="a")
    assert services.activate(deployment=newer, device="cpu", worker="b")
    assert stages() == {1: "archived", 2: "production"}


def test_nothing_in_another_category_counts(version: ModelVersion) -> None:
    older = services.request_deployment(version=version, device="cpu", actor=None)
    other = another(version)
    other.category = services.ensure_category(name="ring")
    other.save(update_fields=["category"])
    serve(other)
    assert services.activate(deployment=older, device="cpu", worker="a")
    assert set(stages().values()) == {"production"}


def test_without_a_broker_nobody_waits_for_a_worker(version: ModelVersion, user: User) -> None:
    asked = services.request_promotion(version=version, reason="first", actor=user)
    assert not services.call_worker(deployment=asked)
    asked.refresh_from_db()
    assert (asked.status, asked.error_code) == ("failed", "no_worker")


def test_a_worker_is_called_by_the_name_of_the_task_there_is(
    version: ModelVersion, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspection.tasks import load

    called: list[Any] = []

    def publish(task: str, *ids: Any) -> bool:
        called.append((task, *ids))
        return True

    monkeypatch.setattr(broker, "publish", publish)
    asked = services.request_promotion(version=version, reason="first", actor=user)
    assert services.call_worker(deployment=asked)
    assert called == [(load.name, asked.pk)]


# ---------------------------------------------------------------- thresholds
def test_a_threshold_comes_into_force_with_its_deployment(version: ModelVersion, user: User) -> None:
    asked = services.request_deployment(
        version=version, device="cpu", actor=user, threshold=5.5, threshold_reason="as on line 2"
    )
    assert threshold_in_force(version.pk).revision == 1, "what does not load has no new threshold"
    assert services.activate(deployment=asked, device="cpu", worker="test")
    made = threshold_in_force(version.pk)
    assert (made.revision, made.value, made.method, made.reason) == (2, 5.5, "manual", "as on line 2")
    assert made.author == user


def test_a_threshold_that_comes_with_a_deployment_needs_the_right_and_a_reason(
    version: ModelVersion, user: User
) -> None:
    user._rights = frozenset({"deploy"})  # type: ignore[attr-defined]
    with pytest.raises(Forbidden, match="tune"):
        services.request_deployment(version=version, actor=user, threshold=1.0, threshold_reason="x")
    with pytest.raises(UserError, match="reason"):
        services.request_deployment(version=version, actor=None, threshold=1.0)
    with pytest.raises(UserError, match="finite"):
        services.request_deployment(version=version, actor=None, threshold=float("nan"), threshold_reason="x")
    assert not Deployment.objects.exists()


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"kind": "rollback"}, "deployment_kind_is_known_and_has_its_reason"),
        ({"kind": "whim", "reason": "x"}, "deployment_kind_is_known_and_has_its_reason"),
        ({"threshold_value": 1.0}, "deployment_threshold_is_finite_and_has_its_reason"),
        ({"threshold_reason": "x"}, "deployment_threshold_is_finite_and_has_its_reason"),
        (
            {"threshold_value": float("inf"), "threshold_reason": "x"},
            "deployment_threshold_is_finite_and_has_its_reason",
        ),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused(
    version: ModelVersion, fields: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Deployment.objects.create(category=version.category, model_version=version, device_requested="cpu", **fields)


def test_a_rule_computes_the_threshold_and_says_from_what(version: ModelVersion, user: User) -> None:
    scores = sorted(version.held_out_scores)
    made = services.decide_threshold(
        version=version,
        value=None,
        method="conformal",
        parameters={"false_reject_rate": 0.25},
        evidence={"asked_by": "line 2"},
        reason="fewer rejects",
        actor=user,
    )
    # 12 scores: 3 of 13 may lie above, so the tenth of them it is.
    assert made.value == scores[9]
    assert made.evidence == {
        "asked_by": "line 2",
        "scores": "held-out good images",
        "n": 12,
        "above": 2,
        "quantile": pytest.approx(10 / 12),
    }
    assert made.parameters == {"false_reject_rate": 0.25}
    value, found = threshold_by_rule(version=version, method="percentile", parameters={"percentile": 100})
    assert (value, found["above"], found["quantile"]) == (scores[-1], 0, 1.0)


@pytest.mark.parametrize(
    ("method", "parameters", "code"),
    [
        ("best_f1", {}, "value_missing"),
        ("manual", {}, "value_missing"),
        ("percentile", {}, "invalid_parameters"),
        ("percentile", {"percentile": "90"}, "invalid_parameters"),
        ("percentile", {"percentile": True}, "invalid_parameters"),
        ("percentile", {"percentile": 101}, "invalid_parameters"),
        ("percentile", {"percentile": 90, "false_reject_rate": 0.1}, "invalid_parameters"),
        ("conformal", {"false_reject_rate": 0}, "invalid_parameters"),
        ("conformal", {"false_reject_rate": 0.01}, "too_few_scores"),
    ],
)
def test_a_rule_that_cannot_be_followed(
    version: ModelVersion, method: str, parameters: dict[str, Any], code: str
) -> None:
    with pytest.raises(UserError) as caught:
        threshold_by_rule(version=version, method=method, parameters=parameters)
    assert caught.value.code == code
    assert Threshold.objects.count() == 1


def test_without_held_out_scores_no_rule_has_anything_to_say(version: ModelVersion) -> None:
    version.held_out_scores = []
    with pytest.raises(Conflict, match="no held-out scores"):
        threshold_by_rule(version=version, method="percentile", parameters={"percentile": 90})
