"""Tasks of the `training` queue. The work itself runs in a subprocess, which prefork children may not feed data to.

The worker of this queue uses the solo pool: it only waits, and can hear in its own process that it should stop.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from celery import shared_task
from celery.worker import state
from django.conf import settings

from mvtec_site import liveness
from mvtec_site.processes import die_with_parent
from training import services
from training.models import TrainingRun

_STOP_SECONDS = 20


@shared_task(acks_late=False)
def supervise(run_id: str) -> None:
    """Claim a run and see its subprocess to the end. A run that is not to be had is somebody else's: nothing to do."""
    claim = services.claim_run(run_id=int(run_id), worker=f"{supervise.request.hostname}")
    if claim is None:
        return
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "execute_run", run_id, str(claim.token)]
    process = subprocess.Popen(command, preexec_fn=die_with_parent)
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
    if code > 0:
        services.end_run(
            run_id=claim.run_id,
            claim=claim,
            status=TrainingRun.Status.FAILED,
            code="training_failed",
            error=f"The training process ended with exit code {code}; the worker's log says why.",
        )
    # Killed by a signal: the row stays claimed until its lease runs out, and the sweep tries it again.


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
