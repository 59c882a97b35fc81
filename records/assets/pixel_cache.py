"""Cache of decoded pixels between upload validation and the worker, so that an image is decoded once and not twice.

A file for each image, named by the hash of the file that was sent and removed when it is taken. Whoever finds none, or
a damaged one, decodes the stored image, with the same result. Nothing is synced to the disk; a checksum detects files
that a crash left incomplete.
"""

from __future__ import annotations

import contextlib
import struct
import time
import zlib
from pathlib import Path

from django.conf import settings
from PIL import Image

from common.files import write_whole
from common.pixels.sixteen_bit import MODE as SIXTEEN_BIT

_HEADER = struct.Struct(">4sIII")  # mode, width, height, checksum of the pixels
_BYTES = {"L": 1, "RGB": 3, SIXTEEN_BIT: 2}  # for each pixel
_MAX_BYTES = 32 * 1024**2  # bytes; for larger images the folder could take gigabytes, and their model dwarfs the rest


def put(sha256: str, pixels: Image.Image) -> None:
    """Store the pixels of an image for the worker. Never fails: the worker can do without."""
    if pixels.width * pixels.height * _BYTES[pixels.mode] > _MAX_BYTES:
        return
    content = pixels.tobytes()
    target = _path(sha256)
    header = _HEADER.pack(pixels.mode.encode(), pixels.width, pixels.height, zlib.crc32(content))
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with write_whole(target, durable=False) as out:
            out.write(header)
            out.write(content)
    except OSError:
        return


def take(sha256: str) -> Image.Image | None:
    """The pixels of an image, in mode L or RGB, if they are here; removes them."""
    path = _path(sha256)
    try:
        data = path.read_bytes()
        path.unlink()
        mode, width, height, checksum = _HEADER.unpack_from(data)
        content = memoryview(data)[_HEADER.size :]
        if zlib.crc32(content) != checksum:
            return None
        return Image.frombytes(mode.rstrip(b"\0").decode(), (width, height), content)
    except (OSError, struct.error, ValueError):
        return None


def sweep(seconds: float) -> None:
    """Remove what nobody took for so long."""
    with contextlib.suppress(OSError):
        for path in _folder().iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - seconds:
                    path.unlink()


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "handover"


def _path(sha256: str) -> Path:
    return _folder() / sha256
