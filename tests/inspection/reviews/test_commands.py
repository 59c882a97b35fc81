"""From reviews to a better version, by commands: dataset_from_reviews, evaluate, extend_model."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

from inspection.models import Inspection
from inspection.reviews.services import record_review
from jobs import broker
from modelzoo.models import ModelVersion
from records.models import AuditEvent
from tests import parts
from training.models import Evaluation, TrainingRun

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end")]
BOX = {"x": 24, "y": 24, "width": 44, "height": 30}


def run(command: str, *words: Any, **options: Any) -> Any:
    out = io.StringIO()
    call_command(command, *map(str, words), json=True, stdout=out, stderr=io.StringIO(), **options)
    return json.loads(out.getvalue())


def says(command: str, *words: Any, **options: Any) -> str:
    told = io.StringIO()
    call_command(command, *map(str, words), stdout=io.StringIO(), stderr=told, **options)
    return told.getvalue()


def fails(command: str, *words: Any, match: str, **options: Any) -> None:
    with pytest.raises(CommandError, match=match):
        call_command(command, *map(str, words), stdout=io.StringIO(), stderr=io.StringIO(), **options)


@pytest.fixture
def reviewed(version: ModelVersion, operator: User, tmp_path: Path) -> list[Inspection]:
    """Good parts, two of them wrongly rejected as somebody says, and two defective ones, one of them marked."""
    found = []
    for seed, defective, verdict in [
        (30, False, "good"),
        (31, False, "good"),
        (32, True, "good"),
        (33, True, "good"),
        (34, True, "defective"),
        (35, True, "defective"),
    ]:
        path = tmp_path / f"{seed}.png"
        path.write_bytes(parts.png(seed, defective=defective))
        [judged] = run("inspect", path, model_version=str(version.pk))["results"]
        found.append(Inspection.objects.get(pk=judged["inspection_id"]))
        marked: dict[str, Any] = {"defect_type": "scratch", "regions": [BOX]} if seed == 35 else {}
        record_review(inspection=found[-1], verdict=verdict, actor=operator, **marked)
    return found


def test_from_reviews_to_figures_and_to_a_new_version(version: ModelVersion, reviewed: list[Inspection]) -> None:
    made = run("dataset_from_reviews", "Taught", category="disc", filter=[f"model_version={version.pk}"])
    assert made["created"] is True
    assert made["train_images"] + made["test_images"] == 6
    assert (made["name"], made["category"], made["defective_images"], made["masks"]) == ("taught", "disc", 2, 1)
    assert run("dataset_from_reviews", "Taught", category="disc")["id"] == made["id"]

    figures = run("evaluate", model_version=str(version.pk), dataset="taught")
    assert figures["n"] == made["test_images"]
    assert set(figures["per_defect"]) == {"defect", "scratch"}
    assert figures["per_defect"]["scratch"]["recall"] == 1.0
    assert Evaluation.objects.get().dataset.pk == made["id"]

    hard = run(
        "dataset_from_reviews",
        "hard",
        category="disc",
        only_overruled_good=True,
        test_share=0.0,
        include_contested=True,
    )
    assert (hard["train_images"], hard["test_images"]) == (2, 2)
    extended = run("extend_model", model_version=str(version.pk), dataset="hard")
    assert extended["base_version"] == version.pk
    assert extended["dataset"] == "hard"
    made_version = ModelVersion.objects.get(pk=extended["model_version"])
    assert (made_version.category, made_version.number) == (version.category, 2)
    assert extended["threshold_parameters"].items() >= {"n": len(made_version.held_out_scores), "n_new": 2}.items()
    kinds = list(AuditEvent.objects.order_by("sequence").values_list("kind", flat=True))
    assert kinds[-5:] == [
        "training_run.requested",
        "model_version.registered",
        "threshold.set",
        "evaluation.recorded",
        "training_run.succeeded",
    ]
    fails("extend_model", model_version=str(made_version.pk), dataset="hard", match="no new good training image")


def test_what_the_commands_tell_people(
    version: ModelVersion, reviewed: list[Inspection], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = says("dataset_from_reviews", "hard", category="disc", only_overruled_good=True, test_share=0.0)
    assert "2 training images, 2 test images, 2 of them defective, 1 with a mask" in told
    assert "Left out: 2 records because it is good and no model rejected it." in told
    assert "(as it was)" in says(
        "dataset_from_reviews", "hard", category="disc", only_overruled_good=True, test_share=0
    )
    monkeypatch.setattr(broker, "publish", lambda task, *words: True)
    assert "queued" in says("extend_model", model_version=str(version.pk), dataset="hard", queue=True)
    waiting = TrainingRun.objects.get()
    assert (waiting.status, waiting.base_version) == ("queued", version)
    TrainingRun.objects.update(cancel_requested=True)
    assert "extends    model version" in says("extend_model", model_version=str(version.pk), dataset="hard")


def test_what_cannot_be(version: ModelVersion, reviewed: list[Inspection]) -> None:
    fails("dataset_from_reviews", "x", category="nothing", match="no category named")
    fails("dataset_from_reviews", "x", category="disc", filter=["lot"], match="NAME=VALUE")
    fails("dataset_from_reviews", "x", category="disc", filter=["colour=red"], match="not a filter")
    fails("dataset_from_reviews", "x", category="disc", filter=["lot=L9"], match="none is reviewed")
    fails("dataset_from_reviews", "x", category="disc", test_share=2.0, match="between 0 and 1")
    fails("extend_model", dataset="nothing", match="no data set named")
    run("dataset_from_reviews", "taught", category="disc")
    ModelVersion.objects.update(algorithm="patchcore")
    fails("extend_model", dataset="taught", match="cannot be extended with more images")
