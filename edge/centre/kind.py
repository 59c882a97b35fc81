"""What the connection of a node to its centre is: its settings, and its sender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Kind, SecretField, Setting, SettingInvalid


def _check(settings: Mapping[str, Any]) -> None:
    try:
        parts = urlsplit(settings["url"])
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        is_usable = is_usable and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingInvalid(
            "The address must begin with https:// or http:// and name a host, without a user. Nothing was changed.",
            field="url",
        )
    if settings["ca_certificate"] and "BEGIN CERTIFICATE" not in settings["ca_certificate"]:
        raise SettingInvalid("The certificate must be in PEM form. Nothing was changed.", field="ca_certificate")


def _sender(target: Any, figures: Any) -> Any:
    from edge.centre.sender import CentreSender

    return CentreSender(target, figures)


CENTRE = Kind(
    name="centre",
    title=_("Centre"),
    summary=_(
        "Makes this an edge node: forwards each record with its image and map, and has its audit chain anchored."
    ),
    settings=(
        Setting(
            "url",
            _("Address of the centre"),
            is_required=True,
            help=_("https://; http:// only to hosts that EDGE_PRIVATE_HOSTS names"),
        ),
        Setting(
            "node_name",
            _("Name of this node"),
            is_required=True,
            max_length=60,
            help=_("as the centre knows it"),
        ),
        Setting("timeout_s", _("Seconds to wait for the answer"), float, 10.0, low=0.5, high=20),
        Setting(
            "anchor_minutes",
            _("Minutes between two anchors"),
            float,
            10.0,
            low=0.1,
            high=1440,
            help=_("of the audit chain, where nothing is forwarded"),
        ),
        Setting(
            "ca_certificate",
            _("Certificate of its authority"),
            max_length=20_000,
            is_long=True,
            help=_("PEM; empty: the authorities that this machine trusts"),
        ),
    ),
    secrets=(
        SecretField(
            "token",
            _("Token of this node"),
            is_required=True,
            min_length=16,
            help=_("The page Edge nodes of the centre shows it once."),
        ),
    ),
    make_sender=_sender,
    check=_check,
    forwards_records=True,
)
