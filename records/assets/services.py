"""Writes: validating uploads and storing bytes once."""

from __future__ import annotations

import hashlib

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from PIL import Image

from common.pixels.sixteen_bit import Window
from records.assets.formats import EXTENSION_OF_FORMAT
from records.assets.images import ImageFacts, ImageRejected, check_image, clean_name
from records.assets.selectors import upload_limits
from records.audit.services import Actor, audit, lock_audit_chain
from records.models import Asset, asset_name


def store_file(
    *, data: bytes, extension: str, content_type: str, width: int, height: int, sha256: str | None = None
) -> Asset:
    """The asset of these bytes, whose file is in place; `save_asset_row` gives it its row, if it has none yet.

    Apart, because a disk takes its time: nobody should wait for it inside a transaction that others wait for.
    Raises `records.assets.storage.StorageFailed` when the disk refuses; then neither file nor row exists.
    """
    digest = sha256 or hashlib.sha256(data).hexdigest()
    name = asset_name(digest, extension)
    existing = Asset.objects.filter(sha256=digest).first()
    if existing:
        existing.pending_restore = (name, data)
        return existing
    # The file goes first: a row always has its file; a file without a row is a whole file that nobody points at.
    name = default_storage.save(name, ContentFile(data))
    return Asset(sha256=digest, size_bytes=len(data), content_type=content_type, width=width, height=height, file=name)


def save_asset_row(asset: Asset) -> Asset:
    """The row of an asset whose file is in place. The same bytes twice are one file and one row."""
    if asset.pk is not None:
        return _restore_file(asset)
    try:
        with transaction.atomic():
            asset.save(force_insert=True)
        return asset
    except IntegrityError:  # somebody was faster with the same bytes
        return Asset.objects.get(sha256=asset.sha256)


@transaction.atomic
def _restore_file(asset: Asset) -> Asset:
    """An asset whose bytes were received again. If retention had removed its file, it has it back from here on.

    Until the caller's transaction ends retention cannot take it away: then it finds the new use. The lock is the one
    that a foreign key takes, so those who use the same picture do not wait for each other.
    """
    name, data = asset.pending_restore or ("", b"")
    asset.pending_restore = None
    lock = " FOR KEY SHARE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT discarded_at FROM records_asset WHERE id = %s{lock}", [asset.pk])
        [discarded_at] = cursor.fetchone()
    if discarded_at is None or not data:
        return asset
    lock_audit_chain()
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


def store_image_file(*, data: bytes, facts: ImageFacts) -> Asset:
    """As `store_file`, of a validated image, as it was sent."""
    return store_file(
        data=data,
        sha256=facts.sha256,
        extension=EXTENSION_OF_FORMAT[facts.format],
        content_type=f"image/{facts.format.lower()}",
        width=facts.width,
        height=facts.height,
    )


def store_image(*, data: bytes, facts: ImageFacts) -> Asset:
    """Store a validated image, as it was sent."""
    return save_asset_row(store_image_file(data=data, facts=facts))


def check_upload(
    *, data: bytes, filename: str, actor: Actor, window: Window | None = None
) -> tuple[ImageFacts, Image.Image]:
    """Validate an upload and store nothing yet. A refused one leaves an audit event and nothing else.

    `window`: of the model that shall judge it, see `upload_limits`.
    """
    try:
        return check_image(data, filename, upload_limits(window=window))
    except ImageRejected as refusal:
        report_refusal(filename=filename, size=len(data), refusal=refusal, actor=actor)
        raise refusal.as_not_stored() from refusal


def receive_image(
    *, data: bytes, filename: str, actor: Actor, window: Window | None = None
) -> tuple[Asset, ImageFacts]:
    """Validate an upload and store it. A refused one leaves an audit event and nothing else."""
    facts, _ = check_upload(data=data, filename=filename, actor=actor, window=window)
    return store_image(data=data, facts=facts), facts


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
