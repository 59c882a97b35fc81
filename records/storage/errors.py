"""What can go wrong with stored files."""

from __future__ import annotations

from http import HTTPStatus

from common.errors import UserError

NOTHING_KEPT = "Nothing was kept."


class StorageFailed(UserError):
    """The disk refuses: neither file nor row exists."""

    code = "storage_failed"
    status = HTTPStatus.INSUFFICIENT_STORAGE


class StorageUnavailable(StorageFailed):
    """The object storage does not answer, or refuses: nothing was kept, and a later try may succeed."""

    code = "storage_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE


def with_image_kept(error: StorageFailed) -> str:
    """What a worker says of it, where the image was stored before: another file could not be written or read."""
    return error.detail.replace(NOTHING_KEPT, "The image is kept, without a verdict.")
