"""Unpacking: what is in an archive comes out as it was; what breaks a rule is refused and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from records.assets.file_tree import SkippedFiles
from tests import badfiles
from training.datasets.layouts import archives
from training.datasets.layouts.archives import ArchiveLimits, ArchiveRejected, extract, is_archive, iter_images

LIMITS = ArchiveLimits(max_files=50, max_total_bytes=40 * 1024**2, max_member_bytes=20 * 1024**2)
TREE = {
    "bottle/train/good/000.png": badfiles.png(seed=0),
    "bottle/train/good/001.png": badfiles.png(seed=1),
    "bottle/test/broken/Ä 部品.png": badfiles.png(seed=2),
    "bottle/readme.txt": b"",
    "large.bin": os.urandom(100_000),
}
TAR_KINDS = {"tar": "w:", "tar.gz": "w:gz", "tar.xz": "w:xz"}


def make_zip(path: Path, members: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items() if isinstance(members, dict) else members:
            out.writestr(name, content)
    return path


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]], mode: Any = "w:", **options) -> Path:
    with tarfile.open(path, mode, **options) as out:
        for info, content in members:
            member = tarfile.TarInfo(info) if isinstance(info, str) else info
            if member.isreg():
                member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tree_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_refused(archive: Path, code: str, limits: ArchiveLimits = LIMITS) -> ArchiveRejected:
    """Refused, and neither the target nor anything beside it was made."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(ArchiveRejected) as refusal:
        extract(archive, archive.parent / "out", limits)
    assert refusal.value.code == code
    assert refusal.value.detail.endswith(".")
    assert sorted(archive.parent.rglob("*")) == before
    return refusal.value


# ---------------------------------------------------------------- what works
@pytest.mark.parametrize("kind", ["zip", *TAR_KINDS])
def test_what_was_packed_comes_out(tmp_path, kind):
    archive = tmp_path / f"parts.{kind}"
    make_zip(archive, TREE) if kind == "zip" else make_tar(archive, list(TREE.items()), TAR_KINDS[kind])
    assert is_archive(archive)
    folder = extract(archive, tmp_path / "new" / "out", LIMITS)
    assert folder == tmp_path / "new" / "out"
    assert tree_of(folder) == TREE


def test_real_folders_packed_by_tar_and_zip_with_folder_entries(tmp_path):
    source = tmp_path / "source"
    for name, content in TREE.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz", format=tarfile.GNU_FORMAT) as out:
        out.add(source, ".")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        for path in sorted(source.rglob("*")):
            zipped.write(path, path.relative_to(source))
    for name in ("a.tar.xz", "a.zip"):
        assert tree_of(extract(tmp_path / name, tmp_path / f"out-{name}", LIMITS)) == TREE


def test_kind_is_told_by_content_not_by_name(tmp_path):
    archive = make_zip(tmp_path / "parts.tar.xz", TREE)
    assert tree_of(extract(archive, tmp_path / "zip", LIMITS)) == TREE
    (tmp_path / "fake.zip").write_bytes(badfiles.png())
    assert not is_archive(tmp_path / "fake.zip")
    assert not is_archive(tmp_path)
    assert not is_archive(tmp_path / "absent")
    assert assert_refused(tmp_path / "fake.zip", "not_an_archive").status == 415


def test_junk_of_operating_systems_is_left_out(tmp_path):
    junk = ["__MACOSX/bottle/._000.png", "bottle/.DS_Store", "bottle/Thumbs.db", "bottle/._001.png", "desktop.ini"]
    members = {**TREE, **dict.fromkeys(junk, b"junk")}
    assert tree_of(extract(make_zip(tmp_path / "a.zip", members), tmp_path / "zip", LIMITS)) == TREE
    assert tree_of(extract(make_tar(tmp_path / "a.tar", list(members.items())), tmp_path / "tar", LIMITS)) == TREE


def test_backslashes_of_windows_separate_folders(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"train\\good\\1.png": b"1"})
    assert tree_of(extract(archive, tmp_path / "out", LIMITS)) == {"train/good/1.png": b"1"}


def test_long_names_and_pax_headers_are_ordinary(tmp_path):
    name = "/".join(["x" * 150] * 3) + "/ä.png"
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = make_tar(tmp_path / f"{style}.tar", [(name, b"1"), ("b", b"2")], format=style)
        assert tree_of(extract(archive, tmp_path / f"out{style}", LIMITS)) == {name: b"1", "b": b"2"}


