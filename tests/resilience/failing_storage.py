"""A proxy before an object storage that takes its time, refuses, or cuts connections, as it is told."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = ("connection", "transfer-encoding", "keep-alive")
_ERROR = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>told to</Message></Error>"


@dataclass(frozen=True)
class _Failure:
    seconds: float = 0.0  # before the answer
    status: int = 0  # in place of what the store would answer
    cut: bool = False  # in the midst of the answer, or before it where there is no body


class FailingStorage:
    """`with FailingStorage(endpoint):` is at `address`, and passes everything on unless it is `failing`."""

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint).netloc
        self._failure = _Failure()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FailingStorage:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def failing(self, *, seconds: float = 0.0, status: int = 0, cut: bool = False) -> Iterator[None]:
        self._failure = _Failure(seconds, status, cut)
        try:
            yield
        finally:
            self._failure = _Failure()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.raw_requestline = self.rfile.readline(65537)
                    if self.raw_requestline and self.parse_request():
                        proxy._answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        failure = self._failure
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        time.sleep(failure.seconds)
        if failure.status:
            self._send(
                request, failure.status, {}, _ERROR % (b"SlowDown" if failure.status == 503 else b"InternalError")
            )
            return
        connection = http.client.HTTPConnection(self._target, timeout=60)
        try:
            connection.request(request.command, request.path, body or None, dict(request.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        self._send(request, answer.status, headers, content, part=0.5 if failure.cut else 1.0)

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes, part: float = 1.0
    ) -> None:
        if part < 1 and not content:
            return
        request.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content)), "Connection": "close"} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content[: int(len(content) * part)])
