"""File storage that either has a whole file or none, whose names come from the content."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.utils.deconstruct import deconstructible

from common.files import write_whole
from records.storage.errors import NOTHING_KEPT, StorageFailed


@deconstructible
class DurableFileSystemStorage(FileSystemStorage):
    """Names come from the content, so a name that exists already holds the same bytes and is left alone."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File) -> str:
        target = Path(self.path(name))
        with contextlib.suppress(FileNotFoundError):
            os.utime(target)  # whoever looks for files that nobody uses sees that somebody just did
            return name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with write_whole(target) as out:
                for chunk in content.chunks():
                    out.write(chunk)
        except OSError as error:
            raise StorageFailed(
                f"The file could not be stored ({error.strerror or error}). {NOTHING_KEPT} Free space in "
                "VAR_DIR or correct its permissions, then send it again."
            ) from error
        return name
