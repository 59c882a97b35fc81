"""What product and which code this is: the code is recorded in every inspection and model version."""

from __future__ import annotations

import functools
import os
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

PRODUCT = "MVTec inspection"  # the one name of it, on pages, in documents and in the API's description
_ROOT = Path(__file__).resolve().parent.parent
VERSION: str = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


@functools.lru_cache(maxsize=1)
def code_version() -> str:
    """`0.1.0+abc1234` in a checkout (with `.dirty` when files differ from the commit), `0.1.0` in an image."""
    build = os.environ.get("CODE_VERSION")
    if build:
        return f"{VERSION}+{build}"
    if not (_ROOT / ".git").exists():
        return VERSION
    try:
        revision = subprocess.run(
            ["git", "describe", "--always", "--dirty=.dirty", "--exclude=*"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return VERSION
    return f"{VERSION}+{revision}"


def library_versions() -> dict[str, str]:
    """Versions of what decides a score, without importing any of it."""
    names = ("torch", "torchvision", "numpy", "scipy", "opencv-python-headless", "Pillow", "safetensors", "Django")
    return {"code": code_version()} | {name: metadata.version(name) for name in names if _is_installed(name)}


def _is_installed(name: str) -> bool:
    """torchvision is there for development only; records of before named it."""
    return any(metadata.distributions(name=name))


# What the product is made of, for the help page; what only tests and the demo use is not named.
_LIBRARIES = (
    *("torch", "numpy", "scipy", "opencv-python-headless", "Pillow", "safetensors", "cryptography"),
    *("Django", "djangorestframework", "drf-spectacular", "django-htmx", "celery", "redis", "whitenoise"),
    *("gunicorn", "waitress", "psycopg2-binary", "XlsxWriter", "reportlab"),
)


@functools.lru_cache(maxsize=1)
def libraries() -> list[tuple[str, str, str]]:
    """Name, version and licence of each, as the packages themselves say."""
    rows = []
    for name in _LIBRARIES:
        try:
            package = metadata.metadata(name)
        except metadata.PackageNotFoundError:  # not every installation has each of them
            continue
        rows.append((name, package["Version"], _licence(package)))
    return rows


def _licence(package: metadata.PackageMetadata) -> str:
    """The short name of a licence; some packages put its whole text where the name belongs."""
    classified = [word.rpartition(" :: ")[2] for word in package.get_all("Classifier") or [] if "License ::" in word]
    licences = package.get_all("License-Expression") or package.get_all("License") or []
    short = [word for word in licences if word and "\n" not in word]
    return (short or classified or ["see the package"])[0]
