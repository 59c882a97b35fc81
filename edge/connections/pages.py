"""What the templates of connections are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Kind
from edge.connections.models import Connection
from edge.connections.selectors import Health, dead_letters, deliveries, health_of, kind_of, secrets_of
from edge.deliveries.models import Delivery
from inspection.reviews.words import verdict_word

_LETTERS, _LATEST = 50, 20
_NO_VERDICT = _("NO VERDICT")
STATES: Mapping[str, tuple[Promise, str]] = {
    # its word, and how it looks
    "open": (_("open"), "good"),
    "opening": (_("opening"), "waiting"),
    "failing": (_("failing"), "bad"),
    "silent": (_("not running"), "bad"),
    "disabled": (_("disabled"), "off"),
}
FIGURES: Mapping[str, Promise] = {
    "triggers": _("Triggers"),
    "triggers_refused": _("Triggers refused"),
    "triggers_repeated": _("Triggers repeated"),
    "triggers_held_back": _("Triggers held back"),
    "triggers_accepted": _("Triggers accepted"),
    "triggers_late": _("Triggers late"),
    "triggers_doubled": _("Triggers doubled"),
    "triggers_missing": _("Triggers missing"),
    "triggers_early": _("Triggers too early"),
    "triggers_overdue": _("Triggers without a verdict in time"),
    "results_unacknowledged": _("Results not acknowledged"),
    "pictures_missing": _("Pictures missing"),
    "passages": _("Passages"),
    "passages_refused": _("Passages refused"),
    "passages_unreported": _("Passages not reported"),
    "passage_resets": _("Counter of passages began anew"),
    "frames_seen": _("Frames seen"),
    "frames_judged": _("Frames judged"),
    "frames_refused": _("Frames refused"),
    "frames_lost": _("Frames lost"),
    "frames_per_second": _("Frames a second"),
    "camera_losses": _("Times the camera was lost"),
    "exposure_us": _("Exposure of the last frame in microseconds"),
    "gain_db": _("Gain of the last frame in decibels"),
    "clients_rejected": _("Clients rejected"),
    "certificate_ends": _("Certificate valid until"),
    "records_forwarded": _("Records forwarded"),
    "records_repeated": _("Records repeated"),
    "last_contact": _("Last contact with the centre"),
    "anchored_event": _("Audit chain anchored at event"),
}


@dataclass(frozen=True)
class Row:
    """A connection in the list."""

    connection: Connection
    kind: Kind | None
    health: Health
    state: Promise
    look: str


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery in a list, with its verdict in the reader's language."""

    delivery: Delivery
    verdict: str


def _rows(found: QuerySet[Delivery]) -> list[DeliveryRow]:
    return [DeliveryRow(row, _word(row)) for row in found]


def _word(delivery: Delivery) -> str:
    outcome = delivery.content["outcome"]
    return verdict_word(outcome) if outcome else str(_NO_VERDICT)


def row_of(connection: Connection) -> Row:
    health = health_of(connection)
    word, look = STATES[health.state]
    return Row(connection, kind_of(connection), health, word, look)


def one(connection: Connection) -> dict[str, Any]:
    row = row_of(connection)
    figures = dict(row.health.figures)
    refusal = figures.pop("frame_refusal", "")  # a sentence, not a figure
    return {
        "row": row,
        "connection": connection,
        "health": row.health,
        "figures": [(FIGURES.get(name, name), value) for name, value in sorted(figures.items())],
        "refusal": refusal,
        "secrets": secrets_of(connection),
        "dead_letters": _rows(dead_letters(connection)[:_LETTERS]),
        "latest": _rows(deliveries(connection).exclude(status=Delivery.Status.FAILED)[:_LATEST]),
    }
