"""Rows that change, and events that say what they are: each event about a row carries a hash of it as it then is.

Which fields count, and which rows belong to another one, each app's entry in the table of attestation says
(`records.audit.attestation`). `verify_audit --records` compares every row with the last event that names it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from django.apps import apps
from django.db.models import Model

from records.audit.chain.row_values import canonical_value
from records.models import AuditEvent, canonical

T = TypeVar("T")
_CHUNK = 500
_TRIES = 5
ROWS_ATTESTED = "rows.attested"
ALL_ROWS = "all"  # the object of the event that says that each row has one


@dataclass(frozen=True)
class Parts:
    """Rows that belong to another one and are hashed with it: `of` is their field that names it."""

    model: str
    of: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class AttestedModel:
    """What of a row its events attest.

    `fields` always; `final_fields` and `parts` once its status is one of `final`: until then a worker changes them.
    """

    fields: tuple[str, ...]
    final_fields: tuple[str, ...] = ()
    parts: tuple[Parts, ...] = ()
    final: tuple[str, ...] = ()


_registry: dict[str, AttestedModel] = {}


def register_attested(label: str, attested: AttestedModel) -> None:
    _registry[label] = attested


def is_attested(label: str) -> bool:
    return label in _registry


def attested_text(rows: Iterable[Model]) -> str:
    """What an event says of these rows, as the database has them now; of those that are not attested nothing."""
    states: dict[str, dict[str, str]] = {}
    for row in rows:
        label = row._meta.label_lower
        if label in _registry and row.pk is not None:
            states.setdefault(label, {})[str(row.pk)] = _states(label, [row.pk]).get(str(row.pk), "")
    return canonical(states) if states else ""


def _states(label: str, keys: list[Any]) -> dict[str, str]:
    attested, model = _registry[label], apps.get_model(label)
    final_fields = ("status", *attested.final_fields) if attested.final else ()
    names = tuple(dict.fromkeys(("pk", *attested.fields, *final_fields)))
    states = {}
    for row in model._base_manager.filter(pk__in=keys).values(*names):
        said = {name: row[name] for name in attested.fields}
        is_final = not attested.final or row["status"] in attested.final
        if attested.final and is_final:
            said |= {name: row[name] for name in final_fields}
        if is_final:
            said |= {part.model: _parts_hash(part, row["pk"]) for part in attested.parts}
        text = canonical({name: canonical_value(value) for name, value in said.items() if value is not None})
        states[str(row["pk"])] = hashlib.sha256(text.encode()).hexdigest()
    return states


def _parts_hash(part: Parts, key: Any) -> str:
    digest = hashlib.sha256()
    rows = apps.get_model(part.model)._base_manager.filter(**{part.of: key}).order_by("pk").values_list(*part.fields)
    for row in rows.iterator(chunk_size=2000):
        digest.update(canonical([canonical_value(value) for value in row]).encode() + b"\n")
    return digest.hexdigest()


class _Attestations:
    """The last state of each row that events attest, in a file of its own: there may be millions."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a temporary file that SQLite removes
        self._database.execute(
            "CREATE TABLE s (label, pk, sequence, hash, seen, PRIMARY KEY (label, pk)) WITHOUT ROWID"
        )
        self._last = 0

    def close(self) -> None:
        self._database.close()

    def read_on(self) -> None:
        """Take in the events since the last time."""
        events = AuditEvent.objects.filter(sequence__gt=self._last, attests__isnull=False).exclude(attests="")
        self._last = AuditEvent.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0
        fresh = events.filter(sequence__lte=self._last).order_by("sequence").values_list("sequence", "attests")
        for sequence, attests in fresh.iterator(chunk_size=_CHUNK):
            self._database.executemany(
                "INSERT INTO s VALUES (?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET sequence = excluded.sequence, "
                "hash = excluded.hash",
                [
                    (label, pk, sequence, state)
                    for label, states in json.loads(attests or "{}").items()
                    for pk, state in states.items()
                ],
            )

    def of(self, label: str, keys: Iterable[str]) -> dict[str, tuple[int, str]]:
        found = {}
        for key in keys:
            query = "SELECT sequence, hash FROM s WHERE label = ? AND pk = ?"
            row = self._database.execute(query, (label, key)).fetchone()
            if row:
                found[key] = row
                self._database.execute("UPDATE s SET seen = 1 WHERE label = ? AND pk = ?", (label, key))
        return found

    def gone(self, label: str) -> Iterator[tuple[str, int]]:
        """Rows that were there by their last event and were not among those seen."""
        query = "SELECT pk, sequence FROM s WHERE label = ? AND seen = 0 AND hash <> ''"
        yield from self._database.execute(query, (label,))


def compare_states(progress: Callable[[int], None] | None = None) -> tuple[int, list[tuple[int | None, str]]]:
    """Every row that events attest with the last of them: how many agree, and the first of each kind that does not."""
    count, faults = 0, []
    with closing(_Attestations()) as attestations:
        attestations.read_on()
        for label in _registry:
            compared, fault = _compare_model(label, attestations, progress)
            count += compared
            if fault:
                faults.append(fault)
    return count, faults


def _compare_model(
    label: str, attestations: _Attestations, progress: Callable[[int], None] | None
) -> tuple[int, tuple[int | None, str] | None]:
    count, is_complete = 0, rows_are_attested()
    keys = apps.get_model(label)._base_manager.order_by("pk").values_list("pk", flat=True)
    for chunk in _in_chunks(keys.iterator(chunk_size=_CHUNK)):
        agreeing, fault = _compare_rows(label, chunk, attestations, is_complete)
        if fault:
            return count, fault
        count += agreeing
        if progress:
            progress(0)
    for key, sequence in attestations.gone(label):
        if not apps.get_model(label)._base_manager.filter(pk=key).exists():
            return count, (sequence, f"the row of {label} {key} is gone")
    return count, None


def _compare_rows(
    label: str, keys: list[Any], attestations: _Attestations, is_complete: bool
) -> tuple[int, tuple[int | None, str] | None]:
    """A row that is changed meanwhile, with its event, is looked at again."""
    for _ in range(_TRIES):
        states = _states(label, keys)
        told = attestations.of(label, states)
        differing = [key for key in states if key in told and told[key][1] != states[key]]
        untold = [key for key in states if key not in told] if is_complete else []
        if not differing and not untold:
            return len(states.keys() & told.keys()), None
        attestations.read_on()
    if differing:
        key = min(differing, key=lambda one: told[one][0])
        what = f"{label} {key} was changed outside the application: it is not as its last event (this one) left it"
        return 0, (told[key][0], what)
    return 0, (None, f"no event reports {label} {untold[0]}")


def rows_are_attested() -> bool:
    """Whether each row has an event: where the chain was authenticated from its beginning, or all were taken in."""
    first = AuditEvent.objects.order_by("sequence").only("key_id").first()
    if first is None or first.key_id is not None:
        return True
    return AuditEvent.objects.filter(kind=ROWS_ATTESTED, object_type=ALL_ROWS).exists()


def rows_without_event(label: str) -> Iterator[list[Model]]:
    """Rows that no event attests yet, in chunks: those of before events did."""
    model = apps.get_model(label)
    with closing(_Attestations()) as attestations:
        attestations.read_on()
        for chunk in _in_chunks(model._base_manager.order_by("pk").iterator(chunk_size=_CHUNK)):
            told = attestations.of(label, [str(row.pk) for row in chunk])
            if untold := [row for row in chunk if str(row.pk) not in told]:
                yield untold


def attested_labels() -> list[str]:
    return list(_registry)


def _in_chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
