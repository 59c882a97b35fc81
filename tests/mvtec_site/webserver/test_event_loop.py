"""The web server's event loop on loopback sockets, with a small application and short deadlines."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from waitress import wasyncore
from waitress.adjustments import Adjustments

from mvtec_site.webserver import endpoints, listener, refusals
from mvtec_site.webserver.addresses import client_group
from mvtec_site.webserver.endpoints import Endpoint, Lane
from mvtec_site.webserver.lanes import Job, ThreadLane
from mvtec_site.webserver.listener import listen, shared_state
from mvtec_site.webserver.parser import RequestParser
from mvtec_site.webserver.refusals import ENVIRON_KEY, Refusal
from mvtec_site.webserver.spool import Spool

KIB = 1024


class AccessLog:
    """Stands in for gunicorn's logger."""

    access_log_enabled = True

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, int]] = []
        self.info = self.warning = logging.getLogger("test").info

    def access(self, answer: Any, headers: Any, environ: dict[str, Any], duration: Any) -> None:
        self.lines.append((environ["REMOTE_ADDR"], answer.status[:3], answer.sent))


class Doorkeeper:
    """Stands in for the database: who sends `Authorization: good` may send large bodies."""

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = threading.Event()

    def remembered(self, headers: dict[str, str], endpoint: Endpoint) -> bool:
        return False

    def check(self, headers: dict[str, str], endpoint: Endpoint, *, peer: str) -> Refusal | None:
        self.asked += 1
        if headers.get("AUTHORIZATION") == "hang":
            self.hangs.wait(20)
        if headers.get("AUTHORIZATION") == "crash":
            raise ValueError("a defect")
        return None if headers.get("AUTHORIZATION") == "good" else refusals.NOT_SIGNED_IN


@dataclass
class Server:
    """A loop in a thread of its own. `/echo` says how long the body was, `/hang` waits for `release`."""

    log: AccessLog = field(default_factory=AccessLog)
    doorkeeper: Doorkeeper = field(default_factory=Doorkeeper)
    release: threading.Event = field(default_factory=threading.Event)
    begun: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    connection_limit: int = 200
    stop: bool = False

    def __post_init__(self) -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        shared = shared_state(self.application, self.log, self.connection_limit)
        object.__setattr__(shared, "admissions", self.doorkeeper)
        self.spool = shared.spool
        self.listener = listen(sock, shared)
        self.socket_map = shared.socket_map
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def _loop(self) -> None:
        while not self.stop:
            wasyncore.poll2(0.05, self.socket_map)

    def close(self) -> None:
        self.release.set()
        self.doorkeeper.hangs.set()
        self.stop = True
        self.thread.join()
        wasyncore.close_all(self.socket_map)

    def application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self.begun.append(environ["PATH_INFO"])
        refusal = environ.get(ENVIRON_KEY)
        if refusal:
            self.refused.append(refusal)
            with pytest.raises(OSError, match=refusal.detail[:10]):
                environ["wsgi.input"].read(1)
            assert int(environ["CONTENT_LENGTH"]) > 0
            start_response(f"{refusal.status} Refused", [("Content-Length", "7")])
            return [b"refused"]
        if environ["PATH_INFO"] == "/api/test_image" and environ["QUERY_STRING"] == "hang":
            self.release.wait(20)
        if environ["PATH_INFO"] == "/api/audit-events/export":
            start_response("200 OK", [])
            return (b"x" * 64 * KIB for _ in range(1000))
        if environ["QUERY_STRING"] == "large":
            answer = b"y" * 30 * KIB * KIB
        else:
            answer = str(len(environ["wsgi.input"].read())).encode()
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]

    def connect(self, data: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))
        sock.sendall(data)
        return sock

    def ask(self, data: bytes, source: str = "127.0.0.1") -> bytes:
        """The whole answer, until the server ends the connection."""
        with self.connect(data, source) as sock:
            return read_all(sock)

    def health(self, source: str = "127.0.0.1") -> bytes:
        return self.ask(request("GET", "/healthz", "Connection: close"), source)


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode() + body


def post(path: str, size: int, *headers: str, body: bytes | None = None) -> bytes:
    return request("POST", path, f"Content-Length: {size}", *headers, body=bytes(size) if body is None else body)


