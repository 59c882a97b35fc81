"""Thin tasks: reports that are due are issued, and sent."""

from __future__ import annotations

from celery import shared_task

from common.context import acting
from reports.schedules.services import issue_due_reports
from reports.schedules.worker import send_due_reports


@shared_task(acks_late=False)
def run_schedules() -> None:
    with acting("worker"):
        issue_due_reports()
        send_due_reports()
