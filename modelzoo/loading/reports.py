"""Loading what serves a category, and saying in the broker where that fails: for those who load no model themselves."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from typing import Any

import redis

from jobs import broker
from modelzoo.loading import scoring
from modelzoo.models import Deployment, ModelVersion

log = logging.getLogger(__name__)
_KEY = "models:load-failures"  # a hash: machine|version|options -> code
_reported: dict[str, str] = {}  # by this process


def load_deployed(deployment: Deployment, version: ModelVersion | None = None) -> scoring.LoadedModel:
    """As `scoring.load_model`, in a worker. `version`: that of the deployment, where the caller has it."""
    version = version or deployment.model_version
    try:
        model = scoring.load_model(version, **deployment.runtime_options)
    except scoring.ModelUnusable as error:
        _report(_field(platform.node(), deployment), error.code)
        raise
    _report(_field(platform.node(), deployment), "")
    return model


def failures(deployments: Sequence[Deployment]) -> dict[Deployment, str]:
    """Those that a machine with a living worker could not load when it tried last, and the code of the reason.

    Raises `redis.RedisError`.
    """
    hosts = {name.rpartition("@")[2] for name in broker.inference_workers()}
    rows: dict[Any, Any] = broker.client().hgetall(_KEY)
    codes: dict[str, str] = {field.decode(): code.decode() for field, code in rows.items()}
    found = {}
    for deployment in deployments:
        failed = [codes[field] for host in hosts if (field := _field(host, deployment)) in codes]
        if failed:
            found[deployment] = failed[0]
    return found


def _field(host: str, deployment: Deployment) -> str:
    return "|".join((host, str(deployment.model_version_id), *map(str, deployment.runtime_options.values())))


def _report(field: str, code: str) -> None:
    if _reported.get(field) == code:
        return
    try:
        if code:
            broker.quick_client().hset(_KEY, field, code)
        else:
            broker.quick_client().hdel(_KEY, field)
    except redis.RedisError as error:
        log.warning("That a model was loaded, or not, is reported with the next image: %s", error)
        return
    _reported[field] = code
