"""What a camera is as a connection: its settings, and what reads its frames."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings as product
from django.utils.translation import gettext_lazy as _

from edge.cameras.choices import EVERY, FOLDER, GENICAM, INTERVAL, NAME, NEWEST, RTSP, TRIGGERED, USB
from edge.connections.kinds import Figures, Kind, SecretField, Setting, SettingInvalid, Target

if TYPE_CHECKING:
    from edge.cameras.source import CameraSource


def _check(settings: Mapping[str, Any]) -> None:
    source = settings["source"]
    if source == FOLDER:
        _check_folder(settings["folder"])
    elif source == RTSP:
        _check_address(settings["address"])
    elif source == GENICAM:
        if importlib.util.find_spec("harvesters") is None:
            raise SettingInvalid(
                "GenICam cameras need harvesters, which is not installed here. Nothing was changed. Install it with: "
                "pip install -r requirements-edge.txt",
                field="source",
            )
        if "/" in settings["producer"] or settings["producer"].startswith("."):
            raise SettingInvalid(
                "The GenTL producer must be the name of a file in a folder of GENICAM_GENTL64_PATH, without a path. "
                "Nothing was changed.",
                field="producer",
            )
    if source in (FOLDER, RTSP) and (settings["exposure_us"] is not None or settings["gain"] is not None):
        raise SettingInvalid(
            "Exposure and gain are set for USB and GenICam cameras alone. Nothing was changed.", field="exposure_us"
        )


def _check_folder(folder: str) -> None:
    roots = [Path(root).resolve() for root in product.EDGE_TRIGGER_ROOTS]
    if not Path(folder).is_absolute() or not any(Path(folder).resolve().is_relative_to(root) for root in roots):
        raise SettingInvalid(
            "The folder of the camera must be an absolute path inside one of EDGE_TRIGGER_ROOTS. Nothing was changed.",
            field="folder",
        )


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_right = parts.scheme == "rtsp" and bool(parts.hostname) and (parts.port or 554) > 0
    except ValueError:
        is_right = False
    if not is_right:
        raise SettingInvalid(
            "The address must begin with rtsp:// and name a host, such as rtsp://10.0.8.30:554/stream1. Nothing was "
            "changed.",
            field="address",
        )
    if parts.username or parts.password or "@" in parts.netloc:
        raise SettingInvalid(
            "The address must hold no user or password: they have fields of their own. Nothing was changed.",
            field="address",
        )


# OpenCV takes long to load, and harvesters is not installed everywhere: the process that keeps a camera loads them.
def _make_source(target: Target, figures: Figures) -> CameraSource:
    from edge.cameras.source import CameraSource

    return CameraSource(target, figures)


CAMERA = Kind(
    name=NAME,
    title=_("Camera"),
    summary=_("Takes frames of a folder, a stream, a USB or a GenICam camera: judged as they come, or for triggers."),
    settings=(
        Setting(
            "source",
            _("Source"),
            default=FOLDER,
            choices=(
                (FOLDER, _("Folder")),
                (RTSP, _("Stream (RTSP)")),
                (USB, _("USB camera")),
                (GENICAM, _("GenICam (GigE Vision, USB3 Vision)")),
            ),
        ),
        Setting(
            "mode",
            _("Frames are judged"),
            default=TRIGGERED,
            choices=(
                (TRIGGERED, _("for triggers of other connections alone")),
                (INTERVAL, _("the newest one, at an interval")),
                (NEWEST, _("the newest one, as soon as the one before is judged")),
                (EVERY, _("every one, in order")),
            ),
        ),
        Setting(
            "interval_ms",
            _("Interval in milliseconds"),
            int,
            1000,
            low=20,
            high=3_600_000,
            help=_("of the newest frame at an interval"),
        ),
        Setting(
            "queue_length",
            _("Frames that may wait"),
            int,
            8,
            low=1,
            high=100,
            help=_("where every one is judged; what does not fit is lost, and counted"),
        ),
        Setting(
            "folder",
            _("Folder"),
            max_length=1000,
            help=_("into which the camera writes; inside EDGE_TRIGGER_ROOTS"),
        ),
        Setting(
            "settle_ms",
            _("Milliseconds after which a file is whole"),
            int,
            100,
            low=0,
            high=10_000,
            help=_("0: the camera renames whole files into the folder"),
        ),
        Setting("address", _("Address of the stream"), max_length=1000, help=_("rtsp://host:554/path, without a user")),
        Setting("username", _("User"), max_length=200, help=_("of the stream")),
        Setting("device", _("Number of the USB camera"), int, 0, low=0, high=63, help=_("0 is /dev/video0")),
        Setting(
            "producer",
            _("GenTL producer"),
            max_length=200,
            help=_("name of the .cti file; empty: the only one in GENICAM_GENTL64_PATH"),
        ),
        Setting("camera", _("GenICam camera"), max_length=200, help=_("serial number or name; empty: the first one")),
        Setting("pixel_format", _("Pixel format"), max_length=40, help=_("such as Mono8; empty: as the camera is set")),
        Setting(
            "exposure_us",
            _("Exposure in microseconds"),
            float,
            None,
            low=1,
            high=60_000_000,
            help=_("of USB and GenICam cameras; empty: as the camera is set"),
        ),
        Setting(
            "gain",
            _("Gain"),
            float,
            None,
            low=0,
            high=10_000,
            help=_("GenICam: decibels; USB: the camera's own units; empty: as the camera is set"),
        ),
        Setting(
            "latency_ms",
            _("Milliseconds from exposure to arrival"),
            int,
            0,
            low=0,
            high=10_000,
            help=_("by which the moment of a frame is corrected; streams have hundreds"),
        ),
    ),
    secrets=(SecretField("password", _("Password of the stream")),),
    make_source=_make_source,
    check=_check,
)
