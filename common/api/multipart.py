"""multipart/form-data as cameras, PLCs and old programs write it: read for what it says, or refused with the cause.

Django's own parser replaces bytes that are no UTF-8, skips parts whose headers it cannot read, and takes a body without
its end for a whole one. A record that cannot be changed must not be made of that.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import StopFutureHandlers
from django.http import QueryDict, UnreadablePostError
from django.http.multipartparser import (  # type: ignore[attr-defined]  # the stubs lack `exhaust`
    ChunkIter,
    InterBoundaryIter,
    LazyStream,
    MultiPartParser,
    MultiPartParserError,
    exhaust,
)
from django.utils.datastructures import MultiValueDict

from common.errors import UserError

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MAX_HEADER = 8192  # bytes of one part: a long file name, percent-encoded
_ENCODED_WORD = re.compile(r"=\?[^\s?]+\?[bBqQ]\?[^?]*\?=")
_IDENTITY_ENCODINGS = ("", "binary", "8bit", "7bit")


class UnreadableRequest(UserError, MultiPartParserError):
    """A request whose bytes do not say one thing. Of Django's kind too, so that pages answer it with 400."""

    code = "malformed_multipart"


def check_text(name: str, text: str) -> str:
    """The text. Raises `UnreadableRequest` where some of it was lost before it was read, or is half a character."""
    if not _is_utf8(text):
        raise UnreadableRequest(
            (
                f"{name} contains an incomplete character (half of a surrogate pair). Nothing was kept. Send text as "
                "UTF-8."
            ),
            code="unreadable_text",
            field=name,
        )
    if REPLACEMENT in text:
        raise UnreadableRequest(
            f"{name} contains characters that were not UTF-8 (U+FFFD replaces them). Nothing was kept. Send text "
            "as UTF-8.",
            code="unreadable_text",
            field=name,
        )
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_multipart(
    meta: Mapping[str, Any], stream: Any, handlers: Any, encoding: str | None
) -> tuple[QueryDict, MultiValueDict]:
    """Fields and files of a body. Raises `UnreadableRequest`, and Django's errors for too much of anything."""
    try:
        return StrictMultiPartParser(meta, stream, handlers, encoding).parse()
    except (UnreadableRequest, UnreadablePostError):
        raise
    except OSError as error:
        raise UnreadableRequest(
            "A file of this request could not be stored on its way: the disk is full or cannot be written. "
            "Nothing was kept. Free space in VAR_DIR or correct its permissions, then send it again.",
            code="storage_failed",
            status=HTTPStatus.INSUFFICIENT_STORAGE,
        ) from error
    except MultiPartParserError as error:
        raise UnreadableRequest(
            "The Content-Type of this request names no usable boundary. Nothing was kept. Let the HTTP library set the "
            "Content-Type of a multipart request; it has to read: multipart/form-data; boundary=..."
        ) from error


@dataclass(frozen=True)
class _Part:
    """One part: its headers' values and parameters by name in small letters, and its content."""

    headers: dict[str, tuple[str, dict[str, str]]]
    content: LazyStream

    def of(self, header: str, parameter: str = "") -> str:
        value, parameters = self.headers.get(header, ("", {}))
        return parameters.get(parameter, "") if parameter else value


