"""Promotion gates: each refuses below its limit and passes at it, and says which figure it was."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client

from common.errors import Conflict, UserError
from common.rights import Forbidden
from modelzoo import services
from modelzoo.lifecycle.selectors import Gates, gate_results, gates_in_force
from modelzoo.lifecycle.services import set_promotion_gates
from modelzoo.models import ModelVersion, PromotionGates
from tests.versions import another, serve
from training.models import Dataset, Evaluation

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(version: ModelVersion) -> Dataset:
    return Dataset.objects.create(category=version.category, name="reference", snapshot="1" * 64, source="folder")


def evaluated(version: ModelVersion, dataset: Dataset, *, recall: float, rejects: float, **metrics: Any) -> Evaluation:
    image = {"recall": recall, "false_reject_rate": rejects}
    threshold = version.thresholds.order_by("-revision")[0]
    return Evaluation.objects.create(
        model_version=version, dataset=dataset, threshold=threshold, metrics={"image": image, **metrics}
    )


def set_gates(version: ModelVersion, user: User, **gates: Any) -> None:
    set_promotion_gates(category=version.category, gates=Gates(**gates), reason="contract", actor=user)


def refusal(version: ModelVersion, user: User) -> str:
    with pytest.raises(Conflict) as problem:
        services.request_promotion(version=version, reason="best", actor=user)
    assert problem.value.code == "gate_refused"
    return problem.value.detail


def test_a_category_without_gates_has_none(version: ModelVersion, user: User) -> None:
    assert gates_in_force(version.category_id) == Gates()
    assert gate_results(version) == []
    services.request_promotion(version=version, reason="best", actor=user)


@pytest.mark.parametrize(
    ("gate", "just_missed", "just_met"),
    [({"min_recall": 0.95}, (0.9496, 0.0), (0.95, 0.0)), ({"max_false_reject_rate": 0.05}, (1, 0.0504), (1, 0.05))],
)
def test_figures_are_those_of_the_reference_set(
    version: ModelVersion, user: User, dataset: Dataset, gate: Any, just_missed: Any, just_met: Any
) -> None:
    set_gates(version, user, dataset_name="reference", **gate)
    assert "not measured on reference" in refusal(version, user)
    evaluated(version, dataset, recall=just_missed[0], rejects=just_missed[1])
    sentence = refusal(version, user)
    assert "94.96 % on reference, required at least 95 %" in sentence or (
        "5.04 % on reference, required at most 5 %" in sentence
    )
    other = Dataset.objects.create(category=version.category, name="other", snapshot="2" * 64, source="folder")
    evaluated(version, other, recall=1, rejects=0)
    refusal(version, user)
    evaluated(version, dataset, recall=just_met[0], rejects=just_met[1])
    services.request_promotion(version=version, reason="best", actor=user)


def test_an_evaluation_at_another_threshold_does_not_count(version: ModelVersion, user: User, dataset: Dataset) -> None:
    set_gates(version, user, dataset_name="reference", min_recall=0.9)
    evaluated(version, dataset, recall=1, rejects=0)
    services.set_threshold(version=version, value=99.0, method="manual", reason="higher", actor=user)
    assert "not measured on reference at the active threshold" in refusal(version, user)


def test_lamp_shortcuts_and_artifact(version: ModelVersion, user: User, dataset: Dataset) -> None:
    set_gates(version, user, min_lamp_tolerance=0.1, refuse_shortcut_warning=True, verify_artifact=True)
    assert [result.passed for result in gate_results(version)] == [False, False, True]
    lamp = {"darker": 0.05, "brighter": 0.3}
    evaluated(version, dataset, recall=1, rejects=0, robustness={"lamp": lamp}, shortcut_audit={"warning": True})
    sentence = refusal(version, user)
    assert "5 % darker, 30 % brighter, required at least 10 % darker and brighter" in sentence
    assert "Shortcut warning: warning, required none" in sentence
    lamp = {"darker": 0.1, "brighter": 0.1}
    evaluated(version, dataset, recall=1, rejects=0, robustness={"lamp": lamp}, shortcut_audit={"warning": False})
    assert all(result.passed for result in gate_results(version))
    tensors = version.artifact_path / "model.safetensors"
    data = bytearray(tensors.read_bytes())
    data[len(data) // 2] ^= 1
    tensors.unlink()
    tensors.write_bytes(data)
    assert "model.safetensors was changed" in refusal(version, user)
    assert [result.name for result in gate_results(version, read_artifact=False)] == [
        "min_lamp_tolerance",
        "refuse_shortcut_warning",
    ]


def test_loading_is_no_way_round_and_a_rollback_is_always_possible(
    version: ModelVersion, user: User, dataset: Dataset
) -> None:
    second = another(version)
    serve(version)
    serve(second)
    set_gates(version, user, dataset_name="reference", min_recall=1.0)
    third = another(version)
    with pytest.raises(Conflict, match="Recall"):
        services.request_deployment(version=third, actor=user)
    services.request_rollback(category=version.category, reason="worse", actor=user)
    services.request_deployment(version=second, actor=user, device="cpu")


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        ({"min_recall": 1.5, "dataset_name": "reference"}, "invalid"),
        ({"min_lamp_tolerance": float("nan")}, "invalid"),
        ({"min_recall": 0.9}, "reference_set_missing"),
        ({"dataset_name": "nothing", "min_recall": 0.9}, "dataset_not_found"),
    ],
)
def test_gates_that_mean_nothing_are_refused(
    version: ModelVersion, user: User, dataset: Dataset, gates: dict[str, Any], code: str
) -> None:
    with pytest.raises(UserError) as problem:
        set_gates(version, user, **gates)
    assert problem.value.code == code
    assert not PromotionGates.objects.exists()


def test_who_may_set_them_and_what_the_database_refuses(version: ModelVersion, user: User, operator: User) -> None:
    with pytest.raises(Forbidden):
        set_gates(version, operator, verify_artifact=True)
    with pytest.raises(UserError, match="reason"):
        set_promotion_gates(category=version.category, gates=Gates(), reason=" ", actor=user)
    for fields in (
        {"min_recall": 1.1, "dataset_name": "reference"},
        {"min_recall": 0.5},
        {"reason": ""},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            PromotionGates.objects.create(category=version.category, **({"reason": "x"} | fields))


def test_the_page_sets_them(version: ModelVersion, signed_in: Client, dataset: Dataset) -> None:
    address = f"/models/gates/{version.category.name}/"
    assert "No gates are set" in signed_in.get(address).content.decode()
    form = {"dataset_name": "reference", "min_recall": "95", "max_false_reject_rate": "", "verify_artifact": "on"}
    for wrong, message in (({"min_recall": "many"}, "is not a number"), ({"min_recall": "900"}, "between 0 and 1")):
        answer = signed_in.post(address, form | wrong | {"reason": "contract"})
        assert answer.status_code == 400
        assert message in answer.content.decode()
        assert wrong["min_recall"] in answer.content.decode(), "what was typed stays"
    assert not PromotionGates.objects.exists()
    answer = signed_in.post(address, form | {"reason": "contract"}, follow=True)
    assert 'value="95"' in answer.content.decode()
    assert gates_in_force(version.category_id) == Gates("reference", 0.95, None, None, False, True)
    page = signed_in.get(f"/models/{version.pk}/").content.decode()
    assert "not measured on reference" in page
    answer = signed_in.post(f"/models/{version.pk}/promote", {"reason": "best"})
    assert answer.status_code == 409
    assert "does not pass the promotion gates" in answer.content.decode()
