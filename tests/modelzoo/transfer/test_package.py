"""The file that a version travels in: read back, and refused for every byte that is another one."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from modelzoo.transfer import package
from modelzoo.transfer.package import CONTENTS, SIGNATURE, Contents, PackageRefused
from records.audit.chain.signing import is_signed, key_id, pem

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FILES = {
    "manifest.json": b'{"a": 1}',
    "model.safetensors": bytes(range(256)) * 3,
    "version.json": b"{}",
    "evaluation.json": b"{ }",
    "model_card.json": b"{  }",
    "model_card.html": b"<html>",
}


def signed(files: dict[str, bytes], listed: dict[str, tuple[str, int]] | None = None) -> dict[str, bytes]:
    public = KEY.public_key()
    listed = listed or {name: package.hash_of(data) for name, data in files.items()}
    contents = Contents(listed, pem(public), key_id(public), {})
    return {CONTENTS: contents.text(), SIGNATURE: base64.b64encode(KEY.sign(contents.text())), **files}


def joined(members: dict[str, bytes]) -> bytes:
    return b"".join(package.chunks(members))


def check(contents: Contents, text: bytes, signature: bytes) -> None:
    if not is_signed(text, signature, KEY.public_key()):
        raise PackageRefused("its signature does not fit.", CONTENTS)


def read(data: bytes) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        package.read(io.BytesIO(data), size=len(data), check=check, folder=Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


WHOLE = joined(signed(FILES))


def test_what_was_written_is_read_back_and_every_zip_program_reads_it() -> None:
    assert read(WHOLE) == FILES
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == signed(FILES)
    members = signed(FILES)
    assert package.size_of({name: len(data) for name, data in members.items()}) == len(WHOLE)


def test_every_flipped_byte_is_refused() -> None:
    """All of them: headers, directory, checksums and dates included."""
    for place in range(len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(PackageRefused):
            read(bytes(damaged))


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_of_a_member_names_it(name: str) -> None:
    place = WHOLE.index(FILES[name], WHOLE.index(b"PK\x03\x04", 2000) if name == "version.json" else 0)
    damaged = bytearray(WHOLE)
    damaged[place] ^= 1
    with pytest.raises(PackageRefused, match=f"^{name.replace('.', '[.]')}: it was changed") as refused:
        read(bytes(damaged))
    assert refused.value.member == name


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_file_is_refused(length: int) -> None:
    with pytest.raises(PackageRefused):
        read(WHOLE[:length])


@given(st.binary(min_size=1, max_size=200), st.integers(0, len(WHOLE)))
def test_what_is_inserted_is_refused(more: bytes, place: int) -> None:
    with pytest.raises(PackageRefused):
        read(WHOLE[:place] + more + WHOLE[place:])


@given(st.binary(max_size=3000))
def test_any_bytes_are_refused_and_never_crash(data: bytes) -> None:
    with pytest.raises(PackageRefused):
        read(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    )
)
def test_any_contents_are_refused_and_never_crash(files: object) -> None:
    """Signed by a known key, so that nothing but the shape refuses them."""
    text = (
        json.dumps({"format": package.FORMAT, "version": {}, "key_id": "", "public_key": "", "files": files})
    ).encode()
    with pytest.raises(PackageRefused):
        read(joined({CONTENTS: text, SIGNATURE: base64.b64encode(KEY.sign(text)), **FILES}))


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "sub/manifest.json", "manifest.json\0", "other.bin"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(PackageRefused, match="does not list the files"):
        read(joined(signed({**FILES, name: b"x"})))


def test_a_member_that_is_missing_doubled_moved_or_compressed_is_refused() -> None:
    rows = list(signed(FILES).items())
    moved = dict([*rows[:2], rows[3], rows[2], *rows[4:]])
    missing = dict(row for row in rows if row[0] != "version.json")
    for members in (moved, missing):
        with pytest.raises(PackageRefused):
            read(joined(members))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in signed(FILES).items():
            archive.writestr(name, data)
    with pytest.raises(PackageRefused):
        read(out.getvalue())


def test_a_size_that_no_file_has_is_refused_before_anything_is_written() -> None:
    listed = {name: package.hash_of(data) for name, data in FILES.items()}
    bomb = listed | {"model_card.html": (listed["model_card.html"][0], 10**15)}
    with pytest.raises(PackageRefused, match=r"model_card\.html: its size"):
        read(joined(signed(FILES, bomb)))
    large = listed | {"model.safetensors": (listed["model.safetensors"][0], 3 * 10**9)}
    with pytest.raises(PackageRefused, match="and its contents make"):
        read(joined(signed(FILES, large)))


def test_contents_signed_by_another_key_are_refused() -> None:
    members = signed(FILES)
    members[SIGNATURE] = base64.b64encode(Ed25519PrivateKey.generate().sign(members[CONTENTS]))
    with pytest.raises(PackageRefused, match="signature does not fit"):
        read(joined(members))
