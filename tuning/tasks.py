"""Tasks of tuning: they carry the id of a run, and its row decides what is to be done.

Rescoring and comparing work in the `inference` queue, in slices between the images of the line. A replay waits in the
`training` queue, behind all else that takes long, and works in a process of its own.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import uuid
from pathlib import Path

from celery import Task, shared_task
from celery.worker import state
from django.conf import settings

from common.context import acting
from inspection.judging.worker import worker_name
from jobs import liveness
from jobs.processes import die_with_parent
from tuning.replay.services import request_nightly_replay
from tuning.rescoring import services
from tuning.retraining import services as retraining

log = logging.getLogger(__name__)
_LOWEST_PRIORITY = 19
_STOP_SECONDS = 20


@shared_task(bind=True)
def work_on_rescoring(self: Task, run_id: str) -> None:
    with acting("worker"):
        services.work_on_rescoring(run_id=uuid.UUID(run_id), worker=worker_name(self.request.hostname))


@shared_task
def work_on_comparison(comparison_id: str) -> None:
    with acting("worker"):
        retraining.work_on_comparison(comparison_id=uuid.UUID(comparison_id))


@shared_task(acks_late=False)
def nightly_replay() -> None:
    with acting("worker"):
        request_nightly_replay()


@shared_task(acks_late=False)
def supervise_replay(run_id: str) -> None:
    """See the process of a replay to its end. One that is killed leaves its lease, and the sweep calls again."""
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "execute_replay", run_id]
    process = subprocess.Popen(command, preexec_fn=_give_way)
    while process.poll() is None:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            liveness.progress()
            if state.should_stop is not None or state.should_terminate is not None:
                process.terminate()
                process.wait(timeout=_STOP_SECONDS)
    if process.returncode:
        log.error("The process of replay %s ended with exit code %s.", run_id, process.returncode)


def _give_way() -> None:
    """In the new process: it ends with its parent, and everything else comes first."""
    die_with_parent()
    os.nice(_LOWEST_PRIORITY)
