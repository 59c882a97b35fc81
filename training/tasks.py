"""Tasks of the `training` queue. The work itself runs in a subprocess, which prefork children may not feed data to.

The worker of this queue uses the solo pool: it only waits, and can hear in its own process that it should stop.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

from celery import shared_task
from celery.worker import state
from django.conf import settings

from common.database import UNAVAILABLE, drop_broken_connection
from common.observability.ids import in_environment, log_ids
from jobs import liveness
from jobs.engine import Claim
from jobs.processes import die_with_parent
from training.models import TrainingRun
from training.runs import services

log = logging.getLogger(__name__)
_STOP_SECONDS = 20
_LOOK_SECONDS = 5.0
_HUNG_SECONDS = 120.0


@shared_task(acks_late=False)
def supervise(run_id: str) -> None:
    """Claim a run and see its subprocess to the end. A run that is not to be had is somebody else's: nothing to do."""
    claim = services.claim_run(run_id=int(run_id), worker=f"{supervise.request.hostname}")
    if claim is None:
        return
    with log_ids(run=run_id):
        process = subprocess.Popen(_command(claim), preexec_fn=die_with_parent, env=in_environment())
    watch = _Watch(claim)
    while True:
        try:
            code = process.wait(timeout=1)
            break
        except subprocess.TimeoutExpired:
            liveness.progress()
            if state.should_stop is not None or state.should_terminate is not None:
                _stop(process)
                services.release_run(claim=claim)
                return
            if watch.is_hung():
                # The row says what is next: the sweep tries it again, or it was cancelled.
                log.error("The process of training run %s hangs and is killed.", run_id)
                process.kill()
                process.wait()
                if services.is_cancelled(claim=claim):
                    services.end_run(
                        run_id=claim.pk,
                        claim=claim,
                        status=TrainingRun.Status.CANCELLED,
                        error="Cancelled. No model was created.",
                    )
                return
    if code > 0:
        services.end_run(
            run_id=claim.pk,
            claim=claim,
            status=TrainingRun.Status.FAILED,
            code="training_failed",
            error=f"The training process ended with exit code {code}; the worker's log says why.",
        )
    # Killed by a signal: the row stays claimed until its lease runs out, and the sweep tries it again.


@shared_task(acks_late=False)
def supervise_evaluation(run_id: str) -> None:
    """See the process of an evaluation to its end. One that is killed leaves its lease, and the sweep calls again."""
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    command = [sys.executable, manage, "execute_evaluation", run_id]
    with log_ids(job=f"evaluation:{run_id}"):
        process = subprocess.Popen(command, preexec_fn=die_with_parent, env=in_environment())
    while process.poll() is None:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            liveness.progress()
            if state.should_stop is not None or state.should_terminate is not None:
                _stop(process)
    if process.returncode:
        log.error("The process of evaluation %s ended with exit code %s.", run_id, process.returncode)


def _command(claim: Claim[TrainingRun]) -> list[str]:
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    return [sys.executable, manage, "execute_run", str(claim.pk), str(claim.token)]


class _Watch:
    """Whether the process that trains still renews its lease, and stops when it was asked to."""

    def __init__(self, claim: Claim[TrainingRun]) -> None:
        self._claim = claim
        self._looked_at = time.monotonic()
        self._silent_since = self._cancelled_since = 0.0

    def is_hung(self) -> bool:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = now
        try:
            alive, cancelled = services.has_live_claim(claim=self._claim), services.is_cancelled(claim=self._claim)
        except UNAVAILABLE as error:  # nobody can renew a lease, nor see that one was
            log.warning("Training run %s cannot be looked at: %s", self._claim.pk, error)
            drop_broken_connection()
            return False
        self._silent_since = 0.0 if alive else self._silent_since or now
        self._cancelled_since = (self._cancelled_since or now) if cancelled else 0.0
        # Each step hears of a cancellation; before its first sign of life a process has much to load.
        return any(since and now - since > _HUNG_SECONDS for since in (self._silent_since, self._cancelled_since))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
