"""Upload validation: which bytes count as an image here, and how they become the 8-bit RGB pixels that are scored.

One set of rules for everything that is ever judged or learnt from; what passes `inspect_upload` can be opened by
`open_rgb`, with the same width and height. `check_image` also returns the decoded pixels, so that nobody has to decode
them again.

* PNG and JPEG only, by content. A name decides nothing: cameras, browsers and HTTP libraries send `blob`, `image`,
  no name at all or a wrong extension. It is kept as given, beside the format that was found.
* Size in bytes is looked at before anything is parsed, size in pixels before anything is decoded.
* One picture per file: APNG and animated GIF are refused. Of a JPEG that carries further pictures behind the first
  (MPO: previews, depth and gain maps of telephones and cameras), the first is judged, as every viewer shows it.
* A damaged file is refused, also where a decoder would fill the gap with grey; see `records.assets.jpeg`.
* The EXIF orientation is applied. Grey, bilevel and palette images become RGB.
* Alpha is dropped when every pixel is opaque and refused otherwise: nobody knows the colour behind.
* CMYK is refused: without a colour profile it has no single meaning as RGB.
* 16-bit grey is refused unless the number of significant bits is given (`UploadLimits.sixteen_bit`); 16-bit colour is
  always refused, because the decoder would silently keep the high bytes only.

Pure functions without state: safe to call from many threads. Pillow's process-wide settings are never changed
(`ImageFile.LOAD_TRUNCATED_IMAGES` must stay False, as it is by default). The file classes are called directly: the
pixel limit of `PIL.Image.open` is a warning, and making warnings errors is a matter of the whole process, not of a
thread.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, replace
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin

from common.errors import UserError
from records.assets import jpeg, png

SixteenBit = Literal["refuse", "full", "12bit"]
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG = b"\xff\xd8\xff"
_GIF = (b"GIF87a", b"GIF89a")
FORMATS = ("PNG", "JPEG")
# Extensions that say the format. `.jpe` and `.jfif` are what Windows and its browsers make of JPEG.
FORMAT_OF_EXTENSION = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG"}
SNIFFED_BYTES = 8  # tell the format
_MIN_SIDE = 16  # pixels; below this there is nothing to look at
_NAME_CHARACTERS = 150
# A progressive JPEG is decoded once per scan: 16 MiB hold 160,000 scans of 100 bytes, an hour of work for a large
# image. Cameras write one scan, encoders of progressive files about ten. Counted without parsing: in coded data a
# 0xFF is always stuffed, so this pair is a marker or, rarely, a coincidence within metadata.
_START_OF_SCAN = b"\xff\xda"
_MAX_SCANS = 100
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class UploadLimits:
    """Which images are accepted.

    Attributes:
        max_bytes: largest file, bytes.
        formats: allowed formats, of `FORMATS`.
        max_pixels: largest width x height.
        sixteen_bit: 16-bit grey images are refused (`refuse`), scaled from 0..65535 (`full`) or from 0..4095
            (`12bit`, where a larger value is refused) to 0..255.
    """

    max_bytes: int = 16 * 1024**2
    formats: tuple[str, ...] = FORMATS
    max_pixels: int = 64_000_000
    sixteen_bit: SixteenBit = "refuse"


@dataclass(frozen=True)
class ImageFacts:
    """What is known about an image that passed upload validation.

    `sha256` is that of the original bytes, `width` and `height` are in pixels after the EXIF orientation was applied,
    `format` is PNG or JPEG, `mode` is Pillow's name for the pixel layout in the file (L, RGB, P, I;16, ...).
    """

    sha256: str
    width: int
    height: int
    format: str
    mode: str
    size_bytes: int
    clean_name: str


class ImageRejected(UserError):
    """The bytes are not an image that can be judged here.

    Codes: `empty_file` (400), `file_too_large` (413), `not_an_image` (415), `format_not_allowed` (415: an image, of a
    format that ALLOWED_EXTENSIONS leaves out), `multi_frame` (415), `unsupported_mode` (415), `too_many_pixels` (413),
    `too_many_scans` (413), `image_too_small` (422), `truncated_image` (422: cut off, damaged or not decodable).
    """

    TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    UNREADABLE = HTTPStatus.UNPROCESSABLE_ENTITY

    code = "not_an_image"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    def as_not_stored(self) -> ImageRejected:
        """The same for who sent the image, who is told what was kept of it."""
        sentence = f"{self.args[0]} It was not kept."
        return type(self)(sentence, code=self.code, status=self.status, **self.extra)


def inspect_upload(data: bytes, filename: str, limits: UploadLimits) -> ImageFacts:
    """Check a file completely, down to its last pixel, and store nothing. As `check_image`, without the pixels."""
    return check_image(data, filename, limits)[0]


def check_image(data: bytes, filename: str, limits: UploadLimits) -> tuple[ImageFacts, Image.Image]:
    """Check a file completely, down to its last pixel: what is known of it, and its pixels in mode L or RGB.

    `as_rgb` of the pixels is what `open_rgb` makes of the file.

    Args:
        data: the bytes as they were sent.
        filename: what the client calls it; nothing in it is believed.
        limits: what is let through.

    Raises:
        ImageRejected: with the code of the first rule that the file breaks.
    """
    check_size(len(data), limits)
    file_format, mode, image = _decode(data, limits, look_for_damage=True)
    facts = ImageFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        width=image.width,
        height=image.height,
        format=file_format,
        mode=mode,
        size_bytes=len(data),
        clean_name=clean_name(filename),
    )
    return facts, image


def as_rgb(image: Image.Image) -> Image.Image:
    """The pixels that are scored, of those that `check_image` gives."""
    return image.convert("RGB")


def open_rgb(data: bytes | Path, limits: UploadLimits) -> Image.Image:
    """The pixels that are scored: mode RGB, 8 bits, EXIF orientation applied.

    For files that passed upload validation. One that passed it under other rules (before damage was checked, or
    another setting of allowed formats) stays readable: a record or a data set has to be opened for ever.

    Raises:
        ImageRejected: by the rules of `inspect_upload`, allowed formats and damage that a decoder passes over aside.
        OSError: the path cannot be read.
    """
    content = read_bounded(data, limits) if isinstance(data, Path) else data
    check_size(len(content), limits)
    return as_rgb(_decode(content, replace(limits, formats=FORMATS), look_for_damage=False)[2])


def format_of(head: bytes) -> str | None:
    """The format that the first `SNIFFED_BYTES` of a file tell, of `FORMATS`; None for anything else."""
    if head.startswith(_PNG):
        return "PNG"
    return "JPEG" if head.startswith(_JPEG) else None


def format_in_name(filename: str) -> str | None:
    """The format that a file's extension claims, of `FORMATS`; None where it claims none of them."""
    return FORMAT_OF_EXTENSION.get(Path(filename).suffix[1:].lower())


