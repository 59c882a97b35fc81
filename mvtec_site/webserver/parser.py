"""A request as it arrives: what its header promises, and where it is refused."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest

from mvtec_site.webserver import refusals
from mvtec_site.webserver.endpoints import Endpoint, Lane, endpoint_of
from mvtec_site.webserver.refusals import Refusal
from mvtec_site.webserver.spool import Spool

_CHUNK_LINE_MAX = 4096
_TRAILER_MAX = 16 * 1024


class RequestParser(HTTPRequestParser):
    """Up to WEB_MAX_BODY_ANONYMOUS bytes of a body come from anybody; for more, `needs_admission` is set and nothing
    more is taken until `admit`. A refused request is complete, with `refusal` and without its body."""

    completed: bool
    error: Any
    expect_continue: bool
    endpoint = Endpoint(Lane.PAGES, 0)
    refusal: Refusal | None = None
    needs_admission = False
    admitted = False
    is_counted = False  # among the requests of its client
    body_started = 0.0
    received_at = 0.0  # all of it

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.started = time.monotonic()
        self._spool: Spool | None = None
        self._reserved = 0
        self._expects_continue = False

    @property
    def receives_body(self) -> bool:
        return self.headers_finished and not self.completed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # of Python's own, for an absurd number or address
            raise ParsingError("The header cannot be read") from error
        if "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("Transfer-Encoding needs HTTP/1.1")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Both Transfer-Encoding and Content-Length")
        self.endpoint = endpoint_of(self.command, self.path)

    def received(self, data: bytes) -> int:
        in_header = not self.headers_finished
        consumed: int = super().received(data)
        if self.error is not None or self.empty:
            return consumed
        if in_header and self.headers_finished:
            self.body_started = time.monotonic()
            if self.content_length > self.endpoint.max_body:
                self.refuse(refusals.too_large(self.endpoint.max_body))
            elif self.content_length > settings.WEB_MAX_BODY_ANONYMOUS:
                self._ask_admission()
        elif self.headers_finished and self.chunked:
            self._check_chunks()
        return consumed

    def _check_chunks(self) -> None:
        receiver = self.body_rcv
        if self.body_bytes_received > self.endpoint.max_body:
            self.refuse(refusals.too_large(self.endpoint.max_body))
        elif self.completed:
            return
        elif len(receiver.control_line) > _CHUNK_LINE_MAX or len(receiver.trailer) > _TRAILER_MAX:
            self.error = BadRequest("Chunk header or trailer too long")
            self.completed = True
        elif self.body_bytes_received > settings.WEB_MAX_BODY_ANONYMOUS and not self.admitted:
            self._ask_admission()
        elif self.admitted and not self._reserve(self.body_bytes_received):
            self.refuse(refusals.UPLOADS_FULL)

    def _ask_admission(self) -> None:
        # Nobody is told to go on before it is known whether they may.
        self.needs_admission, self._expects_continue = True, self.expect_continue
        self.expect_continue = False

    def admit(self, spool: Spool) -> None:
        """The sender may: receive the rest, as long as there is room for it."""
        self.needs_admission, self.admitted, self._spool = False, True, spool
        self.expect_continue = self._expects_continue
        if not self._reserve(self.content_length or self.body_bytes_received):
            self.refuse(refusals.UPLOADS_FULL)

    def refuse(self, refusal: Refusal) -> None:
        """Done with this request: what came of its body is let go, what is still to come will not be looked at."""
        self.refusal = refusal
        self.needs_admission = self.expect_continue = False
        self.completed = True
        self.close()

    def _reserve(self, size: int) -> bool:
        assert self._spool is not None
        missing = size - self._reserved
        if missing > 0 and not self._spool.reserve(missing):
            return False
        self._reserved += max(0, missing)
        return True

    def close(self) -> None:
        super().close()
        if self._spool is not None and self._reserved:
            self._spool.release(self._reserved)
            self._reserved = 0
