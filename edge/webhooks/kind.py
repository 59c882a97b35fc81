"""What a webhook is: its settings, and its sender."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Kind, SecretField, Setting, SettingInvalid
from edge.webhooks.sender import WebhookSender


def _check(settings: Mapping[str, Any]) -> None:
    try:
        parts = urlsplit(settings["url"])
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SettingInvalid(
            "The address must begin with https:// or http:// and name a host. Nothing was changed.", field="url"
        )
    if parts.username or parts.password:
        raise SettingInvalid(
            "The address must not hold a user or a password. Nothing was changed. The signature says who sends.",
            field="url",
        )
    if settings["ca_certificate"] and "BEGIN CERTIFICATE" not in settings["ca_certificate"]:
        raise SettingInvalid("The certificate must be in PEM form. Nothing was changed.", field="ca_certificate")


WEBHOOK = Kind(
    name="webhook",
    title=_("Webhook"),
    summary=_("Posts each verdict as signed JSON to an address, such as that of an MES."),
    settings=(
        Setting(
            "url",
            _("Address"),
            is_required=True,
            help=_("https://; http:// only to hosts that EDGE_PRIVATE_HOSTS names"),
        ),
        Setting("timeout_s", _("Seconds to wait for the answer"), float, 5.0, low=0.1, high=20),
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
            "signing_secret",
            _("Signing secret"),
            is_required=True,
            min_length=16,
            overlap_hours=24,
            help=_("At least 16 characters. After a change, both sign for 24 hours."),
        ),
    ),
    make_sender=lambda target, figures: WebhookSender(target),
    check=_check,
)
