"""Reads: limits of upload validation."""

from __future__ import annotations

from typing import cast

from django.conf import settings

from records.assets.images import FORMAT_OF_EXTENSION, FORMATS, SixteenBit, UploadLimits


def upload_limits() -> UploadLimits:
    return UploadLimits(
        max_bytes=settings.MAX_FILE_SIZE,
        formats=allowed_formats(),
        max_pixels=settings.MAX_IMAGE_PIXELS,
        sixteen_bit=cast(SixteenBit, settings.SIXTEEN_BIT),
    )


def allowed_formats() -> tuple[str, ...]:
    """The formats that ALLOWED_EXTENSIONS names, of `records.assets.images.FORMATS`; it says what a content may be."""
    allowed = {FORMAT_OF_EXTENSION[extension] for extension in settings.ALLOWED_EXTENSIONS}
    return tuple(name for name in FORMATS if name in allowed)


def accepted_files() -> str:
    """What a browser is told to offer for an upload (`accept`): a help and no rule, the content decides."""
    formats = allowed_formats()
    types = [f"image/{name.lower()}" for name in formats]
    return ",".join([*types, *(f".{extension}" for extension, name in FORMAT_OF_EXTENSION.items() if name in formats)])
