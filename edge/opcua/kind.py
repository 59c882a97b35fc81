"""What an OPC UA connection is: its settings, its server, and the jobs of its clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Figures, Kind, Setting, SettingInvalid, Target
from edge.triggers.settings import PICTURE_SETTINGS, check_pictures

if TYPE_CHECKING:
    from edge.opcua.sender import OpcUaSender
    from edge.opcua.source import OpcUaSource


def _check(settings: Mapping[str, Any]) -> None:
    if not all(part.isalnum() or part in "-.:_" for part in settings["host"]):
        raise SettingInvalid("The name must be a host or an address. Nothing was changed.", field="host")
    if settings["jobs"]:
        check_pictures(settings)


# asyncua is not installed everywhere: it is loaded by the process that keeps such a connection.
def _make_sender(target: Target, figures: Figures) -> OpcUaSender:
    from edge.opcua.sender import OpcUaSender

    return OpcUaSender(target, figures)


def _make_source(target: Target, figures: Figures) -> OpcUaSource | None:
    if not target.settings["jobs"]:
        return None
    from edge.opcua.source import OpcUaSource

    return OpcUaSource(target, figures)


OPCUA = Kind(
    name="opcua",
    title=_("OPC UA"),
    summary=_("A server with the names of OPC 40100-1: an event for each verdict, jobs as triggers."),
    settings=(
        Setting(
            "host",
            _("Name of this machine"),
            is_required=True,
            max_length=253,
            help=_("or its address, by which clients reach it"),
        ),
        Setting("port", _("Port"), int, 4840, low=1, high=65535),
        Setting("bind", _("Address to listen on"), default="0.0.0.0", max_length=45, help=_("0.0.0.0: all")),
        Setting(
            "security",
            _("Security"),
            default="required",
            choices=(("required", _("signed and encrypted, trusted clients alone")), ("none", _("none, too"))),
            help=_("none: only in a network of its own"),
        ),
        Setting(
            "anonymous",
            _("Clients without a user"),
            bool,
            False,
            help=_("may look, and start no jobs; otherwise each needs a user and a token"),
        ),
        Setting(
            "taken",
            _("A verdict is delivered"),
            default="acknowledged",
            choices=(
                ("acknowledged", _("when a client has acknowledged it")),
                ("published", _("when its event was raised for a client")),
            ),
        ),
        Setting(
            "acknowledge_ms",
            _("Milliseconds to wait for the acknowledgement"),
            int,
            5000,
            low=20,
            high=20_000,
            help=_("then the result is shown again, marked as a duplicate"),
        ),
        Setting("jobs", _("Jobs"), bool, False, help=_("clients trigger parts with StartSingleJob")),
        *PICTURE_SETTINGS,
    ),
    make_sender=_make_sender,
    make_source=_make_source,
    check=_check,
    modules=("asyncua",),
)
