"""Tasks of the `inference` queue. Each carries an id; the row decides what is to be done."""

from __future__ import annotations

import logging
import time
import uuid

from celery import Task, shared_task
from celery.exceptions import Reject

from common.context import acting
from common.database import UNAVAILABLE
from common.errors import UserError
from inspection.batches import worker as batches_worker
from inspection.judging import worker
from modelzoo.loading import deployments
from modelzoo.loading.reports import load_deployed
from modelzoo.selectors import active_canaries, active_deployments

log = logging.getLogger(__name__)
_PAUSE_SECONDS = 1.0  # a database that is gone is not asked without a breath


def _name(task: Task) -> str:
    return worker.worker_name(task.request.hostname)


@shared_task(bind=True)
def judge(self: Task, request_id: str) -> None:
    try:
        with acting("worker"):
            worker.judge_request(
                request_id=uuid.UUID(request_id),
                worker=_name(self),
                redelivered=bool((self.request.delivery_info or {}).get("redelivered")),
            )
    except UNAVAILABLE as error:
        # The message goes back as that of a worker that died does, and with it what was claimed: while somebody waits
        # for the verdict, the database may answer again.
        log.warning("Request %s goes back into the queue: the database does not answer (%s).", request_id, error)
        time.sleep(_PAUSE_SECONDS)
        raise Reject(str(error), requeue=True) from error


@shared_task(bind=True)
def work_on_batch(self: Task, batch_id: str) -> None:
    with acting("worker"):
        batches_worker.work_on_batch(batch_id=uuid.UUID(batch_id), worker=_name(self))


@shared_task(bind=True)
def load(self: Task, deployment_id: str) -> None:
    with acting("worker"):
        deployments.load_deployment(deployment_id=int(deployment_id), worker=_name(self))


@shared_task(bind=True)
def warm(self: Task) -> None:
    """At the start of a worker: hold what is in force, so that the first image does not wait for it."""
    for deployment in (*active_canaries(), *active_deployments()):
        try:
            load_deployed(deployment)
        except UserError as error:
            log.error("Worker %s cannot hold %s: %s", _name(self), deployment.model_version, error)
