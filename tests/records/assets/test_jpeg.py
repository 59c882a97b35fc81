"""JPEG: the pixels are those of Pillow to the bit, damage is heard, and what is only unusual passes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from records.assets import jpeg
from records.assets.images import ImageRejected, UploadLimits, as_rgb, check_image, open_rgb
from tests import badfiles

LIMITS = UploadLimits()
END = b"\xff\xd9"


def exif_with_thumbnail() -> bytes:
    """A JPEG within the JPEG's metadata, with markers of its own."""
    thumbnail = b"Exif\0\0" + badfiles.jpeg(40, 30)
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = badfiles.jpeg(200, 120)
    return data[:2] + segment + data[2:]


def padded(padding: bytes) -> bytes:
    data = badfiles.jpeg(200, 120)
    return data.removesuffix(END) + padding + END


def subsampled(name: str) -> bytes:
    return simplejpeg.encode_jpeg(badfiles.pixels(203, 121), quality=90, colorsubsampling=name)


def flat(**options: object) -> bytes:
    """Optimised tables make zeros of what is flat."""
    return badfiles.encode(Image.new("RGB", (400, 300), (90, 91, 92)), "JPEG", optimize=True, **options)


SOUND: dict[str, Callable[[], bytes]] = {
    "odd size": lambda: badfiles.jpeg(201, 119),
    "4:4:4": lambda: badfiles.jpeg(203, 121, subsampling=0),
    "4:2:2": lambda: badfiles.jpeg(203, 121, subsampling=1),
    "4:2:0": lambda: badfiles.jpeg(203, 121, subsampling=2),
    "4:4:0": lambda: subsampled("440"),
    "4:1:1": lambda: subsampled("411"),
    "grey": lambda: badfiles.encode(badfiles.pixels(203, 121, 1), "JPEG"),
    "RGB without YCbCr": lambda: badfiles.jpeg(203, 121, keep_rgb=True),
    "progressive": lambda: badfiles.jpeg(203, 121, progressive=True),
    "progressive grey": lambda: badfiles.encode(badfiles.pixels(203, 121, 1), "JPEG", progressive=True),
    "optimised": lambda: badfiles.jpeg(203, 121, optimize=True),
    "restart markers": lambda: badfiles.jpeg(203, 121, restart_marker_blocks=3),
    "restart markers by rows": lambda: badfiles.jpeg(203, 121, restart_marker_rows=1),
    "flat": lambda: flat(),
    "flat, progressive": lambda: flat(progressive=True),
    "flat, in grey": lambda: badfiles.encode(np.zeros((300, 400), np.uint8), "JPEG", optimize=True),
    "comment and colour profile": lambda: badfiles.jpeg(203, 121, comment=b"station 4\xff\xda", icc_profile=bytes(999)),
    "thumbnail": exif_with_thumbnail,
    "bytes behind the end": lambda: badfiles.jpeg(203, 121) + b"\0camera data\xff\xd8\xff" * 100,
    "another JPEG behind the end": lambda: badfiles.jpeg(203, 121) + badfiles.jpeg(progressive=True),
    "one byte before the end": lambda: padded(b"\x5a"),
    "padding before the end": lambda: padded(b"camera padding "),
    "zeros before the end": lambda: padded(bytes(511)),
    "fill bytes before the end": lambda: padded(b"\xff" * 100),
    "odd JFIF version": badfiles.odd_version_jpeg,
    "two pictures": badfiles.mpo_jpeg,
}


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_sound_files_have_the_same_pixels_as_with_pillow(make: Callable[[], bytes]) -> None:
    data = make()
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("RGB"))
    _, pixels = check_image(data, "a", LIMITS)
    np.testing.assert_array_equal(np.asarray(as_rgb(pixels)), expected)
    np.testing.assert_array_equal(np.asarray(open_rgb(data, LIMITS)), expected)


def test_what_another_decoder_has_to_read_is_said() -> None:
    assert jpeg.decode(badfiles.odd_version_jpeg(), "RGB") is None