def test_permissions_of_the_archive_are_not_taken_over(tmp_path):
    info = tarfile.TarInfo("run.sh")
    info.mode = 0o4777
    folder = extract(make_tar(tmp_path / "a.tar", [(info, b"#!")]), tmp_path / "out", LIMITS)
    assert not (folder / "run.sh").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR | stat.S_IWOTH)


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(FileExistsError):
        extract(make_zip(tmp_path / "a.zip", TREE), tmp_path / "out", LIMITS)
    assert tree_of(tmp_path / "out") == {"mine": b"mine"}


# ---------------------------------------------------------------- names
@pytest.mark.parametrize(
    "name",
    ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "c:evil.png", "..\\evil.png", "\\\\host\\x.png",
     "a/\x01.png", "x" * 300, "/".join("a" * 25), "y/" * 10 + "z" * 1001],
)  # fmt: skip
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    assert_refused(make_zip(tmp_path / "a.zip", [("ok.png", b"1"), (name, b"2")]), "unsafe_path")
    assert_refused(make_tar(tmp_path / "a.tar", [("ok.png", b"1"), (name, b"2")]), "unsafe_path")


def test_a_name_that_hides_behind_a_nul_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"good.pngXevil": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"good.pngX", b"good.png\0"))
    assert_refused(archive, "unsafe_path")


@pytest.mark.parametrize(
    "names",
    [("a.png", "a.png"), ("a.png", "A.PNG"), ("ä.png", "a\u0308.png"), ("x", "x/y"), ("x/y", "X"), ("./a", "a")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_must_not_be_one_file(tmp_path, names):
    members = [(name, b"content") for name in names]
    assert_refused(make_zip(tmp_path / "a.zip", members), "duplicate_member")
    assert_refused(make_tar(tmp_path / "a.tar", members), "duplicate_member")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    if kind == tarfile.CONTTYPE:  # "contiguous" is an ordinary file under an old name
        assert tree_of(extract(make_tar(tmp_path / "a.tar", [(special("x", kind), b"")]), tmp_path / "out", LIMITS))
        return
    assert_refused(make_tar(tmp_path / "a.tar", [("ok.png", b"1"), (special("x", kind), b"")]), "link_or_device")


def test_sparse_members_are_refused(tmp_path):
    info = tarfile.TarInfo("sparse")
    info.type = tarfile.GNUTYPE_SPARSE
    assert_refused(make_tar(tmp_path / "a.tar", [(info, b"")]), "link_or_device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (kind | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", [("ok.png", b"1"), (info, b"/etc/passwd")])
    assert_refused(archive, "link_or_device")
    with pytest.raises(ArchiveRejected):
        next(iter_images(archive, LIMITS))


# ---------------------------------------------------------------- bounds
def test_counts_are_bounded_and_exact(tmp_path):
    members = {f"{i}.png": b"x" for i in range(10)}
    for archive in (make_zip(tmp_path / "a.zip", members), make_tar(tmp_path / "a.tar", list(members.items()))):
        assert assert_refused(archive, "too_many_members", ArchiveLimits(max_files=9)).status == 413
        assert len(tree_of(extract(archive, tmp_path / f"out{archive.suffix}", ArchiveLimits(max_files=10)))) == 10


def test_sizes_are_bounded_and_exact(tmp_path):
    content = os.urandom(1000)
    members = {f"{i}.png": content for i in range(3)}
    zipped, tarred = make_zip(tmp_path / "a.zip", members), make_tar(tmp_path / "a.tar", list(members.items()))
    for archive in (zipped, tarred):
        enough = ArchiveLimits(max_member_bytes=1000, max_total_bytes=3000)
        assert len(tree_of(extract(archive, tmp_path / f"out{archive.suffix}", enough))) == 3
        assert_refused(archive, "member_too_large", ArchiveLimits(max_member_bytes=999))
        assert_refused(archive, "archive_too_large", ArchiveLimits(max_total_bytes=2999))


def test_decompression_bombs_are_refused(tmp_path):
    zeros = bytes(18 * 1024**2)
    assert_refused(make_zip(tmp_path / "a.zip", {"bomb": zeros}), "compression_ratio")
    for kind in ("tar.gz", "tar.xz"):
        assert_refused(make_tar(tmp_path / f"a.{kind}", [("bomb", zeros)], TAR_KINDS[kind]), "compression_ratio")


def test_a_zip_whose_header_lies_about_the_size_is_found_out_while_reading(tmp_path, monkeypatch):
    """`zipfile` stops at the declared size; with that guard taken away our own count still holds."""
    archive = make_zip(tmp_path / "a.zip", {"x.png": os.urandom(500_000)})

    class Understated:
        """A directory entry that claims 10 bytes and is read to its true end."""

        file_size = 10

        def __init__(self, info):
            self.info = info

        def __getattr__(self, name):
            return getattr(self.info, name)

    infolist, opened = zipfile.ZipFile.infolist, zipfile.ZipFile.open
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda self: [Understated(info) for info in infolist(self)])
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda self, info: opened(self, info.info))
    assert_refused(archive, "member_too_large", ArchiveLimits(max_member_bytes=100_000))
    assert_refused(archive, "archive_too_large", ArchiveLimits(max_total_bytes=100_000))


