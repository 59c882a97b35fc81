"""Small pictures of made-up parts: a bright disc with a texture; a defective one has a dark scratch."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96


def part(seed: int, *, defective: bool = False) -> tuple[Image.Image, Image.Image]:
    """An RGB image and its ground-truth mask (all black for a good part)."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (SIDE, SIDE), (40, 42, 45))
    draw = ImageDraw.Draw(image)
    draw.ellipse((14, 14, 82, 82), fill=(170, 172, 168))
    draw.ellipse((38, 38, 58, 58), fill=(90, 92, 95))
    mask = Image.new("L", (SIDE, SIDE), 0)
    if defective:
        x, y = (int(value) for value in rng.integers(24, 44, 2))
        line = (x, y, x + 24, y + 10)
        draw.line(line, fill=(20, 20, 20), width=5)
        ImageDraw.Draw(mask).line(line, fill=255, width=5)
    noise = rng.normal(0, 4, (SIDE, SIDE, 3))
    pixels = np.clip(np.asarray(image, dtype=np.float64) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels), mask


def png(seed: int, *, defective: bool = False) -> bytes:
    return encode(part(seed, defective=defective)[0])


def encode(image: Image.Image, file_format: str = "PNG") -> bytes:
    out = BytesIO()
    image.save(out, file_format)
    return out.getvalue()


def write_dataset(root: Path, *, train: int = 12, good: int = 4, bad: int = 4) -> Path:
    """A category in MVTec layout at `root`."""
    for split, count, start in (("train/good", train, 0), ("test/good", good, 1000)):
        folder = root / split
        folder.mkdir(parents=True)
        for index in range(count):
            (folder / f"{index:03}.png").write_bytes(png(start + index))
    if bad:
        images, masks = root / "test" / "scratch", root / "ground_truth" / "scratch"
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(bad):
            image, mask = part(2000 + index, defective=True)
            (images / f"{index:03}.png").write_bytes(encode(image))
            (masks / f"{index:03}_mask.png").write_bytes(encode(mask))
    return root
