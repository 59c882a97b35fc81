"""A run whose worker stopped goes on in its next attempt; once it is over nothing of it is left to go on from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from jobs.errors import ClaimLost
from modelzoo.detectors import artifacts
from modelzoo.detectors.autoencoder import checkpoints
from modelzoo.detectors.errors import TrainingCancelled
from tests import parts
from training.datasets.imports import import_path
from training.models import Dataset, TrainingRun
from training.runs import services
from training.runs.execution.runner import execute
from training.runs.options import complete_options, threshold_rule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end"), pytest.mark.slow]
SMALL = {"image_size": 64, "latent_dim": 8, "epochs": 4, "batch_size": 4, "illumination": "none", "align": "none"}


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(checkpoints, "INTERVAL_SECONDS", 0.0)
    return import_path(parts.write_dataset(tmp_path / "disc", train=8, good=1, bad=1), actor=None)[0].dataset


def requested(dataset: Dataset) -> TrainingRun:
    return services.request_run(
        dataset=dataset,
        algorithm="autoencoder",
        options=complete_options(algorithm="autoencoder", values=SMALL, seed=1),
        calibration=threshold_rule(percentile=90),
        seed=1,
        actor=None,
    )


def attempt(run: TrainingRun, echo: Callable[[float, str], None] = lambda fraction, sentence: None) -> TrainingRun:
    claim = services.claim_run(run_id=run.pk, worker="test")
    assert claim
    execute(claim, echo=echo)
    run.refresh_from_db()
    return run


def in_epoch(number: int, error: type[BaseException]) -> Callable[[float, str], None]:
    def echo(fraction: float, sentence: str) -> None:
        if sentence.startswith(f"epoch {number} of"):
            raise error

    return echo


def files() -> list[str]:
    folder = settings.VAR_DIR / "checkpoints"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_run_whose_worker_stopped_goes_on_and_comes_out_as_without(dataset: Dataset) -> None:
    whole = attempt(requested(dataset))
    assert files() == []
    run = requested(dataset)
    with pytest.raises(ClaimLost):
        attempt(run, in_epoch(3, ClaimLost))
    assert files() == [f"run-{run.pk}.safetensors"]
    TrainingRun.objects.filter(pk=run.pk).update(status="queued", claim=None)
    said: list[str] = []
    run = attempt(run, lambda fraction, sentence: said.append(sentence))
    assert "going on after epoch 2" in said
    assert "going on after epoch 2" in run.log
    assert files() == []
    assert (run.status, run.attempt, run.history) == ("succeeded", 2, whole.history)
    assert run.model_version is not None
    assert whole.model_version is not None
    first, second = (
        artifacts.read_manifest(version.artifact_path, version.artifact_sha256)["files"]
        for version in (whole.model_version, run.model_version)
    )
    assert first == second, "the same tensors, byte for byte"


@pytest.mark.parametrize("error", [TrainingCancelled, KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_of_a_run_that_is_over_nothing_is_left(dataset: Dataset, error: type[BaseException]) -> None:
    run = requested(dataset)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever the runner makes of it
        attempt(run, in_epoch(3, error))
    run.refresh_from_db()
    assert not run.is_open
    assert files() == []


def test_what_a_run_left_that_was_closed_by_others_is_removed_by_the_next(dataset: Dataset) -> None:
    run = requested(dataset)
    with pytest.raises(ClaimLost):
        attempt(run, in_epoch(3, ClaimLost))
    services.end_run(run_id=run.pk, status="failed", code="worker_died", error="It stopped too often.")
    assert files() == [f"run-{run.pk}.safetensors"]
    attempt(requested(dataset))
    assert files() == []
