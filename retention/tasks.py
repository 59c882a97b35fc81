"""Tasks of retention. They run beside training, with early acknowledgement: the lease in the row says what is done."""

from __future__ import annotations

from celery import shared_task

from common.context import acting
from retention import services


@shared_task(acks_late=False)
def daily() -> None:
    with acting("worker"):
        services.request_daily_runs()


@shared_task(acks_late=False)
def work(run_id: str) -> None:
    with acting("worker"):
        services.work_on_run(run_id=int(run_id))
