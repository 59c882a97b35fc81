"""What an MQTT connection is: its settings, its sender, and its triggers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Figures, Kind, SecretField, Setting, SettingInvalid, Target
from edge.passages.settings import check_size, size_settings

if TYPE_CHECKING:
    from edge.mqtt.sender import MqttSender
    from edge.mqtt.source import MqttSource


def _check(settings: Mapping[str, Any]) -> None:
    check_size(settings)
    prefix = settings["topic_prefix"]
    if any(character in prefix for character in "#+\0") or prefix.startswith(("/", "$")) or prefix.endswith("/"):
        raise SettingInvalid(
            "The topic prefix must not hold + or #, nor begin with / or $, nor end with /. Nothing was changed.",
            field="topic_prefix",
        )
    if settings["sparkplug_group"] and importlib.util.find_spec("google") is None:
        raise SettingInvalid(
            "Sparkplug B needs protobuf: pip install -r requirements-edge.txt. Nothing was changed.",
            field="sparkplug_group",
        )
    if settings["ca_certificate"] and "BEGIN CERTIFICATE" not in settings["ca_certificate"]:
        raise SettingInvalid("The certificate must be in PEM form. Nothing was changed.", field="ca_certificate")


def _make_sender(target: Target, figures: Figures) -> MqttSender:
    from edge.mqtt.sender import MqttSender  # paho-mqtt is not installed everywhere

    if not target.settings["sparkplug_group"]:
        return MqttSender(target)
    from edge.mqtt.sparkplug import SparkplugNode

    return MqttSender(target, SparkplugNode(target))


def _make_source(target: Target, figures: Figures) -> MqttSource | None:
    if not target.settings["triggers"] and not target.settings["passages"]:
        return None
    from edge.mqtt.source import MqttSource

    return MqttSource(target, figures)


MQTT = Kind(
    name="mqtt",
    title=_("MQTT"),
    summary=_("Publishes each verdict to a broker, a topic for each station; takes triggers with images."),
    settings=(
        Setting("host", _("Broker"), is_required=True, max_length=253),
        Setting("port", _("Port"), int, 1883, low=1, high=65535, help=_("1883, with TLS mostly 8883")),
        Setting("version", _("Version"), default="3.1.1", choices=(("3.1.1", "3.1.1"), ("5", "5"))),
        Setting("topic_prefix", _("Topic prefix"), default="inspection", is_required=True, max_length=200),
        Setting("client_id", _("Client id"), max_length=60, help=_("empty: one is made from the connection's number")),
        Setting("username", _("User"), max_length=200),
        Setting("tls", _("TLS"), bool, False),
        Setting(
            "ca_certificate",
            _("Certificate of its authority"),
            max_length=20_000,
            is_long=True,
            help=_("PEM; empty: the authorities that this machine trusts"),
        ),
        Setting(
            "triggers",
            _("Take triggers"),
            bool,
            False,
            help=_("Messages with an image, or with a path inside EDGE_TRIGGER_ROOTS, are inspected."),
        ),
        Setting(
            "passages",
            _("Take passages"),
            bool,
            False,
            help=_("Messages that say which part passed; statements of inspection name those without a record."),
        ),
        *size_settings(last=0),
        Setting(
            "sparkplug_group",
            _("Sparkplug group"),
            max_length=100,
            help=_("With a group, verdicts are published as Sparkplug B besides; empty: they are not."),
        ),
        Setting(
            "sparkplug_node",
            _("Sparkplug edge node"),
            max_length=100,
            help=_("empty: the name of the connection"),
        ),
        Setting("keepalive_s", _("Keep-alive in seconds"), int, 15, low=2, high=3600),
        Setting("timeout_s", _("Seconds to wait for the broker"), float, 5.0, low=0.1, high=20),
    ),
    secrets=(SecretField("password", _("Password")),),
    make_sender=_make_sender,
    make_source=_make_source,
    check=_check,
    modules=("paho",),
)
