"""Writes: appending to the audit chain, sealing it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connection, models, transaction
from django.utils import timezone

from common.context import current
from common.errors import Conflict
from records.audit.chain.attested_rows import (
    ALL_ROWS,
    ROWS_ATTESTED,
    attested_labels,
    attested_text,
    rows_are_attested,
    rows_without_event,
)
from records.audit.chain.checkpoints import checkpoint_of
from records.audit.chain.event_keys import (
    EventKeys,
    event_keys,
    make_event_keys,
    required_event_keys,
    save_event_keys,
)
from records.audit.chain.hashes import (
    AUTHENTICATION_BEGAN,
    CHECKPOINT_MADE,
    GENESIS,
    KEY_ROTATED,
    authenticator_of,
)
from records.audit.chain.outside import write_outside
from records.audit.chain.signing import key_id, own_key
from records.models import AuditCheckpoint, AuditEvent, canonical

# Any constant will do, as long as nobody else uses it: the chain has one end, and one writer at a time extends it.
_CHAIN_LOCK = 0x6D767463
Actor = AbstractBaseUser | AnonymousUser | None


def audit(
    *,
    kind: str,
    subject: models.Model | tuple[str, str],
    actor: Actor,
    before: Any = None,
    after: Any = None,
    attests: Iterable[models.Model] = (),
    changes_subject: bool = True,
) -> AuditEvent:
    """Append one event to the chain, inside the caller's transaction.

    `subject` is the row that changed, or (type, id) where there is none; `attests` are other rows that changed with it.
    What they are now is attested, where the table of attestation says so. Not `changes_subject`: the event is about a
    row that stays as it is, and must not vouch for what somebody else made of it. Call it last in a transaction: on
    PostgreSQL the end of the chain stays locked until the transaction ends (SQLite has one writer anyway).
    """
    lock_audit_chain()
    last = AuditEvent.objects.order_by("-sequence").only("sequence", "hash", "key_id", "kind", "object_id").first()
    key = next_key(last)
    context = current()
    object_type, object_id = (
        (subject._meta.label_lower, str(subject.pk)) if isinstance(subject, models.Model) else subject
    )
    user = actor if actor is not None and actor.pk is not None else None
    event = AuditEvent(
        sequence=last.sequence + 1 if last else 1,
        at=timezone.now(),
        actor_id=user.pk if user else None,
        actor_name=user.get_username() if user else context.source,
        kind=kind,
        object_type=object_type,
        object_id=object_id,
        before=canonical(before),
        after=canonical(after),
        source=context.source,
        request_id=context.request_id,
        address=context.address,
        previous_hash=last.hash if last else GENESIS,
    )
    changed = [subject] if key and isinstance(subject, models.Model) and changes_subject else []
    seal_event(event, key=key, attests=attested_text([*changed, *attests]) if key else "")
    event.save(force_insert=True)
    return event


def seal_event(event: AuditEvent, *, key: tuple[str, bytes] | None, attests: str = "") -> None:
    """Give an event that says all it will say its hash, and with a key (`next_key`) its authenticator."""
    if key:
        event.key_id, secret = key
        event.attests = attests
    event.hash = event.computed_hash()
    if key:
        event.authenticator = authenticator_of(event.hash, secret)


def next_key(last: AuditEvent | None) -> tuple[str, bytes] | None:
    """The key of the next event, by its id; None in a chain of before authentication, until that is begun."""
    if last is None:
        made = make_event_keys(starts=1)
        return made.current, made.keys[made.current]
    known = event_keys()
    if known is not None and known.starts == last.sequence + 1:
        return known.current, known.keys[known.current]
    if last.key_id is None:
        if known is None or known.starts > last.sequence:
            return None
        return known.current, known.keys[known.current]
    identity = last.object_id if last.kind == KEY_ROTATED else last.key_id
    return identity, required_event_keys(identity).keys[identity]


def attest_rows(*, rows: Sequence[models.Model], actor: Actor = None) -> AuditEvent:
    """Have an event of their own say what rows are, where the event about them had to come before them."""
    label = rows[0]._meta.label_lower
    return audit(
        kind=ROWS_ATTESTED,
        subject=(label, str(rows[0].pk) if len(rows) == 1 else ""),
        actor=actor,
        after={"rows": len(rows)},
        attests=rows,
    )


def attest_unreported_rows(*, actor: Actor = None) -> None:
    """An event for each row that none reports yet: in transactions of some hundred rows, so that nobody waits long."""
    for label in attested_labels():
        for rows in rows_without_event(label):
            with transaction.atomic():
                attest_rows(rows=rows, actor=actor)


def begin_authentication(*, actor: Actor) -> bool:
    """In a chain of before there were authenticators: from the next event on each has one. False where it has begun.

    Then each row is attested that has been there. What was left undone is done by the next call.
    """
    with transaction.atomic():
        lock_audit_chain()
        last = AuditEvent.objects.order_by("-sequence").only("sequence", "key_id").first()
        begins = last is not None and last.key_id is None and next_key(last) is None
        if begins and last:
            known = make_event_keys(starts=last.sequence + 1)
            audit(kind=AUTHENTICATION_BEGAN, subject=("audit", known.newest), actor=actor)
    if rows_are_attested():
        return begins
    attest_unreported_rows(actor=actor)
    with transaction.atomic():
        audit(kind=ROWS_ATTESTED, subject=(ALL_ROWS, ""), actor=actor)
    return begins


@transaction.atomic
def rotate_event_key(*, actor: Actor) -> str:
    """From the next event on another key is in force; its id. The old one stays in the file, for what it authenticated.

    A key that was prepared (`prepare_event_key`) comes into force, so that all machines have it already.
    """
    lock_audit_chain()
    known = _known_keys()
    if known.newest == known.current:
        known = save_event_keys(known.with_fresh_key())
    audit(
        kind=KEY_ROTATED,
        subject=("audit", known.newest),
        actor=actor,
        before={"key_id": known.current},
        after={"key_id": known.newest},
    )
    transaction.on_commit(lambda: save_event_keys(replace(known, current=known.newest)) and None)
    return known.newest


def prepare_event_key() -> str:
    """Put the next key into the file, for the other machines to get it before it comes into force; its id."""
    known = _known_keys()
    if known.newest == known.current:
        known = save_event_keys(known.with_fresh_key())
    return known.newest


def _known_keys() -> EventKeys:
    known = event_keys()
    if known is None:
        raise Conflict(
            "No event is authenticated yet, so there is no key to replace. Nothing was changed. Run manage.py "
            "audit_checkpoint: it begins with it."
        )
    return known


def lock_audit_chain() -> None:
    """Keep the end of the chain until the caller's transaction ends, as `audit` does.

    By itself only where rows are locked before the event is written that others lock after theirs: whoever holds the
    chain may then wait for nobody who waits for it.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An audit event belongs in the transaction of the change that it reports.")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHAIN_LOCK])