@pytest.mark.parametrize("long_form", [False, True])
def test_an_enormous_zip_directory_is_refused_before_it_is_held_in_memory(tmp_path, long_form, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", {"x.png": b"1"})
    data = archive.read_bytes()
    end = data.rfind(b"PK\5\6")
    if long_form:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 10**10, 0)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
        archive.write_bytes(data[:end] + record + locator + data[end:])
    else:
        archive.write_bytes(data[: end + 12] + struct.pack("<I", 10**9) + data[end + 16 :])
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert_refused(archive, "too_many_members")


def test_a_tar_header_of_absurd_size_is_refused_before_it_is_read(tmp_path):
    comment = {"comment": "x" * 99_999}
    archive = make_tar(tmp_path / "a.tar", [("x", b"1")], format=tarfile.PAX_FORMAT, pax_headers=comment)
    assert "absurd size" in assert_refused(archive, "damaged_archive").detail


def test_a_tar_member_of_negative_size_does_not_loop(tmp_path):
    """CVE-2025-8194: a negative size leads `tarfile` back to headers that it has read."""
    header = bytearray(tarfile.TarInfo("negative").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (256**12 - 1024).to_bytes(12, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    before = b"".join(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT) for name in ("first", "second"))
    (tmp_path / "a.tar").write_bytes(before + header + bytes(1024))
    assert "negative size" in assert_refused(tmp_path / "a.tar", "damaged_archive").detail


def test_skipping_junk_does_not_unpack_a_bomb(tmp_path, monkeypatch):
    header = tarfile.TarInfo(".DS_Store")
    header.size = 10**12
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(100_000)))
    assert_refused(tmp_path / "a.tar.xz", "archive_too_large")


# ---------------------------------------------------------------- damage
def test_a_zip_with_a_password_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"x.png": b"content"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1
    data[data.rfind(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)
    assert_refused(archive, "encrypted_archive")
    with pytest.raises(ArchiveRejected):
        next(iter_images(archive, LIMITS))


def test_an_unknown_compression_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"x.png": b"content"})
    data = bytearray(archive.read_bytes())
    data[data.rfind(b"PK\1\2") + 10] = 9  # deflate64
    archive.write_bytes(data)
    assert_refused(archive, "unsupported_compression")


@pytest.mark.parametrize("kind", ["zip", *TAR_KINDS])
def test_archives_that_were_cut_off_are_refused(tmp_path, kind):
    archive = tmp_path / f"a.{kind}"
    make_zip(archive, TREE) if kind == "zip" else make_tar(archive, list(TREE.items()), TAR_KINDS[kind])
    data = archive.read_bytes()
    for share in (0.1, 0.5, 0.9):
        archive.write_bytes(data[: int(len(data) * share)])
        assert_refused(archive, "damaged_archive")


def test_a_tar_cut_off_exactly_between_two_members_is_refused(tmp_path):
    archive = make_tar(tmp_path / "a.tar", [("a", b"1" * 512), ("b", b"2" * 512)])
    archive.write_bytes(archive.read_bytes()[:1024])
    assert_refused(archive, "damaged_archive")


