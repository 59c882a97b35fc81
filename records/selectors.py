"""Reads: limits of the gate, verification of the audit chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from django.conf import settings

from records.images import GateLimits, SixteenBit
from records.models import GENESIS, AuditEvent


def gate_limits() -> GateLimits:
    return GateLimits(
        max_bytes=settings.MAX_FILE_SIZE,
        extensions=tuple(settings.ALLOWED_EXTENSIONS),
        max_pixels=settings.MAX_IMAGE_PIXELS,
        sixteen_bit=cast(SixteenBit, settings.SIXTEEN_BIT),
    )


@dataclass(frozen=True)
class ChainReport:
    """What a walk over the chain found. `broken_at` is the first event that does not fit, None when all do."""

    events: int
    head: str
    broken_at: int | None = None
    reason: str = ""


def verify_chain() -> ChainReport:
    """Recompute the whole chain in order of sequence, in constant memory."""
    expected, head, count = 1, GENESIS, 0
    for event in AuditEvent.objects.order_by("sequence").iterator(chunk_size=2000):
        if event.sequence != expected:
            return ChainReport(count, head, expected, f"event {expected} is missing")
        if event.previous_hash != head:
            return ChainReport(count, head, event.sequence, "does not follow the event before it")
        if event.computed_hash() != event.hash:
            return ChainReport(count, head, event.sequence, "its content was changed after it was written")
        expected, head, count = expected + 1, event.hash, count + 1
    return ChainReport(count, head)
