"""Reads: what is loaded, who works, how much waits."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings

from common.version import library_versions
from inspection.judging.selectors import waiting_requests
from jobs import broker
from jobs.broker import INFERENCE, QUEUES
from modelzoo.loading.warm_models import memory_of
from modelzoo.models import Deployment
from modelzoo.selectors import (
    active_canaries,
    active_deployments,
    default_category,
    threshold_in_force,
    without_category,
)

_STARTED = time.monotonic()


# ---------------------------------------------------------------- the line
def deployment_document(deployment: Deployment) -> dict[str, Any]:
    version = deployment.model_version
    threshold = threshold_in_force(version.pk)
    return {
        "deployment_id": deployment.pk,
        "category": version.category.name,
        "model_version": version.pk,
        "version_number": version.number,
        "algorithm": version.algorithm,
        "backbone": version.backbone or None,
        "device": deployment.device,
        "runtime": deployment.runtime,
        "runtime_chosen": deployment.runtime_chosen,
        "precision": deployment.precision,
        "precision_chosen": deployment.precision_chosen,
        "worker": deployment.worker,
        "threshold": threshold.value,
        "threshold_revision": threshold.revision,
        "image_size": version.config.get("image_size"),
        "preprocessing": {
            step: version.preprocessing[step]["chosen"]
            for step in ("illumination", "align", "size")
            if step in version.preprocessing
        },
        "loaded_at": deployment.activated_at.isoformat() if deployment.activated_at else None,
        "loaded_by": deployment.requested_by.get_username() if deployment.requested_by else None,
    }


def canary_document(canary: Deployment) -> dict[str, Any]:
    """What judges the images of one station."""
    version = canary.model_version
    threshold = threshold_in_force(version.pk)
    assert canary.activated_at is not None, "a constraint of the database: what is active has a start"
    return {
        "deployment_id": canary.pk,
        "category": canary.category.name,
        "station": canary.station,
        "model_version": version.pk,
        "version_number": version.number,
        "algorithm": version.algorithm,
        "threshold": threshold.value,
        "threshold_revision": threshold.revision,
        "reason": canary.reason,
        "loaded_at": canary.activated_at.isoformat(),
    }


def line_status() -> dict[str, Any]:
    """What is loaded, who works, what waits."""
    deployments = active_deployments()
    loaded = [deployment_document(deployment) for deployment in deployments]
    line_deployment = without_category(deployments)
    model = loaded[deployments.index(line_deployment)] if line_deployment else None
    default, now = default_category(), traffic()
    workers = [worker | {"memory": memory_of(worker["name"])} for worker in now["workers"]]
    return {
        "model_loaded": bool(loaded),
        "model": model,
        "default_category": default.name if default else None,
        "deployments": loaded,
        "canaries": [canary_document(canary) for canary in active_canaries()],
        "device": model["device"] if model else settings.DEVICE,
        "threshold": model["threshold"] if model else None,
        **now,
        "workers": workers,
        "versions": library_versions(),
        "uptime_seconds": round(time.monotonic() - _STARTED, 1),
    }


def _scheduler() -> dict[str, Any]:
    alive = broker.scheduler_is_alive()
    return {"alive": alive, "since": None if alive else broker.last_sign(broker.SCHEDULER)}


def traffic() -> dict[str, Any]:
    """Who works, and what waits for them.

    `judging`: whether anybody judges images, since when nobody does (the last sign of life of an inference worker,
    None where that is not known or somebody does), and how many single images wait for their verdict. `scheduler`: the
    same of what takes up lost work and asks for what is due.
    """
    workers = broker.live_workers()
    queues = broker.queue_depths(QUEUES)
    alive = any(INFERENCE in served for served in workers.values())
    return {
        "judging": {
            "alive": alive,
            "since": None if alive else broker.last_sign(INFERENCE),
            "waiting": waiting_requests().count(),
        },
        "scheduler": _scheduler(),
        "workers": [{"name": name, "queues": served} for name, served in workers.items()],
        "queues": queues,
        "broker": "reachable" if None not in queues.values() else "unreachable",
    }
