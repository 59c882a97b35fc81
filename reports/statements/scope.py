"""What a statement is about: a sequence of serial numbers, or what a counter of the line counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from common.errors import UserError
from edge.gaps.selectors import Checked, check_sequence, check_window
from edge.gaps.serials import SerialSequence
from edge.passages.models import PassageCounter
from edge.passages.selectors import Window, find_counter, window_between
from inspection.history import filter_values

FIELDS = ("basis", "station", "first", "last", "counter_id", "since", "until", "delay_ms", "tolerance_ms")
MAX_DELAY_MS = 3_600_000
TOLERANCE_MS = 2000
_MAX_VALUE = 2**62
_SINCE = filter_values.moment(end_of_day=False, example="2026-11-01")
_UNTIL = filter_values.moment(end_of_day=True, example="2026-11-30")


class Basis(models.TextChoices):
    """From where it is known what passed."""

    SERIALS = "serials", _("a sequence of serial numbers")
    COUNTER = "counter", _("what the line counted")


@dataclass(frozen=True)
class StatementScope:
    """Either a sequence, or a window of a counter. `first` and `last` as they were asked for."""

    basis: Basis
    station: str
    first: str
    last: str
    sequence: SerialSequence | None = None
    window: Window | None = None
    delay: timedelta = timedelta()
    tolerance: timedelta = timedelta(milliseconds=TOLERANCE_MS)

    @property
    def counter(self) -> PassageCounter | None:
        return self.window.counter if self.window else None

    @property
    def title(self) -> str:
        place = f"station {self.station}" if self.station else "no station"
        return f"Statement of inspection: {place}, {self.first} to {self.last}"

    def check(self) -> Checked:
        """Raises `UserError` where nothing is known to have passed."""
        if self.sequence is not None:
            return check_sequence(self.station, self.sequence)
        assert self.window is not None, "it has one or the other"
        return check_window(self.window, delay=self.delay, tolerance=self.tolerance)


def parse_scope(params: Mapping[str, Any]) -> StatementScope:
    """What a form, a query string or a JSON object asks for.

    Raises `UserError` for values that are none, and `NotFound` for a counter or a value of it that there is not.
    """
    values = {name: "" if params.get(name) is None else str(params[name]).strip() for name in FIELDS}
    basis = Basis(filter_values.choice(dict(Basis.choices)).parse("basis", values["basis"] or Basis.SERIALS))
    if basis is Basis.SERIALS:
        _refuse_others(values, basis, "counter_id", "since", "until", "delay_ms", "tolerance_ms")
        station = filter_values.text().parse("station", values["station"])
        if filter_values.NO_CHARACTER.search(station):
            raise _invalid("station holds a character that no text may have.", "station")
        sequence = SerialSequence.parse(values["first"], values["last"])
        return StatementScope(basis, station, values["first"], values["last"], sequence=sequence)
    counter = find_counter(_number(values, "counter_id", 1))
    if values["station"] and values["station"] != counter.station:
        raise _invalid(f"The counter is of station {counter.station or '-'}.", "station")
    window = _window(counter, values)
    return StatementScope(
        basis,
        counter.station,
        values["first"] or window.since.isoformat(timespec="seconds"),
        values["last"] or window.until.isoformat(timespec="seconds"),
        window=window,
        delay=timedelta(milliseconds=_number(values, "delay_ms", 0, MAX_DELAY_MS, default=0)),
        tolerance=timedelta(milliseconds=_number(values, "tolerance_ms", 0, MAX_DELAY_MS, default=TOLERANCE_MS)),
    )


def _window(counter: PassageCounter, values: Mapping[str, str]) -> Window:
    """Between two moments, or between two values of the counter."""
    if values["first"] or values["last"]:
        for name in ("since", "until"):
            if values[name]:
                raise _invalid("A counter is asked from one value to another, or from one moment to another.", name)
        ends = [_number(values, name, 0, _MAX_VALUE) for name in ("first", "last")]
        return window_between(counter, ends[0], ends[1])
    if not values["since"] or not values["until"]:
        raise _invalid("A statement by a counter needs since and until, or its first and last value.", "since")
    since, until = _SINCE.parse("since", values["since"]), _UNTIL.parse("until", values["until"])
    if since < datetime(1970, 2, 1, tzinfo=UTC):
        raise _invalid("since is no day of a calendar that is in use.", "since")
    return Window(counter, since, min(until, timezone.now()))  # what is to come has not passed


def _number(
    values: Mapping[str, str], name: str, low: int, high: int = 2**63 - 1, *, default: int | None = None
) -> int:
    text = values[name]
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high):
        raise _invalid(f"{name} must be a whole number from {low} to {high}.", name)
    return int(text)


def _refuse_others(values: Mapping[str, str], basis: Basis, *names: str) -> None:
    """A value that would be left out silently would give another statement than was meant."""
    for name in names:
        if values[name]:
            raise _invalid(f"{name} does not belong to a statement by {basis.label}.", name)


def _invalid(sentence: str, field: str) -> UserError:
    return UserError(f"{sentence} No statement was made.", code="invalid", field=field)
