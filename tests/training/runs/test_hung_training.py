"""A training process that hangs is ended, so that the worker of its queue can go on."""

from __future__ import annotations

import signal
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs.engine import Claim
from modelzoo.services import ensure_category
from training import tasks
from training.models import Dataset, TrainingRun
from training.runs import services

pytestmark = pytest.mark.django_db
# A process without a sign of life; and one that renews its lease in vain, because its work never ends.
STOPPED = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
LOOPING = "import time; time.sleep(600)"


@pytest.fixture
def run(db: None) -> TrainingRun:
    dataset = Dataset.objects.create(
        category=ensure_category(name="disc"), name="disc", snapshot="0" * 64, source="folder"
    )
    return TrainingRun.objects.create(
        dataset=dataset, algorithm="padim", options={}, calibration={}, seed=0, lease_expires_at=timezone.now()
    )


@pytest.mark.parametrize(
    ("program", "lease", "cancelled", "ends"),
    [
        (STOPPED, -1, False, "running"),  # the sweep tries it again
        (LOOPING, 600, True, "cancelled"),
    ],
)
@pytest.mark.slow
def test_a_process_that_hangs_is_ended(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch, program: str, lease: int, cancelled: bool, ends: str
) -> None:
    monkeypatch.setattr(tasks, "_HUNG_SECONDS", 0.2)
    monkeypatch.setattr(tasks, "_LOOK_SECONDS", 0.0)
    processes: list[Any] = []

    def command(claim: Claim[TrainingRun]) -> list[str]:
        TrainingRun.objects.filter(pk=run.pk).update(
            lease_expires_at=timezone.now() + timedelta(seconds=lease), cancel_requested=cancelled
        )
        return [sys.executable, "-c", program]

    real = tasks.subprocess.Popen

    def start(*args: Any, **words: Any) -> Any:
        processes.append(real(*args, **words))
        return processes[-1]

    monkeypatch.setattr(tasks, "_command", command)
    monkeypatch.setattr(tasks.subprocess, "Popen", start)
    began = time.monotonic()
    tasks.supervise.apply(args=(str(run.pk),)).get()
    assert time.monotonic() - began < 300, "else it waited for its end"
    assert processes[0].returncode == -signal.SIGKILL
    run.refresh_from_db()
    assert run.status == ends
    services.sweep_runs()
