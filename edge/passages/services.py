"""Writes: passages that the line reports. The same report twice is one passage; what is in doubt closes no gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from common.errors import UserError
from common.rights import Forbidden, Right, require
from edge.connections.models import Connection
from edge.passages.counting import MAX_VALUE, SILENCE, CounterSize, Step, place
from edge.passages.models import HeardPeriod, Passage, PassageCounter
from records.audit.services import Actor, audit

MAX_REPORTS = 10_000  # at once
_AHEAD = timedelta(minutes=5)  # of this server's clock
_CHUNK = 500


class PassageRejected(UserError):
    """What was reported is no passage. Nothing of the report was kept."""

    code = "invalid"


@dataclass(frozen=True)
class Report:
    """One part that passed, or, with the last value once more and no time, a sign that nothing has since.

    `value` of the counter, a serial number, or both. `passed_at`: None: now. `may_repeat`: the message may have come
    before (MQTT's DUP). `is_look`: the value was read off a register, not said of a part: where nothing is known of the
    counter, it is where it stands.
    """

    value: int | None = None
    serial_number: str = ""
    passed_at: datetime | None = None
    may_repeat: bool = False
    is_look: bool = False


@dataclass
class Reported:
    """What became of reports."""

    counter_id: int
    written: int = 0
    repeated: int = 0
    resets: int = 0
    unreported: int = 0  # parts that the counter counted beyond those that were reported
    unplaced: int = 0  # older than the last one, and fitting between no two: they closed no gap


def report_passages(
    *,
    station: str,
    reports: Sequence[Report],
    actor: Actor = None,
    connection: Connection | None = None,
    size: CounterSize | None = None,
) -> Reported:
    """Write down what passed. All of it, or nothing where one of them is none.

    `connection`: which one it came over; otherwise `actor` counts. Raises `Forbidden` and `PassageRejected`.
    """
    if connection is None:
        require(actor, Right.INSPECT)
        if actor is None or isinstance(actor, AnonymousUser):
            raise Forbidden("Passages are reported by somebody, or over a connection. Nothing was written.")
    now = timezone.now()
    _check(station, reports, size, now)
    for attempt in (1, 2):  # another report may make the same counter at the same moment
        try:
            with transaction.atomic():
                counter = _locked_counter(station, connection, actor, size)
                return _Writer(counter, size, now).write(reports)
        except IntegrityError:
            if attempt == 2:
                raise
    raise AssertionError("one of two attempts returns or raises")


def _check(station: str, reports: Sequence[Report], size: CounterSize | None, now: datetime) -> None:
    if len(station) > 100 or not station.isprintable():
        raise PassageRejected("The station has at most 100 printable characters. Nothing was written.")
    if not 1 <= len(reports) <= MAX_REPORTS:
        raise PassageRejected(f"A report is of 1 to {MAX_REPORTS:,} passages. Nothing was written.")
    if size is not None and not 0 <= size.first < size.last <= MAX_VALUE:
        raise PassageRejected("A counter wraps from a last value to a lower first one, from 0 on. Nothing was written.")
    for report in reports:
        if report.value is None and not report.serial_number:
            raise PassageRejected("A passage needs a counter or a serial number. Nothing was written.")
        if report.value is not None and not 0 <= report.value <= MAX_VALUE:
            raise PassageRejected("A counter is a whole number from 0 on. Nothing was written.")
        if size is not None and report.value is not None and not size.first <= report.value <= size.last:
            raise PassageRejected(
                f"The counter {report.value} is not between {size.first} and {size.last}. Nothing was written."
            )
        if len(report.serial_number) > 100 or not report.serial_number.isprintable():
            raise PassageRejected("A serial number has at most 100 printable characters. Nothing was written.")
        if report.passed_at is not None and report.passed_at > now + _AHEAD:
            raise PassageRejected(
                f"{report.passed_at.isoformat()} has not come yet. Nothing was written. Set the clock of the sender."
            )


def _locked_counter(
    station: str, connection: Connection | None, actor: Actor, size: CounterSize | None
) -> PassageCounter:
    who = {"connection": connection} if connection is not None else {"reporter": actor}
    rows = PassageCounter.objects.select_for_update()
    counter = rows.filter(station=station, **who).first()
    ends = (size.first, size.last) if size else (None, None)
    if counter is None:
        assert connection is not None or isinstance(actor, AbstractBaseUser)
        counter = PassageCounter.objects.create(station=station, first_value=ends[0], last_value=ends[1], **who)
        said = {"station": station, "connection": connection.name if connection else None}
        audit(kind="passage_counter.begun", subject=counter, actor=None if connection else actor, after=said)
    elif (counter.first_value, counter.last_value) != ends:
        # It is not known how its values went on from one to the other: it begins anew.
        counter.first_value, counter.last_value = ends
        counter.value = None
    return counter


class _Writer:
    """Places the reports of one counter, one after the other, and writes them."""

    def __init__(self, counter: PassageCounter, size: CounterSize | None, now: datetime) -> None:
        self._counter, self._size, self._now = counter, size, now
        self._rows: list[Passage] = []
        self._serials: set[tuple[str, datetime | None]] = set()
        self._result = Reported(counter.pk)

    def write(self, reports: Sequence[Report]) -> Reported:
        self._serials = self._known_serials([report.serial_number for report in reports if report.value is None])
        for report in reports:
            at = report.passed_at or self._now
            if report.value is None:
                self._add_serial(report, at)
            else:
                self._add_counted(report, report.value, at)
        self._flush()
        self._counter.save()
        _note_heard(self._counter, sorted(report.passed_at or self._now for report in reports))
        return self._result

    def _flush(self) -> None:
        Passage.objects.bulk_create(self._rows, batch_size=1000)
        self._rows = []

    def _add(
        self, report: Report, at: datetime, *, run: int = 0, position: int | None = None, mark: bool = False
    ) -> None:
        self._rows.append(
            Passage(
                counter=self._counter,
                run=run,
                position=position,
                value=report.value,
                serial_number=report.serial_number,
                passed_at=at,
                is_timed=report.passed_at is not None,
                is_mark=mark,
                reported_at=self._now,
            )
        )
        self._result.written += not mark

    # ------------------------------------------------------------ without a count
    def _known_serials(self, serials: Sequence[str]) -> set[tuple[str, datetime | None]]:
        """Those that passed before, with each of their times, and without one."""
        known: set[tuple[str, datetime | None]] = set()
        rows = Passage.objects.filter(counter=self._counter, position__isnull=True)
        for begin in range(0, len(serials), _CHUNK):
            found = rows.filter(serial_number__in=serials[begin : begin + _CHUNK])
            for serial, at in found.values_list("serial_number", "passed_at"):
                known |= {(serial, at), (serial, None)}
        return known

    def _add_serial(self, report: Report, at: datetime) -> None:
        """A time of its own makes it another passage of the same part; without one it is the same message again."""
        if (report.serial_number, report.passed_at) in self._serials:
            self._result.repeated += 1
            return
        self._serials |= {(report.serial_number, at), (report.serial_number, None)}
        self._add(report, at)

    # ------------------------------------------------------------ with a count
    def _add_counted(self, report: Report, value: int, at: datetime) -> None:
        counter = self._counter
        found = place(value, counter.value, counter.position, self._size)
        if found.step is Step.FIRST:
            self._begin_run(report, value, at)
        elif found.step is Step.SAME and not self._is_another(report):
            self._result.repeated += 1
        elif self._is_repeated(report, value, at) or self._fills(report, value, at):
            return
        elif self._is_older(report):
            self._leave_unplaced(report, at)
        elif found.step is Step.NEXT:
            self._result.unreported += found.position - counter.position - 1
            self._go_on(report, found.position, at)
        else:
            self._result.resets += 1
            self._begin_run(report, value, at)

    def _begin_run(self, report: Report, value: int, at: datetime) -> None:
        self._counter.run += 1
        self._go_on(report, value, at, mark=report.is_look)

    def _go_on(self, report: Report, position: int, at: datetime, *, mark: bool = False) -> None:
        counter = self._counter
        self._add(report, at, run=counter.run, position=position, mark=mark)
        counter.position, counter.value, counter.passed_at = position, report.value, at

    def _is_another(self, report: Report) -> bool:
        """Whether the last value is said of another part: of another time, or with another serial number. Then the
        counter began anew, and came to the same value."""
        if report.passed_at not in (None, self._counter.passed_at) and not report.is_look:
            return True
        if not report.serial_number:
            return False
        self._flush()
        last = self._counted().filter(run=self._counter.run, position=self._counter.position).first()
        return last is not None and last.serial_number not in ("", report.serial_number)

    def _counted(self) -> QuerySet[Passage]:
        return Passage.objects.filter(counter=self._counter, position__isnull=False)

    def _is_older(self, report: Report) -> bool:
        """Whether it passed before the last one: what comes next must not be counted from it."""
        last = self._counter.passed_at
        return report.passed_at is not None and last is not None and report.passed_at < last

    def _leave_unplaced(self, report: Report, at: datetime) -> None:
        """Nobody knows in which run it was. Its serial number passed, and is compared; its count closes no gap."""
        self._result.unplaced += 1
        if report.serial_number:
            known = self._known_serials([report.serial_number]) | self._serials
            if (report.serial_number, report.passed_at) not in known:
                self._add_serial(replace(report, value=None), at)

    def _is_old(self, report: Report) -> bool:
        last = self._counter.passed_at
        return report.passed_at is not None and last is not None and report.passed_at <= last

    def _is_repeated(self, report: Report, value: int, at: datetime) -> bool:
        """The same value of the same time; or, where the message says that it may have come before, of this run."""
        rows = self._counted().filter(value=value, serial_number=report.serial_number)
        if self._is_old(report):
            rows = rows.filter(passed_at=at)
        elif report.passed_at is None and report.may_repeat:
            rows = rows.filter(run=self._counter.run)
        else:
            return False
        self._flush()
        if not rows.exists():
            return False
        self._result.repeated += 1
        return True

    def _fills(self, report: Report, value: int, at: datetime) -> bool:
        """A passage that comes late: its value lies between two of one run, and so does its time."""
        if not self._is_old(report):
            return False
        self._flush()
        before = self._counted().filter(passed_at__lte=at).order_by("-passed_at", "-id").first()
        after = self._counted().filter(passed_at__gte=at).order_by("passed_at", "id").first()
        for near in (before, after):
            if near is not None and (position := self._gap_at(near, value, at)) is not None:
                self._add(report, at, run=near.run, position=position)
                return True
        return False

    def _gap_at(self, near: Passage, value: int, at: datetime) -> int | None:
        """The position that the value has in the run of a passage of about the same time, where it is missing there."""
        assert near.position is not None
        assert near.value is not None
        ahead = value - near.value
        if self._size is not None:
            half = self._size.length // 2
            ahead = (ahead + half) % self._size.length - half
        position = near.position + ahead
        rows = self._counted().filter(run=near.run)
        below = rows.filter(position__lte=position).order_by("-position").first()
        above = rows.filter(position__gte=position).order_by("position").first()
        if below is None or above is None or below.pk == above.pk:
            return None
        return position if below.passed_at <= at <= above.passed_at else None


def _note_heard(counter: PassageCounter, times: Sequence[datetime]) -> None:
    """Extend the last period, or begin another one. `times` in order; what is older than the last one is left out."""
    last = HeardPeriod.objects.filter(counter=counter).order_by("-since").first()
    for at in times:
        if last is None or at - last.until > SILENCE:
            if last is not None:
                last.save()
            last = HeardPeriod(counter=counter, since=at, until=at)
        elif at > last.until:
            last.until = at
    if last is not None:
        last.save()
