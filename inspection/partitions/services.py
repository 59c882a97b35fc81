"""Dividing the table of records by month, making the parts of coming months, and the way back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from inspection.partitions import catalog, statements
from inspection.partitions.months import Month
from inspection.partitions.statements import Plan
from records.audit.services import Actor, audit, lock_audit_chain
from records.models import AuditEvent
from records.trigger_list import trigger_faults

log = logging.getLogger(__name__)

MONTHS_AHEAD = 3
# From looking through the keys of the whole table to dividing it: so long before the first month it is begun at least.
_MARGIN = timedelta(days=2)
# Shorter than `deadlock_timeout` (one second): of whoever waits for each other, it is this that gives way.
_LOCK_TIMEOUT_MS = 500
_LOCK_ATTEMPTS, _PAUSE_SECONDS = 60, 1.0
_MIN_VERSION = 140000
_SUBJECT = ("database", "")
Tell = Callable[[str], None]


class PartitionsImpossible(Conflict):
    code = "partitions_impossible"


# ---------------------------------------------------------------- dividing
def default_first_month(now: datetime) -> Month:
    """The next month, or the one after it where that is too near."""
    month = Month.of(now).later(1)
    return month if month.begins - now >= _MARGIN else month.later(1)


def plan_partitions(*, first: Month | None = None, now: datetime | None = None) -> Plan:
    """What would be done. Raises `PartitionsImpossible` with the reason why nothing can be."""
    now = now or timezone.now()
    _require_postgresql()
    if catalog.is_divided():
        return Plan(ahead=[], at_once=[], afterwards=statements.validate(catalog.unvalidated()))
    if faults := trigger_faults():
        raise PartitionsImpossible(
            f"In the database {faults[0]}. Nothing was changed. See manage.py doctor, then run this again."
        )
    if views := catalog.views():
        raise PartitionsImpossible(
            f"The view {views[0]} reads the table of records, and would go on reading the old part alone. Nothing was "
            "changed. Drop it, run this again, and make it anew."
        )
    first = first or default_first_month(now)
    last = max(first, Month.of(now)).later(MONTHS_AHEAD)
    return statements.divide(
        catalog.define(catalog.TABLE), first, first.until(last), is_ahead=first.begins - now >= _MARGIN
    )


def partition_history(*, first: Month | None, actor: Actor, tell: Tell) -> None:
    """Divide the records by month, from `first` on; where they are, finish what is left and make coming months' parts.

    Records stay as they are and where they are. Everybody waits while one transaction changes the catalog, less than a
    second where the first month is two days away or more; `tell` says how long it was.
    """
    now = timezone.now()
    plan = plan_partitions(first=first, now=now)
    if catalog.is_divided():
        tell(f"The records are divided by month since {catalog.first_month()}.")
        _each(plan.afterwards, tell)
        made = prepare_months(actor=actor)
        tell(f"Made for {', '.join(map(str, made))}." if made else "Every coming month has its part.")
        return
    first = first or default_first_month(now)
    try:
        _each(plan.ahead, tell)
        seconds = _patiently(partial(_once, plan.at_once, partial(_report_partitioned, first, actor)), tell)
    except IntegrityError as error:
        raise PartitionsImpossible(
            f"There are records of {first} or later already. Nothing was changed. Begin with a later month (--from)."
        ) from error
    finally:
        _forget_keys_of_before(first, tell)
    tell(f"Divided by month from {first} on. Reading and writing records waited for {seconds:.2f} s.")
    _each(plan.afterwards, tell)


def _report_partitioned(first: Month, actor: Actor) -> None:
    """An event; but not the first one of all: an installation that nobody has used is divided to restore into it."""
    if AuditEvent.objects.exists():
        audit(
            kind="history.partitioned",
            subject=_SUBJECT,
            actor=actor,
            before={"partitioned": False},
            after={"partitioned": True, "first_month": str(first)},
        )


def plan_undo() -> Plan:
    _require_postgresql()
    if not catalog.is_divided():
        raise PartitionsImpossible("The records are not divided by month. Nothing was changed.")
    if views := catalog.views():
        raise PartitionsImpossible(
            f"The view {views[0]} reads the table of records. Nothing was changed. Drop it, run this again, and make "
            "it anew."
        )
    return statements.join(
        catalog.define(catalog.TABLE), catalog.define(catalog.BEFORE), catalog.index_names_of_before()
    )


def undo_partitions(*, actor: Actor, tell: Tell) -> None:
    """All records back into one table. Everybody waits while those of the months are written into it."""
    plan = plan_undo()
    first = catalog.first_month()
    report = partial(
        audit,
        kind="history.joined",
        subject=_SUBJECT,
        actor=actor,
        before={"partitioned": True, "first_month": str(first)},
        after={"partitioned": False},
    )
    seconds = _patiently(partial(_once, plan.at_once, report), tell)
    tell(f"All records are in one table again. Reading and writing records waited for {seconds:.2f} s.")
    _each(plan.afterwards, tell)


# ---------------------------------------------------------------- coming months
def missing_months(now: datetime) -> list[Month]:
    """Which of this month and the coming ones have no part; of a table that is divided."""
    first = max(catalog.first_month(), Month.of(now))
    present = set(catalog.months())
    return [month for month in first.until(Month.of(now).later(MONTHS_AHEAD)) if month not in present]


def prepare_months(*, actor: Actor = None, now: datetime | None = None) -> list[Month]:
    """Make the parts that are missing; which were made. Records of a month without one are kept apart, not refused.

    A month that has records there already stays without: they cannot be moved while others refer to them.
    """
    if not catalog.is_divided():
        return []
    months = [month for month in missing_months(now or timezone.now()) if not catalog.has_late(month)]
    if not months:
        return []
    made_of = _made_of_parts()
    try:
        _once(
            [text for month in months for text in statements.add_month(made_of, month)],
            partial(
                audit,
                kind="history.months_prepared",
                subject=_SUBJECT,
                actor=actor,
                after={"months": [str(month) for month in months]},
            ),
        )
    except OperationalError as error:
        if not _is_lock_timeout(error):
            raise
        log.info("The parts of coming months wait for others to end; the next sweep tries again.")
        return []
    _execute(f"ANALYZE {catalog.TABLE}")
    log.info("Records have parts for %s.", ", ".join(map(str, months)))
    return months


def _made_of_parts() -> catalog.Definition:
    """The whole table's triggers, and the options of a part, which the whole has none of."""
    return replace(catalog.define(catalog.TABLE), options=catalog.define(catalog.LATE).options)


