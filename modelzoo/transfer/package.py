"""The file that a model version travels in: a zip in one exact spelling, with its list of contents signed. No Django.

The first member, `package.json`, names every other member with its size and SHA-256; the second, `package.sig`, is the
signature over its bytes. What is read is compared with the one spelling that is written, byte for byte: a member that
is not listed, compressed, named otherwise, or anything before, between or behind the members is refused. So nothing
that was not signed is ever interpreted, and no name of a member becomes a path.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FORMAT = "mvtec-model-package-1"
CONTENTS, SIGNATURE = "package.json", "package.sig"
MANIFEST, TENSORS = "manifest.json", "model.safetensors"
DESCRIPTION, EVALUATION, CARD, CARD_PAGE, REPORT = (
    "version.json",
    "evaluation.json",
    "model_card.json",
    "model_card.html",
    "report.html",
)
_MIB = 1024**2
# What a package may hold, in this order, and how large it may be. A zip of this spelling ends at 4 GiB.
LARGEST = {
    MANIFEST: 64 * _MIB,
    TENSORS: 4000 * _MIB,
    DESCRIPTION: 16 * _MIB,
    EVALUATION: 64 * _MIB,
    CARD: 16 * _MIB,
    CARD_PAGE: 16 * _MIB,
    REPORT: 16 * _MIB,
}
REQUIRED = frozenset(LARGEST) - {REPORT}
_MAX_CONTENTS = 16 * 1024
_SIGNATURE_BYTES = 88  # base64 of the 64 bytes of Ed25519
_BLOCK = _MIB
# Local header, entry of the directory, end of the directory: version 2.0, no flags, stored, 1980-01-01, a plain file.
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_ENTRY = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_DATE = 0x21


class PackageRefused(ValueError):
    """What is wrong with a package, as part of a sentence. `member`: in which of its members, where it is one."""

    def __init__(self, why: str, member: str = "") -> None:
        super().__init__(f"{member}: {why}" if member else why)
        self.member = member


@dataclass(frozen=True)
class Contents:
    """What `package.json` says: hash and size of each member, who signed, and of which version it is."""

    files: dict[str, tuple[str, int]]
    public_key: str  # PEM
    key_id: str
    version: dict[str, Any]

    def text(self) -> bytes:
        document = {
            "format": FORMAT,
            "version": self.version,
            "key_id": self.key_id,
            "public_key": self.public_key,
            "files": {name: {"sha256": sha256, "size_bytes": size} for name, (sha256, size) in self.files.items()},
        }
        return (json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


# ---------------------------------------------------------------- writing
Source = bytes | Path


def hash_of(source: Source) -> tuple[str, int]:
    """SHA-256 and size of a member."""
    digest, size = hashlib.sha256(), 0
    for block in _blocks(source):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def chunks(members: Mapping[str, Source]) -> Iterator[bytes]:
    """The file, in pieces. `members` begin with `package.json` and `package.sig`."""
    entries: list[tuple[bytes, int, int, int]] = []
    place = 0
    for name, source in members.items():
        crc = size = 0
        for block in _blocks(source):  # read twice, so that the header stands before what it describes
            crc, size = zlib.crc32(block, crc), size + len(block)
        header = _local_header(name.encode(), crc, size)
        entries.append((name.encode(), crc, size, place))
        place += len(header) + size
        yield header
        yield from _blocks(source)
    yield _directory(entries, place)


def size_of(sizes: Mapping[str, int]) -> int:
    """How many bytes a package of members of these sizes has."""
    names = sum(len(name) for name in sizes)
    return sum(sizes.values()) + len(sizes) * (_LOCAL.size + _ENTRY.size) + 2 * names + _END.size


def _blocks(source: Source) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _local_header(name: bytes, crc: int, size: int) -> bytes:
    return _LOCAL.pack(0x04034B50, 20, 0, 0, 0, _DATE, crc, size, size, len(name), 0) + name


def _directory(entries: list[tuple[bytes, int, int, int]], place: int) -> bytes:
    rows = b"".join(
        _ENTRY.pack(0x02014B50, 20, 20, 0, 0, 0, _DATE, crc, size, size, len(name), 0, 0, 0, 0, 0, at) + name
        for name, crc, size, at in entries
    )
    return rows + _END.pack(0x06054B50, 0, 0, len(entries), len(entries), len(rows), place, 0)


# ---------------------------------------------------------------- reading
def read(file: IO[bytes], *, size: int, check: Callable[[Contents, bytes, bytes], None], folder: Path) -> Contents:
    """Write the members of a package into a folder, after each byte was compared with what was signed.

    `check` gets the contents, their bytes and the signature, before anything else is read; it raises where it does not
    trust them. What the folder holds when this raises is not to be used. Raises `PackageRefused`.
    """
    reader = _Reader(file)
    text = reader.small(CONTENTS, _MAX_CONTENTS)
    contents = _parse(text)
    check(contents, text, _signature(reader.small(SIGNATURE, _SIGNATURE_BYTES)))
    sizes = {CONTENTS: len(text), SIGNATURE: _SIGNATURE_BYTES}
    expected = size_of(sizes | {name: length for name, (_, length) in contents.files.items()})
    if size != expected:
        raise PackageRefused(f"the file has {size} bytes, and its contents make {expected}.")
    for name, (sha256, length) in contents.files.items():
        reader.member(name, sha256, length, folder / name)
    reader.end()
    return contents


def _signature(spelled: bytes) -> bytes:
    try:
        signature = base64.b64decode(spelled, validate=True)
    except ValueError:
        signature = b""
    if base64.b64encode(signature) != spelled:  # the last letter could be another one for the same bytes
        raise PackageRefused("it is no signature.", SIGNATURE)
    return signature


class _Reader:
    """Reads the members in order, and refuses every byte that would have been written otherwise."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._place = 0
        self._entries: list[tuple[bytes, int, int, int]] = []

    def small(self, name: str, most: int) -> bytes:
        crc, size = self._header(name)
        if size > most:
            raise PackageRefused(f"it has {size} bytes, and at most {most} are read.", name)
        data = self._exactly(size, name)
        self._close(name, crc, zlib.crc32(data), size)
        return data

    def member(self, name: str, sha256: str, length: int, target: Path) -> None:
        crc, size = self._header(name)
        if size != length:
            raise PackageRefused("its size is not the signed one.", name)
        digest, actual, left = hashlib.sha256(), 0, size
        with target.open("xb") as out:
            while left:
                block = self._exactly(min(_BLOCK, left), name)
                digest.update(block)
                actual = zlib.crc32(block, actual)
                out.write(block)
                left -= len(block)
        if digest.hexdigest() != sha256:
            raise PackageRefused("it was changed: its SHA-256 is not the signed one.", name)
        self._close(name, crc, actual, size)

    def end(self) -> None:
        directory = _directory(self._entries, self._place)
        if self._file.read(len(directory) + 1) != directory:
            raise PackageRefused("the directory at the end of the file was changed.")

    def _header(self, name: str) -> tuple[int, int]:
        spelled = name.encode()
        header = self._exactly(_LOCAL.size + len(spelled), name)
        fields = _LOCAL.unpack(header[: _LOCAL.size])
        crc, size = fields[6], fields[7]
        if header != _local_header(spelled, crc, size):
            raise PackageRefused("it does not begin as it was written, or is not where it belongs.", name)
        return crc, size

    def _close(self, name: str, crc: int, actual: int, size: int) -> None:
        if crc != actual:
            raise PackageRefused("its checksum was changed.", name)
        spelled = name.encode()
        self._entries.append((spelled, crc, size, self._place))
        self._place += _LOCAL.size + len(spelled) + size

    def _exactly(self, size: int, name: str) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise PackageRefused("the file ends in it.", name)
        return data


def _parse(text: bytes) -> Contents:
    """What `package.json` says, where it is one. Nothing of it is trusted yet."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise PackageRefused(f"it is of the format {str(document['format'])[:50]!r}, not {FORMAT}.", CONTENTS)
        files = {name: (entry["sha256"], entry["size_bytes"]) for name, entry in document["files"].items()}
        contents = Contents(files, document["public_key"], document["key_id"], document["version"])
        is_sound = contents.text() == text  # one spelling, and no field besides
    except PackageRefused:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PackageRefused("it cannot be read.", CONTENTS) from error
    if not is_sound or not isinstance(contents.public_key, str) or not isinstance(contents.key_id, str):
        raise PackageRefused("it is not written as packages are.", CONTENTS)
    if list(files) != [name for name in LARGEST if name in files] or not files.keys() >= REQUIRED:
        raise PackageRefused("it does not list the files of a model version.", CONTENTS)
    for name, (sha256, size) in files.items():
        if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
            raise PackageRefused("its SHA-256 is none.", name)
        if type(size) is not int or not 0 < size <= LARGEST[name]:
            raise PackageRefused(f"its size is not between 1 and {LARGEST[name]} bytes.", name)
    return contents
