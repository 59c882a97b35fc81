"""Files for tests, as bytes: good images of many kinds, and every way in which an upload can be bad."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


# ---------------------------------------------------------------- building blocks
def pixels(width: int = 64, height: int = 48, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth uint8 texture with a little noise; (H, W) for one channel, else (H, W, channels). Seeds differ."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 60 * np.sin(x / rng.uniform(3, 9)) + 50 * np.cos(y / rng.uniform(3, 9)) for _ in range(channels)]
    noisy = np.stack(waves, axis=-1) + rng.normal(0, 3, (height, width, channels))
    array = noisy.clip(0, 255).astype(np.uint8)
    return array[..., 0] if channels == 1 else array


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    out = BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def raw_png(width: int, height: int, bit_depth: int, color_type: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG from filtered rows, for what Pillow does not write. `extra` are chunks between IHDR and IDAT."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, 0))
    return SIGNATURE + header + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


# ---------------------------------------------------------------- good images
def png(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    return encode(pixels(width, height, 3, seed))


def grey_png(width: int = 64, height: int = 48, seed: int = 0) -> bytes:
    return encode(pixels(width, height, 1, seed))


def jpeg(width: int = 64, height: int = 48, seed: int = 0, **options: Any) -> bytes:
    return encode(pixels(width, height, 3, seed), "JPEG", quality=90, **options)


def palette_png() -> bytes:
    return encode(Image.fromarray(pixels()).quantize(32))


def bilevel_png() -> bytes:
    return encode(Image.fromarray(pixels(channels=1)).convert("1"))


def opaque_rgba_png() -> bytes:
    image = Image.fromarray(pixels())
    image.putalpha(255)
    return encode(image)


def rotated_jpeg(orientation: int = 6, width: int = 64, height: int = 48) -> bytes:
    """Stored as width x height, to be shown turned as the EXIF orientation (1 to 8) says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(width, height, exif=exif)


def mask_png(width: int = 64, height: int = 48, value: int = 255) -> bytes:
    """A ground-truth mask: a rectangle of `value` on black."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = value
    return encode(mask)


# ---------------------------------------------------------------- bad files
def zero_bytes() -> bytes:
    return b""


def text() -> bytes:
    return b"This is not an image, whatever its name says.\n" * 10


def elf() -> bytes:
    """The head of a Linux executable."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 62, 1) + bytes(4096)


