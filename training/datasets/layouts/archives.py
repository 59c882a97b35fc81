"""Archives from strangers: unpacked within bounds that are measured, not believed.

Members are regular files and folders with relative names, nothing else; no two of them may be one file (also not on
a file system that ignores case); names, sizes and counts in headers are treated as claims. Bytes are counted as they
come out of the decompressor. An archive that breaks a rule is refused as a whole.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from common.errors import UserError
from records.assets.file_tree import (
    HIDDEN,
    MAX_DEPTH,
    NO_IMAGE,
    UNFINISHED,
    SkippedFiles,
    is_hidden,
    is_image,
    is_unfinished,
)
from records.assets.formats import SNIFFED_BYTES

# Read at once. Also the largest extended header of a tar: the standard library's parser is quadratic in its size.
_BLOCK = 16 * 1024
_MAX_PATH_LENGTH, _MAX_PART_LENGTH = 1000, 255  # characters, bytes
_NAME_IS_UTF8 = 0x800  # flag of a zip's member
_UNICODE_PATH = 0x7075  # extra field of a zip's member
_ZIP_DIRECTORY_ENTRY = 256  # bytes that the directory of a zip may take for each file, on average
# Not LZMA: a member may claim a dictionary of 4 GiB, which is taken from memory before its first byte.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
# Small archives of blank images pack well; the ratio tells a bomb only once it has unpacked to something.
_MIN_BYTES_FOR_RATIO = 16 * 1024**2


@dataclass(frozen=True)
class ArchiveLimits:
    """Bounds on what comes out of an archive.

    Attributes:
        max_files: members at most, folders and ignored ones included.
        max_total_bytes: unpacked bytes of all members at most.
        max_member_bytes: unpacked bytes of one member at most.
        max_ratio: unpacked bytes for each byte of the archive at most (looked at from 16 MiB on).
    """

    max_files: int = 100_000
    max_total_bytes: int = 20 * 1024**3
    max_member_bytes: int = 256 * 1024**2
    max_ratio: float = 200.0


class ArchiveRejected(UserError):
    """The archive is not read; nothing of it was kept.

    Codes: `not_an_archive` (415), `damaged_archive`, `encrypted_archive`, `unsupported_compression`, `unsafe_path`
    (absolute, `..`, unprintable or overlong), `link_or_device`, `duplicate_member` (422), `too_many_members`,
    `member_too_large`, `archive_too_large`, `compression_ratio` (413), `storage_failed` (507).
    """

    TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    code = "damaged_archive"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


def is_archive(path: Path) -> bool:
    """Whether a path is a file that `extract` reads, judged by its content."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _kind(file) is not None


def is_zip(file: BinaryIO) -> bool:
    """Whether a file is a zip, judged by its content. The position returns to the start."""
    return _kind(file) == "zip"