def name_warning(filename: str, file_format: str) -> str:
    """A sentence where a file's name claims another format than its content has; else nothing."""
    claimed = format_in_name(filename)
    if claimed in (None, file_format):
        return ""
    return f"The name ends in {Path(filename).suffix}, the content is {file_format}; the content counts."


def read_bounded(path: Path, limits: UploadLimits) -> bytes:
    """Read a file of at most `limits.max_bytes`, whatever its size was said to be.

    Raises:
        ImageRejected: `file_too_large`.
        OSError: the path cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        check_size(max(len(data), path.stat().st_size), limits)
    return data


def thumbnail(image: Image.Image, size: int = 160) -> bytes:
    """A JPEG of at most size x size pixels with the image's aspect ratio; never enlarged."""
    small = image.convert("RGB")
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def clean_name(filename: str) -> str:
    """A name that is safe to store and to show: the last component, printable, at most 150 characters.

    Control and formatting characters go (also those that reverse the direction of writing, and lone surrogates, which
    no database stores); a long name loses the end of its stem, never its extension.
    """
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    name = printable.strip()
    if len(name) > _NAME_CHARACTERS:
        suffix = Path(name).suffix[:20]
        name = name[: _NAME_CHARACTERS - len(suffix)].rstrip() + suffix
    return name if name.strip(". ") else "unnamed"


