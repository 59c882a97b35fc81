"""When shifts end: by the times of day at which they begin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from common.errors import UserError

MAX_SHIFTS = 12  # of a day
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def parse_starts(texts: Iterable[str]) -> list[str]:
    """Times of day, in order. Raises `UserError` for what is none."""
    starts = sorted({text.strip() for text in texts if text.strip()})
    if not starts or len(starts) > MAX_SHIFTS or not all(_TIME.fullmatch(text) for text in starts):
        raise UserError(
            f"Shifts begin at 1 to {MAX_SHIFTS} times of day, each as HH:MM, such as 06:00, 14:00, 22:00. Nothing was "
            "saved.",
            code="invalid_shifts",
        )
    return starts


def next_end(after: datetime, starts: Iterable[str]) -> datetime:
    """The first moment after `after` at which a shift begins, and so the one before it ends.

    Times are those of the system's time zone. Where clocks are put forward over one, it is the moment that the time
    would have been; put back, the earlier of the two.
    """
    return min(start for start in _starts_about(after, starts) if start > after)


def shift_at(moment: datetime, starts: Iterable[str]) -> tuple[datetime, datetime]:
    """When the shift of this moment began, and when it ends."""
    about = _starts_about(moment, starts)
    return max(start for start in about if start <= moment), min(start for start in about if start > moment)


def _starts_about(moment: datetime, starts: Iterable[str]) -> list[datetime]:
    """All moments at which a shift begins from the day before yesterday to the day after tomorrow."""
    zone = timezone.get_default_timezone()
    assert isinstance(zone, ZoneInfo)
    day = moment.astimezone(zone).date()
    return [
        datetime.combine(day + timedelta(days=offset), time.fromisoformat(start), zone).astimezone(UTC)
        for offset in (-2, -1, 0, 1, 2)
        for start in starts
    ]