# ---------------------------------------------------------------- executing
def _require_postgresql() -> None:
    if connection.vendor != "postgresql":
        raise UserError(
            "Only PostgreSQL divides tables, and this installation uses SQLite. Nothing was changed. See "
            "docs/scaling.md; DATABASE_URL names a PostgreSQL."
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        [version] = cursor.fetchone()
    if version < _MIN_VERSION:
        raise UserError("This needs PostgreSQL 14 or newer. Nothing was changed.")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _each(texts: Iterable[str], tell: Tell) -> None:
    """Each statement in a transaction of its own, while everybody goes on."""
    for text in texts:
        began = time.monotonic()
        _patiently(partial(_alone, text), tell)
        if (seconds := time.monotonic() - began) > 1:
            tell(f"{seconds:,.0f} s: {text}")


@transaction.atomic
def _alone(text: str) -> float:
    _execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_MS}ms'")
    _execute(text)
    return 0.0


def _once(texts: Iterable[str], report: Callable[[], object]) -> float:
    """All of it or nothing. The end of the chain is had first: who has it may wait for the tables that are locked here.

    Returns the seconds from the first lock of a table to the commit.
    """
    with transaction.atomic():
        _execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_MS}ms'")
        lock_audit_chain()
        began = time.monotonic()
        for text in texts:
            _execute(text)
        report()
    return time.monotonic() - began


def _patiently(attempt: Callable[[], float], tell: Tell) -> float:
    """Again and again where somebody else works on the tables just then: who reads or writes is not held up by this."""
    for number in range(_LOCK_ATTEMPTS):
        try:
            return attempt()
        except OperationalError as error:
            if not _is_lock_timeout(error):
                raise
            if not number:
                tell("Others work on the records just now; this waits for a moment without them.")
            time.sleep(_PAUSE_SECONDS)
    raise PartitionsImpossible(
        "There was no moment in which nobody worked on the records. Nothing was changed. End long reports and exports "
        "(pg_stat_activity shows them), then run this again."
    )


def _forget_keys_of_before(first: Month, tell: Tell) -> None:
    """A part of the divided table needs it; in an undivided one it would refuse the records of that month."""
    if catalog.is_divided() or not catalog.has_constraint(catalog.TABLE, catalog.KEYS_OF_BEFORE):
        return
    try:
        _patiently(partial(_alone, statements.forget_keys_of_before()), tell)
    except PartitionsImpossible as error:
        raise PartitionsImpossible(
            f"Dividing did not end, and a check of it is still there that refuses records of {first} and later. Run "
            "this again before then."
        ) from error


def _is_lock_timeout(error: OperationalError) -> bool:
    return getattr(error.__cause__, "pgcode", "") == "55P03"
