"""Takes connections, as many as are allowed of one client and of all, and looks after those that are open."""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from gunicorn.glogging import Logger
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer, UnixWSGIServer

from common.context import forwarded_address
from jobs.metrics import publishing
from mvtec_site.webserver import refusals
from mvtec_site.webserver.addresses import client_group
from mvtec_site.webserver.admission import Admissions
from mvtec_site.webserver.channel import Channel, Task, response_of
from mvtec_site.webserver.endpoints import Lane
from mvtec_site.webserver.lanes import Lanes
from mvtec_site.webserver.parser import RequestParser
from mvtec_site.webserver.spool import Spool

log = logging.getLogger(__name__)
_ACCEPTS_AT_ONCE = 64
_CHECK_SECONDS = 0.5
_LINGER_SECONDS = 2.0
_MAX_LINGERING = 64
_TOO_MANY_TEXT = b"Too many connections are busy. Try again later.\n"
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nRetry-After: 5\r\n"
    b"Connection: close\r\n\r\n%s" % (len(_TOO_MANY_TEXT), _TOO_MANY_TEXT)
)


class _RefusedConnection(wasyncore.dispatcher):
    """There was no room for it. What its client still sends is dropped for a moment after the answer.

    Closed at once, unread bytes would reset the connection, and the client would never see the answer.
    """

    def __init__(self, connection: socket.socket, socket_map: dict[int, Any]) -> None:
        super().__init__(connection, socket_map)
        self.until = time.monotonic() + _LINGER_SECONDS
        try:
            connection.send(_TOO_MANY)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def writable(self) -> bool:
        return False

    def handle_read(self) -> None:
        self.recv(64 * 1024)  # closes where the client did

    def handle_close(self) -> None:
        self.close()


class _Limits:
    """Mixed into waitress' servers, for both kinds of sockets."""

    channel_class = Channel
    admissions: Admissions
    spool: Spool
    log: Logger
    connection_limit: int
    is_stopping = False
    _next_check = 0.0

    # ------------------------------------------------------------ connections
    def channels(self) -> list[Channel]:
        """All of this process, whichever socket they came by."""
        return [entry for entry in self._map.values() if isinstance(entry, Channel)]  # type: ignore[attr-defined]

    def readable(self) -> bool:
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            self.check(now)
        return bool(self.accepting)

    def handle_accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                accepted = self.accept()  # type: ignore[attr-defined]
            except OSError as error:
                # Without a file descriptor to spare: make room, the connection stays in the backlog.
                self.log.warning("A connection could not be taken: %s", error)
                self._evict(self.channels())
                return
            if accepted is None:
                return
            self._take(*accepted)

    def _take(self, connection: socket.socket, address: Any) -> None:
        try:
            self.set_socket_options(connection)  # type: ignore[attr-defined]
        except OSError:
            connection.close()
            return
        address = self.fix_addr(address)  # type: ignore[attr-defined]
        if self._makes_room(str(address[0])):
            self.channel_class(self, connection, address, self.adj, map=self._map)  # type: ignore[arg-type, attr-defined]
            return
        refused = self._refused()
        if len(refused) >= _MAX_LINGERING:
            min(refused, key=lambda connection: connection.until).close()
        _RefusedConnection(connection, self._map)  # type: ignore[attr-defined]

    def _refused(self) -> list[_RefusedConnection]:
        return [entry for entry in self._map.values() if isinstance(entry, _RefusedConnection)]  # type: ignore[attr-defined]

    def _makes_room(self, address: str) -> bool:
        """Where there are too many connections the one that did nothing for longest has to go. False: all are busy."""
        channels = self.channels()
        if not settings.PROXIES and self.family != socket.AF_UNIX:  # type: ignore[attr-defined]
            client = client_group(address)
            own = [channel for channel in channels if channel.client == client]
            if len(own) >= settings.WEB_CONNECTIONS_PER_ADDRESS and not self._evict(own):
                return False
        return len(channels) < self.connection_limit or self._evict(channels)

    def _evict(self, channels: list[Channel]) -> bool:
        candidates = [channel for channel in channels if channel.is_evictable]
        if not candidates:
            return False
        min(candidates, key=lambda channel: (channel.has_request, channel.read_at)).handle_close()
        return True

    def count_requests(self, client: str, besides: Channel) -> int:
        others = (channel for channel in self.channels() if channel is not besides)
        return sum(channel.has_request and channel.client == client for channel in others)

    # ------------------------------------------------------------ looking after them
    def check(self, now: float) -> None:
        for refused in self._refused():
            if now >= refused.until:
                refused.close()
        for channel in self.channels():
            if channel.server is self:
                channel.check_deadlines(now)
        seconds = settings.WEB_QUEUE_TIMEOUT
        for channel in self.task_dispatcher.overdue(seconds):  # type: ignore[attr-defined]
            channel.refuse_queued(refusals.busy(seconds))

    def ask_admission(self, channel: Channel, request: RequestParser) -> None:
        def ask() -> None:
            try:
                refusal = self.admissions.check(request.headers, request.endpoint, peer=channel.address)
            except Exception:  # the sender waits for an answer, whatever went wrong
                log.exception("Whether somebody may send a body could not be looked up.")
                refusal = refusals.UNCHECKED
            self.trigger.pull_trigger(lambda: channel.answer_admission(request, refusal))  # type: ignore[attr-defined]

        self.task_dispatcher.run(Lane.CHECKS, ask)  # type: ignore[attr-defined]

    def stop_accepting(self) -> None:
        self.is_stopping = True
        self.accepting = False

    def is_idle(self) -> bool:
        """Nothing is received, carried out or sent any more; ends connections that have become idle."""
        for channel in self.channels():
            if channel.is_idle:
                channel.handle_close()
        return not self.channels()

    # ------------------------------------------------------------ logs
    def log_access(self, task: Task, duration: timedelta) -> None:
        if not self.log.access_log_enabled:
            return
        environ = task.get_environment()
        peer = environ["REMOTE_ADDR"]
        environ |= {
            "REMOTE_ADDR": forwarded_address(peer, environ.get("HTTP_X_FORWARDED_FOR", "")),
            "RAW_URI": task.request.request_uri,
        }
        self.log.access(response_of(task), task.request.headers, environ, duration)

    def log_unreadable(self, address: str, error: Any) -> None:
        self.log.info("Not readable as a request, from %s: %s", address, error.body)

    def log_timeout(self, address: str, what: str) -> None:
        self.log.info("A connection of %s was ended: %s.", address, what)