def truncated_png() -> bytes:
    data = png()
    return data[: len(data) // 2]


def truncated_jpeg() -> bytes:
    data = jpeg(256, 256)
    return data[: len(data) // 2]


def headless_png() -> bytes:
    """The signature and nothing else."""
    return SIGNATURE


def broken_checksum_png() -> bytes:
    data = bytearray(png())
    data[-20] ^= 0xFF
    return bytes(data)


def broken_text_checksum_png() -> bytes:
    """All pixels are right, but a chunk behind them was damaged on the way."""
    data = png()
    damaged = bytearray(chunk(b"tEXt", b"Comment\0station 4"))
    damaged[-1] ^= 0xFF
    return data[:-12] + bytes(damaged) + data[-12:]


def png_without_a_chunk() -> bytes:
    """Of its several IDAT chunks the second is missing; all checksums are right."""
    data = encode(pixels(640, 480))
    second = data.index(b"IDAT", data.index(b"IDAT") + 4) - 4
    size = struct.unpack_from(">I", data, second)[0]
    return data[:second] + data[second + 12 + size :]


def png_of_half_its_rows() -> bytes:
    """Whole as a file, with half of the rows."""
    return raw_png(64, 48, 8, 2, (b"\0" + bytes(64 * 3)) * 24)


def zeroed_png() -> bytes:
    data = encode(pixels(256, 256))
    return zeroed(data, len(data) // 2, 512)


def zeroed(data: bytes, start: int, size: int) -> bytes:
    return data[:start] + bytes(size) + data[start + size :]


def ended_early_jpeg() -> bytes:
    """Cut off, and given an end marker by a program that meant well."""
    return truncated_jpeg() + b"\xff\xd9"


def lost_packet_jpeg(size: int = 512) -> bytes:
    data = jpeg(256, 256)
    return data[: len(data) // 2] + data[len(data) // 2 + size :]


def zeroed_jpeg(size: int = 512) -> bytes:
    data = jpeg(256, 256)
    return zeroed(data, len(data) // 2, size)


def progressive_jpeg_without_last_scans() -> bytes:
    """Cut off between two passes: libjpeg has nothing to complain of."""
    data = jpeg(256, 256, progressive=True)
    return data[: data.rfind(b"\xff\xc4")] + b"\xff\xd9"


def odd_version_jpeg() -> bytes:
    """JFIF 9.09: libjpeg warns of that, and of nothing else."""
    data = jpeg(256, 256)
    return data[:11] + b"\x09\x09" + data[13:]


def damaged_jpeg_of_an_odd_version() -> bytes:
    """The first warning is harmless, the second is not."""
    data = odd_version_jpeg()
    return data[: len(data) // 2] + data[len(data) // 2 + 512 :]


def oversized_file(size: int = 17 * 1024**2) -> bytes:
    """A valid PNG with padding behind it, 17 MiB in all."""
    data = png()
    return data + bytes(size - len(data))


@lru_cache(maxsize=1)
def decompression_bomb_png() -> bytes:
    """20,000 x 20,000 pixels in about 50 kB."""
    return raw_png(20_000, 20_000, 1, 0, bytes(20_000 * (1 + 2500)))


def bomb_header_png(width: int = 2**31 - 1, height: int = 2**31 - 1) -> bytes:
    """Claims an absurd size, has no pixels to speak of."""
    return raw_png(width, height, 8, 2, b"\0")


@lru_cache(maxsize=1)
def text_bomb_png() -> bytes:
    """A compressed text chunk that unfolds to 64 MiB, in an otherwise good image."""
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 * 1024**2), 9))
    data = png()
    return data[:33] + bomb + data[33:]


def many_scans_jpeg(scans: int = 500) -> bytes:
    """A progressive JPEG whose last scan is repeated: each costs a pass over the image."""
    data = encode(Image.new("RGB", (256, 256), (90, 90, 90)), "JPEG", progressive=True)
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * scans + data[-2:]


def animated_gif() -> bytes:
    frames = [Image.fromarray(pixels(seed=seed)).quantize(16) for seed in range(3)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)


def still_gif() -> bytes:
    return encode(Image.fromarray(pixels()).quantize(16), "GIF")


def apng() -> bytes:
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(3)]
    return encode(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100)


def mpo_jpeg() -> bytes:
    """Two pictures in one JPEG, as some telephones and stereo cameras write."""
    return encode(Image.fromarray(pixels()), "MPO", save_all=True, append_images=[Image.fromarray(pixels(seed=1))])


def cmyk_jpeg() -> bytes:
    return encode(Image.fromarray(pixels()).convert("CMYK"), "JPEG")


def sixteen_bit_png(peak: int = 65535, width: int = 64, height: int = 48) -> bytes:
    """16-bit grey ramp from 0 to `peak`."""
    return encode(np.linspace(0, peak, width * height).round().astype(np.uint16).reshape(height, width))


def sixteen_bit_rgb_png() -> bytes:
    row = b"\0" + struct.pack(">3H", 1000, 30000, 60000) * 64
    return raw_png(64, 48, 16, 2, row * 48)


def sixteen_bit_grey_alpha_png() -> bytes:
    row = b"\0" + struct.pack(">2H", 30000, 65535) * 64
    return raw_png(64, 48, 16, 4, row * 48)


def transparent_rgba_png() -> bytes:
    image = Image.fromarray(pixels()).convert("RGBA")
    image.putpixel((3, 3), (0, 0, 0, 128))
    return encode(image)


def transparent_palette_png() -> bytes:
    return encode(Image.fromarray(pixels()).quantize(32), transparency=int(palette_index()))


def palette_index() -> int:
    """A palette entry that `transparent_palette_png` uses for at least one pixel."""
    return int(np.asarray(Image.fromarray(pixels()).quantize(32))[0, 0])


def colour_key_png() -> bytes:
    """RGB with one colour declared transparent (tRNS), and present."""
    array = pixels()
    return encode(array, transparency=tuple(int(v) for v in array[0, 0]))


def tiny_png() -> bytes:
    return encode(Image.new("RGB", (1, 1), (1, 2, 3)))


def bmp() -> bytes:
    return encode(pixels(), "BMP")


def grey_bmp() -> bytes:
    return encode(pixels(channels=1), "BMP")


def palette_bmp() -> bytes:
    return encode(Image.fromarray(pixels()).quantize(32), "BMP")


def rle_bmp() -> bytes:
    data = bytearray(grey_bmp())
    data[30:34] = struct.pack("<I", 1)
    return bytes(data)


def truncated_bmp() -> bytes:
    return bmp()[:-20]


def bomb_header_bmp() -> bytes:
    data = bytearray(bmp())
    data[18:26] = struct.pack("<ii", 60_000, 60_000)
    return bytes(data)


def tiff() -> bytes:
    return encode(pixels(), "TIFF")


def lzw_tiff() -> bytes:
    return encode(pixels(), "TIFF", compression="tiff_lzw")


def palette_tiff() -> bytes:
    return encode(Image.fromarray(pixels()).quantize(32), "TIFF", compression="tiff_adobe_deflate")


def bilevel_tiff() -> bytes:
    return encode(Image.fromarray(pixels()).convert("1"), "TIFF", compression="group4")


def jpeg_in_tiff() -> bytes:
    return encode(pixels(), "TIFF", compression="jpeg")


def float_tiff() -> bytes:
    return encode(pixels(channels=1).astype(np.float32), "TIFF")


def multi_page_tiff() -> bytes:
    pages = [Image.fromarray(pixels(seed=seed)) for seed in range(2)]
    return encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def preview_tiff() -> bytes:
    return encode(pixels(), "TIFF", tiffinfo={254: 1})


def raw_tiff(width: int, height: int, bits: tuple[int, ...], rows: bytes, order: str = "<") -> bytes:
    """An uncompressed TIFF of one strip, for what Pillow does not write. One channel is grey, three are colour."""
    place_of_bits, place_of_rows = 200, 210
    entries = [
        (256, 4, 1, struct.pack(order + "I", width)),
        (257, 4, 1, struct.pack(order + "I", height)),
        (258, 3, len(bits), struct.pack(order + "HH", *bits, 0) if len(bits) == 1 else struct.pack(order + "I", 200)),
        (259, 3, 1, struct.pack(order + "HH", 1, 0)),
        (262, 3, 1, struct.pack(order + "HH", 1 if len(bits) == 1 else 2, 0)),
        (273, 4, 1, struct.pack(order + "I", place_of_rows)),
        (277, 3, 1, struct.pack(order + "HH", len(bits), 0)),
        (278, 4, 1, struct.pack(order + "I", height)),
        (279, 4, 1, struct.pack(order + "I", len(rows))),
    ]
    directory = struct.pack(order + "H", len(entries))
    directory += b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + directory
    start = start.ljust(place_of_bits, b"\0") + struct.pack(f"{order}{len(bits)}H", *bits)
    return start.ljust(place_of_rows, b"\0") + rows


def sixteen_bit_rgb_tiff() -> bytes:
    return raw_tiff(64, 48, (16, 16, 16), struct.pack("<3H", 1000, 30000, 60000) * 64 * 48)


def bomb_header_tiff() -> bytes:
    return raw_tiff(60_000, 60_000, (8,), b"0" * 100)


def truncated_tiff() -> bytes:
    return tiff()[:-20]


def truncated_lzw_tiff() -> bytes:
    return lzw_tiff()[:-1]


def webp() -> bytes:
    return encode(pixels(), "WEBP", quality=80)


def lossless_webp() -> bytes:
    return encode(pixels(), "WEBP", lossless=True)


def animated_webp() -> bytes:
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(2)]
    return encode(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def truncated_webp() -> bytes:
    return lossless_webp()[:-20]


def bomb_header_webp() -> bytes:
    content = bytes([0x2F]) + struct.pack("<I", 16383 | 16383 << 14) + bytes(20)
    return b"RIFF" + struct.pack("<I", 12 + len(content)) + b"WEBPVP8L" + struct.pack("<I", len(content)) + content
