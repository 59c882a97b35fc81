"""Where checkpoints are kept besides the database: a folder, a bucket whose objects are locked, a mailbox, on paper.

Who has the database can take its newest events and its checkpoints away together. What lies out of his reach tells.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from records.audit.chain.checkpoints import Checkpoint, checkpoint_from, checkpoints_in, write_checkpoint
from records.storage.errors import StorageFailed


def places_outside() -> list[str]:
    """For people: where each checkpoint goes besides the database; empty where it goes nowhere."""
    return [
        *(["the folder AUDIT_CHECKPOINT_DIR"] if settings.AUDIT_CHECKPOINT_DIR else []),
        *(["the bucket AUDIT_CHECKPOINT_BUCKET"] if settings.AUDIT_CHECKPOINT_BUCKET else []),
        *([f"e-mail to {', '.join(settings.AUDIT_CHECKPOINT_EMAILS)}"] if settings.AUDIT_CHECKPOINT_EMAILS else []),
    ]


def write_outside(checkpoint: Checkpoint, *, is_new: bool) -> None:
    """Bring it everywhere; one place that refuses keeps it from none of the others. Raises `StorageFailed` then.

    The same one again changes nothing in folder and bucket, and is not sent a second time.
    """
    failed: list[StorageFailed] = []
    for write in _ways(is_new):
        try:
            write(checkpoint)
        except StorageFailed as error:
            failed.append(error)
    if failed:
        raise failed[0]


def checkpoints_outside() -> list[Checkpoint]:
    """All that lie in the folder and in the bucket. What was sent or printed is named with --checkpoint FILE."""
    folder = settings.AUDIT_CHECKPOINT_DIR
    in_folder = checkpoints_in(Path(folder)) if folder else []
    return [*in_folder, *(_in_bucket() if settings.AUDIT_CHECKPOINT_BUCKET else [])]


def _ways(is_new: bool) -> list[Callable[[Checkpoint], None]]:
    return [
        *([_write_to_folder] if settings.AUDIT_CHECKPOINT_DIR else []),
        *([_write_to_bucket] if settings.AUDIT_CHECKPOINT_BUCKET else []),
        *([_send] if settings.AUDIT_CHECKPOINT_EMAILS and is_new else []),
    ]


def _write_to_folder(checkpoint: Checkpoint) -> None:
    write_checkpoint(checkpoint, Path(settings.AUDIT_CHECKPOINT_DIR) / checkpoint.filename)


def text_of(checkpoint: Checkpoint) -> str:
    return json.dumps(checkpoint.document(), indent=1) + "\n"


# ---------------------------------------------------------------- a bucket with object lock
def _bucket() -> Any:
    import boto3  # half a second; most processes never need it

    return boto3.resource("s3", endpoint_url=settings.AUDIT_CHECKPOINT_ENDPOINT or None).Bucket(
        settings.AUDIT_CHECKPOINT_BUCKET
    )


def _write_to_bucket(checkpoint: Checkpoint) -> None:
    """Locked until AUDIT_CHECKPOINT_LOCK_DAYS are over: nobody removes or replaces it before, whatever his rights."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        bucket = _bucket()
        if any(found.key == checkpoint.filename for found in bucket.objects.filter(Prefix=checkpoint.filename)):
            return
        bucket.put_object(
            Key=checkpoint.filename,
            Body=text_of(checkpoint).encode(),
            ContentType="application/json",
            ObjectLockMode="COMPLIANCE",
            ObjectLockRetainUntilDate=timezone.now() + timedelta(days=settings.AUDIT_CHECKPOINT_LOCK_DAYS),
        )
    except (BotoCoreError, ClientError) as error:
        raise StorageFailed(
            f"The checkpoint could not be written to the bucket {settings.AUDIT_CHECKPOINT_BUCKET} ({error}). It is "
            "kept in the database; the bucket needs object lock. Correct this and request a checkpoint again.",
            code="checkpoint_not_written",
        ) from error


def _in_bucket() -> list[Checkpoint]:
    from botocore.exceptions import BotoCoreError, ClientError

    name = settings.AUDIT_CHECKPOINT_BUCKET
    try:
        return [
            checkpoint_from(found.get()["Body"].read().decode(), origin=f"{name}/{found.key}")
            for found in _bucket().objects.filter(Prefix="audit-checkpoint-")
        ]
    except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
        raise StorageFailed(
            f"The checkpoints in the bucket {name} cannot be read ({error}). Nothing was checked. Correct this, or "
            "unset AUDIT_CHECKPOINT_BUCKET to check without them.",
            code="storage_failed",
        ) from error


# ---------------------------------------------------------------- a mailbox
def _send(checkpoint: Checkpoint) -> None:
    mail = EmailMessage(
        f"Audit checkpoint at event {checkpoint.sequence}",
        f"The audit log had {checkpoint.events} events at {checkpoint.at}; the last one has the hash\n"
        f"{checkpoint.head}\n\n"
        "Keep this message where nobody who runs the inspection system can delete it. To compare the log with it,\n"
        "save the attachment and run: manage.py verify_audit --checkpoint FILE\n",
        to=settings.AUDIT_CHECKPOINT_EMAILS,
        attachments=[(checkpoint.filename, text_of(checkpoint), "application/json")],
    )
    try:
        mail.send()
    except OSError as error:  # what a mail server answers is one too
        raise StorageFailed(
            f"The checkpoint could not be sent ({error}). It is kept in the database; the next one is sent again. "
            "Correct the EMAIL settings, or send the file of manage.py audit_checkpoint --output by hand.",
            code="checkpoint_not_written",
        ) from error


# ---------------------------------------------------------------- paper
def write_qr(checkpoint: Checkpoint, path: Path) -> None:
    """A picture (SVG, PNG or PDF, by the name) to be printed; what a phone reads from it is the checkpoint's file."""
    import segno

    try:
        segno.make(json.dumps(checkpoint.document(), separators=(",", ":")), micro=False).save(str(path), scale=4)
    except (OSError, ValueError) as error:
        raise StorageFailed(
            f"The QR code could not be written to {path.name} ({error}). The checkpoint is kept in the database. Name "
            "a file that ends in .svg, .png or .pdf.",
            code="checkpoint_not_written",
        ) from error
