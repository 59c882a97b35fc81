"""Upload validation: which bytes count as an image here, and how they become the pixels that are scored.

One set of rules for everything that is ever judged or learnt from; what passes `inspect_upload` can be opened by
`open_pixels` and `open_rgb`, with the same width and height. `check_image` also returns the decoded pixels, so that
nobody has to decode them again.

* PNG, JPEG, BMP, TIFF and WebP, by content (`formats`); which of them are let in is a matter of `UploadLimits`. A name
  decides nothing: cameras, browsers and HTTP libraries send `blob`, `image`, no name at all or a wrong extension. It is
  kept as given, beside the format that was found.
* Size in bytes is looked at before anything is parsed, size in pixels before anything is decoded.
* One picture per file: animations are refused, and TIFF files with several pages unless somebody said that the first
  one counts (`UploadLimits.first_page`). Of a JPEG that carries further pictures behind the first (MPO: previews,
  depth and gain maps of telephones and cameras), the first is judged, as every viewer shows it.
* A damaged file is refused, also where a decoder would fill the gap with grey; see `jpeg`, `png` and `tiff`.
* The EXIF orientation is applied; one that means nothing is ignored. Bilevel and palette images become RGB.
* What is transparent lies before black: the pixels of an image with an alpha channel, a transparent palette entry or a
  transparent colour are mixed with black by their opacity, in training and on the line alike.
* CMYK is refused: without a colour profile it has no single meaning as RGB.
* 16-bit grey stays 16-bit: the window of a model makes 8 bits of it (`common.pixels.sixteen_bit`). 16-bit colour is
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

import numpy as np
from PIL import GifImagePlugin, Image, ImageFile

from common.errors import UserError
from common.pixels.sixteen_bit import MODE as SIXTEEN_BIT
from common.pixels.sixteen_bit import Window, histogram, is_sixteen_bit, percentile_window, to_eight_bit
from records.assets import formats, jpeg, png
from records.assets.formats import EXTENSION_OF_FORMAT, FORMATS, format_of

_GIF = (b"GIF87a", b"GIF89a")
_MIN_SIDE = 16  # pixels; below this there is nothing to look at
_NAME_CHARACTERS = 150
ORIENTATION_TAG = 0x0112
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
        sixteen_bit: whether 16-bit grey images are taken; there has to be a window for them.
        first_page: whether the first page is taken of a TIFF file with several.
    """

    max_bytes: int = 16 * 1024**2
    formats: tuple[str, ...] = FORMATS
    max_pixels: int = 64_000_000
    sixteen_bit: bool = False
    first_page: bool = False


