"""Files that may come from anybody, and what becomes of them on their way: seeded, one number is one file."""

from __future__ import annotations

import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

from tests import badfiles

_INTEGERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NAMES = (b"../../../../x.png", b"/tmp/escaped.png", b"a/../../../../b.p", b"C:\\escaped\\a.pn", b"a\0b/../../c.png")
_PLAIN_NAME = b"inside/member.png"


# ---------------------------------------------------------------- what is mutated
@cache
def images() -> tuple[bytes, ...]:
    """Good and bad ones of every format that is read, and some that are not."""
    left_out = {"pixels", "encode", "chunk", "raw_png", "raw_tiff", "zeroed", "oversized_file", "palette_index"}
    made = []
    for name, make in sorted(vars(badfiles).items()):
        if getattr(make, "__module__", "") == badfiles.__name__ and name not in left_out and callable(make):
            made.append(make())
    made.append(badfiles.jpeg(64, 48, progressive=True))
    return tuple(data for data in made if isinstance(data, bytes) and len(data) < 200_000)


@cache
def archives() -> tuple[bytes, ...]:
    return tuple(
        make(packing) for make, packings in ((_zip, (0, 8, 12, 14)), (_tar, ("", "gz", "xz"))) for packing in packings
    )


def _members() -> list[tuple[str, bytes]]:
    names = [_PLAIN_NAME.decode(), "train/good/000.png", "train/good/001.png", "notes.txt", "été.png"]
    return [(name, badfiles.png(seed=number)) for number, name in enumerate(names)]


def _zip(method: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in _members():
            archive.writestr(name, data)
    return out.getvalue()


def _tar(packing: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.TarFile.open(None, f"w:{packing}", out) as archive:  # type: ignore[call-overload]  # a mode by name
        for name, data in _members():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        if packing == "xz":
            archive.addfile(link)
    return out.getvalue()


# ---------------------------------------------------------------- how
def mutated_image(number: int, seed: int) -> bytes:
    chance = random.Random(f"{seed} image {number}")
    data = mutated(chance.choice(images()), chance, images())
    return _with_png_checksums(data) if chance.random() < 0.5 else data


def mutated_archive(number: int, seed: int) -> bytes:
    chance = random.Random(f"{seed} archive {number}")
    data = chance.choice(archives())
    if chance.random() < 0.3:
        data = data.replace(_PLAIN_NAME, chance.choice(_NAMES).ljust(len(_PLAIN_NAME), b"x")[: len(_PLAIN_NAME)])
        return data if chance.random() < 0.5 else mutated(data, chance, archives())
    return mutated(data, chance, archives())


def mutated(data: bytes, chance: random.Random, others: tuple[bytes, ...]) -> bytes:
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        chance.choice(_WAYS)(content, chance, others)
    return bytes(content)


def _place(content: bytearray, chance: random.Random) -> int:
    """Headers are at the front, directories of archives at the end."""
    size = len(content)
    if not size:
        return 0
    near = chance.random()
    if near < 0.4:
        return chance.randrange(min(size, 100))
    return size - 1 - chance.randrange(min(size, 300)) if near < 0.6 else chance.randrange(size)


def _flip_bit(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    if content:
        content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _set_byte(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    if content:
        content[_place(content, chance)] = chance.choice((0, 255, chance.randrange(256)))


def _set_integer(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    at, form = _place(content, chance), chance.choice(("<H", ">H", "<I", ">I"))
    value = chance.choice(_INTEGERS) & (0xFFFF if form.endswith("H") else 0xFFFFFFFF)
    content[at : at + struct.calcsize(form)] = struct.pack(form, value)


def _cut_out(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 4, 16, 64, 512))]


def _cut_off(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    del content[_place(content, chance) :]


def _repeat(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    at, size = _place(content, chance), chance.choice((1, 8, 64, 512))
    content[at:at] = content[at : at + size] * chance.choice((1, 2, 20))


def _splice(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    other = chance.choice(others)
    content[_place(content, chance) :] = other[chance.randrange(len(other) + 1) :]


def _fill(content: bytearray, chance: random.Random, others: tuple[bytes, ...]) -> None:
    at, size = _place(content, chance), chance.choice((4, 32, 512))
    content[at : at + size] = bytes([chance.choice((0, 255))]) * size


Way = Callable[[bytearray, random.Random, tuple[bytes, ...]], None]
_WAYS: tuple[Way, ...] = (
    _flip_bit,
    _flip_bit,
    _set_byte,
    _set_byte,
    _set_integer,
    _set_integer,
    _cut_out,
    _cut_off,
    _repeat,
    _splice,
    _fill,
)


def _with_png_checksums(data: bytes) -> bytes:
    """With the checksum of every chunk made right, so that what was changed is looked at."""
    if not data.startswith(badfiles.SIGNATURE):
        return data
    content, at = bytearray(data), len(badfiles.SIGNATURE)
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        end = at + 8 + size
        if end + 4 > len(content):
            break
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[at + 4 : end]))
        at = end + 4
    return bytes(content)


# ---------------------------------------------------------------- artifacts
_VALUES: tuple[Any, ...] = (
    *(None, True, "", "x", "../../../../etc/passwd", 0, -1, 1, 2**31, 2**63, 1e308, -0.5, [], {}, [0], [[0]] * 3),
    *({"a": 1}, "padim", "patchcore", "autoencoder", "float16", [1, 2**40], [64, 64], "model.safetensors"),
)


def mutated_manifest(text: bytes, chance: random.Random) -> bytes:
    """Some values of the document are others, some entries gone or doubled; it stays JSON."""
    document = json.loads(text)
    for _ in range(chance.choice((1, 1, 2, 5))):
        holder, key = _entry(document, chance)
        if holder is None:
            continue
        way = chance.random()
        if way < 0.7:
            holder[key] = deepcopy(chance.choice(_VALUES))  # what is put in may be mutated next
        elif isinstance(holder, dict) and way < 0.85:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[f"{key}x"] = holder[key]
    return json.dumps(document).encode()


def _entry(document: Any, chance: random.Random) -> tuple[Any, Any]:
    """A container in the document and the key of one of its entries."""
    found = []

    def walk(container: Any) -> None:
        entries = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in entries:
            found.append((container, key))
            if isinstance(value, dict | list) and len(found) < 2000:
                walk(value)

    if isinstance(document, dict | list):
        walk(document)
    return chance.choice(found) if found else (None, None)


def mutated_tensors(data: bytes, chance: random.Random) -> bytes:
    """The header of a safetensors file, mostly, which says where each tensor lies and what it is."""
    size = min(int.from_bytes(data[:8], "little"), 4096)
    if chance.random() < 0.4:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        changed = mutated_manifest(json.dumps(header).encode(), chance)
        rest = data[8 + int.from_bytes(data[:8], "little") :]
        return struct.pack("<Q", len(changed)) + changed + rest
    head = mutated(data[: 8 + size], chance, (data[: 8 + size],))
    return head + data[8 + size :]
