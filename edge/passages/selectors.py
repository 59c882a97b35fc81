"""Reads: counters, passages, and what passed between two moments as far as a counter knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from common.errors import NotFound, UserError
from edge.passages.counting import Counted, CounterSize, Reset, Silence, Unreported, doubts, silences
from edge.passages.models import HeardPeriod, Passage, PassageCounter

ORDER = ("-passed_at", "-id")
MAX_RANGES = 5000  # of each kind that are named
MAX_SPAN = timedelta(days=366)
_CHUNK = 2000


def counters(*, station: str | None = None) -> QuerySet[PassageCounter]:
    """Who counts, by station."""
    rows = PassageCounter.objects.select_related("connection", "reporter").order_by("station", "id")
    return rows if station is None else rows.filter(station=station)


def find_counter(counter_id: int) -> PassageCounter:
    """Raises `NotFound`."""
    found = counters().filter(pk=counter_id).first()
    if found is None:
        raise NotFound(f"There is no counter of passages {counter_id}.", code="passage_counter_not_found")
    return found


def passages(counter: PassageCounter) -> QuerySet[Passage]:
    """Newest first, of one counter: read off the index of passages by time."""
    return Passage.objects.filter(counter=counter, is_mark=False).order_by(*ORDER)


def size_of(counter: PassageCounter) -> CounterSize | None:
    if counter.first_value is None or counter.last_value is None:
        return None
    return CounterSize(counter.first_value, counter.last_value)


@dataclass(frozen=True)
class Window:
    """Which passages of a counter are meant: `until` is not included."""

    counter: PassageCounter
    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if not self.since < self.until <= self.since + MAX_SPAN:
            raise UserError(
                f"The time must end after it begins, and last at most {MAX_SPAN.days} days. No statement was made.",
                code="invalid",
                field="until",
            )

    @property
    def passages(self) -> QuerySet[Passage]:
        rows = Passage.objects.filter(counter=self.counter, passed_at__gte=self.since, passed_at__lt=self.until)
        return rows.filter(is_mark=False)


@dataclass(frozen=True)
class Doubts:
    """What a counter does not know of a window."""

    unreported: list[Unreported]
    unreported_count: int  # parts
    resets: list[Reset]
    silences: list[Silence]
    dropped: int  # that are not in the lists: they are too many


def doubts_of(window: Window) -> Doubts:
    """From the last passage before the window to the first one behind it, so that nothing falls between two of them.

    Reads a range of the runs that the window touches, in the order of the counter.
    """
    unreported: list[Unreported] = []
    resets: list[Reset] = []
    count = dropped = 0
    for doubt in doubts(_counted(window), size_of(window.counter)):
        if doubt.before < window.since or doubt.after >= window.until:
            continue
        count += doubt.count if isinstance(doubt, Unreported) else 0
        kept: list[Unreported] | list[Reset] = unreported if isinstance(doubt, Unreported) else resets
        if len(kept) < MAX_RANGES:
            kept.append(doubt)  # type: ignore[arg-type]
        else:
            dropped += 1
    heard = HeardPeriod.objects.filter(counter=window.counter, until__gte=window.since, since__lt=window.until)
    found = list(silences(heard.order_by("since").values_list("since", "until"), window.since, window.until))
    return Doubts(unreported, count, resets, found[:MAX_RANGES], dropped + max(0, len(found) - MAX_RANGES))


def _counted(window: Window) -> Iterator[Counted]:
    """Passages with a count, in the order of run and position, with one neighbour on each side."""
    rows = Passage.objects.filter(counter=window.counter, position__isnull=False)
    before = rows.filter(passed_at__lt=window.since).order_by("-passed_at", "-run", "-position").first()
    after = rows.filter(passed_at__gte=window.until).order_by("passed_at", "run", "position").first()
    inside = rows.filter(passed_at__gte=window.since, passed_at__lt=window.until).order_by("run", "position")
    if before is not None:
        yield _as_counted(before)
    for row in inside.iterator(chunk_size=_CHUNK):
        yield _as_counted(row)
    if after is not None:
        yield _as_counted(after)


def _as_counted(row: Passage) -> Counted:
    assert row.position is not None
    assert row.value is not None
    return Counted(row.run, row.position, row.value, row.passed_at, row.serial_number)


def window_between(counter: PassageCounter, first: int, last: int) -> Window:
    """From the last time that the counter stood at `first` before it last stood at `last`. Raises `NotFound`."""
    rows = Passage.objects.filter(counter=counter, position__isnull=False)
    end = rows.filter(value=last).order_by("-passed_at", "-id").first()
    begin = (
        rows.filter(value=first, passed_at__lte=end.passed_at).order_by("-passed_at", "-id").first() if end else None
    )
    if begin is None or end is None:
        which = first if end else last
        raise NotFound(
            f"The counter {counter} did not report {which}. No statement was made. Choose values that it reported, or "
            "a time.",
            code="passage_not_found",
        )
    return Window(counter, begin.passed_at, end.passed_at + timedelta(microseconds=1))
