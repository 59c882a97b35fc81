"""Reads: the audit log, verification of its chain."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from common.errors import NotFound, UserError
from records.audit.chain.checkpoints import Checkpoint, checkpoint_of
from records.audit.chain.event_keys import event_keys
from records.audit.chain.hashes import GENESIS, Authentication, ChainReport, Event, walk
from records.audit.chain.signing import keys_by_id
from records.audit.related import events_about
from records.models import AuditCheckpoint, AuditEvent, AuditVerification

_MAX_VALUE = 2**63 - 1
_CHUNK = 5000
_LOOKED_AT = 1000  # events that are looked at for steps of the clock, each time the page is opened


# ---------------------------------------------------------------- the audit log
def filter_events(
    *,
    actor: str = "",
    kind: str = "",
    object_type: str = "",
    object_id: str = "",
    source: str = "",
    request_id: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[AuditEvent]:
    """Events that meet every filter given; `until` itself is not among them.

    Those of an object include those of what belongs to it: of an inspection its reviews.
    """
    if object_id and not object_type:
        raise UserError("object_id needs object_type beside it: ids repeat between types.", code="object_type_missing")
    conditions: dict[str, Any] = {
        "actor_name": actor,
        "kind": kind,
        "object_type": "" if object_id else object_type,
        "source": source,
        "request_id": request_id,
        "at__gte": since,
        "at__lt": until,
    }
    events = AuditEvent.objects.filter(**{name: value for name, value in conditions.items() if value})
    return events.filter(events_about(object_type, object_id)) if object_id else events


def last_replay() -> dict[str, Any] | None:
    """What came of the last replay of stored verdicts, as its event says. The event is written by an app above."""
    event = AuditEvent.objects.filter(kind__in=("replay.finished", "replay.failed")).order_by("-sequence").first()
    if event is None:
        return None
    after = json.loads(event.after)
    is_proof = event.kind == "replay.finished" and after["equal"] == after["records"]
    return {"error": "", **after, "sequence": event.sequence, "at": event.at, "is_proof": is_proof}


def find_event(sequence: int) -> AuditEvent:
    event = AuditEvent.objects.filter(sequence=sequence).first() if sequence <= _MAX_VALUE else None
    if event is None:
        raise NotFound(f"There is no audit event {sequence}.")
    return event


def find_checkpoint(sequence: int) -> AuditCheckpoint:
    row = AuditCheckpoint.objects.filter(sequence=sequence).first() if sequence <= _MAX_VALUE else None
    if row is None:
        raise NotFound(f"There is no checkpoint at event {sequence}.")
    return row


def stream_events(
    events: QuerySet[AuditEvent], *, last: int | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[Event]:
    """Events as they are hashed, oldest first, in constant memory and without holding the database open between."""
    rows = events.order_by("sequence").values_list(*Event._fields)
    if last is not None:
        rows = rows.filter(sequence__lte=last)
    last_sequence = 0
    while chunk := list(rows.filter(sequence__gt=last_sequence)[:_CHUNK]):
        for row in chunk:
            yield Event(row[0], row[1].isoformat(timespec="microseconds"), *row[2:])
        last_sequence = chunk[-1][0]
        if progress:
            progress(len(chunk))


_INDEXED_FIELDS = ("actor_name", "kind", "object_type", "source")
_MAX_VALUES = 500


def values_of(name: str) -> list[str]:
    """Every value that events have under one of the indexed names, in order.

    Each is found from the one before by a step in the index: a million events are not looked at.
    """
    if name not in _INDEXED_FIELDS:
        raise ValueError(f"events are not indexed by {name}")
    table = AuditEvent._meta.db_table
    query = f"""
        WITH RECURSIVE found(value) AS (
            SELECT min({name}) FROM {table}
            UNION ALL
            SELECT (SELECT min({name}) FROM {table} WHERE {name} > found.value) FROM found WHERE found.value IS NOT NULL
        )
        SELECT value FROM found WHERE value IS NOT NULL LIMIT {_MAX_VALUES}
    """
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [value for (value,) in cursor.fetchall() if value]


def changes_of(before: Any, after: Any, field: str = "") -> list[dict[str, Any]]:
    """What differs between two JSON values, for people; `field` names the place, with dots between."""
    if isinstance(before, dict | None) and isinstance(after, dict | None) and (before or after):
        old, new = before or {}, after or {}
        inner = [changes_of(old.get(key), new.get(key), f"{field}.{key}" if field else key) for key in old | new]
        return [change for changes in inner for change in changes]
    return [] if before == after else [{"field": field, "before": before, "after": after}]


# ---------------------------------------------------------------- verification
OnRowsChecked = Callable[[int], None]


def verify_chain(
    *,
    elsewhere: Iterable[Checkpoint] = (),
    public_keys: Iterable[Path] = (),
    progress: OnRowsChecked | None = None,
) -> ChainReport:
    """Recompute the whole chain and compare it with every checkpoint, those kept here and those kept elsewhere.

    A checkpoint that has no valid signature counts as the break, at the event that it names.
    """
    return _verify(elsewhere=elsewhere, public_keys=public_keys, progress=progress)


@dataclass(frozen=True)
class ChainState:
    """Where the chain stands. `doubt`: what is wrong with its last checkpoint; empty where nothing is."""

    events: int
    head: str
    checkpoint: AuditCheckpoint | None
    doubt: str
    clock_step: int | None = None  # among the newest: the last event that is older than the one before it

    @property
    def since_checkpoint(self) -> int:
        return self.events - (self.checkpoint.sequence if self.checkpoint else 0)


def chain_state() -> ChainState:
    """The end of the chain, and whether the last checkpoint is genuine and fits its event; no more is looked at."""
    checkpoint = AuditCheckpoint.objects.order_by("-sequence").first()
    last = AuditEvent.objects.order_by("-sequence").only("sequence", "hash").first()
    doubt = ""
    if checkpoint:
        doubt = checkpoint_of(checkpoint).check_signature(keys_by_id())
        if not doubt and not AuditEvent.objects.filter(sequence=checkpoint.sequence, hash=checkpoint.head).exists():
            doubt = "its event is not the one that was signed"
    return ChainState(
        last.sequence if last else 0, last.hash if last else GENESIS, checkpoint, doubt, _newest_clock_step()
    )


def _newest_clock_step() -> int | None:
    newest = AuditEvent.objects.order_by("-sequence").values_list("sequence", "at")[:_LOOKED_AT]
    return next((sequence for (sequence, at), (_, before) in pairwise(newest) if at < before), None)


def verifications(count: int) -> list[AuditVerification]:
    """The newest verifications of the whole log."""
    return list(AuditVerification.objects.select_related("requested_by").order_by("-id")[:count])


def find_verification(verification_id: int) -> AuditVerification:
    rows = AuditVerification.objects.select_related("requested_by")
    row = rows.filter(pk=verification_id).first() if verification_id <= _MAX_VALUE else None
    if row is None:
        raise NotFound(f"There is no verification {verification_id}.")
    return row


def verify_latest(count: int) -> ChainReport:
    """The same as `verify_chain` of the newest events alone, and of the checkpoints among them."""
    return _verify(count)


def _verify(
    count: int | None = None,
    *,
    elsewhere: Iterable[Checkpoint] = (),
    public_keys: Iterable[Path] = (),
    progress: OnRowsChecked | None = None,
) -> ChainReport:
    """`count`: of the newest events alone; None: of all."""
    newest = AuditCheckpoint.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    last = AuditEvent.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
    # What is written while this is read is left out: only what the newest checkpoint saw before can be missing.
    rows = AuditCheckpoint.objects.filter(sequence__lte=max(newest, last)).order_by("sequence")
    events = AuditEvent.objects.all()
    if count is not None:
        rows, events = rows.filter(sequence__gt=last - count), events.filter(sequence__gt=last - count)
    stored = [checkpoint_of(row) for row in rows]
    seals, forged = check_checkpoints([*stored, *elsewhere], public_keys)
    report = walk(
        stream_events(events, last=last, progress=progress),
        seals=seals,
        stored_checkpoints={seal.sequence for seal in stored},
        from_start=count is None,
        authentication=_authentication([seal for group in seals.values() for seal in group], is_required=True),
    )
    return first_of(report, forged)


def _authentication(seals: Iterable[Checkpoint], *, is_required: bool) -> Authentication:
    """The keys that are here, and from where on events must be authenticated: the file says it, and each checkpoint.

    Only the file may say a later event than checkpoints do, after a restore for which the old keys were not at hand.
    """
    known = event_keys()
    told = [seal.authenticated_from for seal in seals if seal.authenticated_from is not None]
    if known is None:
        return Authentication(starts=min(told, default=None), is_required=is_required)
    return replace(known.authentication(), is_required=is_required)


def verify_export(
    events: Iterable[Event],
    *,
    excerpt: bool = False,
    elsewhere: Iterable[Checkpoint] = (),
    public_keys: Iterable[Path] = (),
) -> ChainReport:
    """The same of exported events, without a database. `excerpt`: the export was filtered, so each is judged alone."""
    seals, forged = check_checkpoints(elsewhere, public_keys)
    genuine = [seal for group in seals.values() for seal in group]
    authentication = _authentication(genuine, is_required=False)
    report = walk(events, seals=seals, from_start=False, excerpt=excerpt, authentication=authentication)
    return first_of(report, forged)


def check_checkpoints(
    checkpoints: Iterable[Checkpoint], public_keys: Iterable[Path]
) -> tuple[dict[int, list[Checkpoint]], list[tuple[int, str]]]:
    """Genuine checkpoints by the event that they name, and what is wrong with the others."""
    keys = keys_by_id(public_keys)
    genuine: dict[int, list[Checkpoint]] = defaultdict(list)
    forged = []
    for checkpoint in checkpoints:
        if fault := checkpoint.check_signature(keys):
            forged.append((checkpoint.sequence, fault))
        else:
            genuine[checkpoint.sequence].append(checkpoint)
    return genuine, forged


def first_of(report: ChainReport, forged: list[tuple[int, str]]) -> ChainReport:
    """The report with the earliest of what was found."""
    if not forged or (report.broken_at is not None and report.broken_at <= min(forged)[0]):
        return report
    return report.broken(*min(forged))
