"""Writes: storing bytes once, appending to the audit chain, sealing it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone
from PIL import Image

from common.context import current
from common.errors import Conflict
from records.assets.images import GatedImage, ImageRejected, clean_name, pass_gate
from records.audit.chain import CHECKPOINT_MADE, GENESIS
from records.audit.checkpoints import as_said, keep_elsewhere
from records.audit.signing import key_id, own_key
from records.models import Asset, AuditCheckpoint, AuditEvent, asset_name, canonical
from records.selectors import gate_limits

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
    hold_chain()
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


def hold_chain() -> None:
    """Keep the end of the chain until the caller's transaction ends, as `audit` does.

    By itself only where rows are locked before the event is written that others lock after theirs: whoever holds the
    chain may then wait for nobody who waits for it.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An audit event belongs in the transaction of the change that it reports.")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHAIN_LOCK])


def file_bytes(
    *, data: bytes, extension: str, content_type: str, width: int, height: int, sha256: str | None = None
) -> Asset:
    """The asset of these bytes, whose file is in place; `enter_asset` gives it its row, if it has none yet.

    Apart, because a disk takes its time: nobody should wait for it inside a transaction that others wait for.
    Raises `records.assets.storage.StorageFailed` when the disk refuses; then neither file nor row exists.
    """
    digest = sha256 or hashlib.sha256(data).hexdigest()
    name = asset_name(digest, extension)
    found = Asset.objects.filter(sha256=digest).first()
    if found:
        found.received_again = (name, data)
        return found
    # The file goes first: a row always has its file; a file without a row is a whole file that nobody points at.
    name = default_storage.save(name, ContentFile(data))
    return Asset(sha256=digest, size_bytes=len(data), content_type=content_type, width=width, height=height, file=name)


def enter_asset(asset: Asset) -> Asset:
    """The row of an asset whose file is in place. The same bytes twice are one file and one row."""
    if asset.pk is not None:
        return _with_its_file(asset)
    try:
        with transaction.atomic():
            asset.save(force_insert=True)
        return asset
    except IntegrityError:  # somebody was faster with the same bytes
        return Asset.objects.get(sha256=asset.sha256)


@transaction.atomic
def _with_its_file(asset: Asset) -> Asset:
    """An asset whose bytes were received again. If retention had removed its file, it has it back from here on.

    Until the caller's transaction ends retention cannot take it away: then it finds the new use. The lock is the one
    that a foreign key takes, so those who use the same picture do not wait for each other.
    """
    name, data = asset.received_again or ("", b"")
    asset.received_again = None
    lock = " FOR KEY SHARE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT discarded_at FROM records_asset WHERE id = %s{lock}", [asset.pk])
        [discarded_at] = cursor.fetchone()
    if discarded_at is None or not data:
        return asset
    hold_chain()
    asset.refresh_from_db()
    if asset.discarded_at is None:  # somebody was faster with the same bytes
        return asset
    before = asset.discarded_at
    asset.file, asset.discarded_at = default_storage.save(name, ContentFile(data)), None
    asset.save(update_fields=["file", "discarded_at"])
    audit(
        kind="asset.received_again",
        subject=asset,
        actor=None,
        before={"discarded_at": before},
        after={"sha256": asset.sha256, "size_bytes": len(data)},
    )
    return asset


def file_image(*, data: bytes, gated: GatedImage) -> Asset:
    """As `file_bytes`, of an image that passed the gate, as it was sent."""
    return file_bytes(
        data=data,
        sha256=gated.sha256,
        extension="png" if gated.format == "PNG" else "jpg",
        content_type=f"image/{gated.format.lower()}",
        width=gated.width,
        height=gated.height,
    )


def store_image(*, data: bytes, gated: GatedImage) -> Asset:
    """Keep an image that passed the gate, as it was sent."""
    return enter_asset(file_image(data=data, gated=gated))


def gate_image(*, data: bytes, filename: str, actor: Actor) -> tuple[GatedImage, Image.Image]:
    """Gate an upload and keep nothing yet. A refused one leaves an audit event and nothing else."""
    try:
        return pass_gate(data, filename, gate_limits())
    except ImageRejected as refusal:
        report_refusal(filename=filename, size=len(data), refusal=refusal, actor=actor)
        raise refusal.nothing_kept() from refusal


def receive_image(*, data: bytes, filename: str, actor: Actor) -> tuple[Asset, GatedImage]:
    """Gate an upload and keep it. A refused one leaves an audit event and nothing else."""
    gated, _ = gate_image(data=data, filename=filename, actor=actor)
    return store_image(data=data, gated=gated), gated


def report_refusal(*, filename: str, size: int, refusal: ImageRejected, actor: Actor) -> None:
    with transaction.atomic():
        audit(
            kind="image.refused",
            subject=("upload", ""),
            actor=actor,
            after={
                "filename": clean_name(filename),
                "size_bytes": size,
                "code": refusal.code,
                "reason": refusal.detail,
            },
        )


def make_checkpoint(*, actor: Actor) -> tuple[AuditCheckpoint, bool]:
    """A checkpoint of the chain as it is now, or the last one and False when nothing happened since.

    Either way it lies in AUDIT_CHECKPOINT_DIR too afterwards: the next call makes good what one could not write. Who
    may is asked by the caller: rights are known further up. Raises `Conflict` when the chain no longer holds what the
    last checkpoint saw, `KeyUnusable`, and `StorageFailed` when it is kept in the database alone.
    """
    row, made = _seal(actor=actor)
    keep_elsewhere(as_said(row))
    return row, made


@transaction.atomic
def _seal(*, actor: Actor) -> tuple[AuditCheckpoint, bool]:
    private = own_key()
    hold_chain()
    last = AuditEvent.objects.order_by("-sequence").only("sequence").first()
    newest = AuditCheckpoint.objects.order_by("-sequence").first()
    if newest:
        seen = AuditEvent.objects.filter(sequence=newest.sequence, hash=newest.head).exists()
        if not seen:
            raise Conflict(
                f"The chain no longer holds the event {newest.sequence} that the last checkpoint saw. None was "
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
    row.signature = base64.b64encode(private.sign(as_said(row).signed_text())).decode()
    row.save(force_insert=True)
    return row, True


@transaction.atomic
def note_export(*, filters: dict[str, str], actor: Actor) -> AuditEvent:
    """Say in the log that it is about to be taken out, before it is. Who may is asked by the caller."""
    return audit(
        kind="audit.exported", subject=(AuditEvent._meta.label_lower, ""), actor=actor, after={"filters": filters}
    )
