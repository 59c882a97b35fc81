"""A small RTSP server: JPEG over RTP (RFC 2435) inside the RTSP connection (RFC 2326), one picture after another."""

from __future__ import annotations

import base64
import io
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from PIL import Image

_PART = 1400  # bytes of a picture in a packet
_CLOCK = 90_000


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what follows them, up to the scan."""
    at = 2
    while True:
        marker, length = struct.unpack(">HH", jpeg[at : at + 4])
        yield marker, jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xFFDA:
            yield 0, jpeg[at:-2]
            return


def _packets(jpeg: bytes) -> Iterator[tuple[bytes, bool]]:
    """Payloads of RFC 2435 with the tables inside, and whether each is the last one."""
    tables, scan, width, height = b"", b"", 0, 0
    for marker, content in _segments(jpeg):
        if marker == 0xFFDB:
            while content:
                tables += content[1:65]
                content = content[65:]
        elif marker == 0xFFC0:
            height, width = struct.unpack(">HH", content[1:5])
        elif marker == 0:
            scan = content
    for offset in range(0, len(scan), _PART):
        header = struct.pack(">BBH", 0, offset >> 16, offset & 0xFFFF) + bytes([1, 255, width // 8, height // 8])
        if not offset:
            header += struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield header + scan[offset : offset + _PART], offset + _PART >= len(scan)


class Stream:
    """What it sends: `picture` may be changed meanwhile; `is_held`: nothing. With a password it asks for it."""

    def __init__(self, picture: Image.Image, *, fps: float = 10.0, password: str = "") -> None:
        self.picture, self.fps, self.password = picture, fps, password
        self.is_held = False
        self.asked: list[str] = []  # methods
        self.users: set[str] = set()
        self.port = 0

    def jpeg(self) -> bytes:
        out = io.BytesIO()
        self.picture.convert("RGB").save(out, "JPEG", quality=95, subsampling="4:2:0")
        return out.getvalue()


class _Conversation(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        stream: Stream = self.server.stream
        self.server.sockets.append(self.connection)
        playing: threading.Thread | None = None
        while line := self.rfile.readline().decode():
            if not line.strip():
                continue
            method, address, _ = line.split()
            headers = {}
            while header := self.rfile.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            stream.asked.append(method)
            base = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n"
            if method == "DESCRIBE" and stream.password and not self._knows(headers, stream):
                who = 'WWW-Authenticate: Basic realm="cam"'
                self._say(f"RTSP/1.0 401 Unauthorized\r\nCSeq: {headers['cseq']}\r\n{who}\r\n\r\n")
            elif method == "OPTIONS":
                self._say(base + "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n")
            elif method == "DESCRIBE":
                sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
                sdp += "m=video 0 RTP/AVP 26\r\na=control:track1\r\n"
                self._say(
                    f"{base}Content-Base: {address}/\r\nContent-Type: application/sdp\r\n"
                    f"Content-Length: {len(sdp)}\r\n\r\n{sdp}"
                )
            elif method == "SETUP":
                self._say(f"{base}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n")
            elif method == "PLAY":
                self._say(f"{base}Session: 1\r\n\r\n")
                playing = threading.Thread(target=self._play, args=(stream,), daemon=True)
                playing.start()
            else:
                self._say(f"{base}Session: 1\r\n\r\n")
                if method == "TEARDOWN":
                    return

    def _knows(self, headers: dict[str, str], stream: Stream) -> bool:
        kind, _, value = headers.get("authorization", "").partition(" ")
        user, _, password = base64.b64decode(value).decode().partition(":") if kind == "Basic" else ("", "", "")
        stream.users.add(user)
        return password == stream.password

    def _say(self, text: str) -> None:
        self.connection.sendall(text.encode())

    def _play(self, stream: Stream) -> None:
        sequence, began = 0, time.monotonic()
        try:
            while not self.server.is_over:
                if not stream.is_held:
                    moment = int((time.monotonic() - began) * _CLOCK) & 0xFFFFFFFF
                    for payload, is_last in _packets(stream.jpeg()):
                        rtp = struct.pack(">BBHII", 0x80, 26 | (0x80 if is_last else 0), sequence & 0xFFFF, moment, 1)
                        sequence += 1
                        packet = rtp + payload
                        self.connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
                time.sleep(1 / stream.fps)
        except OSError:
            return


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, stream: Stream) -> None:
        super().__init__(("127.0.0.1", stream.port), _Conversation)
        self.stream, self.is_over = stream, False
        self.sockets: list[socket.socket] = []
        stream.port = self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle is what this is for."""


@contextmanager
def served(stream: Stream) -> Iterator[Stream]:
    """At a port of its own, the same one when it is served again; at the end everybody is hung up on."""
    server = _Server(stream)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield stream
    finally:
        server.is_over = True
        server.shutdown()
        for connection in server.sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
