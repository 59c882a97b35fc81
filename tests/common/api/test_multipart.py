"""multipart/form-data: what old programs write is read, what cannot be read is refused with its cause."""

from __future__ import annotations

import base64
import errno
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import MemoryFileUploadHandler, TemporaryFileUploadHandler
from django.http import QueryDict, UnreadablePostError
from django.utils.datastructures import MultiValueDict
from hypothesis import example, given
from hypothesis import strategies as st

from common.api.multipart import UnreadableRequest, read_multipart

BOUNDARY = b"x-boundary"


def part(header: bytes, content: bytes = b"1", *, end: bytes = b"\r\n") -> bytes:
    return b"--" + BOUNDARY + end + header + end + end + content + end


def text(name: bytes, content: bytes, more: bytes = b"") -> bytes:
    return part(b'Content-Disposition: form-data; name="' + name + b'"' + more, content)


def file(parameters: bytes, content: bytes = b"bytes", more: bytes = b"") -> bytes:
    return part(b'Content-Disposition: form-data; name="image"; ' + parameters + more, content)


def read(*parts: bytes, closing: bytes = b"--x-boundary--\r\n", boundary: str = "x-boundary") -> Any:
    body = b"".join(parts) + closing
    meta = {"CONTENT_TYPE": f"multipart/form-data; boundary={boundary}", "CONTENT_LENGTH": str(len(body))}
    handlers = [MemoryFileUploadHandler(), TemporaryFileUploadHandler()]
    return read_multipart(meta, BytesIO(body), handlers, None)


def refused(*parts: bytes, match: str, **how: Any) -> UnreadableRequest:
    with pytest.raises(UnreadableRequest, match=match) as refusal:
        read(*parts, **how)
    return refusal.value


# ---------------------------------------------------------------- fields
def test_text_is_read_in_the_charset_that_its_part_declares() -> None:
    fields, files = read(
        text(b"station", "Prüfstand".encode()),
        text(b"lot", "Größe".encode("latin-1"), b"\r\nContent-Type: text/plain; charset=iso-8859-1"),
        text(b"serial_number", base64.b64encode(b"4711"), b"\r\nContent-Transfer-Encoding: base64"),
    )
    assert fields.dict() == {"station": "Prüfstand", "lot": "Größe", "serial_number": "4711"}
    assert not files


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (b"Pr\xfcfstand", b""),
        (b"\xff\xfe", b"\r\nContent-Type: application/octet-stream"),
        ("Prüfstand".encode(), b"\r\nContent-Type: text/plain; charset=us-ascii"),
        (b"a", b"\r\nContent-Type: text/plain; charset=klingon"),
        (b"a", b"\r\nContent-Type: text/plain; charset=bz2_codec"),
        (b"lost \xef\xbf\xbd on its way", b""),
    ],
)
def test_text_that_cannot_be_read_is_refused_by_the_name_of_its_field(content: bytes, more: bytes) -> None:
    refusal = refused(text(b"lot", b"L1"), text(b"station", content, more), match="station")
    assert (refusal.code, refusal.extra["field"]) == ("unreadable_text", "station")
    assert "UTF-8" in refusal.detail


def test_repeated_fields_and_files_are_all_there() -> None:
    fields, files = read(text(b"lot", b"1"), text(b"lot", b"2"), file(b'filename="a"'), file(b'filename="b"'))
    assert fields.getlist("lot") == ["1", "2"]
    assert [one.name for one in files.getlist("image")] == ["a", "b"]


# ---------------------------------------------------------------- file names
@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (b'filename="a.png"', "a.png"),
        (b"filename=a.png", "a.png"),
        ('filename="Teil ä.png"'.encode(), "Teil ä.png"),
        ('filename="Teil ä 5€.png"'.encode("cp1252"), "Teil ä 5€.png"),
        (b'filename="Teil\xe4.png"', "Teilä.png"),
        (b'filename="a\x81.png"', "a.png"),
        (b'filename="\x81"', "image"),
        ('filename="部品.png"'.encode(), "部品.png"),
        (b"filename*=UTF-8''Teil%20%C3%A4.png", "Teil ä.png"),
        (b"filename*=iso-8859-1'de'Teil%20%E4.png", "Teil ä.png"),
        (b"filename=\"Teil.png\"; filename*=UTF-8''Teil%20%C3%A4.png", "Teil ä.png"),
        (b"filename*=klingon''Teil%20%C3%A4.png", "Teil ä.png"),
        (b'filename="=?utf-8?B?VGVpbMOkLnBuZw==?="', "Teilä.png"),
        (b'filename="=?iso-8859-1?Q?Teil=E4.png?="', "Teilä.png"),
        (b'filename="=?klingon?Q?Teil=E4.png?="', "=?klingon?Q?Teil=E4.png?="),
        (b'filename="C:\\parts\\a.png"', "a.png"),
        (b'filename="../../a.png"', "a.png"),
        (b'filename="a \\"b\\".png"', 'a "b".png'),
        (b'filename="a;b.png"', "a;b.png"),
        (b'filename=""', "image"),
        (b"\r\nContent-Type: image/png".lstrip(), "image"),
    ],
)
def test_file_names_are_read_as_they_were_meant(parameters: bytes, name: str) -> None:
    parameters = b"\r\n" + parameters if parameters.startswith(b"Content-Type") else b"; " + parameters
    _, files = read(part(b'Content-Disposition: form-data; name="image"' + parameters, b"\x89PNG\r\n\x00"))
    assert [(one.name, one.read()) for one in files.getlist("image")] == [(name, b"\x89PNG\r\n\x00")]


