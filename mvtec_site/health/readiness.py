"""What has to answer so that images are judged: each looked at in a bounded time, with a reason and since when."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from functools import partial

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from jobs import broker
from jobs.broker import INFERENCE, TRAINING
from modelzoo.loading import reports
from modelzoo.selectors import active_canaries, active_deployments
from mvtec_site.health.probes import Failed, Probe, State

_SECONDS = 3.0  # of each check
_KEEP_SECONDS = 1.0  # whoever asks more often costs nothing more
_STORAGE_KEEP_SECONDS = 15.0


def check_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()  # the thread of a probe ends


def check_broker() -> None:
    if not broker.is_reachable():
        raise Failed("the broker does not answer")


def check_storage() -> None:
    """A file is written, read and deleted where images go."""
    content = secrets.token_bytes(64)
    name = default_storage.save(f"probes/{os.getpid()}-{secrets.token_hex(8)}", ContentFile(content))
    try:
        with default_storage.open(name) as file:
            if file.read() != content:
                raise Failed("a file was not read as it was written")
    finally:
        default_storage.delete(name)


def check_worker(queue: str) -> None:
    if not any(queue in queues for queues in broker.live_workers().values()):
        raise Failed("no worker gave a sign of life lately")


def check_scheduler() -> None:
    if not broker.scheduler_is_alive():
        raise Failed("the scheduler gave no sign of life lately")


def check_models() -> None:
    """No worker reported that a model in production cannot be loaded; this process loads none."""
    try:
        failures = reports.failures([*active_deployments(), *active_canaries()])
    finally:
        connection.close()
    if failures:
        raise Failed(f"a worker could not load {len(failures)} of the models in production")


_PROBES = {
    name: Probe(check, timeout=_SECONDS, keep=_STORAGE_KEEP_SECONDS if check is check_storage else _KEEP_SECONDS)
    for name, check in (
        ("database", check_database),
        ("broker", check_broker),
        ("storage", check_storage),
        ("inference_worker", partial(check_worker, INFERENCE)),
        ("training_worker", partial(check_worker, TRAINING)),
        ("scheduler", check_scheduler),
        ("model", check_models),
    )
}
_LAST_SIGN = {"inference_worker": INFERENCE, "training_worker": TRAINING, "scheduler": broker.SCHEDULER}


def states() -> dict[str, State]:
    """All checks, which run at once."""
    for probe in _PROBES.values():
        probe.begin()
    found = {name: probe.state() for name, probe in _PROBES.items()}
    if found["broker"].ok:
        for name, sign in _LAST_SIGN.items():
            if not found[name].ok and (last := broker.last_sign(sign)):
                found[name] = replace(found[name], since=last)
    return found


def forget() -> None:
    """Look anew: nothing that was found before is true any more."""
    for probe in _PROBES.values():
        probe.forget()
