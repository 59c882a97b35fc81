"""Forwards records in the order of their station, and has the audit chain anchored with each batch."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import Min
from django.utils import timezone

from edge.centre.client import CentreClient
from edge.centre.content import package_of
from edge.centre.models import CentreReceipt
from edge.centre.receipts import keep_receipt
from edge.connections.kinds import Figures, Message, Sender, Target
from edge.deliveries.models import Delivery
from edge.nodes.chain import State
from edge.nodes.wire import MAX_EVENTS, event_values
from jobs.outbox import NotReady, NotSent, Refused
from records.models import AuditEvent

_CONTACT_SECONDS = 30.0
_SEGMENTS_AT_ONCE = 10


class CentreSender(Sender):
    """One request at a time. Whatever comes between, the centre is asked again where it stands."""

    def __init__(self, target: Target, figures: Figures) -> None:
        self._target, self._figures = target, figures
        self._client = CentreClient(target)
        self._anchored = State()
        self._has_sent = False
        self._anchor_at = self._contact_at = 0.0

    def open(self) -> None:
        self._contact()
        self._has_sent = True  # what came before this process, too

    def send(self, message: Message) -> None:
        delivery = Delivery.objects.select_related(
            *("inspection__asset", "inspection__map", "inspection__model_version", "inspection__category"),
            *("inspection__threshold", "inspection__calibration", "inspection__operator"),
        ).get(pk=message.delivery_id)
        if delivery.inspection is None:
            return  # an image without a record: its event goes with the audit chain
        package = package_of(delivery.inspection)
        answer = self._client.send_record(package.document, package.image, package.map)
        self._has_sent = True
        self._figures.add("records_forwarded")
        if answer.get("repeated"):
            self._figures.add("records_repeated")

    def tick(self) -> None:
        now = time.monotonic()
        if self._has_sent or now >= self._anchor_at:
            self._anchor()
        if now >= self._contact_at:
            self._contact()

    def _contact(self) -> None:
        waiting = Delivery.objects.filter(
            lane__connection=self._target.connection_id, status=Delivery.Status.WAITING
        ).order_by()
        oldest = waiting.aggregate(oldest=Min("recorded_at"))["oldest"]
        answer = self._client.contact(waiting=waiting.count(), oldest_waiting_at=oldest.isoformat() if oldest else None)
        self._anchored = _state_of(answer)
        self._contact_at = time.monotonic() + _CONTACT_SECONDS
        self._figures.put("last_contact", timezone.now().isoformat(timespec="seconds"))
        self._require_same_chain()
        # The one that was lost with the connection, or with this process; those before it are covered by it.
        if answer.get("receipt") and not CentreReceipt.objects.filter(pk=self._anchored.sequence).exists():
            keep_receipt(answer["receipt"], node=self._target.settings["node_name"])

    def _require_same_chain(self) -> None:
        """Raises `NotSent` where the centre's word about this chain is about another one: nothing of it may go on."""
        known = self._anchored
        if known.sequence and not AuditEvent.objects.filter(sequence=known.sequence, hash=known.head).exists():
            raise NotSent(
                f"The centre has anchored an event {known.sequence} that this audit chain does not have. Nothing is "
                "forwarded. The database here was changed, restored or replaced: run manage.py edge --verify; a "
                "replaced one is registered at the centre as a new node."
            )

    def _anchor(self) -> None:
        """Send the events since the last anchor. Raises as `send`, where the centre is away."""
        for _ in range(_SEGMENTS_AT_ONCE):
            events = list(
                AuditEvent.objects.filter(sequence__gt=self._anchored.sequence).order_by("sequence")[:MAX_EVENTS]
            )
            if not events:
                self._has_sent = False
                break
            try:
                receipt = self._client.send_events([event_values(event) for event in events])
            except NotReady as error:
                self._has_sent = False
                self._anchor_at = time.monotonic() + error.wait.total_seconds()
                return
            except Refused as error:
                raise NotSent(str(error)) from error
            keep_receipt(receipt, node=self._target.settings["node_name"])
            self._anchored = State(events[-1].sequence, events[-1].hash)
            self._figures.put("anchored_event", self._anchored.sequence)
        self._anchor_at = time.monotonic() + self._target.settings["anchor_minutes"] * 60


def _state_of(answer: dict[str, Any]) -> State:
    try:
        return State(int(answer["sequence"]), str(answer["head"]))
    except (KeyError, TypeError, ValueError) as error:
        raise NotSent("What answers at the address of the centre is none.") from error