def chunked(body: bytes, size: int = 1000) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def read_all(sock: socket.socket) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(64 * KIB):
            pieces.append(data)
    return b"".join(pieces)


def read_until(sock: socket.socket, end: bytes) -> None:
    answer = b""
    while not answer.endswith(end):
        data = sock.recv(KIB)
        assert data, answer
        answer += data


def is_open(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


def wait_for(ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.02)


@pytest.fixture
def limits(settings: Any) -> Iterator[Any]:
    endpoints.endpoint_table.cache_clear()
    yield settings
    endpoints.endpoint_table.cache_clear()


@pytest.fixture
def server(limits: Any) -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


# ---------------------------------------------------------------- what is read
@pytest.mark.parametrize("path", ["/login/", "/api/load_model", "/api/test_image", "/anything"])
def test_a_chunked_body_is_read_whole(server: Server, path: str) -> None:
    answer = server.ask(
        request("POST", path, "Transfer-Encoding: chunked", "Connection: close", body=chunked(bytes(5000)))
    )
    assert answer.endswith(b"\r\n\r\n5000")


@pytest.mark.parametrize(
    "headers",
    [
        b"POST /api/load_model HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/load_model HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
        b"POST /api/load_model HTTP/1.1\r\nContent-Length: four\r\n\r\n",
        b"POST /api/load_model HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /api/load_model HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_a_body_of_unclear_length_is_never_read_as_empty(server: Server, headers: bytes) -> None:
    assert server.ask(headers + chunked(b"body")).startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert server.begun == []


def test_an_unknown_transfer_encoding_is_refused(server: Server) -> None:
    answer = server.ask(request("POST", "/api/load_model", "Transfer-Encoding: gzip, chunked", body=chunked(b"body")))
    assert answer.startswith(b"HTTP/1.1 501")
    assert server.begun == []


def test_requests_one_after_the_other_on_one_connection(server: Server) -> None:
    first, second = post("/a", 10), request("GET", "/b", "Connection: close")
    answer = server.ask(first + second)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert server.begun == ["/a", "/b"]


def test_head_has_the_length_and_no_body(server: Server) -> None:
    answer = server.ask(request("HEAD", "/a") + request("GET", "/b?large", "Connection: close"))
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 1" in head
    assert rest.startswith(b"HTTP/1.1 200")


# ---------------------------------------------------------------- how much is taken
@pytest.mark.parametrize("path", ["/login/", "/healthz", "/admin/login/", "/api/load_model", "/nothing"])
def test_small_caps_where_no_file_belongs(server: Server, path: str) -> None:
    answer = server.ask(post(path, 50 * KIB**2, "Authorization: good", body=b"some"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert [refusal.code for refusal in server.refused] == ["request_too_large"]


@pytest.mark.parametrize("path", ["/inspect", "/api/test_image", "/api/batches", "/api/datasets", "//inspect"])
def test_a_large_body_is_taken_from_nobody_unknown(server: Server, path: str) -> None:
    answer = server.ask(post(path, 10 * KIB**2, "Expect: 100-continue", body=b""))
    assert answer.startswith(b"HTTP/1.1 401"), "not told to go on"
    answer = server.ask(post(path, 10 * KIB**2, body=bytes(500 * KIB)))
    assert answer.startswith(b"HTTP/1.1 401")
    assert server.spool.used == 0


def test_a_chunked_body_of_somebody_unknown_ends_where_small_ends(server: Server) -> None:
    body = chunked(bytes(3 * KIB**2), 16 * KIB)
    answer = server.ask(request("POST", "/api/batches", "Transfer-Encoding: chunked", body=body))
    assert answer.startswith(b"HTTP/1.1 401")
    known = ("Transfer-Encoding: chunked", "Authorization: good", "Connection: close")
    assert server.ask(request("POST", "/api/batches", *known, body=body)).endswith(b"\r\n\r\n%d" % (3 * KIB**2))
    wait_for(lambda: server.spool.used == 0)


def test_a_chunked_body_ends_at_the_cap_of_its_address(server: Server) -> None:
    body = chunked(bytes(3 * KIB**2), 16 * KIB)
    answer = server.ask(
        request("POST", "/api/load_model", "Transfer-Encoding: chunked", "Authorization: good", body=body)
    )
    assert answer.startswith(b"HTTP/1.1 413")


def test_who_may_is_told_to_go_on(server: Server) -> None:
    with server.connect(
        post("/api/batches", 200 * KIB, "Authorization: good", "Expect: 100-continue", body=b"")
    ) as sock:
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(bytes(200 * KIB))
        read_until(sock, b"\r\n\r\n204800")
        # Kept alive, and asked anew for the next.
        sock.sendall(post("/api/batches", 200 * KIB, "Connection: close"))
        assert sock.recv(1000).startswith(b"HTTP/1.1 401")


def test_a_sender_who_cannot_be_looked_up_is_told_so(limits: Any) -> None:
    limits.WEB_QUEUE_TIMEOUT = 0.5
    server = Server()
    with contextlib.closing(server):
        for state in ("crash", "hang"):
            answer = server.ask(post("/api/batches", 10 * KIB**2, f"Authorization: {state}", body=b""))
            assert answer.startswith(b"HTTP/1.1 503")
        assert server.refused == [refusals.UNCHECKED] * 2
        server.doorkeeper.hangs.set()
        assert b"200 OK" in server.health()


def test_uploads_that_are_received_at_once_are_bounded(limits: Any) -> None:
    limits.WEB_SPOOL_BYTES = 3 * KIB**2
    server = Server()
    half = post("/api/batches", 2 * KIB**2, "Authorization: good", "Connection: close", body=bytes(KIB))
    with contextlib.closing(server), server.connect(half) as first:
        wait_for(lambda: server.spool.used)
        assert server.ask(half).startswith(b"HTTP/1.1 503")
        assert server.refused == [refusals.UPLOADS_FULL]
        first.close()
        wait_for(lambda: not server.spool.used)
        assert server.ask(half + bytes(2 * KIB**2 - KIB)).endswith(b"2097152")


def test_a_full_disk_is_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.newfile", full)
    assert server.ask(post("/api/batches", 3 * KIB**2, "Authorization: good")).startswith(b"HTTP/1.1 507")
    assert b"200" in server.health()


def test_a_large_header_is_refused(server: Server) -> None:
    assert server.ask(request("GET", "/", f"X-Long: {'x' * 40 * KIB}")).startswith(b"HTTP/1.0 431")


# ---------------------------------------------------------------- who waits for whom
@pytest.mark.parametrize(
    "fragment",
    [
        b"",
        b"POST /api/test_image HTTP/1.1\r\nHost: x",
        post("/login/", 1000, body=b"some"),
        post("/api/test_image", 10**6, "Authorization: good", body=b"--B"),
    ],
    ids=["silent", "header", "small body", "image"],
)
def test_half_open_connections_hold_nobody_up(limits: Any, fragment: bytes) -> None:
    limits.WEB_HEADER_TIMEOUT = limits.WEB_BODY_TIMEOUT = 1.5
    server = Server()
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        many = [stack.enter_context(server.connect(fragment)) for _ in range(60)]
        assert b"200 OK" in server.health()
        assert b"200 OK" in server.ask(request("GET", "/api/test_image", "Connection: close"))
        answers = [read_all(sock) for sock in many]
        if fragment.startswith(b"POST") and fragment.count(b"\r\n\r\n"):
            assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)
        else:
            assert not any(answers)


@pytest.mark.slow
def test_a_byte_now_and_then_does_not_extend_a_body_for_ever(limits: Any) -> None:
    limits.WEB_BODY_TIMEOUT, limits.WEB_MIN_RATE = 0.8, 1000
    server = Server()
    with contextlib.closing(server), server.connect(post("/login/", 5000, body=b"")) as sock:
        sent = 0
        while is_open(sock) and sent < 200 and not server.refused:
            with contextlib.suppress(OSError):
                sock.send(b"x")
            sent += 1
            time.sleep(0.1)
        assert server.refused == [refusals.BODY_TIMED_OUT]
        assert sent < 200


def test_requests_that_hang_leave_threads_to_others(limits: Any) -> None:
    limits.WEB_THREADS = 4
    server = Server()
    hanging = request("GET", "/api/test_image?hang", "Connection: close")
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(server.connect(hanging))
        wait_for(lambda: len(server.begun) == 3)
        for path in ("/healthz", "/readyz", "/", "/inspections/", "/api/status"):
            assert b"200 OK" in server.ask(request("GET", path, "Connection: close"))
        assert server.begun.count("/api/test_image") == 3


def test_one_client_never_has_all_threads_of_a_lane(limits: Any) -> None:
    limits.WEB_THREADS = 3
    server = Server()
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        for _ in range(9):
            stack.enter_context(server.connect(request("GET", "/api/test_image?hang")))
        wait_for(lambda: len(server.begun) == 2)
        assert b"200 OK" in server.ask(request("GET", "/api/test_image", "Connection: close"), "127.0.0.2")
        assert len(server.begun) == 3


def test_what_waits_too_long_for_a_thread_is_refused_and_never_begun(limits: Any) -> None:
    limits.WEB_THREADS, limits.WEB_QUEUE_TIMEOUT = 1, 0.5
    server = Server()
    hanging = request("GET", "/api/test_image?hang", "Connection: close")
    with contextlib.closing(server), server.connect(hanging):
        wait_for(lambda: server.begun)
        assert server.ask(post("/api/test_image", 10)).startswith(b"HTTP/1.1 503")
        assert [refusal.code for refusal in server.refused] == ["busy"]


def test_who_hung_up_while_waiting_is_not_begun(limits: Any) -> None:
    limits.WEB_THREADS = 1
    server = Server()
    with contextlib.closing(server), server.connect(request("GET", "/api/test_image?hang", "Connection: close")):
        wait_for(lambda: server.begun)
        server.connect(request("GET", "/api/test_image?gone")).close()
        time.sleep(1.2)
        with server.connect(request("GET", "/api/test_image?next", "Connection: close")) as waiting:
            time.sleep(0.2)
            server.release.set()
            assert b"200 OK" in read_all(waiting)
        assert len(server.begun) == 2


def test_a_slow_reader_of_a_large_answer_holds_no_thread_and_is_ended(limits: Any) -> None:
    limits.WEB_PAGE_THREADS, limits.WEB_WRITE_TIMEOUT = 1, 1.0
    server = Server()
    with contextlib.closing(server), server.connect(request("GET", "/api/inspections/1/image?large")) as slow:
        wait_for(lambda: server.begun)
        assert b"200 OK" in server.ask(request("GET", "/", "Connection: close"))
        wait_for(lambda: not server.listener.channels())
        assert len(read_all(slow)) < 30 * KIB**2


@pytest.mark.slow
def test_a_stream_is_made_no_faster_than_it_is_read_and_its_thread_is_freed(limits: Any) -> None:
    limits.WEB_TRANSFER_THREADS, limits.WEB_WRITE_TIMEOUT = 1, 1.0
    server = Server()
    export = request("GET", "/api/audit-events/export")
    with contextlib.closing(server), server.connect(export) as slow:
        wait_for(lambda: server.begun)
        (channel,) = server.listener.channels()
        wait_for(lambda: channel.total_outbufs_len > 256 * KIB or not channel.connected)
        assert channel.total_outbufs_len < KIB**2
        assert read_all_of_chunks(server.ask(export)) == 1000 * 64 * KIB
        assert len(read_all(slow)) < 1000 * 64 * KIB


def read_all_of_chunks(answer: bytes) -> int:
    return answer.partition(b"\r\n\r\n")[2].count(b"x")


# ---------------------------------------------------------------- how many connections
def keep_busy(server: Server, stack: contextlib.ExitStack, *, connections: int) -> None:
    """Each waits for an answer that does not come."""
    for _ in range(connections):
        stack.enter_context(server.connect(request("GET", "/api/test_image?hang")))
    wait_for(lambda: len(server.begun) == connections)


def test_the_quietest_connection_of_an_address_makes_room_for_its_next(limits: Any) -> None:
    limits.WEB_CONNECTIONS_PER_ADDRESS = 10
    server = Server()
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        other = stack.enter_context(server.connect(source="127.0.0.2"))
        silent = [stack.enter_context(server.connect()) for _ in range(30)]
        assert b"200 OK" in server.health()
        wait_for(lambda: len(server.listener.channels()) <= 11)
        assert is_open(other)
        assert not is_open(silent[0])
        assert is_open(silent[-1])


def test_an_address_whose_connections_are_all_busy_gets_no_more(limits: Any) -> None:
    limits.WEB_CONNECTIONS_PER_ADDRESS, limits.WEB_THREADS = 3, 4
    server = Server()
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        keep_busy(server, stack, connections=3)
        assert server.health().startswith(b"HTTP/1.1 429")
        assert b"200 OK" in server.health("127.0.0.2")


def test_a_client_that_is_still_sending_sees_why_it_gets_no_connection(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.WEB_CONNECTIONS_PER_ADDRESS, limits.WEB_THREADS = 3, 4
    monkeypatch.setattr(listener, "_LINGER_SECONDS", 0.7)
    server = Server()
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        keep_busy(server, stack, connections=3)
        before = len(server.socket_map)
        sender = stack.enter_context(
            server.connect(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n")
        )
        wait_for(lambda: len(server.socket_map) > before)
        for _ in range(2):
            sender.sendall(b"x" * 300_000)
            time.sleep(0.1)
        assert read_all(sender).startswith(b"HTTP/1.1 429")
        # One that its client does not end does not keep its place.
        wait_for(lambda: len(server.socket_map) == before)


def test_few_refused_connections_are_kept_until_their_clients_have_read(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.WEB_CONNECTIONS_PER_ADDRESS, limits.WEB_THREADS = 3, 4
    monkeypatch.setattr(listener, "_MAX_LINGERING", 5)
    server = Server()
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        keep_busy(server, stack, connections=3)
        before = len(server.socket_map)
        refused = [stack.enter_context(server.connect()) for _ in range(12)]
        assert read_all(refused[-1]).startswith(b"HTTP/1.1 429")
        assert len(server.socket_map) <= before + 5


def test_more_connections_than_are_allowed_in_all(limits: Any) -> None:
    server = Server(connection_limit=20)
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        for number in range(60):
            stack.enter_context(server.connect(source=f"127.0.0.{2 + number % 5}"))
        assert b"200 OK" in server.health()
        assert len(server.listener.channels()) <= 20


def test_behind_a_proxy_the_requests_of_a_client_count_not_the_connections_of_the_proxy(limits: Any) -> None:
    limits.PROXIES, limits.WEB_CONNECTIONS_PER_ADDRESS = 1, 3
    server = Server()
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        for number in range(9):
            header = f"X-Forwarded-For: 6.6.6.6, 10.0.0.{number // 3}"
            stack.enter_context(server.connect(request("GET", "/api/test_image?hang", header)))
        wait_for(lambda: len(server.begun) == 9)
        assert not server.refused
        again = request("GET", "/", "X-Forwarded-For: 10.0.0.9, 10.0.0.1")
        assert server.ask(again).startswith(b"HTTP/1.1 429")
        assert b"200 OK" in server.ask(request("GET", "/", "X-Forwarded-For: 10.0.0.1, 10.0.0.9", "Connection: close"))
        assert server.log.lines[-1][:2] == ("10.0.0.9", "200")


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::2", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("localhost", "localhost"),
    ],
)
def test_one_client_is_an_address_or_a_network_of_ipv6(address: str, group: str) -> None:
    assert client_group(address) == group


def test_a_stopping_server_finishes_what_it_began(server: Server) -> None:
    with server.connect(request("GET", "/api/test_image?hang")) as busy, server.connect() as idle:
        wait_for(lambda: server.begun and len(server.listener.channels()) == 2)
        server.listener.stop_accepting()
        wait_for(lambda: not server.listener.is_idle() and not is_open(idle))
        server.release.set()
        answer = read_all(busy)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        wait_for(server.listener.is_idle)


# ---------------------------------------------------------------- the parser alone
def parse(pieces: list[bytes], *, admit: bool = True) -> RequestParser:
    parser = RequestParser(Adjustments(sockets=[], max_request_body_size=2**62, inbuf_overflow=2**20))
    for piece in pieces:
        while piece and not parser.completed:
            piece = piece[parser.received(piece) :]
            if parser.needs_admission:
                parser.admit(Spool(2**40)) if admit else parser.refuse(refusals.NOT_SIGNED_IN)
    return parser


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=3000),
    size=st.integers(1, 700),
    cuts=st.lists(st.integers(0, 6000), max_size=12),
    with_length=st.booleans(),
)
def test_a_body_is_the_same_however_it_is_cut(body: bytes, size: int, cuts: list[int], with_length: bool) -> None:
    if with_length:
        whole = post("/api/load_model", len(body), body=body)
    else:
        whole = request("POST", "/api/load_model", "Transfer-Encoding: chunked", body=chunked(body, size))
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    parser = parse([whole[start:end] for start, end in itertools.pairwise(edges)])
    assert parser.completed
    assert parser.error is None
    assert parser.refusal is None
    assert parser.get_body_stream().read() == body
    if not with_length or body:
        assert parser.headers["CONTENT_LENGTH"] == str(len(body))


@hypothesis_settings(max_examples=40, deadline=None)
@given(garbage=st.binary(min_size=1, max_size=300), is_chunked=st.booleans())
def test_garbage_is_refused_or_waited_for_never_an_exception(garbage: bytes, is_chunked: bool) -> None:
    head = request("POST", "/api/load_model", "Transfer-Encoding: chunked") if is_chunked else b""
    parse([head + garbage, garbage])


@hypothesis_settings(max_examples=25, deadline=None)
@given(extra=st.integers(-2000, 2000), is_chunked=st.booleans(), known=st.booleans())
def test_no_more_is_kept_of_a_body_than_its_sender_may_send(extra: int, is_chunked: bool, known: bool) -> None:
    size = 64 * KIB + extra
    if is_chunked:
        whole = request("POST", "/api/load_model", "Transfer-Encoding: chunked", body=chunked(bytes(size), 4000))
    else:
        whole = post("/api/load_model", size)
    sent = len(whole.partition(b"\r\n\r\n")[2])
    assume(not 0 < sent - 64 * KIB < 1000)  # the last piece is there already when it is counted
    parser = parse([whole[start : start + 1000] for start in range(0, len(whole), 1000)], admit=known)
    assert parser.completed
    assert (parser.refusal is None) == (known or sent <= 64 * KIB)


def test_endless_chunk_headers_and_trailers_end() -> None:
    for endless in (b"1;" + b"x" * 9000, b"0\r\n" + b"a: b\r\n" * 9000):
        parser = parse([request("POST", "/a", "Transfer-Encoding: chunked"), *([endless] * 2)])
        assert parser.completed
        assert parser.error is not None or parser.refusal is not None


def test_requests_of_each_kind_have_lanes_of_their_own(limits: Any) -> None:
    def lane(method: str, path: str) -> Lane:
        return endpoints.endpoint_of(method, path).lane

    assert lane("GET", "/healthz") is Lane.HEALTH
    for path in ("/api/batches/1/cancel", "/batches/1/cancel"):
        assert lane("POST", path) is Lane.PAGES, "a batch can be stopped while others upload"
    waiting = ("/inspect", "/inspect/1-2/again", "/api/requests/1-2/inspect", "/api/test_image/", "/api/load_model")
    assert {lane("POST", path) for path in waiting} == {Lane.INSPECTION}
    for method, path in (("POST", "/batches/"), ("POST", "/api/datasets"), ("GET", "/api/inspections/export")):
        assert lane(method, path) is Lane.TRANSFER
    for path in ("/", "/batches/", "/datasets/", "/api/batches", "/healthz/x", "/api/status", "/inspections/"):
        assert lane("GET", path) is Lane.PAGES


def test_shared_state_has_a_lane_for_every_kind(limits: Any) -> None:
    shared = shared_state(None, SimpleNamespace(), 10)
    for lane in Lane:
        ran = threading.Event()
        shared.lanes.run(lane, ran.set)
        assert ran.wait(5)


def test_what_waits_behind_a_look_up_is_overdue_too() -> None:
    """A look-up of a sender has no connection that waits; those behind it have, and the database may hang."""
    lane, hangs = ThreadLane("checks", 1), threading.Event()

    def hang() -> None:
        hangs.wait(30)

    try:
        lane.submit(Job(hang))
        wait_for(lambda: lane._jobs_in_progress)
        lane.submit(Job(lambda: None))
        lane.submit(Job(lambda: None, owner="ready"))
        lane.submit(Job(lambda: None))
        wait_for(lambda: lane.overdue(0.05) == ["ready"])
        assert lane.overdue(0.0) == []
        assert len(lane._queue) == 2
    finally:
        hangs.set()