def check_size(size: int, limits: UploadLimits) -> None:
    """Raises `ImageRejected` for what is empty or larger than an image may be; before it is read, if possible."""
    if size == 0:
        raise ImageRejected("The file is empty (0 bytes).", code="empty_file", status=HTTPStatus.BAD_REQUEST)
    if size > limits.max_bytes:
        raise ImageRejected(
            f"The file has {_size_text(size, up=True)}; at most {_size_text(limits.max_bytes)} are accepted.",
            code="file_too_large",
            status=ImageRejected.TOO_LARGE,
            size_bytes=size,
            max_bytes=limits.max_bytes,
        )


def _size_text(size: int, *, up: bool = False) -> str:
    """Bytes, or tenths of a MiB: of a limit rounded down, of what exceeds it rounded up, so that the two differ."""
    if size < 1024**2:
        return f"{size:,} bytes"
    tenths = -(-10 * size // 1024**2) if up else 10 * size // 1024**2
    return f"{tenths / 10:,.1f} MiB"


def _decode(data: bytes, limits: UploadLimits, *, look_for_damage: bool) -> tuple[str, str, Image.Image]:
    """Format, mode in the file, and the upright image as L or RGB."""
    file_format = _sniff(data, limits)
    try:
        with _parse(data, file_format) as unverified:
            _check_header(unverified, data, limits)
            unverified.verify()
        if file_format == "PNG":
            _check_end(data)
            if look_for_damage:
                png.check_rows(data)
        with _parse(data, file_format) as opened:  # a verified image is spent
            pixels = _checked_pixels(opened, data) if look_for_damage else opened
            pixels.load()
            return file_format, opened.mode, _as_grey_or_rgb(_upright(pixels, opened.getexif()), limits)
    except (ImageRejected, MemoryError):  # a machine without memory is no fault of the image
        raise
    except Exception as error:  # decoders raise nearly anything on hostile input
        raise ImageRejected(
            f"The {file_format} file is cut off or damaged and cannot be decoded ({error}). Send it again.",
            code="truncated_image",
            status=ImageRejected.UNREADABLE,
        ) from error


def _checked_pixels(opened: ImageFile.ImageFile, data: bytes) -> Image.Image:
    if opened.format == "JPEG" and opened.mode in ("L", "RGB"):
        values = jpeg.decode(data, "GRAY" if opened.mode == "L" else "RGB")
        if values is not None:
            return Image.fromarray(values[..., 0] if opened.mode == "L" else values)
    return opened


def _sniff(data: bytes, limits: UploadLimits) -> str:
    file_format = format_of(data)
    if file_format in limits.formats:
        return file_format
    if file_format:
        raise ImageRejected(
            f"The content is {file_format}, which is not accepted here; send {_format_names(limits)}.",
            code="format_not_allowed",
        )
    if data.startswith(_GIF) and _is_animated_gif(data):
        raise ImageRejected("The content is an animated GIF; send one still PNG or JPEG.", code="multi_frame")
    raise ImageRejected(f"The content is not an image of an accepted kind; send {_format_names(limits)}.")


def _is_animated_gif(data: bytes) -> bool:
    try:
        with GifImagePlugin.GifImageFile(BytesIO(data)) as gif:
            return bool(gif.is_animated)
    except Exception:  # noqa: BLE001 - it is refused either way; this only chooses the words
        return False


def _parse(data: bytes, file_format: str) -> ImageFile.ImageFile:
    """Read the headers; no pixel is decoded."""
    if file_format == "PNG":
        return PngImagePlugin.PngImageFile(BytesIO(data))
    # Not `jpeg_factory`, which opens the pictures behind the first one too (MPO).
    return JpegImagePlugin.JpegImageFile(BytesIO(data))


def _check_end(data: bytes) -> None:
    """Pillow does not miss the last four bytes of a PNG; an upload that lost them was cut off all the same."""
    if _PNG_END not in data:
        raise EOFError("the end of the file is missing")


def _check_header(image: ImageFile.ImageFile, data: bytes, limits: UploadLimits) -> None:
    """What can be refused before a single pixel is decoded."""
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ImageRejected(
            f"The image has {width} x {height} pixels; at most {limits.max_pixels / 1e6:g} million are accepted.",
            code="too_many_pixels",
            status=ImageRejected.TOO_LARGE,
            width=width,
            height=height,
        )
    if min(width, height) < _MIN_SIDE:
        raise ImageRejected(
            f"The image has {width} x {height} pixels; each side needs at least {_MIN_SIDE}.",
            code="image_too_small",
            status=ImageRejected.UNREADABLE,
            width=width,
            height=height,
        )
    if getattr(image, "n_frames", 1) > 1:
        raise ImageRejected("The file contains several images; send one still image.", code="multi_frame")
    if image.mode in ("CMYK", "YCCK"):
        raise ImageRejected("The image is CMYK; convert it to RGB.", code="unsupported_mode")
    if image.format == "JPEG" and data.count(_START_OF_SCAN) > _MAX_SCANS:
        raise ImageRejected(
            f"The JPEG file has more than {_MAX_SCANS} scans; save it as a normal JPEG or PNG.",
            code="too_many_scans",
            status=ImageRejected.TOO_LARGE,
        )
    # Only the decoder's raw mode tells 16-bit colour: Pillow shows it as 8-bit RGB, having dropped the low bytes.
    sixteen_bit = image.format == "PNG" and bool(image.tile) and "16" in str(image.tile[0].args)
    if sixteen_bit and (limits.sixteen_bit == "refuse" or image.mode != "I;16"):
        what = "16-bit grey, and how many of the bits are used is unknown" if image.mode == "I;16" else "16-bit colour"
        raise ImageRejected(f"The image is {what}; convert it to 8 bits per channel.", code="unsupported_mode")


def _upright(image: Image.Image, exif: Image.Exif) -> Image.Image:
    """Apply the EXIF orientation. Unlike `ImageOps.exif_transpose` it never writes metadata anew, which can fail."""
    turn = _UPRIGHT.get(exif.get(_ORIENTATION_TAG, 1))
    return image if turn is None else image.transpose(turn)


def _as_grey_or_rgb(image: Image.Image, limits: UploadLimits) -> Image.Image:
    """Grey as L, a third of the bytes, everything else as RGB."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise ImageRejected(
                "The image has transparent pixels; save it without transparency.",
                code="unsupported_mode",
            )
    if image.mode == "I;16":
        image = _eight_bit(image, limits)
    if image.mode not in ("1", "L", "P", "RGB", "RGBA"):
        raise ImageRejected(f"Pixels in the layout {image.mode} are not supported.", code="unsupported_mode")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _eight_bit(image: Image.Image, limits: UploadLimits) -> Image.Image:
    """16-bit grey scaled to 8 bits, rounded to the nearest."""
    white = 4095 if limits.sixteen_bit == "12bit" else 65535
    values = np.asarray(image, dtype=np.uint16)
    brightest = int(values.max())
    if brightest > white:
        raise ImageRejected(
            f"The image contains the value {brightest}, but the maximum of 12-bit images is {white}.",
            code="unsupported_mode",
        )
    return Image.fromarray(((values.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8))


def _format_names(limits: UploadLimits) -> str:
    return " or ".join(limits.formats)
