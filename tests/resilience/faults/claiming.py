"""Two workers want the same work at the same moment."""

from __future__ import annotations

import time
from pathlib import Path

from tests import parts
from tests.resilience.faults.injection import Fault, Injection
from tests.resilience.faults.sentences import ALL_KEPT
from tests.resilience.system import another_worker
from tests.stack.conftest import DISC, wait_for

_MINUTES = 4
_VERSIONS = "SELECT COUNT(*) FROM modelzoo_modelversion"

# Both are stopped while six messages that name one run are sent, so that they begin at the same moment.
_QUEUE_RUN = """
import contextlib
import psutil
from django.core.management import call_command
from jobs.broker import publish
from training.models import TrainingRun
workers = [psutil.Process(pid) for pid in {pids}]
for worker in workers:
    worker.suspend()
try:
    call_command("train", "--model", "padim", "--dataset", "{dataset}", "--queue", *{options})
    run = TrainingRun.objects.latest("pk")
    for _ in range(5):
        publish("training.tasks.supervise", run.pk)
finally:
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor kills what gives no sign of life for too long
            worker.resume()
"""


def _claim_twice(injection: Injection) -> float:
    system, dataset = injection.system, f"claimed-{injection.outcome.injected}"
    folder = parts.write_dataset(Path(f"{system.stack.var_dir}-data") / dataset)
    system.stack.manage("import_dataset", str(folder))
    [(versions_before,)] = system.query(_VERSIONS)
    with another_worker(system, "training", "--pool", "solo") as second:
        pids = [second.pid, *(worker.pid for worker in system.processes_of("training worker"))]
        script = _QUEUE_RUN.format(pids=pids, dataset=dataset, options=DISC)
        system.stack.manage("shell", "--verbosity", "0", "--command", script)
        back = time.monotonic()
        newest = "SELECT status, worker, error FROM training_trainingrun ORDER BY id DESC LIMIT 1"
        wait_for(lambda: system.query(newest)[0][0] not in ("queued", "running"), 60 * _MINUTES)
        time.sleep(1)  # those that come too late say so by doing nothing
    [(status, worker, error)] = system.query(newest)
    [(versions,)] = system.query(_VERSIONS)
    injection.note(f"run {status} by {worker}, {versions - versions_before} model version")
    injection.expect((status, versions - versions_before) == ("succeeded", 1), f"it {status}: {error[-500:]}")
    return back


CLAIMING = (
    Fault(
        "two workers take the same training run",
        _claim_twice,
        sees="nothing",
        keeps=ALL_KEPT,
        recovers="one has the claim, by one conditional UPDATE; the other finds nothing to do",
        times=2,
        needs="usual leases",
    ),
)