@pytest.mark.parametrize("padding", [b"camera padding and more of it", bytes(5000), b"ab" * 300])
def test_more_than_padding_before_the_end_is_damage(padding: bytes) -> None:
    with pytest.raises(jpeg.DamagedJpeg, match="extraneous bytes"):
        jpeg.decode(padded(padding), "RGB")


def test_a_file_of_countless_segments_is_not_walked_to_its_end() -> None:
    data = badfiles.jpeg()
    with pytest.raises(jpeg.DamagedJpeg, match="segments"):
        jpeg.decode(data[:2] + b"\xff\xe9\x00\x02" * 5001 + data[2:], "RGB")


def test_a_lost_restart_interval_is_heard() -> None:
    data = badfiles.jpeg(256, 256, restart_marker_rows=1)
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    with pytest.raises(jpeg.DamagedJpeg, match="RST"):
        jpeg.decode(data[: restarts[3]] + data[restarts[4] :], "RGB")


SEEDS = [
    badfiles.jpeg(256, 192),
    badfiles.jpeg(256, 192, subsampling=0),
    badfiles.jpeg(256, 192, restart_marker_rows=2),
    badfiles.encode(badfiles.pixels(256, 192, 1), "JPEG", quality=95),
]
PNG_SEEDS = [badfiles.png(96, 80), badfiles.grey_png(96, 80), badfiles.palette_png()]


def cut(data: bytes, at: int, size: int) -> bytes:
    return data[:at] + END


def lost(data: bytes, at: int, size: int) -> bytes:
    return data[:at] + data[at + size :]


def zeroed(data: bytes, at: int, size: int) -> bytes:
    return badfiles.zeroed(data, at, size)


def doubled(data: bytes, at: int, size: int) -> bytes:
    return data[: at + size] + data[at:]


# The same examples each time: a JPEG has no checksum, and one loss in about a thousand fits by chance.
@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    data=st.sampled_from(SEEDS + PNG_SEEDS),
    damage=st.sampled_from([cut, lost, zeroed, doubled]),
    where=st.floats(0.02, 0.98),
    size=st.sampled_from([512, 1460, 4096]),
)
def test_damaged_files_are_refused_or_have_the_same_pixels(
    data: bytes, damage: Callable[[bytes, int, int], bytes], where: float, size: int
) -> None:
    at = int(where * len(data))
    damaged = damage(data, at, min(size, len(data) - at - 2))
    try:
        _, pixels = check_image(damaged, "a", LIMITS)
    except ImageRejected:
        return
    np.testing.assert_array_equal(np.asarray(as_rgb(pixels)), np.asarray(open_rgb(data, LIMITS)))


def test_every_pass_of_a_progressive_file_is_missed() -> None:
    """Also an early one, behind which the last bits of each coefficient come all the same."""
    data = badfiles.jpeg(203, 121, progressive=True)
    headers = [start for marker, start, _ in jpeg._segments(data) if marker == 0xDA]
    scans = jpeg._read_structure(data).scans
    assert len(headers) == len(scans) > 5
    for start, scan in zip(headers, scans, strict=True):
        with pytest.raises(ImageRejected) as refusal:
            check_image(data[:start] + data[scan.end :], "a.jpg", LIMITS)
        assert refusal.value.code == "truncated_image"


def test_an_odd_header_of_a_scan_hides_no_damage() -> None:
    """libjpeg warns of the header first, and only the first warning is told."""
    data = badfiles.jpeg(203, 121)
    [scan] = jpeg._read_structure(data).scans
    odd = data[: scan.start - 2] + b"\x3e" + data[scan.start - 1 :]
    assert check_image(odd, "a.jpg", LIMITS)[0].format == "JPEG"
    middle = (scan.start + scan.end) // 2
    with pytest.raises(ImageRejected, match="cut off or damaged"):
        check_image(odd[:middle] + odd[scan.end :], "a.jpg", LIMITS)
    hurt = odd[:middle] + b"\xff\xd3" + odd[middle:]  # a restart that nobody announced: Pillow passes over it
    with pytest.raises(ImageRejected, match="cut off or damaged"):
        check_image(hurt, "a.jpg", LIMITS)
