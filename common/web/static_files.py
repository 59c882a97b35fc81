"""Scripts and styles are public, whatever the umask of the process that collects them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from whitenoise.storage import CompressedStaticFilesStorage


class PublicStaticFilesStorage(CompressedStaticFilesStorage):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, file_permissions_mode=0o644, directory_permissions_mode=0o755, **more)

    def post_process(self, *words: Any, **more: Any) -> Iterator[Any]:
        """WhiteNoise writes the compressed files by itself."""
        umask = os.umask(0o022)
        try:
            yield from super().post_process(*words, **more)
        finally:
            os.umask(umask)
