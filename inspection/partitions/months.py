"""A month as bounds: of keys, of moments, and the name of its table. Nothing of the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from common.errors import UserError
from records.keys import first_key

_MONTH = re.compile(r"(\d{4})-(\d{2})")


@dataclass(frozen=True, order=True)
class Month:
    """A month of the calendar, in UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, at: datetime) -> Month:
        utc = at.astimezone(UTC)
        return cls(utc.year, utc.month)

    @classmethod
    def read(cls, text: str) -> Month:
        """From "2027-01". Raises `UserError`."""
        found = _MONTH.fullmatch(text)
        if not found or not 1 <= int(found[2]) <= 12 or not 1970 <= int(found[1]) <= 2108:
            raise UserError(f"{text} is not a month. Write it as 2027-01.")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    def later(self, months: int) -> Month:
        years, number = divmod(self.number - 1 + months, 12)
        return Month(self.year + years, number + 1)

    def until(self, last: Month) -> Iterator[Month]:
        """This month, and each one after it up to the last one."""
        month = self
        while month <= last:
            yield month
            month = month.later(1)

    @property
    def begins(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        """The first moment of the next one."""
        return self.later(1).begins

    @property
    def keys(self) -> tuple[UUID, UUID]:
        """The first key, and the first one of the next month."""
        return first_key(self.begins), first_key(self.ends)

    @property
    def suffix(self) -> str:
        """The end of its table's name."""
        return f"y{self.year:04d}m{self.number:02d}"
