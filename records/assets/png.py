"""Whether a PNG holds all rows of its picture, as they were written.

Pillow looks at the checksum of every chunk. It says nothing where the rows end too early in good order, and never gets
to the checksum behind them: a file that lost one of its chunks on the way can be shown with rows of noise or black.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = 8  # bytes
_PACKED_BLOCK, _BLOCK = 64 * 1024, 1024 * 1024  # bytes that are read, and unpacked, at once
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# x start, y start, x step, y step of the seven passes of an interlaced file.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class DamagedPng(ValueError):
    """Rows are missing or were changed on their way."""


def check_rows(data: bytes) -> None:
    """Raises `DamagedPng`. For a file whose header and chunk checksums were looked at before."""
    expected = _size_of_rows(data)
    unpacker, size = zlib.decompressobj(), 0
    try:
        for packed in _blocks(data, b"IDAT"):
            waiting: bytes | memoryview = packed
            while waiting and not unpacker.eof and size <= expected + _BLOCK:
                size += len(unpacker.decompress(waiting, _BLOCK))
                waiting = unpacker.unconsumed_tail
    except zlib.error as error:
        raise DamagedPng("the image data is damaged") from error
    # A little more than the rows is odd, and takes nothing from them; at its end they proved to be what was written.
    if size < expected or not unpacker.eof:
        raise DamagedPng("rows of the image are missing")


def _size_of_rows(data: bytes) -> int:
    """Bytes of the unpacked rows, each with the byte that names its filter."""
    width, height, depth, colour, _, _, is_interlaced = struct.unpack_from(">IIBBBBB", data, _SIGNATURE + 8)
    bits = _CHANNELS.get(colour, 1) * depth
    passes = _PASSES if is_interlaced else ((0, 0, 1, 1),)
    size = 0
    for x, y, x_step, y_step in passes:
        columns, rows = -((x - width) // x_step), -((y - height) // y_step)
        if columns > 0 and rows > 0:
            size += rows * (1 + -(-columns * bits // 8))
    return size


def _blocks(data: bytes, name: bytes) -> Iterator[memoryview]:
    """The content of all chunks of a name, in pieces."""
    at, view = _SIGNATURE, memoryview(data)
    while at + 12 <= len(data):
        size = int.from_bytes(view[at : at + 4], "big")
        if view[at + 4 : at + 8] == name:
            content = view[at + 8 : at + 8 + size]
            yield from (content[start : start + _PACKED_BLOCK] for start in range(0, size, _PACKED_BLOCK))
        at += 12 + size
