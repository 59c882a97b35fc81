"""Sequences of serial numbers: letters, a number with leading zeros, perhaps letters again; and ranges of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from common.errors import UserError

MAX_SERIALS = 1_000_000
MAX_SERIAL = 100
_FORM = re.compile(r"(.*?)([0-9]{1,18})([^0-9]*)", re.DOTALL)


@dataclass(frozen=True, order=True)
class Form:
    """What all numbers of a sequence share. `width`: digits, with leading zeros."""

    prefix: str
    width: int
    suffix: str

    def text(self, number: int) -> str:
        return f"{self.prefix}{number:0{self.width}d}{self.suffix}"


def parsed(serial: str) -> tuple[Form, int] | None:
    """The last digits of a serial number are what counts; None where it has none."""
    found = _FORM.fullmatch(serial)
    if found is None:
        return None
    prefix, digits, suffix = found.groups()
    # Digits before the last 18 belong to what stays the same.
    return Form(prefix, len(digits), suffix), int(digits)


@dataclass(frozen=True)
class SerialSequence:
    """From `first` to `last`, both included."""

    form: Form
    first: int
    last: int

    @classmethod
    def parse(cls, first: str, last: str) -> SerialSequence:
        """Raises `UserError` for what is no sequence."""
        for name, text in (("first", first), ("last", last)):
            if not text or len(text) > MAX_SERIAL or not text.isprintable():
                raise _invalid(f"A serial number has 1 to {MAX_SERIAL} printable characters.", name)
        begin, end = parsed(first), parsed(last)
        if begin is None or end is None:
            raise _invalid("A serial number of a sequence ends in digits, or has letters alone behind them.", "first")
        if begin[0] != end[0]:
            raise _invalid(
                "The two serial numbers must differ in their number alone, with the same letters and as many digits.",
                "last",
            )
        if end[1] < begin[1]:
            raise _invalid("The last serial number comes before the first one.", "last")
        sequence = cls(begin[0], begin[1], end[1])
        if len(sequence) > MAX_SERIALS:
            raise _invalid(f"A statement is of at most {MAX_SERIALS:,} parts.", "last")
        return sequence

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[str]:
        return (self.form.text(number) for number in range(self.first, self.last + 1))

    def __contains__(self, serial: object) -> bool:
        found = parsed(serial) if isinstance(serial, str) else None
        return found is not None and found[0] == self.form and self.first <= found[1] <= self.last


def _invalid(sentence: str, field: str) -> UserError:
    return UserError(f"{sentence} No statement was made.", code="invalid", field=field)


@dataclass
class Ranges:
    """Serial numbers as ranges where one follows the other. They are added in the order in which they passed.

    Memory is that of the ranges, of which `limit` are kept; `count` and `dropped` count on.
    """

    limit: int
    rows: list[tuple[str, str, int]] = field(default_factory=list)  # first, last, how many
    count: int = 0
    dropped: int = 0  # ranges beyond the limit
    _end: tuple[Form, int] | None = None

    def add(self, serial: str) -> None:
        self.count += 1
        # Of 99 the next one is 100, though it has a digit more.
        follows = self._end is not None and self._end[0].text(self._end[1] + 1) == serial
        self._end = parsed(serial)
        if follows and not self.dropped:
            first, _, count = self.rows[-1]
            self.rows[-1] = (first, serial, count + 1)
        elif follows:
            return
        elif len(self.rows) < self.limit:
            self.rows.append((serial, serial, 1))
        else:
            self.dropped += 1


def chunks(serials: Iterator[str], size: int) -> Iterator[list[str]]:
    while chunk := list(islice(serials, size)):
        yield chunk
