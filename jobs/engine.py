"""The engine for long work: a row stands for every job, and whoever works on it holds a claim under a lease.

A kind of long work is a model (`jobs.models.LeasedJob`), a task that works on one of its rows, and a `JobKind` that
names the two. The life of a job:

- It is asked for: the row is written with `lease_expires_at=KIND.lease()`, then `KIND.publish_on_commit(pk)`.
- A worker takes it: `claim = KIND.take(pk)`. None: it is somebody else's, or over.
- It is worked on in steps. Each renews the lease, by itself or with what it writes down (`claim.renew(done=7)`), and
  `ClaimLost` ends the work. `claim.in_slices` hands the rest on after some seconds, so that other work passes. Where a
  step may take longer than a lease, `jobs.heartbeat` renews it from a thread.
- It ends: `claim.end(status=...)`, in one transaction with its audit event.
- The sweep (`KIND.sweep()`) publishes again what nobody gave a sign of life for.

Messages carry ids, and may be lost or doubled. The row is the truth, and only conditional UPDATEs change hands.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs import broker
from jobs.errors import ClaimLost
from jobs.models import LeasedJob

Job = TypeVar("Job", bound=LeasedJob)


@dataclass(frozen=True)
class JobKind(Generic[Job]):
    """One kind of long work: the model of its rows, and the name of the task that is called with the id of one."""

    model: type[Job]
    task: str
    min_lease_seconds: float = 0.0  # for work whose steps may take longer than LEASE_SECONDS

    def lease(self) -> datetime:
        """Until when a job belongs to its worker without a further sign of life."""
        return timezone.now() + timedelta(seconds=max(settings.LEASE_SECONDS, self.min_lease_seconds))

    def open(self) -> QuerySet[Job]:
        return self.model._default_manager.filter(status__in=LeasedJob.OPEN)

    def stale(self) -> QuerySet[Job]:
        """Open jobs that nobody gave a sign of life for: their worker died, or their message was lost."""
        return self.open().filter(lease_expires_at__lt=timezone.now())

    # ------------------------------------------------------------ calling a worker
    def publish(self, pk: object) -> bool:
        """Call a worker. False where no broker answers: the sweep calls again."""
        return broker.publish(self.task, pk)

    def publish_on_commit(self, pk: object) -> None:
        transaction.on_commit(lambda: self.publish(pk))

    def publish_again(self, pk: object) -> None:
        """Call a worker for a stale job. One that waits in the queue is called for once a lease, not at each sweep."""
        self.stale().filter(pk=pk, claim__isnull=True).update(lease_expires_at=self.lease())
        self.publish(pk)

    def sweep(self) -> None:
        """Call a worker again for every stale job."""
        for pk in self.stale().order_by("created_at", "pk").values_list("pk", flat=True):
            self.publish_again(pk)

    # ------------------------------------------------------------ waiting for it
    def notify(self, pk: object) -> None:
        """Tell whoever waits for a job that it moved on."""
        broker.notify(self._topic(pk))

    def wait(self, job: Job, *, timeout: float, fields: Sequence[str] | None = None) -> bool:
        """Wait until a job is over, at most so many seconds, and read it again. Returns whether it is."""

        def is_over() -> bool:
            job.refresh_from_db(fields=fields)
            return not job.is_open

        return broker.wait_until(is_over, topic=self._topic(job.pk), timeout=timeout)

    def _topic(self, pk: object) -> str:
        return f"{self.model._meta.model_name}-{pk}"

    # ------------------------------------------------------------ from hand to hand
    def take(self, pk: object, *conditions: Q, **changes: Any) -> Claim[Job] | None:
        """Claim a job that waits or is stale, by one conditional UPDATE that writes `changes` too.

        None where it is not to be had: it is over, somebody works on it, or `conditions` do not hold. So a doubled
        message finds nothing to do. Work that begins anew with each worker says so: `started_at=timezone.now()`.
        """
        now, token = timezone.now(), uuid.uuid4()
        free = Q(claim__isnull=True) | Q(lease_expires_at__lt=now)
        values = {"started_at": Coalesce("started_at", now)} | changes
        updated = (
            self.open()
            .filter(free, *conditions, pk=pk)
            .update(status=LeasedJob.RUNNING, claim=token, lease_expires_at=self.lease(), **values)
        )
        return Claim(self, pk, token) if updated else None

    def end(self, pk: object, *, status: str, **changes: Any) -> bool:
        """Close an open job, whoever works on it. False where it is over already: nothing was changed."""
        return bool(self.open().filter(pk=pk).update(**_end_values(status), **changes))


@dataclass(frozen=True)
class Claim(Generic[Job]):
    """The right to work on a job; lost when the lease runs out and somebody else takes it, or when it is ended."""

    kind: JobKind[Job]
    pk: Any
    token: uuid.UUID

    def __str__(self) -> str:
        return f"{self.kind.model._meta.verbose_name} {self.pk}"

    def rows(self) -> QuerySet[Job]:
        """The job while the claim holds, else nothing: what is written through it is written by its holder alone."""
        return self.kind.open().filter(pk=self.pk, claim=self.token)

    def renew(self, **changes: Any) -> None:
        """Prolong the lease and write down how far the work is. Raises `ClaimLost`, and writes nothing then."""
        if not self.rows().update(lease_expires_at=self.kind.lease(), **changes):
            raise ClaimLost

    def release(self, **changes: Any) -> None:
        """Give the job back unfinished: whoever is called next takes it."""
        self.rows().update(claim=None, **changes)

    def end(self, *, status: str, **changes: Any) -> bool:
        """Close the job. False where the claim was lost: nothing was changed."""
        return bool(self.rows().update(**_end_values(status), **changes))

    def in_slices(self, step: Callable[[], bool], *, seconds: float | None) -> bool:
        """Go on with `step` until it says that nothing is left to do. Returns True then.

        After so many seconds the job is handed on instead: other work of the queue passes, and whoever is called next
        goes on. Returns False then. `step` renews the lease.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while step():
            if until is not None and time.monotonic() >= until:
                self.release()
                self.kind.publish(self.pk)
                return False
        return True


def _end_values(status: str) -> dict[str, Any]:
    return {"status": status, "claim": None, "lease_expires_at": None, "finished_at": timezone.now()}