def test_a_field_left_empty_in_a_form_is_no_file() -> None:
    fields, files = read(file(b'filename=""', b"", b"\r\nContent-Type: application/octet-stream"))
    assert (fields.dict(), dict(files)) == ({"image": ""}, {})


def test_large_and_encoded_files_arrive_whole() -> None:
    content = bytes(range(256)) * 40_000  # more than is kept in memory
    _, files = read(
        file(b'filename="a"', content),
        file(b'filename="b"', base64.encodebytes(content), b"\r\nContent-Transfer-Encoding: base64"),
    )
    assert [one.read() == content for one in files.getlist("image")] == [True, True]


# ---------------------------------------------------------------- what is not whole, or none
@pytest.mark.parametrize(
    ("parts", "how", "match"),
    [
        ([part(b'Content-Disposition: form-data; name="a"', end=b"\n")], {"closing": b"--x-boundary--\n"}, "LF alone"),
        ([text(b"lot", b"L")], {"closing": b""}, "not whole"),
        ([text(b"lot", b"L")], {"closing": b"--x-boundary"}, "not whole"),
        ([text(b"lot", b"L")], {"closing": b"--x-boundary\r\n"}, "not whole"),
        ([file(b'filename="a"')], {"closing": b"--x-bound"}, "not whole"),
        ([text(b"lot", b"L")], {"boundary": "another"}, "does not occur"),
        ([text(b"lot", b"L")], {"boundary": "ä"}, "no usable boundary"),
        ([text(b"lot", b"L")], {"boundary": ""}, "no usable boundary"),
        ([part(b"Content-Disposition: form-data")], {}, "has no name"),
        ([part(b"X-Other: 1")], {}, "has no name"),
        ([b"--x-boundary\r\nContent-Disposition: form-data; name=a\r\n"], {}, "no end of its headers"),
        ([part(b"X: " + b"y" * 9000)], {}, "no end of its headers"),
        ([file(b'filename="a"', b"QUJ", b"\r\nContent-Transfer-Encoding: base64")], {}, "base64"),
        ([file(b'filename="a"', b"=41", b"\r\nContent-Transfer-Encoding: quoted-printable")], {}, "quoted-printable"),
    ],
)
def test_a_body_that_is_not_what_it_should_be(parts: list[bytes], how: dict[str, Any], match: str) -> None:
    refusal = refused(*parts, match=match, **how)
    assert refusal.code == "malformed_multipart"
    assert "Nothing was kept" in refusal.detail


def test_too_much_of_anything(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    with pytest.raises(TooManyFieldsSent):
        read(*[text(b"lot", b"L")] * 3)
    with pytest.raises(TooManyFilesSent):
        read(*[file(b'filename="a"')] * 3)
    with pytest.raises(RequestDataTooBig):
        read(text(b"lot", b"L" * 60), text(b"station", b"L" * 60))
    read(file(b'filename="a"', b"x" * 1000))


# ---------------------------------------------------------------- anything
@given(st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n\ufffd'), max_size=50), st.binary(max_size=300))
def test_what_a_browser_sends_arrives(value: str, content: bytes) -> None:
    extended = b"filename*=UTF-8''" + quote(f"x{value}.png", safe="").encode()
    fields, files = read(text(b"lot", value.encode()), file(extended, content))
    assert fields["lot"] == value
    assert files["image"].read() == content


@given(st.binary(max_size=400))
@example(b'Content-Disposition: form-data; name="a"; filename*0*=x; filename*1=y; filename*z=1\r\n\r\n1\r\n')
@example(b"Content-Disposition: form-data; name*=''\r\n\r\n1\r\n")
def test_no_body_makes_the_parser_fail(body: bytes) -> None:
    for whole in (body, b"--x-boundary\r\n" + body + b"\r\n--x-boundary--\r\n"):
        try:
            fields, files = read(whole, closing=b"")
        except UnreadableRequest:
            continue
        assert isinstance(fields, QueryDict)
        assert isinstance(files, MultiValueDict)
        assert "\ufffd" not in "".join(value for values in fields.lists() for value in values[1])


def test_a_charset_whose_name_holds_a_nul() -> None:
    """Python looks up no such name, and says so otherwise than of unknown ones."""
    refused(text(b"lot", b"7", b'\r\nContent-Type: text/plain; charset="utf-8\0"'), match="cannot be read as")
    _, files = read(file(b"filename*=utf-8\0''a.png"))
    assert files["image"].name.endswith(".png")


def test_a_disk_that_is_full_is_no_defect() -> None:
    class Full(TemporaryFileUploadHandler):
        def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    body = file(b'filename="a.png"') + b"--x-boundary--\r\n"
    meta = {"CONTENT_TYPE": "multipart/form-data; boundary=x-boundary", "CONTENT_LENGTH": str(len(body))}
    with pytest.raises(UnreadableRequest, match="could not be stored") as refusal:
        read_multipart(meta, BytesIO(body), [Full()], None)
    assert (refusal.value.code, refusal.value.status) == ("storage_failed", 507)


def test_a_connection_that_ends_is_no_full_disk() -> None:
    class Broken(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise UnreadablePostError("the client went away")

    meta = {"CONTENT_TYPE": "multipart/form-data; boundary=x-boundary", "CONTENT_LENGTH": "100"}
    with pytest.raises(UnreadablePostError):
        read_multipart(meta, Broken(), [MemoryFileUploadHandler()], None)
