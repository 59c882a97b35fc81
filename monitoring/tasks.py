"""Thin tasks: charts take in new records, messages about alarms go out."""

from __future__ import annotations

from celery import shared_task

from common.context import acting
from monitoring.alarms.worker import send_due_messages
from monitoring.drift.services import evaluate


@shared_task(acks_late=False)
def watch() -> None:
    with acting("worker"):
        evaluate()
        send_due_messages()


@shared_task(acks_late=False)
def send_messages() -> None:
    with acting("worker"):
        send_due_messages()