class Listener(_Limits, TcpWSGIServer):
    pass


class UnixListener(_Limits, UnixWSGIServer):
    pass


@dataclass(frozen=True)
class Shared:
    """What all listeners of a process have in common."""

    application: Any
    lanes: Lanes
    log: Logger
    connection_limit: int
    socket_map: dict[int, Any] = field(default_factory=dict)
    admissions: Admissions = field(default_factory=Admissions)
    spool: Spool = field(default_factory=lambda: Spool(settings.WEB_SPOOL_BYTES))


def publish_metrics() -> None:
    """From this process, until it ends."""
    publishing.start("web")


def shared_state(application: Any, log: Logger, connection_limit: int) -> Shared:
    threads = {
        Lane.HEALTH: 2,
        Lane.CHECKS: 2,
        Lane.PAGES: settings.WEB_PAGE_THREADS,
        Lane.INSPECTION: settings.WEB_THREADS,
        Lane.TRANSFER: settings.WEB_TRANSFER_THREADS,
    }
    return Shared(application, Lanes(threads), log, connection_limit)


def listen(sock: socket.socket, shared: Shared) -> _Limits:
    """A listener on a bound socket."""
    adjustments = Adjustments(
        sockets=[],
        ident=None,
        clear_untrusted_proxy_headers=False,  # common.context decides by PROXIES what to believe
        log_socket_errors=False,
        recv_bytes=64 * 1024,
        inbuf_overflow=1024**2,
        outbuf_overflow=2 * 1024**2,
        # A stream (an export) is made no faster than it is read; one picture is buffered whole, whatever its size.
        outbuf_high_watermark=256 * 1024,
        max_request_header_size=settings.WEB_MAX_HEADER,
        max_request_body_size=2**62,  # the parser knows the limit of each address
        backlog=2048,
    )
    kind = UnixListener if sock.family == socket.AF_UNIX else Listener
    listener = kind(
        shared.application,
        map=shared.socket_map,
        _start=False,
        _sock=sock,
        dispatcher=shared.lanes,
        adj=adjustments,
        sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
        bind_socket=False,
    )
    listener.admissions, listener.spool = shared.admissions, shared.spool
    listener.log, listener.connection_limit = shared.log, shared.connection_limit
    listener.accept_connections()
    return listener
