"""Stored images in a form that every browser shows: TIFF, BMP and 16-bit PNG are shown by few, or wrongly."""

from __future__ import annotations

from io import BytesIO

from common.pixels.sixteen_bit import Window
from records.assets import formats
from records.assets.images import ORIENTATION_TAG, UploadLimits, check_size, open_rgb


def browser_picture(data: bytes, limits: UploadLimits, *, window: Window | None = None) -> tuple[bytes, str]:
    """The bytes of an image and their media type: as they are where all browsers show what is judged, else a PNG.

    Args:
        data: an image that passed upload validation.
        window: of the model that judged it, see `open_rgb`. Raises as that does.
    """
    check_size(len(data), limits)
    file_format = formats.format_of(data) or ""
    if _is_shown_everywhere(data, file_format):
        return data, f"image/{file_format.lower()}"
    out = BytesIO()
    open_rgb(data, limits, window=window).save(out, "PNG", compress_level=1)
    return out.getvalue(), "image/png"


def _is_shown_everywhere(data: bytes, file_format: str) -> bool:
    """JPEG, and 8-bit PNG without anything transparent or turned: what is transparent is judged before black."""
    if file_format != "PNG":
        return file_format == "JPEG"
    try:
        with formats.parse(data, file_format) as image:
            is_plain = image.mode in ("1", "L", "P", "RGB") and not image.has_transparency_data
            return is_plain and ORIENTATION_TAG not in image.getexif()
    except Exception:  # noqa: BLE001 - `open_rgb` says what is wrong with it
        return False
