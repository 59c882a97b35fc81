"""Frames of a made-up camera: bright discs with a texture; a defective one has a dark scratch."""

from __future__ import annotations

import secrets
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 512
_TRAIN, _TEST = 16, 4
_PNG_HEADER = 33  # bytes: the signature and the first chunk, after which others may stand


def frame(seed: int, *, defective: bool = False) -> bytes:
    """A PNG file."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (SIDE, SIDE), (40, 42, 45))
    draw = ImageDraw.Draw(image)
    draw.ellipse((74, 74, 438, 438), fill=(170, 172, 168))
    draw.ellipse((202, 202, 310, 310), fill=(90, 92, 95))
    if defective:
        x, y = (int(value) for value in rng.integers(120, 240, 2))
        draw.line((x, y, x + 130, y + 50), fill=(20, 20, 20), width=16)
    noise = rng.normal(0, 4, (SIDE, SIDE, 3))
    pixels = np.clip(np.asarray(image, dtype=np.float64) + noise, 0, 255).astype(np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write_dataset(root: Path) -> Path:
    """Good parts to train with, and some of both to test, in MVTec layout."""
    for folder, count, start, defective in (
        ("train/good", _TRAIN, 0, False),
        ("test/good", _TEST, 1000, False),
        ("test/scratch", _TEST, 2000, True),
    ):
        target = root / folder
        target.mkdir(parents=True)
        for number in range(count):
            (target / f"{number:03}.png").write_bytes(frame(start + number, defective=defective))
    return root


def unique_copy(data: bytes) -> bytes:
    """The same picture in a file of its own, as from a camera: what is known already would not be written again."""
    text = f"Comment\0{secrets.token_hex(16)}".encode()
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]
    chunk = b"tEXt" + text
    size, checksum = len(text).to_bytes(4, "big"), zlib.crc32(chunk).to_bytes(4, "big")
    return data[:_PNG_HEADER] + size + chunk + checksum + data[_PNG_HEADER:]
