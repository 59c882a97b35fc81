"""Upload validation: what passes, what is refused and how, and that nothing ever escapes as a traceback."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from records.assets.formats import name_warning
from records.assets.images import (
    ImageRejected,
    UploadLimits,
    as_rgb,
    check_image,
    check_size,
    clean_name,
    inspect_upload,
    open_pixels,
    open_rgb,
    read_bounded,
    thumbnail,
)
from tests import badfiles

LIMITS = UploadLimits()
MIB = 1024**2
REFUSED: list[tuple[Callable[[], bytes], str, str, int]] = [
    (badfiles.zero_bytes, "a.png", "empty_file", 400),
    (badfiles.oversized_file, "a.png", "file_too_large", 413),
    (badfiles.animated_gif, "a.gif", "multi_frame", 415),
    (badfiles.text, "a.png", "not_an_image", 415),
    (badfiles.elf, "a.png", "not_an_image", 415),
    (badfiles.still_gif, "a.png", "not_an_image", 415),
    (badfiles.truncated_png, "a.png", "truncated_image", 422),
    (badfiles.truncated_jpeg, "a.jpeg", "truncated_image", 422),
    (badfiles.headless_png, "a.png", "truncated_image", 422),
    (badfiles.broken_checksum_png, "a.png", "truncated_image", 422),
    (badfiles.broken_text_checksum_png, "a.png", "truncated_image", 422),
    (badfiles.png_without_a_chunk, "a.png", "truncated_image", 422),
    (badfiles.png_of_half_its_rows, "a.png", "truncated_image", 422),
    (badfiles.zeroed_png, "a.png", "truncated_image", 422),
    (badfiles.ended_early_jpeg, "a.jpg", "truncated_image", 422),
    (badfiles.lost_packet_jpeg, "a.jpg", "truncated_image", 422),
    (badfiles.zeroed_jpeg, "a.jpg", "truncated_image", 422),
    (badfiles.progressive_jpeg_without_last_scans, "a.jpg", "truncated_image", 422),
    (badfiles.damaged_jpeg_of_an_odd_version, "a.jpg", "truncated_image", 422),
    (badfiles.text_bomb_png, "a.png", "truncated_image", 422),
    (badfiles.decompression_bomb_png, "a.png", "too_many_pixels", 413),
    (badfiles.bomb_header_png, "a.png", "too_many_pixels", 413),
    (badfiles.many_scans_jpeg, "a.jpg", "too_many_scans", 413),
    (badfiles.animated_gif, "a.png", "multi_frame", 415),
    (badfiles.apng, "a.png", "multi_frame", 415),
    (badfiles.cmyk_jpeg, "a.jpg", "unsupported_mode", 415),
    (badfiles.sixteen_bit_png, "a.png", "unsupported_mode", 415),
    (badfiles.sixteen_bit_rgb_png, "a.png", "unsupported_mode", 415),
    (badfiles.sixteen_bit_grey_alpha_png, "a.png", "unsupported_mode", 415),
    (badfiles.multi_page_tiff, "a.tif", "multi_frame", 415),
    (badfiles.animated_webp, "a.webp", "multi_frame", 415),
    (badfiles.jpeg_in_tiff, "a.tif", "unsupported_mode", 415),
    (badfiles.float_tiff, "a.tif", "unsupported_mode", 415),
    (badfiles.sixteen_bit_rgb_tiff, "a.tif", "unsupported_mode", 415),
    (badfiles.preview_tiff, "a.tif", "unsupported_mode", 415),
    (badfiles.rle_bmp, "a.bmp", "unsupported_mode", 415),
    (badfiles.truncated_bmp, "a.bmp", "truncated_image", 422),
    (badfiles.truncated_tiff, "a.tif", "truncated_image", 422),
    (badfiles.truncated_lzw_tiff, "a.tif", "truncated_image", 422),
    (badfiles.truncated_webp, "a.webp", "truncated_image", 422),
    (badfiles.bomb_header_webp, "a.webp", "too_many_pixels", 413),
    (badfiles.bomb_header_bmp, "a.bmp", "too_many_pixels", 413),
    (badfiles.bomb_header_tiff, "a.tif", "too_many_pixels", 413),
    (badfiles.tiny_png, "a.png", "image_too_small", 422),
]
ACCEPTED = [
    (badfiles.png, "a.png", "RGB"),
    (badfiles.grey_png, "a.PNG", "L"),
    (badfiles.palette_png, "a.png", "P"),
    (badfiles.bilevel_png, "a.png", "1"),
    (badfiles.opaque_rgba_png, "a.png", "RGBA"),
    (badfiles.jpeg, "a.jpg", "RGB"),
    (badfiles.jpeg, "a.JPeG", "RGB"),
    (badfiles.bmp, "a.bmp", "RGB"),
    (badfiles.grey_bmp, "a.bmp", "L"),
    (badfiles.palette_bmp, "a.bmp", "P"),
    (badfiles.tiff, "a.tif", "RGB"),
    (badfiles.lzw_tiff, "a.tiff", "RGB"),
    (badfiles.palette_tiff, "a.tiff", "P"),
    (badfiles.bilevel_tiff, "a.tiff", "1"),
    (badfiles.webp, "a.webp", "RGB"),
    (badfiles.lossless_webp, "a.webp", "RGB"),
]


@pytest.mark.parametrize(("make", "name", "code", "status"), REFUSED, ids=lambda v: getattr(v, "__name__", None))
def test_refusals_have_a_code_a_status_and_a_sentence(make, name, code, status):
    with pytest.raises(ImageRejected) as refusal:
        inspect_upload(make(), name, LIMITS)
    assert (refusal.value.code, refusal.value.status) == (code, status)
    assert refusal.value.detail.endswith(".")


PASSED_OVER = (  # by decoders
    badfiles.png_of_half_its_rows,
    badfiles.ended_early_jpeg,
    badfiles.lost_packet_jpeg,
    badfiles.zeroed_jpeg,
    badfiles.progressive_jpeg_without_last_scans,
    badfiles.damaged_jpeg_of_an_odd_version,
)


@pytest.mark.parametrize("make", PASSED_OVER)
def test_what_was_kept_before_damage_was_looked_for_stays_readable(make):
    assert open_rgb(make(), LIMITS).mode == "RGB"


def test_what_was_kept_stays_readable_under_other_settings():
    assert open_rgb(badfiles.jpeg(), UploadLimits(formats=("PNG",))).size == (64, 48)


LET_IN_ELSEWHERE = (badfiles.sixteen_bit_png, badfiles.multi_page_tiff)  # by a model's window, by a setting


@pytest.mark.parametrize("make", LET_IN_ELSEWHERE)
def test_what_was_kept_under_other_settings_of_depth_and_pages_stays_readable(make):
    assert open_rgb(make(), LIMITS).size == (64, 48)


@pytest.mark.parametrize(
    ("make", "code"), [(make, code) for make, _, code, _ in REFUSED if make not in PASSED_OVER + LET_IN_ELSEWHERE]
)
def test_scoring_refuses_what_the_gate_refuses(make, code):
    with pytest.raises(ImageRejected) as refusal:
        open_rgb(make(), LIMITS)
    assert refusal.value.code == code


@pytest.mark.parametrize(("make", "name", "mode"), ACCEPTED, ids=lambda v: getattr(v, "__name__", None))
def test_accepted_images_are_described_and_open_to_the_same_pixels_as_pillow(make, name, mode):
    data = make()
    facts = inspect_upload(data, name, LIMITS)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert (facts.width, facts.height, facts.size_bytes) == (64, 48, len(data))
    assert (facts.mode, facts.clean_name) == (mode, name)
    with Image.open(io.BytesIO(data)) as oracle:
        assert facts.format == oracle.format
        np.testing.assert_array_equal(np.asarray(open_rgb(data, LIMITS)), np.asarray(oracle.convert("RGB")))


def test_grey_is_replicated_into_three_channels():
    data = badfiles.grey_png()
    rgb = np.asarray(open_rgb(data, LIMITS))
    assert rgb.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(rgb[..., channel], badfiles.pixels(channels=1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_pixels_and_to_the_size(orientation):
    data = badfiles.rotated_jpeg(orientation)
    facts, image = inspect_upload(data, "a.jpg", LIMITS), open_rgb(data, LIMITS)
    with Image.open(io.BytesIO(data)) as opened:
        oracle = ImageOps.exif_transpose(opened)
    assert (facts.width, facts.height) == image.size == ((64, 48) if orientation < 5 else (48, 64))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(oracle))


RAMP = np.linspace(0, 65535, 64 * 48).round().astype(np.uint16).reshape(48, 64)
SIXTEEN_BIT: dict[str, bytes] = {
    "png": badfiles.encode(RAMP),
    "tiff": badfiles.encode(RAMP, "TIFF"),
    "lzw tiff": badfiles.encode(RAMP, "TIFF", compression="tiff_lzw"),
    "deflate tiff": badfiles.encode(RAMP, "TIFF", compression="tiff_adobe_deflate"),
    "big-endian tiff": badfiles.raw_tiff(64, 48, (16,), RAMP.astype(">u2").tobytes(), order=">"),
}


@pytest.mark.parametrize("kind", SIXTEEN_BIT)
def test_sixteen_bit_grey_keeps_its_values_and_becomes_eight_bits_by_a_window(kind):
    data, limits = SIXTEEN_BIT[kind], UploadLimits(sixteen_bit=True)
    facts, pixels = check_image(data, "a", limits)
    assert (facts.width, facts.height, facts.mode[:4], pixels.mode) == (64, 48, "I;16", "I;16")
    np.testing.assert_array_equal(np.asarray(pixels), RAMP)
    np.testing.assert_array_equal(np.asarray(open_pixels(data, limits)), RAMP)
    expected = np.floor((RAMP.clip(1000, 5000) - 1000.0) * 255 / 4000 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(open_rgb(data, limits, window=(1000, 5000)))[..., 1], expected)


def test_sixteen_bit_grey_without_a_window_is_shown_by_its_own_percentiles():
    narrow = np.random.default_rng(0).integers(800, 1201, (48, 64)).astype(np.uint16)
    narrow[0, 0] = 65535  # a hot pixel
    shown = np.asarray(open_rgb(badfiles.encode(narrow), LIMITS))[..., 0]
    assert (shown.min(), shown.max()) == (0, 255)
    assert len(np.unique(shown)) > 200
    flat = np.full((48, 64), 800, np.uint16)
    assert len(np.unique(np.asarray(open_rgb(badfiles.encode(flat), LIMITS)))) == 1


def test_sixteen_bit_colour_is_refused_where_grey_is_taken():
    makers = (badfiles.sixteen_bit_rgb_png, badfiles.sixteen_bit_grey_alpha_png, badfiles.sixteen_bit_rgb_tiff)
    for make in makers:
        with pytest.raises(ImageRejected):
            check_image(make(), "a", UploadLimits(sixteen_bit=True))


# ---------------------------------------------------------------- alpha, pages, orientation, shape
def over_black(rgba: np.ndarray) -> np.ndarray:
    colours, alpha = rgba[..., :3].astype(np.float64), rgba[..., 3:] / 255.0
    return colours * alpha


def half_transparent(mode: str) -> Image.Image:
    image = Image.fromarray(badfiles.pixels()).convert("RGBA")
    image.putalpha(Image.fromarray(badfiles.pixels(channels=1, seed=3)))
    return image.convert(mode)


@pytest.mark.parametrize(
    "data",
    [
        badfiles.encode(half_transparent("RGBA")),
        badfiles.encode(half_transparent("LA")),
        badfiles.encode(half_transparent("RGBA"), "TIFF", compression="tiff_lzw"),
        badfiles.encode(half_transparent("LA"), "TIFF"),
        badfiles.encode(half_transparent("RGBA"), "WEBP", lossless=True),
        badfiles.transparent_palette_png(),
        badfiles.colour_key_png(),
    ],
    ids=["rgba", "grey alpha", "tiff", "grey alpha tiff", "webp", "palette", "colour key"],
)
def test_what_is_transparent_lies_before_black(data):
    with Image.open(io.BytesIO(data)) as opened:
        oracle = over_black(np.asarray(opened.convert("RGBA")))
    _, pixels = check_image(data, "a", LIMITS)
    np.testing.assert_allclose(np.asarray(open_rgb(data, LIMITS)), oracle, atol=1)
    np.testing.assert_array_equal(np.asarray(as_rgb(pixels)), np.asarray(open_rgb(data, LIMITS)))


def test_the_first_page_is_taken_where_somebody_chose_that():
    data = badfiles.multi_page_tiff()
    with pytest.raises(ImageRejected, match="MULTI_PAGE=first"):
        check_image(data, "a.tif", LIMITS)
    _, pixels = check_image(data, "a.tif", UploadLimits(first_page=True))
    np.testing.assert_array_equal(np.asarray(pixels), badfiles.pixels())
    with pytest.raises(ImageRejected):  # an animation has no first page
        check_image(badfiles.animated_webp(), "a.webp", UploadLimits(first_page=True))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [0, 6, 9, 65535])
def test_orientation_of_every_format_and_what_means_nothing_is_ignored(file_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {"quality": 95} if file_format == "JPEG" else {}
    data = badfiles.encode(badfiles.pixels(), file_format, exif=exif, **options)
    facts, pixels = check_image(data, "a", LIMITS)
    assert (facts.width, facts.height) == pixels.size == ((48, 64) if orientation == 6 else (64, 48))
    expected = np.rot90(badfiles.pixels(), -1) if orientation == 6 else badfiles.pixels()
    if file_format != "JPEG":
        np.testing.assert_array_equal(np.asarray(pixels), expected)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_metadata_that_cannot_be_read_turns_no_picture(exif):
    data = badfiles.encode(badfiles.pixels(), "JPEG", quality=90, exif=exif)
    assert inspect_upload(data, "a.jpg", LIMITS).width == 64


def test_line_scan_images_of_sixteen_to_one_are_taken():
    assert inspect_upload(badfiles.png(2048, 128), "a.png", LIMITS).width == 2048


def test_limits_are_exact():
    data = badfiles.png(64, 48)
    assert inspect_upload(data, "a.png", UploadLimits(max_bytes=len(data), max_pixels=64 * 48))
    for limits, code in (
        (UploadLimits(max_bytes=len(data) - 1), "file_too_large"),
        (UploadLimits(max_pixels=64 * 48 - 1), "too_many_pixels"),
        (UploadLimits(formats=("JPEG",)), "format_not_allowed"),
    ):
        with pytest.raises(ImageRejected) as refusal:
            inspect_upload(data, "a.png", limits)
        assert refusal.value.code == code
    assert inspect_upload(badfiles.png(16, 16), "a.png", LIMITS).width == 16
    for size in ((15, 16), (16, 15)):
        with pytest.raises(ImageRejected):
            inspect_upload(badfiles.png(*size), "a.png", LIMITS)


@pytest.mark.parametrize(
    "name", ["blob", "image", "part", "part.jfif", "part.jpe", "part.jpg", "part.png", "part.exe", ".png", "Teil=C3"]
)
def test_the_content_decides_and_the_name_is_kept_as_given(name):
    for make, file_format in ((badfiles.png, "PNG"), (badfiles.jpeg, "JPEG")):
        facts = inspect_upload(make(), name, LIMITS)
        assert (facts.format, facts.clean_name) == (file_format, name)


@pytest.mark.parametrize(
    ("name", "file_format", "warning"),
    [
        ("a.jpg", "JPEG", ""),
        ("a.JFIF", "JPEG", ""),
        ("blob", "PNG", ""),
        ("a.exe", "PNG", ""),
        ("a.jpe", "PNG", "The name ends in .jpe, the content is PNG; the content counts."),
        ("a.PNG", "JPEG", "The name ends in .PNG, the content is JPEG; the content counts."),
    ],
)
def test_a_name_that_disagrees_is_a_warning(name, file_format, warning):
    assert name_warning(name, file_format) == warning


def test_of_several_pictures_in_a_jpeg_the_first_is_judged():
    first = open_rgb(badfiles.mpo_jpeg(), LIMITS)
    with Image.open(io.BytesIO(badfiles.mpo_jpeg())) as opened:
        assert (opened.format, getattr(opened, "n_frames", 1)) == ("MPO", 2)
        np.testing.assert_array_equal(np.asarray(first), np.asarray(opened.convert("RGB")))
    assert inspect_upload(badfiles.mpo_jpeg(), "phone.jpg", LIMITS).format == "JPEG"


def test_size_is_looked_at_before_the_content():
    with pytest.raises(ImageRejected) as refusal:
        inspect_upload(b"x" * 100, "a.exe", UploadLimits(max_bytes=99))
    assert refusal.value.code == "file_too_large"
    assert refusal.value.extra == {"size_bytes": 100, "max_bytes": 99}


@pytest.mark.parametrize(
    ("size", "limit", "told"),
    [
        (1025, 1024, "has 1,025 bytes; at most 1,024 bytes are"),
        (MIB, MIB - 1, "has 1.0 MiB; at most 1,048,575 bytes are"),
        (10 * MIB + 1, 10 * MIB, "has 10.1 MiB; at most 10.0 MiB are"),
        (17 * MIB, 16 * MIB, "has 17.0 MiB; at most 16.0 MiB are"),
        (10 * MIB, 10 * MIB - 1, "has 10.0 MiB; at most 9.9 MiB are"),
    ],
)
def test_sizes_are_told_so_that_they_differ(size, limit, told):
    with pytest.raises(ImageRejected, match=told):
        check_size(size, UploadLimits(max_bytes=limit))


def test_every_truncation_of_a_file_is_refused():
    for data, name in ((badfiles.png(20, 17), "a.png"), (badfiles.jpeg(20, 17), "a.jpg")):
        for length in range(len(data)):
            with pytest.raises(ImageRejected):
                inspect_upload(data[:length], name, LIMITS)


def test_pillow_is_left_as_it_was_and_no_warning_is_needed():
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for make, name, _, _ in REFUSED:
            with pytest.raises(ImageRejected):
                inspect_upload(make(), name, LIMITS)
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (False, before[1])
    assert not [w for w in seen if issubclass(w.category, Image.DecompressionBombWarning)]


def test_an_own_pixel_limit_above_pillows_is_honoured():
    """20,000 x 20,000 is beyond what `Image.open` lets through at all."""
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(badfiles.decompression_bomb_png()))
    with pytest.raises(ImageRejected) as refusal:
        inspect_upload(badfiles.decompression_bomb_png(), "a.png", UploadLimits(max_pixels=399_999_999))
    assert refusal.value.extra == {"width": 20_000, "height": 20_000}


def test_threads_agree_with_a_single_one():
    files = [badfiles.png(seed=seed) for seed in range(8)] * 4
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda data: inspect_upload(data, "a.png", LIMITS), files))
    assert parallel == [inspect_upload(data, "a.png", LIMITS) for data in files]


def test_paths_are_read_up_to_the_limit_and_whatever_their_name(tmp_path):
    path = tmp_path / "0123abcd"
    path.write_bytes(badfiles.png())
    np.testing.assert_array_equal(np.asarray(open_rgb(path, LIMITS)), badfiles.pixels())
    with pytest.raises(ImageRejected) as refusal:
        open_rgb(path, UploadLimits(max_bytes=100))
    assert refusal.value.extra["size_bytes"] == path.stat().st_size
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "absent", LIMITS)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "large.png"
    path.touch()
    os.truncate(path, 64 * 1024**2)
    tracemalloc.start()
    try:
        with pytest.raises(ImageRejected) as refusal:
            read_bounded(path, UploadLimits(max_bytes=1000))
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()
    assert refusal.value.extra["size_bytes"] == 64 * 1024**2


# ---------------------------------------------------------------- fuzzing
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
SEEDS = [
    badfiles.png(24, 20),
    badfiles.palette_png(),
    badfiles.apng(),
    badfiles.jpeg(24, 20),
    badfiles.rotated_jpeg(),
    badfiles.bmp(),
    badfiles.palette_bmp(),
    badfiles.lzw_tiff(),
    badfiles.palette_tiff(),
    badfiles.multi_page_tiff(),
    badfiles.webp(),
    badfiles.lossless_webp(),
    SIXTEEN_BIT["deflate tiff"],
    SIXTEEN_BIT["big-endian tiff"],
]


def passes_or_is_rejected(data: bytes) -> None:
    try:
        facts = inspect_upload(data, "a.png", UploadLimits(sixteen_bit=True, first_page=True))
    except ImageRejected:
        return
    image = open_rgb(data, LIMITS)
    assert (image.mode, image.size) == ("RGB", (facts.width, facts.height))


@FUZZ
@given(st.binary(max_size=300), st.sampled_from([b"", badfiles.SIGNATURE, b"\xff\xd8\xff\xe0", b"GIF89a"]))
def test_random_bytes_never_cause_anything_but_a_refusal(data, prefix):
    passes_or_is_rejected(prefix + data)


@FUZZ
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6),
    st.floats(0.3, 1),
)
def test_mutated_files_pass_whole_or_are_refused(seed, edits, kept):
    data = bytearray(seed)
    for where, value in edits:
        at = int(where * len(data))
        data[at : at + len(value)] = value
    passes_or_is_rejected(bytes(data[: int(len(data) * kept)]))


@FUZZ
@given(
    st.sampled_from([b"IHDR", b"tRNS", b"eXIf", b"iCCP", b"acTL", b"PLTE", b"iTXt", b"gAMA"]), st.binary(max_size=60)
)
def test_hostile_png_chunks_with_a_valid_checksum(name, content):
    data = badfiles.png(24, 20)
    passes_or_is_rejected(data[:33] + badfiles.chunk(name, content) + data[33:])


# ---------------------------------------------------------------- names
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd.png", "passwd.png"),
        ("C:\\Users\\me\\part 7.PNG", "part 7.PNG"),
        ("/abs/olute.jpg", "olute.jpg"),
        ("a\0b\r\nc\x7f.png", "abc.png"),
        ("evil\u202egnp.exe", "evilgnp.exe"),
        ("lone\ud800surrogate.png", "lonesurrogate.png"),
        ("Prüfling_äöü_部品.png", "Prüfling_äöü_部品.png"),
        ("  spaced .png ", "spaced .png"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("folder/", "unnamed"),
        ("\0\n", "unnamed"),
        ("x" * 400 + ".jpeg", "x" * 145 + ".jpeg"),
    ],
)
def test_client_names_are_cleaned(sent, kept):
    assert clean_name(sent) == kept


@given(st.text(st.characters(), max_size=400))
def test_clean_names_are_short_printable_single_components_and_stay_as_they_are(sent):
    name = clean_name(sent)
    assert 0 < len(name) <= 150
    assert not set(name) & {"/", "\\", "\0", "\n"}
    assert name not in (".", "..")
    assert Path(name).name == name
    name.encode()
    assert clean_name(name) == name


def test_a_path_as_file_name_is_only_a_name():
    facts = inspect_upload(badfiles.png(), "../../../tmp/x.png", LIMITS)
    assert facts.clean_name == "x.png"


# ---------------------------------------------------------------- thumbnails
@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (160, 120)), ((64, 48), (64, 48)), ((4000, 16), (160, 1)), ((17, 170), (16, 160))],
)
def test_thumbnails_keep_the_aspect_and_never_grow(size, expected):
    with Image.open(io.BytesIO(thumbnail(Image.new("RGB", size, (200, 30, 30))))) as small:
        assert small.format == "JPEG"
        assert small.size == expected
        assert np.abs(np.asarray(small).astype(int).mean((0, 1)) - (200, 30, 30)).max() < 4


def test_a_thumbnail_leaves_the_image_alone():
    image = open_rgb(badfiles.png(640, 480), LIMITS)
    before = image.tobytes()
    thumbnail(image)
    assert image.tobytes() == before


def test_a_large_jpeg_may_have_fewer_scans_than_a_small_one() -> None:
    """Each scan passes over all pixels: what a picture costs is counted, not how many scans it has."""
    data = badfiles.many_scans_jpeg(60)
    for max_pixels, code in ((256 * 256, "too_many_scans"), (64_000_000, "truncated_image")):
        with pytest.raises(ImageRejected) as caught:
            inspect_upload(data, "a.jpg", UploadLimits(max_pixels=max_pixels))
        assert caught.value.code == code
