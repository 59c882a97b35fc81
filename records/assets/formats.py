"""The formats of image files: told by their first bytes, their headers read, and what of each is not taken.

Only what has one meaning is read: of TIFF the lossless compressions, of BMP the uncompressed kind, and of each file its
pixels as they were recorded, never a preview in their place.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from records.assets import tiff

SNIFFED_BYTES = 18  # tell the format
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
# Extensions that say the format. `.jpe` and `.jfif` are what Windows and its browsers make of JPEG.
FORMAT_OF_EXTENSION = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "jpe": "JPEG",
    "jfif": "JPEG",
    "bmp": "BMP",
    "dib": "BMP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "webp": "WEBP",
}
EXTENSION_OF_FORMAT = {"PNG": "png", "JPEG": "jpg", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp"}

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes, by version
_BMP_UNCOMPRESSED = (0, 3)  # plain, and with the places of the colours given
# Lossless, and with the library that every TIFF reader has.
_TIFF_COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "group3", "group4")
# A progressive JPEG is decoded once per scan: 16 MiB hold 160,000 scans of 100 bytes, an hour of work for a large
# image. Cameras write one scan, encoders of progressive files about ten. Counted without parsing: in coded data a
# 0xFF is always stuffed, so this pair is a marker or, rarely, a coincidence within metadata.
_START_OF_SCAN = b"\xff\xda"
MAX_SCANS = 100
USUAL_SCANS = 16  # each passes over all pixels: what the largest image may have; smaller ones may have more


def format_of(head: bytes) -> str | None:
    """The format that the first `SNIFFED_BYTES` of a file tell, of `FORMATS`; None for anything else."""
    if head.startswith(_PNG):
        return "PNG"
    if head.startswith(_JPEG):
        return "JPEG"
    if head.startswith(_TIFF):
        return "TIFF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    # Two letters alone begin many a text, too.
    is_bitmap = head.startswith(b"BM") and head[14:18] in [struct.pack("<I", size) for size in _BMP_HEADERS]
    return "BMP" if is_bitmap else None


def format_in_name(filename: str) -> str | None:
    """The format that a file's extension claims, of `FORMATS`; None where it claims none of them."""
    return FORMAT_OF_EXTENSION.get(Path(filename).suffix[1:].lower())


def name_warning(filename: str, file_format: str) -> str:
    """A sentence where a file's name claims another format than its content has; else nothing."""
    claimed = format_in_name(filename)
    if claimed in (None, file_format):
        return ""
    return f"The name ends in {Path(filename).suffix}, the content is {file_format}; the content counts."


def size_in_header(data: bytes, file_format: str) -> tuple[int, int] | None:
    """Width and height of a file whose decoder takes memory for them as soon as it is opened (WebP), else None."""
    if file_format != "WEBP":
        return None
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def parse(data: bytes, file_format: str) -> ImageFile.ImageFile:
    """Read the headers; no pixel is decoded."""
    if file_format == "PNG":
        return PngImagePlugin.PngImageFile(BytesIO(data))
    if file_format == "BMP":
        return BmpImagePlugin.BmpImageFile(BytesIO(data))
    if file_format == "TIFF":
        tiff.check_directory(data)
        return TiffImagePlugin.TiffImageFile(BytesIO(data))
    if file_format == "WEBP":
        return WebPImagePlugin.WebPImageFile(BytesIO(data))
    # Not `jpeg_factory`, which opens the pictures behind the first one too (MPO).
    return JpegImagePlugin.JpegImageFile(BytesIO(data))


def has_several_images(image: ImageFile.ImageFile) -> bool:
    """Whether a file has pages or frames behind the first image. Nobody counts them: that takes time for each."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(image.is_animated)
    return getattr(image, "n_frames", 1) > 1


def unsupported(image: ImageFile.ImageFile) -> str:
    """Why a file is not read though its format is, in a sentence; empty where it is. No pixel was decoded yet."""
    if image.mode in ("CMYK", "YCCK"):
        return "The image is CMYK; convert it to RGB."
    if isinstance(image, BmpImagePlugin.BmpImageFile) and image.info.get("compression") not in _BMP_UNCOMPRESSED:
        return "The BMP file is compressed; save it uncompressed, or as PNG."
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _unsupported_tiff(image)
    # Only the decoder's raw mode tells 16-bit colour: Pillow shows it as 8-bit RGB, having dropped the low bytes.
    is_deep = image.format == "PNG" and bool(image.tile) and "16" in str(image.tile[0].args)
    if is_deep and image.mode != "I;16":
        return "The image is 16-bit colour; convert it to 8 bits per channel."
    return ""


def _unsupported_tiff(image: TiffImagePlugin.TiffImageFile) -> str:
    compression = str(image.info.get("compression", "raw"))
    if compression not in _TIFF_COMPRESSIONS:
        return f"The TIFF file is compressed with {compression}; save it with LZW, Deflate or no compression."
    if tiff.is_preview(image):
        return "The first image in the TIFF file is a preview, as in raw files of cameras; save the picture as PNG."
    bits = image.tag_v2.get(tiff.BITS_PER_SAMPLE, (1,))
    if max(bits) > 8 and image.mode not in ("I;16", "I;16B"):
        return (
            f"The TIFF file has {max(bits)} bits per channel ({image.mode}); convert it to 8 bits per channel, or to "
            "unsigned 16-bit grey."
        )
    return ""


def has_too_many_scans(image: ImageFile.ImageFile, data: bytes, max_pixels: int) -> bool:
    """More than any encoder writes, or than the largest image of `max_pixels` with a usual number of them takes."""
    if image.format != "JPEG":
        return False
    scans = data.count(_START_OF_SCAN)
    return scans > MAX_SCANS or scans * image.width * image.height > USUAL_SCANS * max_pixels


def check_end(data: bytes, file_format: str) -> None:
    """Pillow does not miss the last four bytes of a PNG; an upload that lost them was cut off all the same."""
    if file_format == "PNG" and _PNG_END not in data:
        raise EOFError("the end of the file is missing")
