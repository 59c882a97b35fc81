"""Evaluations as jobs: asked for, worked on once, with the figures of the command; what cannot be done says why."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from jobs import broker
from modelzoo.models import ModelVersion
from mvtec_site.tasks import sweep
from records.models import AuditEvent
from tests.versions import another
from training.evaluations.services import EVALUATIONS, claim_evaluation, request_evaluation
from training.evaluations.worker import work_on_evaluation
from training.models import Dataset, DatasetImage, Evaluation, EvaluationRun

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end")]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def publish(*words: Any) -> bool:
        calls.append(words)
        return True

    monkeypatch.setattr(broker, "publish", publish)
    return calls


@pytest.fixture
def dataset(version: ModelVersion, dataset_folder: Path) -> Dataset:
    call_command("import_dataset", str(dataset_folder), verbosity=0)
    return Dataset.objects.get()


def test_a_job_has_the_figures_of_the_command(
    version: ModelVersion, dataset: Dataset, user: User, django_capture_on_commit_callbacks: Any, sent: list[Any]
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = request_evaluation(version=version, dataset=dataset, robustness=False, actor=user)
    assert sent == [("training.tasks.supervise_evaluation", run.pk)]
    call_command("execute_evaluation", str(run.pk), verbosity=0)
    run.refresh_from_db()
    assert (run.status, run.progress, run.claim, run.attempt) == ("finished", 1.0, None, 1)
    assert run.evaluation is not None
    assert run.evaluation.created_by == user
    out = io.StringIO()
    call_command("evaluate", "--model-version", str(version.pk), "--json", stdout=out)
    by_command = json.loads(out.getvalue())
    metrics = run.evaluation.metrics
    assert (metrics["n"], metrics["threshold"], metrics["run_in"]) == tuple(
        by_command[name] for name in ("n", "threshold", "run_in")
    )
    for group in ("image", "pixel"):  # but for what threads add up in another order
        numbers = {name: value for name, value in by_command[group].items() if isinstance(value, int | float)}
        assert {name: metrics[group][name] for name in numbers} == pytest.approx(numbers, rel=1e-5)
    work_on_evaluation(run_id=run.pk)
    assert Evaluation.objects.count() == 2, "a doubled message finds nothing to do"
    kinds = list(AuditEvent.objects.filter(kind__startswith="evaluation.").values_list("kind", "actor_name"))
    assert sorted(kinds) == [
        ("evaluation.recorded", "command"),
        ("evaluation.recorded", "olga"),
        ("evaluation.requested", "olga"),
    ]


def test_what_cannot_be_asked_for(version: ModelVersion, dataset: Dataset, user: User, operator: User) -> None:
    with pytest.raises(Forbidden):
        request_evaluation(version=version, dataset=dataset, robustness=False, actor=operator)
    with pytest.raises(Conflict, match="is of category disc"):
        request_evaluation(version=another(version, category="ring"), dataset=dataset, robustness=False, actor=user)
    DatasetImage.objects.filter(split="test").delete()
    with pytest.raises(UserError, match="no test images"):
        request_evaluation(version=version, dataset=dataset, robustness=False, actor=user)
    assert not EvaluationRun.objects.exists()
    assert not AuditEvent.objects.filter(kind="evaluation.requested").exists()


def test_what_cannot_be_evaluated_says_why(version: ModelVersion, dataset: Dataset, user: User) -> None:
    run = request_evaluation(version=version, dataset=dataset, robustness=False, actor=user)
    (version.artifact_path / "model.safetensors").unlink()
    work_on_evaluation(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.evaluation) == ("failed", None)
    assert str(version) in run.error
    assert json.loads(AuditEvent.objects.get(kind="evaluation.failed").after)["error"] == run.error


def test_a_worker_that_died_is_followed_by_another_and_in_the_end_by_none(
    version: ModelVersion, dataset: Dataset, user: User, settings: Any, sent: list[Any]
) -> None:
    run = request_evaluation(version=version, dataset=dataset, robustness=False, actor=user)
    for _ in range(settings.MAX_ATTEMPTS):
        assert claim_evaluation(run_id=run.pk)
        assert claim_evaluation(run_id=run.pk) is None, "it is somebody's"
        EvaluationRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        sent.clear()
        EVALUATIONS.sweep()
        assert sent == [("training.tasks.supervise_evaluation", run.pk)]
    assert claim_evaluation(run_id=run.pk) is None
    run.refresh_from_db()
    assert run.status == "failed"
    assert f"ended {settings.MAX_ATTEMPTS} times" in run.error
    sent.clear()
    sweep()
    assert ("training.tasks.supervise_evaluation", run.pk) not in sent


def test_it_is_asked_for_in_the_administration(
    version: ModelVersion, dataset: Dataset, administrator: User, sent: list[Any]
) -> None:
    client = Client()
    client.force_login(administrator)
    data: dict[str, Any] = {"action": "evaluate", "_selected_action": [version.pk]}
    address = "/admin/modelzoo/modelversion/"
    asked = client.post(address, data).content.decode()
    assert str(dataset) in asked
    assert client.post(address, data | {"confirmed": "1", "dataset": "999"}).status_code == 422
    done = client.post(address, data | {"confirmed": "1", "dataset": str(dataset.pk)}, follow=True).content.decode()
    run = EvaluationRun.objects.get()
    page = reverse("admin:training_evaluationrun_change", args=[run.pk])
    assert f'href="{page}"' in done
    assert "queued 0.0 %" in client.get(page).content.decode().lower()
    work_on_evaluation(run_id=run.pk)
    run.refresh_from_db()
    assert reverse("evaluation", args=[run.evaluation_id]) in client.get(page).content.decode()
    assert client.get("/admin/training/evaluationrun/").status_code == 200
