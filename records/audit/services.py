"""Writes: appending to the audit chain, sealing it."""

from __future__ import annotations

import base64
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connection, models, transaction
from django.utils import timezone

from common.context import current
from common.errors import Conflict
from records.audit.chain.checkpoints import checkpoint_of, write_outside
from records.audit.chain.hashes import CHECKPOINT_MADE, GENESIS
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
) -> AuditEvent:
    """Append one event to the chain, inside the caller's transaction.

    `subject` is the row that changed, or (type, id) where there is none. Call it last in a transaction: on
    PostgreSQL the end of the chain stays locked until the transaction ends (SQLite has one writer anyway).
    """
    lock_audit_chain()
    last = AuditEvent.objects.order_by("-sequence").only("sequence", "hash").first()
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
    event.hash = event.computed_hash()
    event.save(force_insert=True)
    return event


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

    Either way it lies in AUDIT_CHECKPOINT_DIR too afterwards: the next call makes good what one could not write. Who
    may is asked by the caller: rights are known further up. Raises `Conflict` when the chain no longer holds what the
    last checkpoint saw, `KeyUnusable`, and `StorageFailed` when it is kept in the database alone.
    """
    row, is_new = _seal(actor=actor)
    write_outside(checkpoint_of(row))
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
    row = AuditCheckpoint(
        sequence=event.sequence, head=event.hash, events=event.sequence, at=timezone.now(), key_id=identity
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
