"""Writes: reference parts are named and retired by people; what the line makes of them is checked by the system."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.models import Inspection
from modelzoo.models import Category
from modelzoo.services import actor_id, required_reason
from monitoring.alarms.services import open_alarm
from monitoring.models import Alarm, DoubtfulPeriod, ReferenceCheck, ReferencePart
from records.audit.services import Actor, audit

_VERDICTS = {"good": "good", "defective": "a defect", "not_comparable": "not comparable"}


@transaction.atomic
def add_part(
    *,
    category: Category,
    serial_number: str,
    expected: str,
    note: str,
    actor: Actor,
    lowest_score: float | None = None,
    highest_score: float | None = None,
) -> ReferencePart:
    """Name a part whose verdict is known. Raises `Forbidden`, `UserError`, and `Conflict` where it is named already."""
    require(actor, Right.TUNE)
    note = required_reason(note, "A reference part")
    serial_number = serial_number.strip()
    if not serial_number or expected not in ReferencePart.Expected.values:
        raise UserError(
            "A reference part needs a serial number and an expected verdict. Nothing was saved.", code="invalid"
        )
    if lowest_score is not None and highest_score is not None and lowest_score >= highest_score:
        raise UserError("The lowest score must be below the highest. Nothing was saved.", code="invalid")
    try:
        with transaction.atomic():
            part = ReferencePart.objects.create(
                category=category,
                serial_number=serial_number,
                expected=expected,
                lowest_score=lowest_score,
                highest_score=highest_score,
                note=note,
                author_id=actor_id(actor),
            )
    except IntegrityError as error:
        raise Conflict(
            f"{serial_number} is a reference part of {category.name} already. Nothing was saved. Retire it first.",
            code="reference_part_exists",
        ) from error
    audit(
        kind="reference_part.added",
        subject=part,
        actor=actor,
        after={
            "category": category.name,
            "serial_number": serial_number,
            "expected": expected,
            "lowest_score": lowest_score,
            "highest_score": highest_score,
            "reason": note,
        },
    )
    return part


@transaction.atomic
def retire_part(*, part: ReferencePart, reason: str, actor: Actor) -> ReferencePart:
    """It is a part like others from now on. Raises `Forbidden`, `UserError` and `Conflict`."""
    require(actor, Right.TUNE)
    reason = required_reason(reason, "Retiring a reference part")
    part = ReferencePart.objects.select_for_update(no_key=True).select_related("category").get(pk=part.pk)
    if part.retired_at is not None:
        raise Conflict(f"{part.serial_number} is retired already. Nothing was changed.", code="reference_part_retired")
    part.retired_at = timezone.now()
    part.save(update_fields=["retired_at"])
    audit(
        kind="reference_part.retired",
        subject=part,
        actor=actor,
        after={"category": part.category.name, "serial_number": part.serial_number, "reason": reason},
    )
    return part


def active_parts(category_ids: set[int]) -> dict[tuple[int, str], ReferencePart]:
    """By category and serial number."""
    parts = ReferencePart.objects.select_related("category").filter(category__in=category_ids, retired_at__isnull=True)
    return {(part.category_id, part.serial_number): part for part in parts}


@transaction.atomic
def check_record(*, part: ReferencePart, record: Inspection) -> ReferenceCheck:
    """Compare a record of a reference part with what it shall give; a failure is an alarm and puts a time in doubt."""
    explanation = failure_of(part, record)
    last_passed = ReferenceCheck.objects.filter(part=part, station=record.station, passed=True).first()
    check = ReferenceCheck.objects.create(
        part=part,
        inspection=record,
        station=record.station,
        passed=not explanation,
        explanation=explanation,
        checked_at=record.created_at,
    )
    doubt = DoubtfulPeriod.objects.filter(part=part, station=record.station, ends_at__isnull=True).first()
    if not explanation and doubt is not None:
        doubt.ends_at = record.created_at
        doubt.save(update_fields=["ends_at"])
    elif explanation:
        begin = last_passed.checked_at if last_passed else None
        since = f"since {begin:%Y-%m-%d %H:%M:%S}" if begin else "as it has never passed there"
        alarm = open_alarm(
            kind=Alarm.Kind.REFERENCE_PART,
            category=part.category,
            station=record.station,
            sentence=f"Reference part {part.serial_number} failed: {explanation} The station is in doubt {since}.",
            details={"part": part.pk, "record": str(record.pk), "in_doubt_since": begin.isoformat() if begin else None},
        )
        if doubt is None:
            DoubtfulPeriod.objects.create(
                part=part, category=part.category, station=record.station, begins_at=begin, alarm=alarm
            )
    return check


def failure_of(part: ReferencePart, record: Inspection) -> str:
    if record.outcome != part.expected:
        return f"judged {_VERDICTS[record.outcome]}, expected {_VERDICTS[part.expected]}."
    assert record.score is not None, "what was judged has a score"
    if part.lowest_score is not None and record.score < part.lowest_score:
        return f"score {record.score:.4g} is below {part.lowest_score:.4g}."
    if part.highest_score is not None and record.score > part.highest_score:
        return f"score {record.score:.4g} is above {part.highest_score:.4g}."
    return ""
