"""One connection: buffers a request whole, waits for nobody longer than is allowed, sends what there is to send.

Everything here runs in the event loop's thread, except `service` and what it calls.
"""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from common.context import RECEIVING_SECONDS, forwarded_address
from jobs.metrics.definitions import HTTP_SECONDS, STAGE_SECONDS
from mvtec_site.webserver import refusals
from mvtec_site.webserver.addresses import client_group
from mvtec_site.webserver.endpoints import Lane
from mvtec_site.webserver.parser import RequestParser
from mvtec_site.webserver.refusals import ENVIRON_KEY, Refusal, UnreceivedBody

if TYPE_CHECKING:
    from mvtec_site.webserver.listener import Listener

# After a refusal the sender may go on sending for so long, to nowhere: a connection that is cut at once takes the
# answer with it.
_DRAIN_SECONDS = 5.0
_DRAIN_BYTES = 256 * 1024
_CHECK_CONNECTION_AFTER = 1.0


class Task(WSGITask):
    """One request carried out by the application."""

    bytes_sent = 0

    def build_response_header(self) -> bytes:
        if self.request.refusal is not None or self.channel.server.is_stopping:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header

    def service(self) -> None:
        began = time.monotonic()
        try:
            super().service()
        finally:
            ended = time.monotonic()
            status = f"{self.status[:1]}xx"
            endpoint = self.request.endpoint
            HTTP_SECONDS.labels(endpoint.lane.value, status).observe(ended - self.request.started)
            if endpoint.lane == Lane.INSPECTION and endpoint.max_body > settings.WEB_MAX_BODY:
                STAGE_SECONDS.labels("receive").observe(self.request.received_at - self.request.started)
            self.channel.server.log_access(self, timedelta(seconds=ended - began))

    def get_environment(self) -> dict[str, Any]:
        if self.environ is None:
            environ = super().get_environment()
            refusal = self.request.refusal
            environ[RECEIVING_SECONDS] = self.request.received_at - self.request.started
            if refusal is not None:
                environ[ENVIRON_KEY] = refusal
                environ["wsgi.input"] = UnreceivedBody(refusal)
                # Never 0, also where nobody knows it: a body that is not there is not an empty one.
                environ["CONTENT_LENGTH"] = str(max(1, self.request.content_length))
            if self.request.command == "HEAD":
                del environ["wsgi.file_wrapper"]
        return dict(self.environ or {})

    def write(self, data: bytes) -> None:
        if self.request.command == "HEAD":
            data = b""
        self.bytes_sent += len(data)
        if not self.wrote_header and data and self.complete and self.content_length == len(data):
            self._write_whole(data)
        else:
            super().write(data)

    def _write_whole(self, data: bytes) -> None:
        """Header and body of most answers, in one piece: one packet less."""
        header = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = len(data)
        self.channel.write_soon(header + data if self.has_body else header)

    def finish(self) -> None:
        if self.request.command == "HEAD":
            self.chunked_response, chunked = False, self.chunked_response
            super().finish()
            self.chunked_response = chunked
        else:
            super().finish()


class UnreadableTask(ErrorTask):
    """The answer to what is no HTTP request."""

    def service(self) -> None:
        self.channel.server.log_unreadable(self.channel.address, self.request.error)
        super().service()


