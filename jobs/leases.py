"""Leases: how long a claimed row belongs to its worker without a sign of life."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone


def lease(seconds: float | None = None) -> Any:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS if seconds is None else seconds)