def test_a_wrong_checksum_is_refused(tmp_path):
    content = os.urandom(5000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("ok.png", b"ok")
        out.writestr("x.png", content)
    data = (tmp_path / "a.zip").read_bytes()
    at = data.index(content)
    (tmp_path / "a.zip").write_bytes(data[:at] + bytes([content[0] ^ 1]) + data[at + 1 :])
    assert_refused(tmp_path / "a.zip", "damaged_archive")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    real = Path.open

    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    def opened(self, mode="r", **options):
        if mode != "xb":
            return real(self, mode, **options)
        real(self, mode).close()
        return Full()

    archive = make_zip(tmp_path / "a.zip", TREE)
    monkeypatch.setattr(Path, "open", opened)
    refusal = assert_refused(archive, "storage_failed")
    assert refusal.status == 507
    assert "No space left" in refusal.detail


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(make_zip(tmp_path / "a.zip", TREE), tmp_path / "out", LIMITS)
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- fuzzing
def _packed() -> list[bytes]:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("train/good/0.png", badfiles.png(16, 16))
        out.writestr("b.txt", "text")
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for name in ("train/good/0.png", "ä" * 120):
            info = tarfile.TarInfo(name)
            info.size = 100
            tar.addfile(info, io.BytesIO(bytes(100)))
    raw = tarred.getvalue()
    return [zipped.getvalue(), raw, gzip.compress(raw), lzma.compress(raw)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(_packed()),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=5),
)
def test_mutated_archives_are_read_inside_the_folder_or_refused(tmp_path_factory, packed, edits):
    data = bytearray(packed)
    for where, value in edits:
        at = int(where * len(data))
        data[at : at + len(value)] = value
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "archive").write_bytes(data)
    try:
        extract(folder / "archive", folder / "out", LIMITS)
    except ArchiveRejected:
        assert not (folder / "out").exists()
    assert {p.name for p in folder.iterdir()} <= {"archive", "out"}
    assert not [p for p in (folder / "out").rglob("*") if p.is_symlink()]
    try:
        list(iter_images(folder / "archive", LIMITS))
    except ArchiveRejected:
        pass


# ---------------------------------------------------------------- zips of images
def test_images_of_a_zip_are_yielded_one_by_one_in_order(tmp_path):
    members = {
        "b.png": badfiles.png(seed=1),
        "folder/a.jpg": badfiles.jpeg(),
        "blob": badfiles.png(seed=2),
        "claims.png": b"text",
        "notes.txt": b"text",
        "c.png.part": badfiles.png(),
        ".DS_Store": b"x",
        "__MACOSX/._b.png": b"x",
        ".hidden.jpg": badfiles.jpeg(),
        ".git/d.png": badfiles.png(),
    }
    archive = make_zip(tmp_path / "a.zip", members)
    expected = [(name, members[name]) for name in ("b.png", "folder/a.jpg", "blob", "claims.png")]
    left_out = SkippedFiles()
    assert list(iter_images(archive, LIMITS, left_out)) == expected
    assert left_out.sentences() == (
        "Left out, hidden: 2 files (.hidden.jpg, .git/d.png).",
        "Left out, not an image file: 1 file (notes.txt).",
        "Left out, unfinished by name: 1 file (c.png.part).",
    )
    with io.BytesIO(archive.read_bytes()) as upload:
        upload.seek(100)  # wherever an earlier reader left it
        assert list(iter_images(upload, LIMITS)) == expected
        assert not upload.closed


def test_images_are_read_lazily(tmp_path):
    content = os.urandom(5000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("good.png", b"first")
        out.writestr("broken.png", content)
    data = (tmp_path / "a.zip").read_bytes().replace(content, bytes(5000))
    images = iter_images(io.BytesIO(data), LIMITS)
    assert next(images) == ("good.png", b"first")
    with pytest.raises(ArchiveRejected) as refusal:
        next(images)
    assert refusal.value.code == "damaged_archive"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (ArchiveLimits(max_files=2), "too_many_members"),
        (ArchiveLimits(max_member_bytes=999), "member_too_large"),
        (ArchiveLimits(max_total_bytes=2999), "archive_too_large"),
    ],
)
def test_declared_sizes_and_counts_are_checked_before_the_first_image(tmp_path, limits, code):
    archive = make_zip(tmp_path / "a.zip", {f"{i}.png": os.urandom(1000) for i in range(3)})
    with pytest.raises(ArchiveRejected) as refusal:
        next(iter_images(archive, limits))
    assert refusal.value.code == code


