"""Reads: limits of upload validation."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings

from common.pixels.sixteen_bit import FULL_WINDOW, TWELVE_BIT_WINDOW, Window
from records.assets.formats import FORMAT_OF_EXTENSION, FORMATS
from records.assets.images import UploadLimits


def upload_limits(*, window: Window | None = None) -> UploadLimits:
    """What is taken of images that shall be judged.

    Args:
        window: of the model that shall judge them; with one, 16-bit images are taken.
    """
    return UploadLimits(
        max_bytes=settings.MAX_FILE_SIZE,
        formats=allowed_formats(),
        max_pixels=settings.MAX_IMAGE_PIXELS,
        sixteen_bit=(window or fixed_window()) is not None,
        first_page=settings.MULTI_PAGE == "first",
    )


def dataset_limits() -> UploadLimits:
    """What is taken of images for data sets: every format, and 16-bit grey, for which a window is decided then."""
    return replace(upload_limits(), formats=FORMATS, sixteen_bit=True)


def fixed_window() -> Window | None:
    """The window that the installation gives every model that has none of its own, by SIXTEEN_BIT."""
    return {"full": FULL_WINDOW, "12bit": TWELVE_BIT_WINDOW}.get(settings.SIXTEEN_BIT)


def allowed_formats() -> tuple[str, ...]:
    """The formats that ALLOWED_EXTENSIONS names, of `records.assets.formats.FORMATS`; it says what a content may be."""
    allowed = {FORMAT_OF_EXTENSION[extension] for extension in settings.ALLOWED_EXTENSIONS}
    return tuple(name for name in FORMATS if name in allowed)


def accepted_files() -> str:
    """What a browser is told to offer for an upload (`accept`): a help and no rule, the content decides."""
    formats = allowed_formats()
    types = [f"image/{name.lower()}" for name in formats]
    return ",".join([*types, *(f".{extension}" for extension, name in FORMAT_OF_EXTENSION.items() if name in formats)])