class StrictMultiPartParser(MultiPartParser):
    """Names of fields and files as UTF-8 or, failing that, Windows-1252; text as UTF-8 or what its part declares."""

    _meta: Mapping[str, Any]
    _input_data: Any
    _content_length: int
    _boundary: bytes
    _encoding: str
    _chunk_size: int
    _upload_handlers: list[Any]  # of FileUploadHandler, whose stubs know less than it does
    _files: MultiValueDict

    def _parse(self) -> tuple[QueryDict, MultiValueDict]:
        if self._content_length == 0:
            return QueryDict(encoding=self._encoding), MultiValueDict()
        for handler in self._upload_handlers:
            handler.handle_raw_input(self._input_data, self._meta, self._content_length, self._boundary, self._encoding)
        self._post, self._files = QueryDict(mutable=True), MultiValueDict()
        self._text_bytes = fields = files = 0
        stream = LazyStream(ChunkIter(self._input_data, self._chunk_size))
        for part in self._parts(stream):
            name = part.of("content-disposition", "name").strip()
            if not name:
                raise UnreadableRequest(
                    "A part of this request has no name in its Content-Disposition. Nothing was kept. It has to read: "
                    'form-data; name="..."'
                )
            if _is_file(part):
                files += 1
                if files > settings.DATA_UPLOAD_MAX_NUMBER_FILES:
                    raise TooManyFilesSent("more than DATA_UPLOAD_MAX_NUMBER_FILES")
                self._receive_file(name, part)
            else:
                fields += 1
                if fields > settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:
                    raise TooManyFieldsSent("more than DATA_UPLOAD_MAX_NUMBER_FIELDS")
                self._receive_text(name, part)
        exhaust(self._input_data)
        any(handler.upload_complete() for handler in self._upload_handlers)
        self._post._mutable = False
        return self._post, self._files

    def _parts(self, stream: LazyStream) -> Iterator[_Part]:
        """Raises `UnreadableRequest` unless the body begins with the boundary and ends with the closing one."""
        pieces = iter(InterBoundaryIter(stream, b"--" + self._boundary))
        exhaust(next(pieces, ()))  # what stands before the first boundary means nothing
        has_boundary = False
        for piece in pieces:
            has_boundary = True
            begin = piece.read(_MAX_HEADER).lstrip(b" \t")
            if begin.startswith(b"--"):
                exhaust(stream)  # so does what stands behind the last one
                return
            if not begin.strip():
                break
            yield _read_header(begin, piece)
            exhaust(piece)
        raise UnreadableRequest(
            "The body of this request has no closing boundary: it is not whole. Nothing was kept. Send it again."
            if has_boundary
            else "The boundary that Content-Type names does not occur in the body. Nothing was kept. Let the HTTP "
            "library set the Content-Type of a multipart request."
        )

    def _receive_text(self, name: str, part: _Part) -> None:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = part.content.read(limit - self._text_bytes + 1)
        self._text_bytes += len(raw) + len(name)
        if self._text_bytes > limit:
            raise RequestDataTooBig("more than DATA_UPLOAD_MAX_MEMORY_SIZE")
        if _transfer_encoding(part) == "base64":
            raw = _from_base64(raw)
        charset = part.of("content-type", "charset") or self._encoding
        try:
            text = raw.decode(charset)
        except LookupError as error:
            raise UnreadableRequest(
                f"{name} is sent in a charset that is not known here: {charset[:50]}. Nothing was kept. Send text as "
                "UTF-8.",
                code="unreadable_text",
                field=name,
            ) from error
        except ValueError as error:  # of Unicode, and of a charset's name that holds a NUL
            raise UnreadableRequest(
                f"{name} cannot be read as {charset[:50]}. Nothing was kept. Send text as UTF-8, or name its charset "
                "in the Content-Type of its part; a file needs a filename in its Content-Disposition.",
                code="unreadable_text",
                field=name,
            ) from error
        self._post.appendlist(name, check_text(name, text))

    def _receive_file(self, name: str, part: _Part) -> None:
        # A file without a name is called after its field.
        filename = self.sanitize_file_name(part.of("content-disposition", "filename")) or name
        chunks: Iterator[bytes] = iter(part.content)
        if _transfer_encoding(part) == "base64":
            chunks = _from_base64_in_chunks(chunks)
        handlers = self._upload_handlers
        media_type = part.of("content-type").strip()
        for handler in handlers:
            try:
                handler.new_file(name, filename, media_type, None, part.of("content-type", "charset") or None, {})
            except StopFutureHandlers:
                break
        received = [0] * len(handlers)
        for data in chunks:
            chunk: bytes | None = data
            for index, handler in enumerate(handlers):
                if chunk is None:
                    break  # the handler before has it
                size = len(chunk)
                chunk = handler.receive_data_chunk(chunk, received[index])
                received[index] += size
        for index, handler in enumerate(handlers):
            file = handler.file_complete(received[index])
            if file:
                self._files.appendlist(name, file)
                break


