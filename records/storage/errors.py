"""What can go wrong with stored files."""

from __future__ import annotations

from http import HTTPStatus

from common.errors import UserError


class StorageFailed(UserError):
    """The disk refuses: neither file nor row exists."""

    code = "storage_failed"
    status = HTTPStatus.INSUFFICIENT_STORAGE


class StorageUnavailable(StorageFailed):
    """The object storage does not answer, or refuses: nothing was kept, and a later try may succeed."""

    code = "storage_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