def extract(archive: Path, into: Path, limits: ArchiveLimits, left_out: SkippedFiles | None = None) -> Path:
    """Unpack a .zip, .tar, .tar.gz or .tar.xz (recognised by content) into a new folder.

    Args:
        archive: path of the archive.
        into: the folder to make; it must not exist. Its parents are made where they are missing.
        limits: bounds on what comes out.
        left_out: takes what is hidden, and names that may be misread.

    Returns:
        `into`, holding the regular files of the archive with our permissions and times, not its own. What is hidden
        and the junk of operating systems (`__MACOSX`, `.DS_Store`, `Thumbs.db`) is left out.

    Raises:
        ArchiveRejected: `into` does not exist then.
        FileExistsError: `into` exists; it is left alone.
    """
    try:
        into.mkdir(parents=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise _not_stored(error) from error
    try:
        with archive.open("rb") as file, _refusals():
            budget = _Budget(limits, _size_of(file), left_out or SkippedFiles())
            for path, stream in _members(file, budget):
                _write(into / path, budget.chunks(path, stream))
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return into


def iter_images(
    archive: Path | BinaryIO, limits: ArchiveLimits, left_out: SkippedFiles | None = None
) -> Iterator[tuple[str, bytes]]:
    """The images of a zip, one after the other, without touching the disk.

    `records.assets.file_tree` decides which members are looked at as images, and upload validation whether each is one:
    one bad image does not stop the others, so `limits.max_member_bytes` should be above the limit of upload validation.
    Names, count, links, encryption and the declared sizes are checked before the first is yielded; only a wrong header
    is found later.

    Args:
        archive: path of a zip, or a seekable binary file (it is not closed).
        limits: bounds on what comes out.
        left_out: takes what is no image, and names that may be misread.

    Yields:
        (name, content); the name is the path within the archive, for people to read, not to open.

    Raises:
        ArchiveRejected: what was yielded before is the caller's to discard or keep.
    """
    if isinstance(archive, Path):
        with archive.open("rb") as file:
            yield from iter_images(file, limits, left_out)
        return
    with _refusals():
        if _kind(archive) != "zip":
            raise ArchiveRejected(
                "The file is not a zip archive.", code="not_an_archive", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            )
        budget = _Budget(limits, _size_of(archive), left_out or SkippedFiles())
        for path, stream in _zip_members(archive, budget):
            content = b"".join(budget.chunks(path, stream))
            if is_unfinished(path.name):
                budget.left_out.add(str(path), UNFINISHED)
            elif is_image(path.name, content[:SNIFFED_BYTES]):
                yield str(path), content
            else:
                budget.left_out.add(str(path), NO_IMAGE)


# ---------------------------------------------------------------- bounds
@dataclass
class _Budget:
    """Counts what has come out so far, and knows the names that are taken."""

    limits: ArchiveLimits
    packed_bytes: int
    left_out: SkippedFiles
    members: int = 0
    unpacked_bytes: int = 0
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def admit(self, name: str, *, is_folder: bool, size: int) -> PurePosixPath | None:
        """Check a member by what its header says. None for what is hidden and for folders: nothing to write."""
        self.members += 1
        if self.members > self.limits.max_files:
            raise _too_many(self.limits)
        path = _safe_path(name)
        if path is None:
            return None
        if any(is_hidden(part) for part in path.parts):
            if not is_folder:
                self.left_out.add(str(path), HIDDEN)
            return None
        self._reserve(path, is_folder=is_folder)
        if is_folder:
            return None
        self._check_member(path, size)
        return path

    def chunks(self, path: PurePosixPath, stream: IO[bytes]) -> Iterator[bytes]:
        """The content of a member, counted."""
        size = 0
        while block := stream.read(_BLOCK):
            size += len(block)
            self._check_member(path, size)
            self.unpacked_bytes += len(block)
            self.check_total(self.unpacked_bytes)
            yield block

    def check_total(self, unpacked_bytes: int) -> None:
        if unpacked_bytes > self.limits.max_total_bytes:
            raise ArchiveRejected(
                f"The archive unpacks to more than {_mebibytes(self.limits.max_total_bytes)}. Nothing was kept.",
                code="archive_too_large",
                status=ArchiveRejected.TOO_LARGE,
            )
        if unpacked_bytes > max(_MIN_BYTES_FOR_RATIO, self.limits.max_ratio * self.packed_bytes):
            raise ArchiveRejected(
                f"The archive unpacks to more than {self.limits.max_ratio:g} times its size, as a decompression bomb "
                "does. Nothing was kept.",
                code="compression_ratio",
                status=ArchiveRejected.TOO_LARGE,
            )

    def _check_member(self, path: PurePosixPath, size: int) -> None:
        if size > self.limits.max_member_bytes:
            raise ArchiveRejected(
                f"{path} unpacks to more than {_mebibytes(self.limits.max_member_bytes)}. Nothing was kept.",
                code="member_too_large",
                status=ArchiveRejected.TOO_LARGE,
            )

    def _reserve(self, path: PurePosixPath, *, is_folder: bool) -> None:
        """A file's name is its own: no second file, and no folder, may be called so where case does not count."""
        key = _folded(path)
        above = {_folded(parent) for parent in path.parents} - {"."}
        is_duplicate = key in self.files or bool(above & self.files) or (not is_folder and key in self.folders)
        if is_duplicate:
            raise ArchiveRejected(
                f"{path} is in the archive twice (or differs in case only). Nothing was kept.", code="duplicate_member"
            )
        self.folders |= above
        (self.folders if is_folder else self.files).add(key)


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _safe_path(name: str) -> PurePosixPath | None:
    """The relative path that a member's name means; None for the archive's own top (`./`)."""
    forward = name.replace("\\", "/")  # some programs for Windows write these
    parts = [part for part in forward.split("/") if part not in ("", ".")]
    unsafe = (
        forward.startswith("/")
        or re.match(r"[A-Za-z]:", forward)
        or ".." in parts
        or len(parts) > MAX_DEPTH
        or len(forward) > _MAX_PATH_LENGTH
        or any(unicodedata.category(c) in ("Cc", "Cs") for c in forward)
        or any(len(part.encode()) > _MAX_PART_LENGTH for part in parts)
    )
    if unsafe:
        raise ArchiveRejected(
            f"The archive holds the name {name[:200]!r}, which is not a plain relative path. Nothing was kept.",
            code="unsafe_path",
        )
    return PurePosixPath(*parts) if parts else None


# ---------------------------------------------------------------- reading
def _members(file: BinaryIO, budget: _Budget) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """Safe path and content of each regular file. A content is to be read before the next one is asked for."""
    kind = _kind(file)
    if kind == "zip":
        return _zip_members(file, budget)
    if kind == "xz":
        return _tar_members(cast("BinaryIO", lzma.LZMAFile(file)), budget)
    if kind == "gz":
        return _tar_members(cast("BinaryIO", gzip.GzipFile(fileobj=file)), budget)
    if kind == "tar":
        return _tar_members(file, budget)
    raise ArchiveRejected(
        "The file is not a .zip, .tar, .tar.gz or .tar.xz archive.",
        code="not_an_archive",
        status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    )


def _kind(file: BinaryIO) -> str | None:
    """Which of the kinds that are read a file is, by its first bytes. The position returns to the start."""
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz"
    if head.startswith(b"\x1f\x8b"):
        return "gz"
    return "tar" if head[257:262] == b"ustar" else None


def _size_of(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _zip_members(file: BinaryIO, budget: _Budget) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    _check_directory_size(file, budget.limits)
    with zipfile.ZipFile(file) as opened:
        admitted = []
        for info in opened.infolist():
            file_type = stat.S_IFMT(info.external_attr >> 16)
            if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_plain_file(info.filename)
            name, is_sure = _zip_name(info)
            path = budget.admit(name, is_folder=info.is_dir(), size=info.file_size)
            if path and not is_sure:
                budget.left_out.unsure_names.append(str(path))
            if path is None:
                continue
            if info.flag_bits & 0x1:
                raise ArchiveRejected(
                    "The archive is protected by a password. Send it without one.", code="encrypted_archive"
                )
            if info.compress_type not in _ZIP_METHODS:
                raise ArchiveRejected(
                    f"{path} is packed by a method that is not read (number {info.compress_type}); use ordinary zip.",
                    code="unsupported_compression",
                )
            admitted.append((path, info))
        budget.check_total(sum(info.file_size for _, info in admitted))
        for path, info in admitted:
            with opened.open(info) as stream:
                yield path, stream


def _zip_name(info: zipfile.ZipInfo) -> tuple[str, bool]:
    """The name of a member as it was written, and whether its encoding is known.

    Many programs write UTF-8 without the flag that says so (macOS), or into a field of its own (Info-ZIP). What is
    neither, the format calls code page 437, and most programs that write it mean another one.
    """
    name = info.orig_filename  # `filename` ends at a NUL and would hide what follows
    if info.flag_bits & _NAME_IS_UTF8 or name.isascii():
        return name, True
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:  # decoded otherwise by a later version of the standard library
        return name, True
    for candidate in (_unicode_path(info.extra, raw), raw):
        try:
            return candidate.decode("utf-8"), True
        except UnicodeDecodeError:
            continue
    return name, False


def _unicode_path(extra: bytes, raw: bytes) -> bytes:
    """The name in UTF-8 that an extra field gives, if it was written together with this name; else the name."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        content = extra[at + 4 : at + 4 + size]
        if kind == _UNICODE_PATH and len(content) > 5 and struct.unpack_from("<I", content, 1)[0] == zlib.crc32(raw):
            return content[5:]
        at += 4 + size
    return raw


def _tar_name(name: str) -> tuple[str, bool]:
    """The name of a member, and whether its encoding is known; bytes that are no UTF-8 come in surrogates."""
    raw = name.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8"), True
    except UnicodeDecodeError:
        try:
            return raw.decode("cp1252"), False
        except UnicodeDecodeError:
            return raw.decode("cp437"), False


def _check_directory_size(file: BinaryIO, limits: ArchiveLimits) -> None:
    """`zipfile` holds the whole directory in memory before anybody can count it: look at its size first."""
    tail_bytes = min(_size_of(file), 22 + 65_535 + 76)  # end record, its comment, and the zip64 records before it
    file.seek(-tail_bytes, 2)
    tail = file.read(tail_bytes)
    file.seek(0)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + 22 > len(tail):
        raise ArchiveRejected("The zip archive is cut off or damaged. Nothing was kept.")
    size = struct.unpack_from("<I", tail, end + 12)[0]
    long_end = end - 20 - 56  # where `zipfile` looks for the zip64 record, whose size it then believes
    if long_end >= 0 and tail[long_end : long_end + 4] == b"PK\x06\x06" and tail[end - 20 : end - 16] == b"PK\x06\x07":
        size = struct.unpack_from("<Q", tail, long_end + 40)[0]
    if size > limits.max_files * _ZIP_DIRECTORY_ENTRY + 64 * 1024:
        raise _too_many(limits)


def _tar_members(unpacked: BinaryIO, budget: _Budget) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    metered = _MeteredFile(unpacked, budget)
    with (
        unpacked,
        tarfile.open(
            fileobj=cast("BinaryIO", metered), mode="r:", encoding="utf-8", errors="surrogateescape"
        ) as opened,
    ):
        for info in opened:
            if not (info.isdir() or info.isreg()) or info.issparse():
                raise _no_plain_file(info.name)
            name, is_sure = _tar_name(info.name)
            path = budget.admit(name, is_folder=info.isdir(), size=info.size)
            if path and not is_sure:
                budget.left_out.unsure_names.append(str(path))
            stream = opened.extractfile(info) if path else None
            if path and stream:
                with stream:
                    yield path, stream
        # `tarfile` takes a cut or a damaged header between two members for the end; the true one is a block of zeros.
        if metered.last_read != bytes(tarfile.BLOCKSIZE):
            raise ArchiveRejected("The tar archive is cut off or damaged. Nothing was kept.")


class _MeteredFile:
    """A decompressed tar that is read forwards, in small pieces, and only so far.

    `tarfile` skips members by seeking, reads an extended header in one piece of the size that it claims to have, and
    goes backwards at a negative size: a bomb would be decompressed before a member is seen, or a member seen for ever.
    """

    def __init__(self, file: BinaryIO, budget: _Budget) -> None:
        self._file = file
        self._budget = budget
        self._overhead = budget.limits.max_files * 4 * tarfile.BLOCKSIZE + 64 * 1024  # headers and padding
        self.last_read = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _BLOCK:
            raise tarfile.ReadError("a header of an absurd size")
        self.last_read = self._file.read(size)
        self._budget.check_total(self._file.tell() - self._overhead)
        return self.last_read

    def seek(self, offset: int) -> int:
        if offset < self._file.tell():
            raise tarfile.ReadError("a member of negative size")
        self._budget.check_total(offset - self._overhead)
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


# ---------------------------------------------------------------- writing
def _write(target: Path, chunks: Iterator[bytes]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        out = target.open("xb")
    except OSError as error:
        raise _not_stored(error) from error
    with out:
        for block in chunks:
            try:
                out.write(block)
            except OSError as error:
                raise _not_stored(error) from error


# ---------------------------------------------------------------- refusals
@contextmanager
def _refusals() -> Iterator[None]:
    """What the standard library says about a damaged archive, in our words."""
    try:
        yield
    except (ArchiveRejected, MemoryError):
        raise
    except Exception as error:  # zipfile, tarfile and the decompressors raise nearly anything on hostile input
        raise ArchiveRejected(f"The archive is cut off or damaged ({error}). Nothing was kept.") from error


def _too_many(limits: ArchiveLimits) -> ArchiveRejected:
    return ArchiveRejected(
        f"The archive holds more than {limits.max_files} files. Nothing was kept.",
        code="too_many_members",
        status=ArchiveRejected.TOO_LARGE,
    )


def _no_plain_file(name: str) -> ArchiveRejected:
    return ArchiveRejected(
        f"{name[:200]!r} in the archive is a link, a device or something else than a file. Nothing was kept.",
        code="link_or_device",
    )


def _not_stored(error: OSError) -> ArchiveRejected:
    return ArchiveRejected(
        f"The archive could not be unpacked ({error.strerror or error}). Nothing was kept; free space and try again.",
        code="storage_failed",
        status=HTTPStatus.INSUFFICIENT_STORAGE,
    )


def _mebibytes(size: int) -> str:
    return f"{size / 1024**2:g} MiB"