def _read_header(begin: bytes, piece: LazyStream) -> _Part:
    """The headers of a part, of which `begin` was read already; the rest of `piece` is its content."""
    end = begin.find(b"\r\n\r\n")
    if end < 0 or not begin.startswith(b"\r\n"):
        if begin.startswith(b"\n"):
            raise UnreadableRequest(
                "The lines of this multipart body end with LF alone. Nothing was kept. End the lines of boundaries and "
                "part headers with CR LF (\\r\\n), with an empty line between the headers and the content."
            )
        raise UnreadableRequest(
            "A part of this request has no end of its headers within 8 KiB. Nothing was kept. Put an empty line (CR LF "
            "CR LF) between the headers of a part and its content."
        )
    piece.unget(begin[end + 4 :])
    headers = {}
    for line in re.sub(rb"\r\n[ \t]+", b" ", begin[2:end]).split(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = _value_and_parameters(value.strip())
    return _Part(headers, piece)


def _value_and_parameters(text: str) -> tuple[str, dict[str, str]]:
    """A header whose bytes were read as latin-1. Of two spellings of a parameter the extended one (`name*=`) counts."""
    message = Message()
    message["Content-Disposition"] = text
    (value, _), *pairs = message.get_params([("", "")], header="content-disposition")
    parameters = {}
    for name, parameter in pairs:
        parameters[name.lower()] = _decode_extended(*parameter) if isinstance(parameter, tuple) else _name(parameter)
    return value, parameters


def _decode_extended(charset: str | None, _language: str | None, text: str) -> str:
    """Of a parameter of RFC 5987: its charset, its language, and its bytes as latin-1."""
    try:
        return text.encode("latin-1").decode(charset or "us-ascii")
    except (LookupError, ValueError):
        return _name(text)


def _name(latin: str) -> str:
    """A name whose bytes were read as latin-1: UTF-8, else as Windows programs write it; encoded words are decoded."""
    raw = latin.encode("latin-1", "replace")
    for charset in ("utf-8", "cp1252"):
        try:
            return _without_encoded_words(raw.decode(charset))
        except UnicodeDecodeError:
            continue
    return latin


def _without_encoded_words(name: str) -> str:
    """RFC 2047, which is meant for mail and sent by .NET: `=?utf-8?B?VGVpbMOkLnBuZw==?=`. Kept where unreadable."""
    if not _ENCODED_WORD.search(name):
        return name
    try:
        words = decode_header(name)
        return "".join(word if isinstance(word, str) else word.decode(charset or "latin-1") for word, charset in words)
    except (LookupError, UnicodeError, ValueError, HeaderParseError):
        return name


def _is_file(part: _Part) -> bool:
    """Whether a part has a file name, or says that it is a picture; an empty name without content is an empty field."""
    disposition = part.headers.get("content-disposition", ("", {}))[1]
    if disposition.get("filename"):
        return True
    if "filename" in disposition:
        begin = part.content.read(1)
        part.content.unget(begin)
        return bool(begin)
    return part.of("content-type").startswith("image/")


def _transfer_encoding(part: _Part) -> str:
    encoding = part.of("content-transfer-encoding").strip().lower()
    if encoding not in (*_IDENTITY_ENCODINGS, "base64"):
        raise UnreadableRequest(
            f"A part of this request has the Content-Transfer-Encoding {encoding[:50]}, which is not read. Nothing was "
            "kept. Send the bytes as they are."
        )
    return encoding


def _from_base64_in_chunks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    pending = b""
    for chunk in chunks:
        pending += b"".join(chunk.split())
        length = len(pending) // 4 * 4
        yield _from_base64(pending[:length])
        pending = pending[length:]
    yield _from_base64(pending)


def _from_base64(raw: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error as error:
        raise UnreadableRequest(
            "A part of this request says that it is base64 and is not. Nothing was kept. Send the bytes as they are."
        ) from error
