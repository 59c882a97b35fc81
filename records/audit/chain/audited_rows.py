"""Whether rows still agree with the audit events that reported them when they were written.

Triggers refuse changes; whoever removes them still cannot change the chain unnoticed. So each app registers the rows
that have an event each (in `ready`), and `verify_audit --records` compares the two, in both directions: a row that was
edited or removed differs from its event, and one that was inserted past the application has none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from records.audit.chain.attested_rows import compare_states
from records.audit.chain.checkpoints import Checkpoint
from records.audit.chain.derived_rows import compare_derived
from records.audit.chain.hashes import ChainReport
from records.audit.chain.named_files import verify_files
from records.audit.chain.row_values import canonical_value
from records.audit.selectors import OnRowsChecked, verify_chain
from records.models import AuditEvent, canonical
from records.trigger_list import trigger_faults

T = TypeVar("T")
_CHUNK = 500
_MAX_FAULTS = 20  # of files: that many are named


@dataclass(frozen=True)
class AuditedRows:
    """Rows of one kind that have an audit event each.

    `kind` and `object_type` are those of the events, `object_id` the field of the row that their `object_id` names.
    `expected_after` gives what `after` must be for a row; `key_fields` are those of it that identify a row among the
    rows of one object.
    """

    kind: str
    object_type: str
    rows: Callable[[], QuerySet[Any]]
    expected_after: Callable[[Any], dict[str, Any]]
    object_id: str = "pk"
    key_fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mismatch:
    """The first thing that does not agree. `event` is None for a row that no event reports."""

    event: int | None
    reason: str


_registry: dict[str, AuditedRows] = {}


def register(audited: AuditedRows) -> None:
    _registry[audited.kind] = audited


def registered() -> list[AuditedRows]:
    return list(_registry.values())


def row_hash(row: Model) -> str:
    """SHA-256 over every field of a row, as the database gives them back.

    Fields without a value are left out, so that a column added later leaves the fingerprints of earlier rows alone.
    """
    fields = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return hashlib.sha256(
        canonical({name: canonical_value(value) for name, value in fields.items() if value is not None}).encode()
    ).hexdigest()


def vouching_events() -> int:
    """How many events vouch for a row."""
    return sum(
        AuditEvent.objects.filter(kind=audited.kind, object_type=audited.object_type).count()
        for audited in _registry.values()
    )


def verify_records(progress: OnRowsChecked | None = None) -> tuple[int, Mismatch | None]:
    """Compare all rows that events vouch for: how many agree, and the first that does not, in order of the chain."""
    count = 0
    mismatches: list[Mismatch] = []
    for audited in _registry.values():
        compared, mismatch = _against_events(audited, progress)
        count += compared
        if mismatch is None and audited.rows().count() != compared:
            mismatch = _without_event(audited)
        if mismatch:
            mismatches.append(mismatch)
    for compare in (compare_states, compare_derived):
        compared, found = compare(progress)
        count += compared
        mismatches += [Mismatch(event, reason) for event, reason in found]
    return count, min(mismatches, key=lambda mismatch: mismatch.event or 2**63, default=None)


def verify_all(
    *,
    records: bool = True,
    files: bool = False,
    sample: int | None = None,
    seed: str = "",
    elsewhere: Iterable[Checkpoint] = (),
    public_keys: Iterable[Path] = (),
    progress: OnRowsChecked | None = None,
) -> ChainReport:
    """The chain, its checkpoints and the triggers; the rows that its events vouch for; the files that rows name.

    `sample`: that many files, drawn by `seed`. A broken chain vouches for no row; files are looked at in any case.
    """
    report = verify_chain(elsewhere=elsewhere, public_keys=public_keys, progress=progress)
    report = replace(report, findings=tuple(trigger_faults()))
    if records and report.broken_at is None:
        count, mismatch = verify_records(progress)
        report = replace(report, records=count)
        if mismatch:
            report = replace(report, broken_at=mismatch.event, reason=mismatch.reason)
    if files:
        intact, faults = verify_files(sample=sample, seed=seed, progress=progress)
        more = [f"and {len(faults) - _MAX_FAULTS} more files"] if len(faults) > _MAX_FAULTS else []
        report = replace(report, files=intact, findings=(*report.findings, *faults[:_MAX_FAULTS], *more))
    return report


def _against_events(audited: AuditedRows, progress: OnRowsChecked | None) -> tuple[int, Mismatch | None]:
    """Walk the events, oldest first, and look up the row of each."""
    count = 0
    for events in _in_chunks(_events(audited)):
        rows = _rows_of(audited, {object_id for _, object_id, _ in events})
        for sequence, object_id, after in events:
            event_values = json.loads(after)
            row = rows.get(_key(audited, object_id, event_values))
            if row is None:
                return count, Mismatch(sequence, f"the row of {audited.object_type} {object_id} is gone")
            # An event of an earlier release says less; what it says is compared.
            differing = sorted(name for name in event_values.keys() & row.keys() if event_values[name] != row[name])
            if differing:
                return count, Mismatch(
                    sequence, f"{audited.object_type} {object_id} {_difference(event_values, row, differing)}"
                )
            count += 1
        if progress:
            progress(len(events))
    return count, None


def _difference(event_values: dict[str, Any], row: dict[str, Any], differing: list[str]) -> str:
    """The first field that differs, or that only the hash of the row does."""
    name = next((name for name in differing if name != "row"), None)
    if name is None:
        return "was changed outside the application: the fingerprint of its row differs"
    return f"was changed outside the application: {name} is {row[name]!r}, and the event says {event_values[name]!r}"


def _without_event(audited: AuditedRows) -> Mismatch | None:
    """There are more rows than events: walk the rows and find the first that none reports."""
    for rows in _in_chunks(audited.rows().order_by("pk").iterator(chunk_size=_CHUNK)):
        ids = {str(_value(row, audited.object_id)) for row in rows}
        events = AuditEvent.objects.filter(
            kind=audited.kind, object_type=audited.object_type, object_id__in=ids
        ).values_list("object_id", "after")
        reported = {_key(audited, object_id, json.loads(after)) for object_id, after in events}
        for row in rows:
            object_id = str(_value(row, audited.object_id))
            if _key(audited, object_id, audited.expected_after(row)) not in reported:
                return Mismatch(None, f"no event reports {row._meta.label_lower} {row.pk} ({row})")
    return None


def _events(audited: AuditedRows) -> Iterator[tuple[int, str, str]]:
    events = AuditEvent.objects.filter(kind=audited.kind, object_type=audited.object_type).order_by("sequence")
    return events.values_list("sequence", "object_id", "after").iterator(chunk_size=_CHUNK)


def _rows_of(audited: AuditedRows, ids: set[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What `after` of the events of these objects must be, by object and key fields."""
    expected = {}
    for row in audited.rows().filter(**{f"{audited.object_id}__in": ids}):
        expected_after = json.loads(canonical(audited.expected_after(row)))
        expected[_key(audited, str(_value(row, audited.object_id)), expected_after)] = expected_after
    return expected


def _key(audited: AuditedRows, object_id: str, expected_after: dict[str, Any]) -> tuple[Any, ...]:
    return (object_id, *(expected_after.get(name) for name in audited.key_fields))


def _value(row: Model, field: str) -> Any:
    return row.pk if field == "pk" else getattr(row, field)


def _in_chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
