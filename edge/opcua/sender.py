"""Raises a result-ready event for each verdict, in order, and waits until a client has acknowledged it."""

from __future__ import annotations

import time

from edge.connections.kinds import Figures, Message, Sender, Target
from edge.opcua.jobs import Jobs
from edge.opcua.results import result_of
from edge.opcua.server import READY, ResultServer
from edge.triggers.exchanges import Exchanges
from jobs.outbox import NotDelivered, NotReady, NotSent

_CLIENT_SECONDS = 5.0  # to wait for a client before the outbox looks again
_TOKEN_SECONDS = 10.0


class Exchange:
    """What the sender and the source of one connection share."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.server: ResultServer | None = None


exchange_of = Exchanges(Exchange).of


class OpcUaSender(Sender):
    """Owns the server; who subscribes to it is the other side."""

    def __init__(self, target: Target, figures: Figures) -> None:
        self._target, self._figures = target, figures
        self._exchange = exchange_of(target.connection_id)
        self._server: ResultServer | None = None
        self._tokens_at = 0.0

    def open(self) -> None:
        self._server = ResultServer(self._target, self._figures, self._exchange.jobs)
        self._server.start()
        self._exchange.server = self._server

    def send(self, message: Message) -> None:
        server, known = self._server, self._exchange.jobs
        if server is None:
            raise NotSent("The OPC UA server is not open.")
        self._wait_for_client(server)
        job_id, measurement = known.job_of(message)
        is_supplement = known.is_supplement(message)
        result = result_of(message, self._target, job_id=job_id, measurement=measurement, is_supplement=is_supplement)
        is_awaited = self._target.settings["taken"] == "acknowledged"
        server.announce(result, is_awaited=is_awaited)
        known.note_delivery(message)
        if known.current is None:
            server.set_state(READY)
        if is_awaited and not server.was_acknowledged(self._target.settings["acknowledge_ms"] / 1000):
            raise NotDelivered("No client acknowledged the result in time.")

    def _wait_for_client(self, server: ResultServer) -> None:
        end = time.monotonic() + _CLIENT_SECONDS
        while not server.has_subscriber():
            if time.monotonic() >= end:
                raise NotReady("No client has subscribed to the events of the vision system.")
            time.sleep(0.05)

    def tick(self) -> None:
        if self._server is None:
            raise NotSent("The OPC UA server is not open.")
        self._server.require_alive()
        if time.monotonic() >= self._tokens_at:
            self._server.turn_away_old_tokens()
            self._tokens_at = time.monotonic() + _TOKEN_SECONDS

    def close(self) -> None:
        self._exchange.server = None
        if self._server is not None:
            self._server.stop()
            self._server = None