class Channel(HTTPChannel):
    task_class = Task
    error_task_class = UnreadableTask
    parser_class = RequestParser

    server: Listener
    sent_continue: bool
    request: RequestParser | None
    requests: list[RequestParser]

    def __init__(self, server: Listener, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        super().__init__(server, sock, addr, adj, map=map)
        now = time.monotonic()
        self.address = str(addr[0])
        self.client = client_group(self.address)
        self.idle_since = self.read_at = self.sent_at = now
        self.served = 0
        self._awaits_admission = False
        self._admission_requested_at = 0.0
        self._unparsed = b""
        self._cut_short = False  # what is still to come is not looked at
        self._drain_until: float | None = None
        self._queued_at = 0.0
        # While an answer waits for its reader: since when, and how many bytes were sent.
        self._pending_since: float | None = None
        self._bytes_sent_since = 0

    # ------------------------------------------------------------ state
    @property
    def is_evictable(self) -> bool:
        """Nothing is carried out or being sent for it."""
        return not (self.requests or self._awaits_admission or self.total_outbufs_len)

    @property
    def has_request(self) -> bool:
        """A request of which at least the header is there."""
        return bool(self.requests) or (self.request is not None and self.request.receives_body)

    @property
    def is_idle(self) -> bool:
        return self.is_evictable and self.request is None

    # ------------------------------------------------------------ receiving
    def readable(self) -> bool:
        if self._drain_until is not None:
            return True
        return not (self._awaits_admission or self._cut_short) and super().readable()

    def handle_read(self) -> None:
        if self._drain_until is not None:
            try:
                self.recv(_DRAIN_BYTES)
            except OSError:
                self.handle_close()
            return
        self.read_at = time.monotonic()
        super().handle_read()

    def received(self, data: bytes) -> bool:
        """As in waitress, and: a request that may not go on stops here, with all that comes after it."""
        with self.requests_lock:
            if self.will_close or self.close_when_flushed or self._cut_short:
                return False
            while data:
                if self.request is None:
                    self.request = self.parser_class(self.adj)
                try:
                    consumed = self.request.received(data)
                except OSError:
                    self.request.refuse(refusals.DISK_FULL)
                    consumed = len(data)
                data = data[consumed:]
                if settings.PROXIES:
                    self._limit_forwarded_client(self.request)
                if self.request.needs_admission and not self._admit_at_once(self.request):
                    self._awaits_admission, self._unparsed = True, data
                    self._admission_requested_at = time.monotonic()
                    self.server.ask_admission(self, self.request)
                    return True
                if not self._advance(self.request):
                    return True
        return True

    def _advance(self, request: RequestParser) -> bool:
        """What follows from the state of a request; False when nothing after it is to be parsed."""
        if request.expect_continue and request.headers_finished and not (self.requests or self.sent_continue):
            self.send_continue()
        if not request.completed:
            return True
        self.sent_continue = False
        request.received_at = time.monotonic()
        self.request = None
        self._cut_short = request.refusal is not None or request.error is not None
        if not request.empty:
            self.requests.append(request)
            if len(self.requests) == 1:
                self._enqueue()
        self.idle_since = time.monotonic()
        return not self._cut_short

    def _admit_at_once(self, request: RequestParser) -> bool:
        if self.server.admissions.remembered(request.headers, request.endpoint):
            request.admit(self.server.spool)
            return True
        return False

    def answer_admission(self, request: RequestParser, refusal: Refusal | None) -> None:
        """What the database said about the sender."""
        self._awaits_admission = False
        unparsed, self._unparsed = self._unparsed, b""
        if self.request is not request or not self.connected:
            return
        self.read_at = request.body_started = time.monotonic()
        if refusal is None:
            request.admit(self.server.spool)
        else:
            request.refuse(refusal)
        with self.requests_lock:
            go_on = self._advance(request)
        if go_on and unparsed:
            self.received(unparsed)

    def _limit_forwarded_client(self, request: RequestParser) -> None:
        """Behind proxies of ours connections are theirs; what is limited is how many requests of one client go on."""
        if request.is_counted or request.error is not None or not request.headers_finished or request.empty:
            return
        request.is_counted = True
        self.client = client_group(forwarded_address(self.address, request.headers.get("X_FORWARDED_FOR", "")))
        limit = settings.WEB_CONNECTIONS_PER_ADDRESS
        if self.server.count_requests(self.client, besides=self) >= limit:
            request.refuse(refusals.too_many_connections(limit))

    # ------------------------------------------------------------ deadlines
    def check_deadlines(self, now: float) -> None:
        if self._drain_until is not None:
            if now > self._drain_until:
                self.handle_close()
        elif self._is_read_too_slowly(now):
            self.server.log_timeout(self.address, "the answer was not read in time")
            self.handle_close()
        elif self._awaits_admission:
            if self.request is not None and now - self._admission_requested_at > settings.WEB_QUEUE_TIMEOUT:
                self.answer_admission(self.request, refusals.UNCHECKED)
        elif self.requests or self.total_outbufs_len:
            return
        elif self.request is None:
            allowed = settings.WEB_KEEPALIVE_TIMEOUT if self.served else settings.WEB_HEADER_TIMEOUT
            if now - self.idle_since > allowed:
                self.handle_close()
        elif not self.request.headers_finished:
            if now - self.request.started > settings.WEB_HEADER_TIMEOUT:
                self.server.log_timeout(self.address, "the header did not arrive in time")
                self.handle_close()
        elif self._is_sent_too_slowly(self.request, now):
            self.server.log_timeout(self.address, "the body did not arrive in time")
            self.request.refuse(refusals.BODY_TIMED_OUT)
            with self.requests_lock:
                self._advance(self.request)

    def _is_sent_too_slowly(self, request: RequestParser, now: float) -> bool:
        allowed = 2 * settings.WEB_BODY_TIMEOUT + request.body_bytes_received / settings.WEB_MIN_RATE
        silent = now - max(self.read_at, request.body_started)
        return silent > settings.WEB_BODY_TIMEOUT or now - request.body_started > allowed

    def _is_read_too_slowly(self, now: float) -> bool:
        """Only the time counts in which something waits for the reader: the application may take its own."""
        if not self.total_outbufs_len:
            self._pending_since = None
            return False
        if self._pending_since is None:
            self._pending_since, self._bytes_sent_since = now, 0
        allowed = 2 * settings.WEB_WRITE_TIMEOUT + self._bytes_sent_since / settings.WEB_MIN_RATE
        silent = now - max(self.sent_at, self._pending_since)
        return silent > settings.WEB_WRITE_TIMEOUT or now - self._pending_since > allowed

    # ------------------------------------------------------------ sending
    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        if sent:
            self.sent_at = time.monotonic()
            self._bytes_sent_since += sent
        return sent

    def writable(self) -> bool:
        return self._drain_until is None and bool(super().writable())

    def handle_write(self) -> None:
        if not (self._cut_short and self.close_when_flushed and not self.will_close):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self._drain()

    def _drain(self) -> None:
        self.close_when_flushed = False
        self._drain_until = time.monotonic() + _DRAIN_SECONDS
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()

    def handle_close(self) -> None:
        super().handle_close()
        request, self.request = self.request, None
        if request is not None:
            request.close()

    # ------------------------------------------------------------ carrying out
    @property
    def lane(self) -> Lane:
        request = self.requests[0]
        if request.error is not None:
            return Lane.HEALTH
        if request.refusal is not None:
            return Lane.CHECKS if request.refusal.is_for_the_view else Lane.HEALTH
        return request.endpoint.lane

    def _enqueue(self) -> None:
        self._queued_at = time.monotonic()
        self.server.add_task(self)

    def refuse_queued(self, refusal: Refusal) -> None:
        """Of a request that no thread has begun."""
        self.requests[0].refuse(refusal)
        self._cut_short = True
        self.server.add_task(self)

    def service(self) -> None:
        self.served += 1
        if time.monotonic() - self._queued_at > _CHECK_CONNECTION_AFTER and self._is_gone():
            self.cancel()
            self.server.pull_trigger()
            return
        self._queued_at = time.monotonic()  # for the next one, which waitress puts into the queue by itself
        super().service()
        self.idle_since = time.monotonic()

    def cancel(self) -> None:
        for request in self.requests:
            request.close()
        super().cancel()

    def _is_gone(self) -> bool:
        """Whether the caller hung up while the request waited for a thread: then it is not begun."""
        try:
            return self.connected and not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return False
        except (OSError, AttributeError):
            return True


def response_of(task: Task) -> SimpleNamespace:
    """What gunicorn's access log wants to know of an answer."""
    return SimpleNamespace(status=task.status, headers=task.response_headers, sent=task.bytes_sent)
