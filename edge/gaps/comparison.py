"""Reads: what passed a station beside the records of it. Memory does not grow with the number of parts.

A part is inspected when there is a record of it: of a single live image at this station, or of a part of several views.
Records of batches and of versions that are tried by hand are no inspection at the line: they came whenever somebody
wanted them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import merge

from django.db.models import Q, QuerySet

from edge.gaps.matching import matched
from edge.gaps.serials import Ranges, SerialSequence, chunks
from edge.passages.models import Passage, PassageCounter
from edge.passages.selectors import MAX_RANGES
from inspection.models import Inspection, InspectionRequest, PartInspection, PartRequest

MAX_LISTED = 100  # of what is told beside
_CHUNK = 1000
_AROUND = timedelta(
    hours=1
)  # before the first and after the last record requests are looked for that ended without one
_MAX_ENDED = 10_000
Outcome = Inspection.Outcome


@dataclass(frozen=True)
class Listed:
    """Something that is told beside the comparison."""

    serial_number: str
    at: datetime
    what: str = ""
    record: str = ""  # id


@dataclass
class Some:
    """How many there are, and the first of them."""

    count: int = 0
    rows: list[Listed] = field(default_factory=list)

    def add(self, row: Listed) -> None:
        self.count += 1
        if len(self.rows) < MAX_LISTED:
            self.rows.append(row)


def _ranges() -> Ranges:
    return Ranges(MAX_RANGES)


@dataclass
class Comparison:
    """What became of the parts that passed. Each is in exactly one of the first five."""

    good: int = 0
    defective: int = 0
    not_comparable: Ranges = field(default_factory=_ranges)
    repeated: Ranges = field(default_factory=_ranges)  # more than one record
    missing: Ranges = field(default_factory=_ranges)  # no record
    # Among those that are missing: why, as far as is known.
    ended_without_verdict: Some = field(default_factory=Some)
    judged_elsewhere: Some = field(default_factory=Some)
    judged_otherwise: Some = field(default_factory=Some)  # in a batch, or by a version that was tried by hand
    still_open: Some = field(default_factory=Some)
    # Records of the station in the same time that belong to none of the parts.
    outside: Some = field(default_factory=Some)
    first_record_at: datetime | None = None
    last_record_at: datetime | None = None
    models: Counter[tuple[int, int]] = field(default_factory=Counter)  # model version, threshold

    @property
    def total(self) -> int:
        return self.inspected + self.not_comparable.count + self.missing.count

    @property
    def inspected(self) -> int:
        return self.good + self.defective + self.repeated.count

    def note(self, name: str, outcomes: Sequence[str]) -> None:
        """One part and the outcomes of its records."""
        if not outcomes:
            self.missing.add(name)
        elif set(outcomes) == {Outcome.NOT_COMPARABLE}:
            self.not_comparable.add(name)
        elif len(outcomes) > 1:
            self.repeated.add(name)
        elif outcomes[0] == Outcome.GOOD:
            self.good += 1
        else:
            self.defective += 1

    def note_time(self, at: datetime) -> None:
        self.first_record_at = min(self.first_record_at or at, at)
        self.last_record_at = max(self.last_record_at or at, at)


# ---------------------------------------------------------------- by serial number
def compare_serials(station: str, serials: Iterable[str], is_expected: Expected) -> Comparison:
    """`serials` of what passed, each once. `is_expected` says which of some serial numbers are among them."""
    result = Comparison()
    for chunk in chunks(iter(serials), _CHUNK):
        _compare_chunk(result, station, chunk)
    if result.first_record_at and result.last_record_at:
        window = (result.first_record_at, result.last_record_at)
        _find_outside(result, station, window, is_expected)
        _find_ended(result, station, (window[0] - _AROUND, window[1] + _AROUND), is_expected)
    return result


def _compare_chunk(result: Comparison, station: str, serials: Sequence[str]) -> None:
    """Reads the indexes of records and of parts by serial number."""
    outcomes: dict[str, list[str]] = defaultdict(list)
    others: dict[str, list[tuple[Some, Listed]]] = defaultdict(list)
    rows = Inspection.objects.filter(serial_number__in=serials).order_by("created_at", "id")
    names = ("pk", "serial_number", "station", "outcome", "created_at", "model_version_id", "threshold_id")
    joined = ("deployment_id", "request__batch_id", "request__part_view__id", "request__part_view__part__station")
    for row in rows.values_list(*names, *joined):
        key, serial, place, outcome, at, version, threshold, deployment, batch, view, place_of_part = row
        if batch is not None or deployment is None:
            words = "in a batch" if batch is not None else "by a version that was tried by hand"
            others[serial].append((result.judged_otherwise, Listed(serial, at, words, str(key))))
        elif (place if view is None else place_of_part) == station:
            result.models[version, threshold] += 1
            result.note_time(at)
            if view is None:  # a view's word is said by its part
                outcomes[serial].append(outcome)
        elif view is None:
            others[serial].append((result.judged_elsewhere, Listed(serial, at, place, str(key))))
    parts = PartInspection.objects.filter(serial_number__in=serials).order_by("created_at", "request")
    for key, serial, place, outcome, at in parts.values_list("pk", "serial_number", "station", "outcome", "created_at"):
        if place == station:
            outcomes[serial].append(outcome)
            result.note_time(at)
        else:
            others[serial].append((result.judged_elsewhere, Listed(serial, at, place, str(key))))
    for serial in serials:
        result.note(serial, outcomes[serial])
        if not outcomes[serial]:
            for some, listed in others[serial][:1]:
                some.add(listed)


Window = tuple[datetime, datetime]


class Expected:
    """Which of some serial numbers passed."""

    def among(self, serials: Iterable[str]) -> set[str]:
        raise NotImplementedError


@dataclass(frozen=True)
class InSequence(Expected):
    sequence: SerialSequence

    def among(self, serials: Iterable[str]) -> set[str]:
        return {serial for serial in serials if serial in self.sequence}


@dataclass(frozen=True)
class AmongPassages(Expected):
    counter: PassageCounter
    since: datetime
    until: datetime

    def among(self, serials: Iterable[str]) -> set[str]:
        """Reads the index of passages by serial number."""
        rows = Passage.objects.filter(
            counter=self.counter, serial_number__in=list(serials), passed_at__gte=self.since, passed_at__lt=self.until
        )
        return set(rows.values_list("serial_number", flat=True))


def _live(station: str, window: Window) -> QuerySet[Inspection]:
    """Single live images of a station and a time, in its order: the index of records by station."""
    rows = Inspection.objects.filter(station=station, created_at__gte=window[0], created_at__lte=window[1])
    rows = rows.filter(request__batch__isnull=True, deployment__isnull=False, request__part_view__isnull=True)
    return rows.order_by("created_at", "id")


def _parts(station: str, window: Window) -> QuerySet[PartInspection]:
    """Parts of several views, by their time."""
    rows = PartInspection.objects.filter(created_at__gte=window[0], created_at__lte=window[1], station=station)
    return rows.order_by("created_at", "request")


@dataclass(frozen=True)
class Judged:
    """A record of a single image or of a part."""

    key: str
    serial_number: str
    outcome: str
    at: datetime
    model: tuple[int, int] | None = None


def _judged(station: str, window: Window) -> Iterator[Judged]:
    names = ("pk", "serial_number", "outcome", "created_at", "model_version_id", "threshold_id")
    single = (
        Judged(str(key), serial, outcome, at, (version, threshold))
        for key, serial, outcome, at, version, threshold in _live(station, window)
        .values_list(*names)
        .iterator(chunk_size=_CHUNK)
    )
    parts = (
        Judged(str(key), serial, outcome, at)
        for key, serial, outcome, at in _parts(station, window).values_list(*names[:4]).iterator(chunk_size=_CHUNK)
    )
    return merge(single, parts, key=lambda one: one.at)


def _find_outside(result: Comparison, station: str, window: Window, is_expected: Expected) -> None:
    records = _judged(station, window)
    waiting: list[Judged] = []

    def look() -> None:
        known = is_expected.among({one.serial_number for one in waiting})
        for one in waiting:
            if one.serial_number not in known:
                result.outside.add(Listed(one.serial_number, one.at, one.outcome, one.key))
        waiting.clear()

    for record in records:
        waiting.append(record)
        if len(waiting) == _CHUNK:
            look()
    look()


def _find_ended(result: Comparison, station: str, window: Window, is_expected: Expected) -> None:
    """Requests of the time that have no record: the indexes of failed and expired requests, and of open ones."""
    rows = InspectionRequest.objects.filter(station=station, batch__isnull=True, deployment__isnull=False)
    rows = rows.filter(created_at__gte=window[0], created_at__lte=window[1]).exclude(serial_number="")
    rows = rows.filter(part_view__isnull=True).order_by("created_at")
    names = ("serial_number", "created_at", "error_code", "pk")
    for status in (InspectionRequest.Status.FAILED, InspectionRequest.Status.EXPIRED):
        ended = list(rows.filter(status=status).values_list(*names)[:_MAX_ENDED])
        for serial, at, code, key in _without_record(station, ended, is_expected):
            result.ended_without_verdict.add(Listed(serial, at, code or str(status), str(key)))
    waiting = rows.filter(Q(status="queued") | Q(status="running"), deadline__isnull=False)
    for serial, at, _, key in _without_record(station, list(waiting.values_list(*names)[:_MAX_ENDED]), is_expected):
        result.still_open.add(Listed(serial, at, "", str(key)))
    parts = PartRequest.objects.filter(status=PartRequest.Status.OPEN, station=station).exclude(serial_number="")
    opened = list(parts.order_by("opened_at").values_list("serial_number", "opened_at", "part_id", "pk")[:_MAX_ENDED])
    for serial, at, part_id, key in _without_record(station, opened, is_expected):
        result.still_open.add(Listed(serial, at, part_id, str(key)))


Row = tuple[str, datetime, str, object]


def _without_record(station: str, rows: Sequence[Row], is_expected: Expected) -> Iterator[Row]:
    """Those of parts that passed and were not judged in another request."""
    for begin in range(0, len(rows), _CHUNK):
        chunk = rows[begin : begin + _CHUNK]
        known = is_expected.among({row[0] for row in chunk})
        judged = Inspection.objects.filter(
            serial_number__in=known, station=station, deployment__isnull=False, request__batch__isnull=True
        )
        known -= set(judged.filter(request__part_view__isnull=True).values_list("serial_number", flat=True))
        parts = PartInspection.objects.filter(serial_number__in=known, station=station)
        known -= set(parts.values_list("serial_number", flat=True))
        yield from (row for row in chunk if row[0] in known)


# ---------------------------------------------------------------- by time
@dataclass(frozen=True)
class Passed:
    name: str
    at: datetime


def compare_times(
    station: str, passages: Iterable[Passed], window: Window, *, delay: timedelta, tolerance: timedelta
) -> Comparison:
    """Parts without a serial number, in the order of time: each has the record of its time, if there is one.

    A second record of the same serial number is one too many, and stands for no other part.
    """
    result = Comparison()
    records = _judged(station, (window[0] - delay - tolerance, window[1] - delay + tolerance))
    for passage, record in matched(passages, _first_ones(result, records), delay=delay, tolerance=tolerance):
        if record is not None:
            result.note_time(record.at)
            if record.model is not None and passage is not None:
                result.models[record.model] += 1
        if passage is not None:
            result.note(passage.name, [record.outcome] if record else [])
        elif record is not None:
            result.outside.add(Listed(record.serial_number, record.at, record.outcome, record.key))
    return result


def _first_ones(result: Comparison, records: Iterable[Judged]) -> Iterator[Judged]:
    """Without further records of a serial number; of as many serial numbers as may be underway at a station."""
    recent: dict[str, None] = {}
    for record in records:
        if record.serial_number and record.serial_number in recent:
            result.outside.add(Listed(record.serial_number, record.at, record.outcome, record.key))
            continue
        if record.serial_number:
            recent[record.serial_number] = None
            if len(recent) > _MAX_ENDED:
                del recent[next(iter(recent))]
        yield record
