"""Whether a TIFF file is whole, as far as its directory tells: all that it points at lies within the file.

A TIFF has no checksum, and its decoder fills up what it does not find. Deflate has one for each strip; in LZW and
uncompressed strips a change of single bytes cannot be told.
"""

from __future__ import annotations

import struct

from PIL import TiffImagePlugin

BITS_PER_SAMPLE = 258
_SUBFILE_TYPE, _REDUCED = 254, 1
_OFFSETS, _SIZES = (273, 324), (279, 325)  # of strips, of tiles
_SIZE_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I"}
_MAX_ENTRIES = 1000  # of a directory; cameras and microscopes write a few dozen
_MAX_STRIPS = 1_000_000


class DamagedTiff(ValueError):
    """A part of the file is missing."""


def check_directory(data: bytes) -> None:
    """Raises `DamagedTiff` where the first picture's directory, or what it points at, is not in the file."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        [start] = struct.unpack_from(order + "I", data, 4)
        [count] = struct.unpack_from(order + "H", data, start)
        entries = [struct.unpack_from(order + "HHI", data, start + 2 + 12 * index) for index in range(count)]
        struct.unpack_from(order + "I", data, start + 2 + 12 * count)
    except struct.error as error:
        raise DamagedTiff("its directory is missing") from error
    if count > _MAX_ENTRIES:
        raise DamagedTiff(f"its directory has more than {_MAX_ENTRIES} entries")
    offsets: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    for index, (tag, kind, length) in enumerate(entries):
        at, size = start + 2 + 12 * index + 8, _SIZE_OF_TYPE.get(kind, 0) * length
        if size > 4:
            [at] = struct.unpack_from(order + "I", data, at)
        if at + size > len(data):
            raise DamagedTiff("a part of its directory is missing")
        if tag in _OFFSETS + _SIZES and kind in _INTEGERS:
            if length > _MAX_STRIPS:
                raise DamagedTiff(f"it has more than {_MAX_STRIPS} strips")
            values = struct.unpack_from(f"{order}{length}{_INTEGERS[kind]}", data, at)
            offsets, sizes = (values, sizes) if tag in _OFFSETS else (offsets, values)
    if not offsets:
        raise DamagedTiff("it does not say where its pixels are")
    # One size is left out by some writers of a single uncompressed strip; the decoder says if that is too short.
    if any(offset + size > len(data) for offset, size in zip(offsets, sizes, strict=False)):
        raise DamagedTiff("rows of the image are missing")


def is_preview(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether the file says that its first image is a reduced one."""
    value = image.tag_v2.get(_SUBFILE_TYPE, 0)
    return isinstance(value, int) and bool(value & _REDUCED)
