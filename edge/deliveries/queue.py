"""What the process does with the outbox: the next of each lane, in order, each attempt written down before it begins.

A process that dies between the two leaves `may_have_arrived`: the next attempt says that it may be a duplicate.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from edge.deliveries.models import Delivery, HeldFile, Lane
from jobs.outbox import NotReady, NotSent, Refused, RetryPolicy, conclude

# About a quarter of an hour of a receiver that answers and does not take it; the lane waits that long.
LINE_POLICY = RetryPolicy(first_wait=timedelta(milliseconds=200), max_attempts=60, max_wait=timedelta(seconds=15))
_AT_ONCE = 50


def busy_lanes(connection_id: int) -> list[Lane]:
    """Those of a connection in which something waits."""
    waiting = Delivery.objects.filter(lane=OuterRef("pk"), status=Delivery.Status.WAITING)
    return list(Lane.objects.filter(Exists(waiting), connection=connection_id).order_by("pk"))


def next_in(lane: Lane) -> list[Delivery]:
    """What waits in a lane, the first ones in their order; nothing while the first one is not due yet.

    Whoever could not send one sends none behind it.
    """
    rows = Delivery.objects.filter(lane=lane, status=Delivery.Status.WAITING).order_by("sequence")
    deliveries = list(rows[:_AT_ONCE])
    return deliveries if deliveries and deliveries[0].due_at <= timezone.now() else []


def begin(delivery: Delivery) -> bool:
    """Write down that an attempt begins. False where somebody else has it, or sent it, meanwhile.

    The row in hand says afterwards whether an earlier attempt may have arrived.
    """
    taken = Delivery.objects.filter(
        pk=delivery.pk, status=Delivery.Status.WAITING, attempts=delivery.attempts, due_at=delivery.due_at
    ).update(attempts=F("attempts") + 1, may_have_arrived=True)
    if taken:
        delivery.attempts += 1
    return bool(taken)


def finish(delivery: Delivery, error: Exception | None) -> None:
    """Write down what came of the attempt that was begun."""
    if error is None:
        conclude(delivery, None, policy=LINE_POLICY)
        assert delivery.sent_at is not None
        delivery.latency_ms = max((delivery.sent_at - delivery.recorded_at).total_seconds() * 1000, 0.0)
    elif isinstance(error, NotSent):
        # No fault of this one: it waits for the connection, but not for ever.
        if delivery.give_up_at <= timezone.now():
            _give_up(delivery, error)
        else:
            delivery.error = str(error)[:500]
            if isinstance(error, NotReady) and error.wait:
                delivery.due_at = timezone.now() + error.wait
    else:
        delivery.failures += 1
        delivery.may_have_arrived = True
        conclude(delivery, error, policy=LINE_POLICY, failures=delivery.failures)
    columns = ["status", "due_at", "error", "sent_at", "failures", "latency_ms", "may_have_arrived"]
    values = {name: getattr(delivery, name) for name in columns}
    with transaction.atomic():
        mine = Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.WAITING, attempts=delivery.attempts)
        if mine.update(**values) and error is None:
            HeldFile.objects.filter(delivery=delivery.pk).delete()


def _give_up(delivery: Delivery, error: Exception) -> None:
    sentence = f"Not delivered within {settings.EDGE_GIVE_UP_HOURS:g} hours. Last of all: {error}"
    conclude(delivery, Refused(sentence), policy=LINE_POLICY)


def give_up_old(connection_id: int, error: str) -> int:
    """Make dead letters of what has waited too long for a connection that cannot be opened; how many."""
    waiting = Delivery.objects.filter(lane__connection=connection_id, status=Delivery.Status.WAITING)
    old = waiting.filter(give_up_at__lte=timezone.now())
    number = 0
    for delivery in old.order_by("lane", "sequence")[:_AT_ONCE]:
        _give_up(delivery, NotSent(error))
        number += Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.WAITING).update(
            status=delivery.status, error=delivery.error
        )
    return number


def remove_old() -> int:
    """Forget deliveries that were taken long ago; the records that they were about stay."""
    since = timezone.now() - timedelta(days=settings.EDGE_KEEP_DAYS)
    return Delivery.objects.filter(status=Delivery.Status.SENT, sent_at__lt=since).delete()[0]
