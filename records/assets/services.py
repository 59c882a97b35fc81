"""Writes: validating uploads and storing bytes once."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from PIL import Image

from common.context import current
from common.pixels.sixteen_bit import Window
from jobs.metrics.definitions import UPLOADS_REFUSED
from records.assets.formats import EXTENSION_OF_FORMAT
from records.assets.images import ImageFacts, ImageRejected, check_image, clean_name
from records.assets.selectors import upload_limits
from records.audit.services import Actor, audit, lock_audit_chain
from records.models import Asset, RefusedImages, asset_name

# Refused images of one sender: so many in a minute have an event of their own, the others are summed up.
_REFUSALS_PERIOD = timedelta(minutes=1)
_REFUSALS_REPORTED = 10
_REFUSALS_EXAMPLES = 20


def store_file(
    *, data: bytes, extension: str, content_type: str, width: int, height: int, sha256: str | None = None
) -> Asset:
    """The asset of these bytes, whose file is in place; `save_asset_row` gives it its row, if it has none yet.

    Apart, because a disk takes its time: nobody should wait for it inside a transaction that others wait for.
    Raises `records.storage.errors.StorageFailed` when the disk refuses; then neither file nor row exists.
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


@transaction.atomic
def report_refusal(*, filename: str, size: int, refusal: ImageRejected, actor: Actor) -> None:
    """Audit a refused image, outside of any other transaction.

    The first ones of a sender in a minute have an event each. What comes after them is counted, and the next minute's
    first refusal or the sweep writes one event for all of it: nobody fills a log that nobody may shorten, and none is
    left out of it. The counts are rows, so that a shutdown loses none.
    """
    UPLOADS_REFUSED.labels(refusal.code).inc()
    now = timezone.now()
    user_id = actor.pk if actor is not None else None
    row, _ = RefusedImages.objects.select_for_update().get_or_create(
        sender=str(user_id or current().source), defaults={"user_id": user_id, "reported_since": now}
    )
    if now - row.reported_since >= _REFUSALS_PERIOD:
        _sum_up(row)
        row.reported, row.reported_since = 0, now
    name = clean_name(filename)
    if row.reported < _REFUSALS_REPORTED:
        row.reported += 1
        row.save()
        after = {"filename": name, "size_bytes": size, "code": refusal.code, "reason": refusal.detail}
        audit(kind="image.refused", subject=("upload", ""), actor=actor, after=after)
        return
    row.count += 1
    row.size_bytes += size
    row.reasons[refusal.code] = row.reasons.get(refusal.code, 0) + 1
    row.examples = [*row.examples, name][:_REFUSALS_EXAMPLES]
    row.first_at, row.last_at = row.first_at or now, now
    row.save()


def sum_up_refusals() -> None:
    """Write down what was counted and whose minute is over; forget who sent nothing since. Called by the sweep."""
    over = RefusedImages.objects.filter(reported_since__lte=timezone.now() - _REFUSALS_PERIOD)
    for pk in list(over.values_list("pk", flat=True)):
        with transaction.atomic():
            row = over.select_for_update(skip_locked=True).filter(pk=pk).first()
            if row is not None:
                _sum_up(row)
                row.delete()


def _sum_up(row: RefusedImages) -> None:
    if not row.count:
        return
    after = {
        "count": row.count,
        "size_bytes": row.size_bytes,
        "reasons": row.reasons,
        "examples": row.examples,
        "first_at": row.first_at,
        "last_at": row.last_at,
    }
    row.count = row.size_bytes = 0
    row.reasons, row.examples, row.first_at, row.last_at = {}, [], None, None
    audit(kind="image.refusals_summed_up", subject=("upload", ""), actor=row.user, after=after)
