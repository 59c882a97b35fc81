"""Where things lie on this server is nobody's business who sees only its pages and its API."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

from django.conf import settings

_NAMES = ("BASE_DIR", "VAR_DIR", "MODEL_PATH", "UPLOAD_DIR", "AUDIT_CHECKPOINT_DIR", "BACKBONE_WEIGHTS_DIR")


def without_server_paths(text: str) -> str:
    """The text with the last component alone of every path below a folder of this installation."""
    if "/" not in text or not settings.configured:
        return text
    return _pattern(_roots()).sub(lambda match: Path(match[0]).name, text)


def _roots() -> tuple[str, ...]:
    paths = [str(getattr(settings, name, "") or "") for name in _NAMES]
    paths += [str(Path(settings.AUDIT_SIGNING_KEY).parent), sys.prefix]
    roots = {root.rstrip("/") for root in paths} | {str(Path(root).resolve()) for root in paths if root}
    return tuple(sorted((root for root in roots if root.count("/") > 1), key=len, reverse=True))


@functools.lru_cache(maxsize=8)
def _pattern(roots: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?:{'|'.join(map(re.escape, roots))})(?:/[^\s'\"“”,;:()<>]*|(?![\w-]))(?<![.])")
