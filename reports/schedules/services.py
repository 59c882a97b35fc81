"""Writes: schedules are set, changed and ended by people; what is due is issued by the scheduler, once."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from modelzoo.models import Category
from modelzoo.services import actor_id
from records.audit.services import Actor, audit
from reports.content.scope import REGULAR, Scope, regular_scope
from reports.issued.services import ReportFiles, make_files, write_report
from reports.models import IssuedReport, ReportMessage, ReportSchedule

log = logging.getLogger(__name__)
MAX_RECIPIENTS = 20
MAX_SCHEDULES = 100
# After the end of a window, until what belongs to it is there: the last records, charts, the shift's random audit.
_SETTLED = timedelta(minutes=1)


@transaction.atomic
def set_schedule(
    *,
    kind: str,
    recipients: Iterable[str],
    actor: Actor,
    category: Category | None = None,
    station: str = "",
    schedule: ReportSchedule | None = None,
) -> ReportSchedule:
    """A new schedule, or another shape for one. Its next report is that of the window which goes on now.

    Raises `Forbidden`, `UserError`, and `Conflict` for one that was ended.
    """
    require(actor, Right.TUNE)
    station = station.strip()
    if kind not in REGULAR or len(station) > 100:
        raise UserError(
            f"A schedule is of a {', a '.join(REGULAR)}, and a station has at most 100 characters. Nothing was saved.",
            code="invalid",
        )
    addresses = checked_recipients(recipients)
    before = None
    if schedule is None:
        if ReportSchedule.objects.filter(ended_at__isnull=True).count() >= MAX_SCHEDULES:
            raise Conflict(
                f"There are {MAX_SCHEDULES} schedules, which is the most. Nothing was saved. End one first.",
                code="too_many_schedules",
            )
        schedule = ReportSchedule(author_id=actor_id(actor))
    else:
        schedule = _locked(schedule)
        before = _rule(schedule)
    # Windows of another kind, or of the shifts of another category, begin anew; else the row of them goes on.
    if before is None or (schedule.kind, schedule.category) != (kind, category):
        schedule.next_from = regular_scope(kind, timezone.now(), category).since
    schedule.kind, schedule.category, schedule.station, schedule.recipients = kind, category, station, addresses
    schedule.error = ""
    schedule.save()
    audit(kind="report_schedule.set", subject=schedule, actor=actor, before=before, after=_rule(schedule))
    return schedule


@transaction.atomic
def end_schedule(*, schedule: ReportSchedule, actor: Actor) -> ReportSchedule:
    """No further reports; those that were issued stay. Raises `Forbidden` and `Conflict`."""
    require(actor, Right.TUNE)
    schedule = _locked(schedule)
    schedule.ended_at = timezone.now()
    schedule.save(update_fields=["ended_at"])
    audit(kind="report_schedule.ended", subject=schedule, actor=actor, after=_rule(schedule))
    return schedule


def _locked(schedule: ReportSchedule) -> ReportSchedule:
    found = ReportSchedule.objects.select_for_update(no_key=True, of=("self",)).select_related("category")
    schedule = found.get(pk=schedule.pk)
    if schedule.ended_at is not None:
        raise Conflict("This schedule was ended. Nothing was changed. Set a new one.", code="schedule_ended")
    return schedule


def _rule(schedule: ReportSchedule) -> dict[str, Any]:
    return {
        "kind": schedule.kind,
        "category": schedule.category.name if schedule.category else "",
        "station": schedule.station,
        "recipients": schedule.recipients,
    }


def checked_recipients(texts: Iterable[str]) -> list[str]:
    """Addresses, each once. Raises `UserError` for what is none."""
    addresses = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if not 1 <= len(addresses) <= MAX_RECIPIENTS:
        raise UserError(
            f"A schedule has 1 to {MAX_RECIPIENTS} recipients. Nothing was saved.", code="invalid_recipients"
        )
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError as error:
            raise UserError(
                f"{address[:100]!r} is no e-mail address. Nothing was saved. Correct it.", code="invalid_recipients"
            ) from error
    return addresses


# ---------------------------------------------------------------- what is due
def issue_due_reports(*, now: datetime | None = None) -> list[IssuedReport]:
    """The next window of each schedule that is over; windows that were missed come one at each call, oldest first."""
    now = now or timezone.now()
    issued = []
    schedules = ReportSchedule.objects.select_related("category").filter(ended_at__isnull=True, next_from__lt=now)
    for schedule in schedules.order_by("pk"):
        scope = regular_scope(schedule.kind, schedule.next_from, schedule.category, schedule.station)
        if scope.until + _SETTLED > now:
            continue
        try:
            report = _write_once(schedule, scope, make_files(scope))
        except Exception as error:
            # One that cannot be made must not keep the others from being made; it is tried again.
            log.exception("The report of schedule %s could not be made.", schedule.pk)
            sentence = (
                error.detail if isinstance(error, UserError) else f"It could not be made ({type(error).__name__})."
            )
            ReportSchedule.objects.filter(pk=schedule.pk).update(error=sentence[:500])
            continue
        issued += [report] if report else []
    return issued


@transaction.atomic
def _write_once(schedule: ReportSchedule, scope: Scope, files: ReportFiles) -> IssuedReport | None:
    """The report, its messages, and the step to the next window; None where somebody else took it meanwhile."""
    taken = ReportSchedule.objects.filter(pk=schedule.pk, ended_at__isnull=True, next_from=schedule.next_from)
    if not taken.update(next_from=scope.until, error=""):
        return None
    report = write_report(scope=scope, files=files, actor=None, schedule=schedule)
    ReportMessage.objects.bulk_create(
        ReportMessage(report=report, target=address, due_at=files.made_at) for address in schedule.recipients
    )
    return report
