"""Training runs over the API: asked for, watched, cancelled. That workers train is tested in tests/stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs import broker
from jobs.heartbeat import Heartbeat
from modelzoo.models import ModelVersion
from records.models import AuditEvent
from tests.environment import ROOT
from tests.mvtec_site.test_api import problem
from training.datasets.imports import import_path
from training.models import Dataset, TrainingRun
from training.runs import services
from training.runs.execution.lifeline import Lifeline
from training.runs.execution.runner import execute

pytestmark = pytest.mark.django_db
SMALL = {"image_size": 64, "backbone": "efficientnet_lite0", "n_features": 20}


@pytest.fixture
def dataset(dataset_folder: Path) -> Dataset:
    [item] = import_path(dataset_folder, actor=None)
    return item.dataset


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    sent: list[Any] = []

    def publish(task: Any, *ids: Any) -> bool:
        sent.append((task, *ids))
        return True

    monkeypatch.setattr(broker, "publish", publish)
    return sent


def start(client: Client, **body: Any) -> Any:
    return client.post("/api/training-runs", {"algorithm": "padim", **body}, content_type="application/json")


def begin(client: Client, **body: Any) -> TrainingRun:
    response = start(client, dataset="disc", options=SMALL, **body)
    assert response.status_code == 202, response.content
    return TrainingRun.objects.get(pk=response.json()["id"])


# ---------------------------------------------------------------- asking for one
def test_a_run_is_written_down_and_a_worker_called_once_it_is(
    signed_in: Client, dataset: Dataset, published: list[Any], settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = start(
            signed_in,
            dataset="disc",
            options={"n_features": 20},
            seed=3,
            calibration={"method": "conformal", "false_reject_rate": 0.2},
        )
        assert published == []
    assert response.status_code == 202, response.content
    document = response.json()
    assert published == [("training.tasks.supervise", document["id"])]
    assert signed_in.get(response["Location"]).json() == document
    assert (document["status"], document["progress"], document["model_version"]) == ("queued", 0.0, None)
    assert document["dataset"] == {"id": dataset.pk, "name": "disc", "snapshot": dataset.snapshot}
    assert document["calibration"] == {"method": "conformal", "false_reject_rate": 0.2}
    assert (document["seed"], document["requested_by"], document["history"]) == (3, "olga", [])
    options = document["options"]
    assert (options["n_features"], options["backbone"], options["device"]) == (20, "auto", settings.DEVICE)
    assert "epochs" not in options
    event = AuditEvent.objects.get(kind="training_run.requested")
    assert json.loads(event.after)["options"] == options


def test_a_data_set_is_named_or_numbered(signed_in: Client, dataset: Dataset, settings: Any) -> None:
    for name in ("disc", str(dataset.pk)):
        document = start(signed_in, dataset=name).json()
        assert document["dataset"]["id"] == dataset.pk
    assert document["calibration"] == {"method": "percentile", "percentile": settings.THRESHOLD_PERCENTILE}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"dataset": "nope"}, "dataset_not_found"),
        ({"dataset": "9" * 40}, "dataset_not_found"),
        ({"dataset": "/etc"}, "dataset_not_found"),
        ({"algorithm": "magic"}, "unknown_algorithm"),
        ({"options": {"wings": 2}}, "invalid_options"),
        ({"options": {"seed": 2}}, "invalid_options"),
        ({"options": {"n_features": 0}}, "invalid_options"),
        ({"options": {"backbone": "resnet19"}}, "invalid_options"),
        ({"options": {"backbone": ["resnet18"]}}, "invalid_options"),
        ({"options": {"device": "tpu"}}, "invalid_options"),
        ({"options": {"device": {}}}, "invalid_options"),
        ({"options": {"region": [0, 0, 0, 1]}}, "invalid_options"),
        ({"options": {"floor": 2**62}}, "invalid_options"),
        ({"options": {"floor": 10**400}}, "invalid"),
        ({"options": {"layers": ["a\0"]}}, "invalid"),
        ({"options": []}, "invalid"),
        ({"seed": -1}, "invalid"),
        ({"seed": 2**32}, "invalid"),
        ({"calibration": {"method": "percentile"}}, "invalid"),
        ({"calibration": {"method": "percentile", "percentile": 0}}, "invalid"),
        ({"calibration": {"method": "conformal", "percentile": 90}}, "invalid"),
        ({"calibration": {"method": "conformal", "false_reject_rate": 1}}, "invalid_calibration"),
        ({"calibration": {"method": "best_f1"}}, "invalid"),
        ({"calibration": "strict"}, "invalid"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    signed_in: Client, dataset: Dataset, body: dict[str, Any], code: str
) -> None:
    problem(start(signed_in, **{"dataset": "disc"} | body), 404 if "not_found" in code else 400, code)
    assert not TrainingRun.objects.exists()


def test_checking_options_loads_no_torch() -> None:
    script = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'mvtec_site.settings'; import django; django.setup();"
        "from training.runs.options import complete_options;"
        "[complete_options(algorithm=name, values={}, seed=0) for name in ('padim', 'patchcore', 'autoencoder')];"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_only_those_who_train_start_and_cancel(dataset: Dataset, user: User, operator: User, auditor: User) -> None:
    engineer = Client()
    engineer.force_login(user)
    run = begin(engineer)
    for someone in (operator, auditor):
        client = Client()
        client.force_login(someone)
        problem(start(client, dataset="disc"), 403, "permission_denied")
        problem(client.post(f"/api/training-runs/{run.pk}/cancel"), 403, "permission_denied")
        assert client.get(f"/api/training-runs/{run.pk}").status_code == 200


# ---------------------------------------------------------------- watching and cancelling
def test_runs_are_found_by_data_set_algorithm_and_status(signed_in: Client, dataset: Dataset) -> None:
    first, second = begin(signed_in), begin(signed_in)
    services.cancel_run(run_id=first.pk, actor=None)

    def found(**words: str) -> list[int]:
        return [row["id"] for row in signed_in.get("/api/training-runs", words).json()["results"]]

    assert found() == found(dataset="disc", algorithm="padim") == [second.pk, first.pk]
    assert found(status="cancelled") == [first.pk]
    assert found(dataset="ring") == found(algorithm="patchcore") == []
    problem(signed_in.get("/api/training-runs", {"status": "odd"}), 400, "invalid")
    problem(signed_in.get("/api/training-runs/999"), 404, "training_run_not_found")


def test_a_run_is_cancelled_once(signed_in: Client, dataset: Dataset) -> None:
    run = begin(signed_in)
    document = signed_in.post(f"/api/training-runs/{run.pk}/cancel").json()
    assert (document["status"], document["cancel_requested"]) == ("cancelled", True)
    problem(signed_in.post(f"/api/training-runs/{run.pk}/cancel"), 409, "training_run_is_over")
    problem(signed_in.post("/api/training-runs/999/cancel"), 404, "training_run_not_found")


def test_a_running_one_is_asked_to_stop(signed_in: Client, dataset: Dataset) -> None:
    run = begin(signed_in)
    claim = services.claim_run(run_id=run.pk, worker="w")
    assert claim
    document = signed_in.post(f"/api/training-runs/{run.pk}/cancel").json()
    assert (document["status"], document["cancel_requested"], document["worker"]) == ("running", True, "w")
    assert services.renew(claim=claim, progress=0.5, message="half") is True


def test_the_log_is_read_piece_by_piece(signed_in: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(signed_in)
    claim = services.claim_run(run_id=run.pk, worker="w")
    assert claim
    address = f"/api/training-runs/{run.pk}/log"

    def read(offset: int) -> tuple[str, int, int]:
        answer = signed_in.get(address, {"offset": str(offset)})
        assert answer["Content-Type"] == "text/plain; charset=utf-8"
        return answer.content.decode(), int(answer["X-Log-Offset"]), int(answer["X-Next-Offset"])

    assert read(0) == ("", 0, 0)
    services.renew(claim=claim, progress=0.1, message="one", lines="größe\n")
    assert read(0) == ("größe\n", 0, 6)
    assert read(6) == ("", 6, 6)
    services.renew(claim=claim, progress=0.2, message="two", lines="two\n")
    assert read(6) == ("two\n", 6, 10)
    monkeypatch.setattr(services, "_LOG_CHARACTERS", 8)
    services.renew(claim=claim, progress=0.3, message="three", lines="three\n")
    assert read(10) == ("three\n", 10, 16), "what was dropped moves nothing"
    assert read(0) == ("o\nthree\n", 8, 16), "it tells that the beginning is gone"
    assert read(99) == ("", 99, 99)
    for offset in ("-1", "x", str(2**70)):
        problem(signed_in.get(address, {"offset": offset}), 400, "invalid")
    problem(signed_in.get("/api/training-runs/999/log"), 404, "training_run_not_found")


def test_what_came_of_a_run_leads_to_its_version_and_back(
    signed_in: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Heartbeat, "_keep", lambda self: None)  # no second connection sees this transaction
    run = begin(signed_in, seed=5)
    claim = services.claim_run(run_id=run.pk, worker="w")
    assert claim
    execute(claim)
    document = signed_in.get(f"/api/training-runs/{run.pk}").json()
    assert (document["status"], document["progress"]) == ("succeeded", 1.0)
    assert document["versions"]["torch"]
    version = signed_in.get(f"/api/model-versions/{document['model_version']}").json()
    assert (version["training_run"], version["dataset_id"], version["seed"]) == (run.pk, dataset.pk, 5)
    assert (version["auroc"], version["config"]["n_features"], version["base_version"]) == (1.0, 20, None)
    metrics = signed_in.get(f"/api/model-versions/{version['id']}/metrics").json()
    assert metrics["metrics"]["image"]["auroc"] == 1.0
    assert len(metrics["held_out_scores"]) == 12
    assert "fitted on 12 good images" in signed_in.get(document["log_url"]).content.decode()


def test_the_log_tells_every_percent_of_a_step_and_not_every_image(dataset: Dataset, signed_in: Client) -> None:
    claim = services.claim_run(run_id=begin(signed_in).pk, worker="w")
    assert claim
    lifeline = Lifeline(claim, lambda fraction, sentence: None)
    for image in range(1000):
        lifeline.progress(0.01 + image / 100_000, f"described {image + 1} of 1000 images")
    lifeline.progress(0.02, "writing the artifact")
    lines = lifeline._report.lines.splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == ["described 1 of 1000 images", "writing the artifact"]
    lifeline.progress(0.03, "writing the artifact")
    assert len(lifeline._report.lines.splitlines()) == 3


def test_a_run_that_fails_says_why(
    signed_in: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What only the worker can know: here, that it has no weights of this backbone."""
    monkeypatch.setattr(Heartbeat, "_keep", lambda self: None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    run = TrainingRun.objects.get(pk=start(signed_in, dataset="disc", options={"backbone": "resnet18"}).json()["id"])
    claim = services.claim_run(run_id=run.pk, worker="w")
    assert claim
    with pytest.raises(Exception, match="BACKBONE_WEIGHTS_DIR"):
        execute(claim)
    document = signed_in.get(f"/api/training-runs/{run.pk}").json()
    assert (document["status"], document["error_code"]) == ("failed", "training_failed")
    assert "BACKBONE_WEIGHTS_DIR" in document["error"]
    assert not ModelVersion.objects.exists()
