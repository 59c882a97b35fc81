"""Reads: how an edge node is, and what it still lacks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone

from common.errors import UserError
from edge.centre.client import CentreClient
from edge.centre.services import centre_connections, missing_settings
from edge.connections.registry import KINDS
from edge.connections.sealing import Unreadable
from edge.connections.selectors import Health, find_connection, health_of, target_of
from edge.models import CentreReceipt, Connection
from jobs.outbox import NotDelivered
from modelzoo.models import ModelVersion
from modelzoo.selectors import active_deployments

_LOW_DISK = 2 * 1024**3  # bytes


@dataclass(frozen=True)
class Finding:
    """One thing that an edge node needs: whether it is there, and what to do where it is not."""

    name: str
    is_there: bool
    sentence: str


def node_status() -> dict[str, Any]:
    """How forwarding is: what waits, and when the centre was heard last."""
    rows = centre_connections()
    health = health_of(find_connection(rows[0].pk)) if rows else None
    receipt = CentreReceipt.objects.order_by("-sequence").first()
    return {
        "node": rows[0].settings.get("node_name", "") if rows else "",
        "centre": rows[0].settings.get("url", "") if rows else "",
        "state": health.state if health else "none",
        "waiting": health.waiting if health else 0,
        "oldest_waiting_at": health.oldest_waiting_at if health else None,
        "forwarded": health.delivered if health else 0,
        "dead_letters": health.dead_letters if health else 0,
        "last_contact": health.figures.get("last_contact") if health else None,
        "anchored_event": receipt.sequence if receipt else 0,
        "error": _error_of(health),
    }


def _error_of(health: Health | None) -> str:
    return health.error if health and health.state in ("failing", "silent") else ""


def status_sentence() -> str:
    status = node_status()
    if status["state"] == "none":
        return "No centre: records stay here. Set EDGE_CENTRE_URL, EDGE_CENTRE_TOKEN and EDGE_NODE_NAME."
    waiting = f"{status['waiting']} records wait to be forwarded"
    if status["oldest_waiting_at"]:
        minutes = (timezone.now() - status["oldest_waiting_at"]).total_seconds() / 60
        waiting += f" (the oldest for {minutes:.0f} minutes)"
    letters = f", {status['dead_letters']} are dead letters" if status["dead_letters"] else ""
    contact = status["last_contact"] or "never"
    error = f" {status['error']}" if status["error"] else ""
    return f"{waiting}{letters}; {status['forwarded']} are at the centre. Last contact: {contact}.{error}"


# ---------------------------------------------------------------- the first start
def findings() -> list[Finding]:
    """What a node needs, in the order in which it is set up."""
    return [*_model(), _source(), *_centre(), _disk()]


def _model() -> list[Finding]:
    deployed = active_deployments()
    if deployed:
        return [Finding("model", True, f"In force: {', '.join(str(one.model_version) for one in deployed)}.")]
    if ModelVersion.objects.exists():
        what = "A model is here and none is in force: put it in force on the page Models, or with POST /api/load_model."
    else:
        what = (
            "There is no model. Take its package from the centre (there: manage.py export_model) and import it here: "
            "manage.py import_model FILE"
        )
    return [Finding("model", False, what)]


def _source() -> Finding:
    brings = [kind.name for kind in KINDS.values() if kind.make_source is not None]
    rows = Connection.objects.filter(kind__in=brings, is_enabled=True)
    names = ", ".join(rows.order_by("name").values_list("name", flat=True))
    sentence = (
        f"Images come over: {names}." if names else "Images come over the API, the page and watched folders alone."
    )
    return Finding("images", True, sentence)


def _centre() -> list[Finding]:
    rows = [row for row in centre_connections() if row.is_enabled]
    if not rows:
        missing = ", ".join(missing_settings()) or "nothing (start manage.py edge once)"
        return [Finding("centre", False, f"No connection to a centre. To be set: {missing}.")]
    made = Finding("centre", True, f"{rows[0].settings['url']}, as {rows[0].settings['node_name']}.")
    try:
        answer = CentreClient(target_of(find_connection(rows[0].pk))).contact()
    except (NotDelivered, OSError, UserError, Unreadable) as error:
        return [made, Finding("contact", False, f"{error or 'Its token cannot be read: set it again.'}")]
    return [made, Finding("contact", True, f"It answers; anchored there: event {answer.get('sequence')}.")]


def _disk() -> Finding:
    free = shutil.disk_usage(settings.VAR_DIR).free
    return Finding(
        "disk", free >= _LOW_DISK, f"{free / 1024**3:.1f} GiB are free; what waits for the centre is kept on it."
    )
