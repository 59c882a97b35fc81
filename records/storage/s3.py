"""File storage in an S3-compatible store that either has a whole file or none, whose names come from the content.

Each request is waited for at most `timeout` seconds and sent at most `attempts` times, so that nobody waits for a
store that hangs; then `StorageUnavailable` says that nothing was kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from django.core.files import File
from django.utils.deconstruct import deconstructible
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

from records.storage.errors import NOTHING_KEPT, StorageUnavailable
from records.storage.listing import StoredFile

log = logging.getLogger(__name__)
_IN_MEMORY = 32 * 1024**2  # bytes of a file that is read; a larger one goes through a temporary file
_BLOCK = 1024**2
_MULTIPART = 64 * 1024**2  # bytes up to which a file is one request: images and maps, and most artifacts
_CONNECT_SECONDS = 3.0
_connecting = threading.Lock()


@deconstructible
class ObjectStorage(S3Storage):
    """Names come from the content, so a file that is written again is the same file.

    It is written again nevertheless: whoever looks for files that nobody uses goes by their time.
    """

    def __init__(
        self,
        *,
        location: str,
        bucket: str,
        endpoint: str = "",
        region: str = "",
        access_key: str = "",
        secret_key: str = "",
        timeout: float = 5.0,
        attempts: int = 3,
    ) -> None:
        self._attempts = attempts
        self._process = os.getpid()
        super().__init__(
            bucket_name=bucket,
            location=location,
            endpoint_url=endpoint or None,
            region_name=region or None,
            access_key=access_key or None,
            secret_key=secret_key or None,
            default_acl=None,
            file_overwrite=True,
            client_config=Config(
                connect_timeout=min(timeout, _CONNECT_SECONDS),
                read_timeout=timeout,
                retries={"mode": "standard", "total_max_attempts": attempts},
                max_pool_connections=32,
                # Stores of other makers know the bucket by its path, and not all of them AWS's newer checksums.
                s3={"addressing_style": "path" if endpoint else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
            transfer_config=TransferConfig(multipart_threshold=_MULTIPART, use_threads=False),
        )

    @property
    def connection(self) -> Any:
        """One for all threads of a process: making one takes a tenth of a second, and its client may be shared."""
        with _connecting:
            if self._process != os.getpid():  # the sockets are those of the process that this one was forked from
                self._process, self._shared, self._bucket = os.getpid(), None, None
                self._connections = threading.local()
            if self._shared is None:
                self._shared = super().connection
            return self._shared

    _shared: Any = None

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def listing(self, prefix: str) -> Iterator[StoredFile]:
        """The files whose names begin so, in order of their names."""
        start = self._key(prefix) if prefix else f"{self.location}/"
        with self._answered(prefix, "looked for"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket_name, Prefix=start)
            for page in pages:
                for entry in page.get("Contents", ()):
                    name = entry["Key"].removeprefix(f"{self.location}/")
                    yield StoredFile(name, entry["Size"], entry["LastModified"])

    def _open(self, name: str, mode: str = "rb") -> File:
        if mode != "rb":
            raise ValueError("Stored files are written whole, by `save`.")
        with self._answered(name, "read"):
            for attempt in range(1, self._attempts + 1):
                with contextlib.ExitStack() as unless_whole:
                    out = unless_whole.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
                    try:
                        self._download(name, out)
                    except (ReadTimeoutError, ResponseStreamingError, IncompleteReadError):  # in the midst of it
                        if attempt == self._attempts:
                            raise
                        continue
                    unless_whole.pop_all()
                    out.seek(0)
                    return File(out, name=name)
        raise AssertionError("the last attempt returned or raised")

    def _download(self, name: str, out: IO[bytes]) -> None:
        body = self._client.get_object(Bucket=self.bucket_name, Key=self._key(name))["Body"]
        with contextlib.closing(body):
            while block := body.read(_BLOCK):
                out.write(block)

    def _save(self, name: str, content: File) -> str:
        with self._answered(name, "stored"):
            return str(super()._save(name, content))

    def delete(self, name: str) -> None:
        with self._answered(name, "deleted"):
            super().delete(name)

    def exists(self, name: str) -> bool:
        with self._answered(name, "looked for"):
            return bool(super().exists(name))

    def size(self, name: str) -> int:
        return int(self._head(name)["ContentLength"])

    def get_modified_time(self, name: str) -> datetime:
        modified: datetime = self._head(name)["LastModified"]
        return modified

    def _head(self, name: str) -> dict[str, Any]:
        with self._answered(name, "looked for"):
            head: dict[str, Any] = self._client.head_object(Bucket=self.bucket_name, Key=self._key(name))
            return head

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    def _key(self, name: str) -> str:
        return str(self._normalize_name(clean_name(name)))

    @contextlib.contextmanager
    def _answered(self, name: str, verb: str) -> Iterator[None]:
        """Raises `FileNotFoundError` where there is no such file, else `StorageUnavailable`."""
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("404", "NoSuchKey"):
                raise FileNotFoundError(2, "There is no such file in the object storage", name) from error
            raise self._unavailable(name, verb, code, error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise self._unavailable(name, verb, type(error).__name__, error) from error

    def _unavailable(self, name: str, verb: str, reason: str, error: Exception) -> StorageUnavailable:
        log.error("The object storage failed: %s could not be %s: %s", name, verb, error)
        return StorageUnavailable(
            f"The object storage does not answer as it should ({reason}): a file could not be {verb}. "
            f"{NOTHING_KEPT} Try again; if it happens again, call support."
        )