@dataclass(frozen=True)
class ImageFacts:
    """What is known about an image that passed upload validation.

    `sha256` is that of the original bytes, `width` and `height` are in pixels after the EXIF orientation was applied,
    `format` is one of `FORMATS`, `mode` is Pillow's name for the pixel layout in the file (L, RGB, P, I;16, ...).
    """

    sha256: str
    width: int
    height: int
    format: str
    mode: str
    size_bytes: int
    clean_name: str

    @property
    def is_sixteen_bit(self) -> bool:
        """Whether its pixels are 16-bit grey, in whatever order of bytes."""
        return self.mode.startswith(SIXTEEN_BIT)


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
    """Check a file completely, down to its last pixel: what is known of it, and its pixels: L, RGB or `I;16`.

    `for_model` and `as_rgb` make of them what `open_pixels` and `open_rgb` give.

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


def pixels_to_decode(data: bytes, limits: UploadLimits) -> int:
    """Width x height as the header of a file claims, before anything is decoded.

    0 where nothing will be: it has no header to be read, or claims more pixels than are let in.
    """
    file_format = format_of(data[: formats.SNIFFED_BYTES])
    if file_format is None:
        return 0
    try:
        size = formats.size_in_header(data, file_format)
        if size is None:
            with formats.parse(data, file_format) as image:
                size = image.size
    except Exception:  # noqa: BLE001 - decoders raise nearly anything on hostile input; validation says what is wrong
        return 0
    pixels = size[0] * size[1]
    return pixels if pixels <= limits.max_pixels else 0


def open_pixels(data: bytes | Path, limits: UploadLimits) -> Image.Image:
    """The pixels as they were recorded, for a model: mode RGB or `I;16` (16-bit grey), EXIF orientation applied.

    For files that passed upload validation. One that passed it under other rules (before damage was checked, or
    another setting of what is let in) stays readable: a record or a data set has to be opened for ever.

    Raises:
        ImageRejected: by the rules of `inspect_upload`, what is let in and damage that a decoder passes over aside.
        OSError: the path cannot be read.
    """
    content = read_bounded(data, limits) if isinstance(data, Path) else data
    check_size(len(content), limits)
    readable = replace(limits, formats=FORMATS, sixteen_bit=True, first_page=True)
    return for_model(_decode(content, readable, look_for_damage=False)[2])


def for_model(image: Image.Image) -> Image.Image:
    """The pixels that `check_image` gives, as by `open_pixels`: grey in RGB, 16-bit grey as it is."""
    return image if is_sixteen_bit(image) else image.convert("RGB")


def open_rgb(data: bytes | Path, limits: UploadLimits, *, window: Window | None = None) -> Image.Image:
    """The pixels as people are shown them: those of `open_pixels` in mode RGB, 8 bits. Raises as that does.

    Args:
        window: of the model that judged the image, for 16-bit pixels; by their own percentiles where there is none.
    """
    return as_rgb(open_pixels(data, limits), window)


def as_rgb(image: Image.Image, window: Window | None = None) -> Image.Image:
    """The pixels that `check_image` and `open_pixels` give, in mode RGB, as `open_rgb`."""
    if is_sixteen_bit(image):
        image = to_eight_bit(image, window or percentile_window(histogram(image)))
    return image.convert("RGB")


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
    small = as_rgb(image)
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
    """Format, mode in the file, and the upright image as L, RGB or 16-bit grey."""
    file_format = _sniff(data, limits)
    try:
        if size := formats.size_in_header(data, file_format):
            _check_pixels(*size, limits)
        with formats.parse(data, file_format) as unverified:
            _check_header(unverified, data, limits)
            unverified.verify()
        formats.check_end(data, file_format)
        if file_format == "PNG" and look_for_damage:
            png.check_rows(data)
        with formats.parse(data, file_format) as opened:  # a verified image is spent
            pixels = _checked_pixels(opened, data) if look_for_damage else opened
            pixels.load()
            return file_format, opened.mode, _as_scored(_upright(pixels, opened))
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
            f"The content is {file_format}, which is not accepted here; send {_format_names(limits)}, or have "
            f"{EXTENSION_OF_FORMAT[file_format]} added to the setting ALLOWED_EXTENSIONS.",
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


def _check_pixels(width: int, height: int, limits: UploadLimits) -> None:
    if width * height > limits.max_pixels:
        raise ImageRejected(
            f"The image has {width} x {height} pixels; at most {limits.max_pixels / 1e6:g} million are accepted.",
            code="too_many_pixels",
            status=ImageRejected.TOO_LARGE,
            width=width,
            height=height,
        )


def _check_header(image: ImageFile.ImageFile, data: bytes, limits: UploadLimits) -> None:
    """What can be refused before a single pixel is decoded."""
    width, height = image.size
    _check_pixels(width, height, limits)
    if min(width, height) < _MIN_SIDE:
        raise ImageRejected(
            f"The image has {width} x {height} pixels; each side needs at least {_MIN_SIDE}.",
            code="image_too_small",
            status=ImageRejected.UNREADABLE,
            width=width,
            height=height,
        )
    if formats.has_several_images(image) and not (limits.first_page and image.format == "TIFF"):
        raise ImageRejected(_several_images_text(image), code="multi_frame")
    if formats.has_too_many_scans(image, data, limits.max_pixels):
        raise ImageRejected(
            "The JPEG file has more scans than its size allows; save it as a normal JPEG or PNG.",
            code="too_many_scans",
            status=ImageRejected.TOO_LARGE,
        )
    if reason := formats.unsupported(image):
        raise ImageRejected(reason, code="unsupported_mode")
    if image.mode.startswith(SIXTEEN_BIT) and not limits.sixteen_bit:
        raise ImageRejected(
            "The image is 16-bit grey, and it is not known which of its values are black and white. Send 8 bits per "
            "channel, or use a model that was trained on 16-bit images; the setting SIXTEEN_BIT gives fixed values.",
            code="unsupported_mode",
        )


def _several_images_text(image: ImageFile.ImageFile) -> str:
    if image.format == "TIFF":
        return (
            "The TIFF file has several pages. Send one page, or set MULTI_PAGE=first, by which the first page counts, "
            "in training and inspection."
        )
    return "The file contains several images; send one still image."


def _upright(image: Image.Image, opened: ImageFile.ImageFile) -> Image.Image:
    """Apply the EXIF orientation. Unlike `ImageOps.exif_transpose` it never writes metadata anew, which can fail.

    Of TIFF the decoder has applied it, and taken it out of what `getexif` tells.
    """
    try:
        turn = _UPRIGHT.get(opened.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - metadata that cannot be read turns no picture
        return image
    return image if turn is None else image.transpose(turn)


def _as_scored(image: Image.Image) -> Image.Image:
    """Grey as L, a third of the bytes, or in 16 bits; everything else as RGB, before black where it is transparent."""
    if image.mode.startswith(SIXTEEN_BIT):  # or with its bytes the other way round
        return image if is_sixteen_bit(image) else Image.fromarray(np.asarray(image).astype(np.uint16))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    if image.mode not in ("1", "L", "P", "RGB", "RGBA", "RGBX"):
        raise ImageRejected(f"Pixels in the layout {image.mode} are not supported.", code="unsupported_mode")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _format_names(limits: UploadLimits) -> str:
    return " or ".join(limits.formats)