@pytest.mark.parametrize("make", [badfiles.zero_bytes, badfiles.text, badfiles.png, badfiles.elf])
def test_what_is_no_zip_is_refused(make):
    with pytest.raises(ArchiveRejected) as refusal:
        list(iter_images(io.BytesIO(make()), LIMITS))
    assert (refusal.value.code, refusal.value.status) == ("not_an_archive", 415)


def test_a_tar_is_no_zip_of_images(tmp_path):
    with pytest.raises(ArchiveRejected):
        list(iter_images(make_tar(tmp_path / "a.tar", list(TREE.items())), LIMITS))


# ---------------------------------------------------------------- names in every encoding
def zip_of_names(names: list[bytes], *, extra: bytes = b"", flag: int = 0) -> bytes:
    """A zip whose names are these bytes, whatever they mean."""
    placeholders = [f"{index:03}".ljust(len(name), "_") for index, name in enumerate(names)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for placeholder in placeholders:
            info = zipfile.ZipInfo(placeholder)
            info.extra = extra
            archive.writestr(info, badfiles.png(16, 16))
    data = out.getvalue()
    for placeholder, name in zip(placeholders, names, strict=True):
        data = data.replace(placeholder.encode(), name)
    for signature, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        for found in re.finditer(re.escape(signature), data):
            place = found.start() + at
            data = data[:place] + struct.pack("<H", flag) + data[place + 2 :]
    return data


GROSS = "test/Kratzer_groß/0.png"


def unicode_path(name: str, written: bytes) -> bytes:
    content = b"\x01" + struct.pack("<I", zlib.crc32(written)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


@pytest.mark.parametrize(
    ("data", "expected", "is_sure"),
    [
        (zip_of_names([GROSS.encode()]), GROSS, True),
        (zip_of_names([GROSS.encode()], flag=0x800), GROSS, True),
        (zip_of_names(["test/划痕/0.png".encode()]), "test/划痕/0.png", True),
        (zip_of_names([b"gro.png"], extra=unicode_path("groß.png", b"gro.png")), "gro.png", True),
        (
            zip_of_names([b"gro\xe1.png"], extra=unicode_path("groß.png", b"gro\xe1.png")),
            "groß.png",
            True,
        ),
        (zip_of_names([b"gro\xe1.png"], extra=unicode_path("other.png", b"other")), "groß.png", False),
        (zip_of_names([GROSS.encode("cp437")]), GROSS, False),
        (zip_of_names(["test/划痕/0.png".encode("gbk")]), "test/╗«║█/0.png", False),
    ],
)
def test_names_that_are_utf8_are_utf8_and_others_are_said(data, expected, is_sure, tmp_path):
    left_out = SkippedFiles()
    assert [name for name, _ in iter_images(io.BytesIO(data), LIMITS, left_out)] == [expected]
    assert left_out.unsure_names == ([] if is_sure else [expected])
    assert [("may be misread" in sentence) for sentence in left_out.sentences()] == [True] * (not is_sure)
    (tmp_path / "a.zip").write_bytes(data)
    root = extract(tmp_path / "a.zip", tmp_path / "out", LIMITS, SkippedFiles())
    assert (root / expected).is_file()


@pytest.mark.parametrize(("raw", "expected", "is_sure"), [("ß", "ß", True), ("\udcdf", "ß", False)])
def test_names_in_a_tar_are_told_the_same_way(raw, expected, is_sure, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as out:
        info = tarfile.TarInfo(f"gro{raw}.png")
        info.size = 3
        out.addfile(info, io.BytesIO(b"abc"))
    left_out = SkippedFiles()
    root = extract(tmp_path / "a.tar", tmp_path / "out", LIMITS, left_out)
    assert [path.name for path in root.iterdir()] == [f"gro{expected}.png"]
    assert bool(left_out.unsure_names) is not is_sure


def test_a_zip_packed_by_lzma_is_not_read(tmp_path: Path) -> None:
    """Its header says how much memory the decoder takes at once: up to 4 GiB."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("a.png", badfiles.png())
    assert_refused(archive, "unsupported_compression")