def make_checkpoint(*, actor: Actor) -> tuple[AuditCheckpoint, bool]:
    """A checkpoint of the chain as it is now, or the last one and False when nothing happened since.

    Either way it lies outside too afterwards (`write_outside`): the next call makes good what one could not write. Who
    may is asked by the caller: rights are known further up. Raises `Conflict` when the chain no longer holds what the
    last checkpoint saw, `KeyUnusable`, and `StorageFailed` when it is kept in the database alone.
    """
    begin_authentication(actor=actor)
    row, is_new = _seal(actor=actor)
    write_outside(checkpoint_of(row), is_new=is_new)
    return row, is_new


@transaction.atomic
def _seal(*, actor: Actor) -> tuple[AuditCheckpoint, bool]:
    private = own_key()
    lock_audit_chain()
    last = AuditEvent.objects.order_by("-sequence").only("sequence").first()
    newest = AuditCheckpoint.objects.order_by("-sequence").first()
    if newest:
        exists = AuditEvent.objects.filter(sequence=newest.sequence, hash=newest.head).exists()
        if not exists:
            raise Conflict(
                f"The chain no longer contains event {newest.sequence} of the last checkpoint. No checkpoint was "
                "made. Keep the database as it is and run manage.py verify_audit."
            )
        if last and last.sequence == newest.sequence:
            return newest, False
    sequence = last.sequence + 1 if last else 1
    identity = key_id(private.public_key())
    event = audit(
        kind=CHECKPOINT_MADE,
        subject=(AuditCheckpoint._meta.label_lower, str(sequence)),
        actor=actor,
        before=newest and {"sequence": newest.sequence, "head": newest.head},
        after={"sequence": sequence, "key_id": identity},
    )
    known = event_keys()
    row = AuditCheckpoint(
        sequence=event.sequence,
        head=event.hash,
        events=event.sequence,
        at=timezone.now(),
        key_id=identity,
        authenticated_from=known.starts if known else None,
    )
    row.signature = base64.b64encode(private.sign(checkpoint_of(row).signed_text())).decode()
    row.save(force_insert=True)
    return row, True


@transaction.atomic
def note_export(*, filters: dict[str, str], actor: Actor) -> AuditEvent:
    """Say in the log that it is about to be taken out, before it is. Who may is asked by the caller."""
    return audit(
        kind="audit.exported", subject=(AuditEvent._meta.label_lower, ""), actor=actor, after={"filters": filters}
    )
