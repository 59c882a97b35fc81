"""What code this is: recorded in every inspection and model version."""

from __future__ import annotations

import functools
import os
import subprocess
from importlib import metadata
from pathlib import Path

VERSION = "0.1.0"
_ROOT = Path(__file__).resolve().parent.parent


@functools.lru_cache(maxsize=1)
def code_version() -> str:
    """`0.1.0+abc1234` in a checkout (with `.dirty` when files differ from the commit), `0.1.0` in an image."""
    named = os.environ.get("CODE_VERSION")
    if named:
        return f"{VERSION}+{named}"
    if not (_ROOT / ".git").exists():
        return VERSION
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=.dirty", "--exclude=*"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return VERSION
    return f"{VERSION}+{described}"


def library_versions() -> dict[str, str]:
    """Versions of what decides a score, without importing any of it."""
    names = ("torch", "torchvision", "numpy", "scipy", "opencv-python-headless", "Pillow", "safetensors", "Django")
    return {"code": code_version()} | {name: metadata.version(name) for name in names}
