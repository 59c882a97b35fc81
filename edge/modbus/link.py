"""The connection to one PLC: a thread of its own looks at its registers, shows results and counts the heartbeat."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from common.web.outgoing import AddressRefused, NotReached, checked_address
from edge.connections.kinds import Figures, Target
from edge.modbus import registers
from edge.modbus.exchange import Exchange
from edge.modbus.handshake import Control, Outputs, Result, Step, Times, reopened, step
from edge.passages.settings import LAST, size_in
from edge.passages.watch import CounterWatch
from jobs.outbox import NotDelivered, NotSent

log = logging.getLogger(__name__)
_SILENT_SECONDS = 5.0  # without a sign of the sender the heartbeat stops: nobody would send a verdict
_LAST_BEAT = 65_535
_PATIENCE = 2.0  # seconds beyond what showing a result takes
_WITHOUT_LINE_TIME = 60.0


@dataclass
class _Offer:
    result: Result
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    is_begun: bool = False  # some of it may have been written


def times_of(target: Target) -> Times:
    values = target.settings
    line = target.line_time_ms
    return Times(
        pulse=values["pulse_ms"] / 1000,
        gap=values["gap_ms"] / 1000,
        line=_WITHOUT_LINE_TIME if line is None else line / 1000,
        acknowledge=values["acknowledge_ms"] / 1000,
        unobserved=values["unobserved_ms"] / 1000,
    )


class Link:
    """Opened once; when it is lost it stays so, and another one is made."""

    def __init__(self, target: Target, figures: Figures, exchange: Exchange) -> None:
        self._values = target.settings
        self._figures, self._exchange, self._times = figures, exchange, times_of(target)
        self._client: Any = None
        self._offer: _Offer | None = None
        self._error: Exception | None = None
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"plc-{target.connection_id}", daemon=True)
        self._signed_at = time.monotonic()
        self._beat, self._beat_at = 0, 0.0
        self._written: list[int] = []
        self._coils: list[bool] = []
        is_counted = self._values["passage_register"] >= 0
        self._passages = CounterWatch(target, figures, size_in(self._values)) if is_counted else None

    # ------------------------------------------------------------ for the sender
    def open(self) -> None:
        """Raises `NotSent`."""
        host, port = self._values["host"], self._values["port"]
        try:
            address = checked_address(
                host, port, private_hosts=settings.EDGE_PRIVATE_HOSTS, setting="EDGE_PRIVATE_HOSTS"
            )
        except (AddressRefused, NotReached) as error:
            raise NotSent(str(error)) from error
        self._client = ModbusTcpClient(address, port=port, timeout=self._values["timeout_s"], retries=0)
        if not self._client.connect():
            raise NotSent(f"The PLC {host}:{port} does not answer.")
        try:
            self._write_coils(registers.ALL_OFF)
        except (NotDelivered, OSError) as error:
            self._client.close()
            raise NotSent(f"The PLC {host}:{port} cannot be used. {error}") from error
        if self._passages is not None:
            self._passages.start()
        self._thread.start()

    def present(self, result: Result) -> None:
        """Return when the PLC has it: when it was written, or, with a handshake, when it was acknowledged.

        Raises `NotSent` where nothing of it was written, otherwise `NotDelivered`.
        """
        self.require_alive()
        offer = _Offer(result)
        self._offer = offer
        self._wake.set()
        times = self._times
        patience = 2 * (times.acknowledge + times.pulse + times.gap) + self._values["timeout_s"] + _PATIENCE
        end = time.monotonic() + patience
        while not offer.done.wait(0.2):
            self.note_sign()
            if time.monotonic() > end and not offer.is_begun:
                self._offer = None
                raise NotDelivered("The PLC holds its acknowledgement: nothing can be shown to it.")
            if not self._thread.is_alive() and not offer.done.is_set():
                self._conclude(offer)
        self.note_sign()
        if offer.error is not None:
            raise offer.error

    def note_sign(self) -> None:
        self._signed_at = time.monotonic()

    def require_alive(self) -> None:
        """Raises `NotSent`."""
        self.note_sign()
        if self._error is not None or not self._thread.is_alive():
            raise NotSent(f"The connection to the PLC was lost. {self._error or ''}".strip())

    def close(self) -> None:
        """Leave in order: the outputs go to their safe state, the heartbeat to 0."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(4 * self._values["timeout_s"] + 1)
        if self._passages is not None:
            self._passages.stop()
        if self._client is not None:
            self._client.close()

    # ------------------------------------------------------------ the thread
    def _run(self) -> None:
        self._exchange.state = reopened(self._exchange.state)
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                self._look()
                pause = self._values["poll_ms"] / 1000 - (time.monotonic() - began)
                self._wake.wait(max(pause, 0.001))
                self._wake.clear()
        except (NotDelivered, OSError) as error:
            self._error = error
        except Exception as error:
            log.exception("The connection to a PLC failed.")
            self._error = error
        if self._offer is not None:
            self._conclude(self._offer)
        self._make_safe()

    def _look(self) -> None:
        if self._passages is not None:
            self._passages.look(self._read_counter())
        control = self._read_control() if self._values["handshake"] else None
        now = time.monotonic()
        offer = self._offer
        failed = self._exchange.failed.popleft() if self._exchange.failed else 0
        state, look = step(
            self._exchange.state,
            now=now,
            control=control,
            times=self._times,
            offered=offer.result if offer is not None and not offer.is_begun else None,
            failed=failed,
        )
        self._exchange.state = state
        if offer is not None and look.is_offer_shown:
            offer.is_begun = True
        for name, number in look.counted:
            self._figures.add(name, number)
        if look.accepted is not None:
            self._figures.add("triggers_accepted")
            self._exchange.accepted.put(look.accepted)
        self._write(look.outputs, now)
        self._note_end(offer, look)

    def _note_end(self, offer: _Offer | None, look: Step) -> None:
        """Whether the PLC has taken what was offered, or let it pass. What comes from elsewhere nobody waits for."""
        if offer is None or not offer.is_begun:
            return
        ended = look.taken or look.untaken
        if ended is None or ended.sequence != offer.result.sequence:
            return
        if look.untaken is not None:
            offer.error = NotDelivered("The PLC did not acknowledge the result in time.")
        self._offer = None
        offer.done.set()

    def _conclude(self, offer: _Offer) -> None:
        """Of what was offered when the connection ended."""
        self._offer = None
        why = f"The connection to the PLC was lost. {self._error or ''}".strip()
        offer.error = NotDelivered(why) if offer.is_begun else NotSent(why)
        offer.done.set()

    def _write(self, outputs: Outputs, now: float) -> None:
        """The registers first: who sees a coil finds in them what it belongs to."""
        if now >= self._beat_at and now - self._signed_at < _SILENT_SECONDS:
            self._beat = self._beat % _LAST_BEAT + 1
            self._beat_at = now + self._values["heartbeat_ms"] / 1000
        counters = {name: int(value) for name, value in self._figures.as_dict().items() if name in registers.COUNTERS}
        wanted = registers.status_registers(outputs, heartbeat=self._beat, counters=counters)
        if wanted != self._written:
            self._write_registers(wanted)
        if (coils := registers.coils(outputs)) != self._coils:
            self._write_coils(coils)

    def _make_safe(self) -> None:
        """As far as the PLC can be reached. Otherwise it sees that the heartbeat stands still."""
        with contextlib.suppress(NotDelivered, OSError):
            self._write_coils(registers.ALL_OFF)
            self._write_registers([0] * registers.STATUS_REGISTERS)

    # ------------------------------------------------------------ Modbus
    def _read_control(self) -> Control:
        first = self._values["control_base"]
        answer = self._ask(
            "read the control registers",
            lambda client, unit: client.read_holding_registers(
                first, count=registers.CONTROL_REGISTERS, device_id=unit
            ),
        )
        return registers.control_of(answer.registers)

    def _read_counter(self) -> int:
        first, count = self._values["passage_register"], 2 if self._values[LAST] > _LAST_BEAT else 1
        answer = self._ask(
            "read the counter of passages",
            lambda client, unit: client.read_holding_registers(first, count=count, device_id=unit),
        )
        return registers.number_of(answer.registers)

    def _write_registers(self, values: list[int]) -> None:
        first = self._values["register_base"]
        self._ask("write registers", lambda client, unit: client.write_registers(first, values, device_id=unit))
        self._written = values

    def _write_coils(self, values: list[bool]) -> None:
        first = self._values["coil_base"]
        self._ask("write coils", lambda client, unit: client.write_coils(first, values, device_id=unit))
        self._coils = values

    def _ask(self, what: str, request: Callable[[Any, int], Any]) -> Any:
        """The answer to one request. Raises `NotDelivered`: after that the connection is of no use."""
        if not self._client.is_socket_open():
            raise NotDelivered("It was closed.")  # pymodbus would open it again, and nobody would see it
        try:
            answer = request(self._client, self._values["unit"])
        except ModbusException as error:
            self._client.close()
            raise NotDelivered(f"The PLC did not answer when asked to {what} ({error}).") from error
        if answer.isError():
            raise NotDelivered(
                f"The PLC refused to {what} (Modbus exception {getattr(answer, 'exception_code', '?')}). Compare the "
                "addresses and the unit with its program."
            )
        return answer
