"""Writes: what came of a promise, once its days are over."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from modelzoo.models import Threshold
from quality.models import PromiseResult
from quality.promises import selectors
from records.audit.services import audit


def compare_due_promise(*, now: datetime | None = None) -> PromiseResult | None:
    """Compare the oldest promise whose days are over, and keep the result. One at a time, for the sweep."""
    threshold = selectors.due_promises(now or timezone.now()).first()
    if threshold is None:
        return None
    try:
        return _compare(threshold)
    except IntegrityError:  # another process compared it meanwhile
        return None


@transaction.atomic
def _compare(threshold: Threshold) -> PromiseResult:
    outcome = selectors.outcome_of(threshold)
    result = PromiseResult.objects.create(threshold=threshold, created_at=timezone.now(), **vars(outcome))
    audit(
        kind="threshold_promise.compared",
        subject=threshold,
        actor=None,
        after={"threshold": threshold.pk, **vars(outcome)},
        attests=[result],
    )
    return result
