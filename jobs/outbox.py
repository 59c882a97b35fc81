"""Messages that leave the system: each is a row until it was taken or given up, tried again at growing intervals.

The kind of message is a model that extends `OutboxMessage`; its app says how one is delivered. `send_due` sends what is
due in no order, as alarms and reports want it; the verdicts of a line, which have one, are taken in order by
`edge.deliveries.queue`. Both end with `conclude`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone

from common.paths import without_server_paths
from jobs.metrics.definitions import MESSAGES

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 9
_CLAIM = timedelta(minutes=2)  # in which a worker sends one, or died
_AT_ONCE = 50


class NotDelivered(Exception):
    """The receiver did not take it, or it must not go there, or nobody knows: it is tried again."""


class NotSent(NotDelivered):
    """Nothing of it left: there was no way to the receiver. It is no fault of this message."""


class NotReady(NotSent):
    """The same, but the way is there: somebody has to come who takes it. `wait`: no sooner than then."""

    def __init__(self, sentence: str, *, wait: timedelta = timedelta(0)) -> None:
        super().__init__(sentence)
        self.wait = wait


class Refused(NotDelivered):
    """The receiver will never take this one: it is given up at once."""


@dataclass(frozen=True)
class RetryPolicy:
    """When a message is tried again: twice as long after every further failure, and how often at most."""

    first_wait: timedelta
    max_attempts: int
    max_wait: timedelta = timedelta.max

    def wait_after(self, failures: int) -> timedelta:
        """How long to wait after so many failures in a row, at least one."""
        doublings = min(failures - 1, 30)
        return min(self.first_wait * 2**doublings, self.max_wait)


# Given up after about two hours.
PATIENT = RetryPolicy(first_wait=timedelta(seconds=30), max_attempts=MAX_ATTEMPTS)


class OutboxMessage(models.Model):
    """One message. Abstract."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    error = models.CharField(max_length=500, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"message {self.pk}: {self.status}"


class AddressedMessage(OutboxMessage):
    """One message to one address. Abstract."""

    target = models.CharField(max_length=500)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"message to {self.target}: {self.status}"


Message = TypeVar("Message", bound=OutboxMessage)


def send_due(messages: QuerySet[Message], deliver: Callable[[Message], Any]) -> int:
    """Send what is due; `deliver` raises `NotDelivered` or `OSError`. How many were taken.

    Two workers never send the same one at a time.
    """
    now = timezone.now()
    waiting = messages.filter(status=OutboxMessage.Status.WAITING, due_at__lte=now)
    sent = 0
    for pk, due_at in list(waiting.order_by("due_at").values_list("pk", "due_at")[:_AT_ONCE]):
        # The claim: whoever moves the time first has it. A worker that dies leaves it to the next after that time.
        claimed = messages.model._default_manager.filter(pk=pk, status=OutboxMessage.Status.WAITING, due_at=due_at)
        if claimed.update(due_at=now + _CLAIM):
            sent += _send(messages.get(pk=pk), deliver)
    return sent


def _send(message: Message, deliver: Callable[[Message], Any]) -> bool:
    message.attempts += 1
    try:
        deliver(message)
    except (NotDelivered, OSError) as error:
        conclude(message, error, policy=PATIENT, failures=message.attempts)
    else:
        conclude(message, None, policy=PATIENT)
    message.save(update_fields=["attempts", "status", "due_at", "sent_at", "error"])
    return bool(message.status == message.Status.SENT)


def conclude(message: OutboxMessage, error: Exception | None, *, policy: RetryPolicy, failures: int = 0) -> None:
    """Set on the row what came of an attempt: sent, due again, or given up. The caller saves it.

    `failures`: how many attempts count towards giving up, this one included.
    """
    if error is None:
        outcome = "sent"
        message.status, message.sent_at, message.error = message.Status.SENT, timezone.now(), ""
    else:
        message.error = without_server_paths(str(error) or type(error).__name__)[:500]
        outcome = "failed" if isinstance(error, Refused) or failures >= policy.max_attempts else "again"
        if outcome == "failed":
            message.status = message.Status.FAILED
            log.error("%s was given up after %s attempts: %s", message, message.attempts, message.error)
        else:
            message.due_at = timezone.now() + policy.wait_after(max(failures, 1))
    MESSAGES.labels(message._meta.model_name, outcome).inc()
