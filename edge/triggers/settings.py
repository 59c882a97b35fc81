"""Settings of kinds whose triggers bring no image along."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings as product
from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Setting, SettingInvalid
from edge.triggers.recipes import read_recipes

PICTURE_SETTINGS = (
    Setting(
        "recipes",
        _("Recipes"),
        max_length=10_000,
        is_long=True,
        help=_("a line for each, such as: 3 = bottle; empty: the category of this connection"),
    ),
    Setting(
        "picture_source",
        _("Pictures come from"),
        default="folder",
        choices=(("folder", _("a folder")), ("camera", _("a camera"))),
    ),
    Setting(
        "picture_camera",
        _("Camera of the pictures"),
        max_length=100,
        help=_("name of its connection"),
    ),
    Setting(
        "picture_folder",
        _("Folder of the pictures"),
        max_length=1000,
        help=_("in which a trigger finds its picture; inside EDGE_TRIGGER_ROOTS"),
    ),
    Setting(
        "picture_wait_ms",
        _("Milliseconds to wait for the picture"),
        int,
        2000,
        low=0,
        high=20_000,
        help=_("from the trigger on"),
    ),
    Setting(
        "picture_age_ms",
        _("Milliseconds that it may be older than the trigger"),
        int,
        0,
        low=0,
        high=60_000,
        help=_("0: taken after the trigger"),
    ),
    Setting(
        "picture_settle_ms",
        _("Milliseconds after which a file is whole"),
        int,
        100,
        low=0,
        high=10_000,
        help=_("0: the camera renames whole files into the folder"),
    ),
)


def check_pictures(settings: Mapping[str, Any]) -> None:
    """Raises `SettingInvalid`. What a folder is missing now may be there when the first trigger comes."""
    read_recipes(settings["recipes"])
    if settings["picture_source"] == "camera":
        if not settings["picture_camera"]:
            raise SettingInvalid("Triggers need the name of a camera. Nothing was changed.", field="picture_camera")
        return
    folder = settings["picture_folder"]
    if not folder:
        raise SettingInvalid("Triggers need a folder of pictures. Nothing was changed.", field="picture_folder")
    roots = [Path(root).resolve() for root in product.EDGE_TRIGGER_ROOTS]
    if not Path(folder).is_absolute() or not any(Path(folder).resolve().is_relative_to(root) for root in roots):
        raise SettingInvalid(
            "The folder of the pictures must be an absolute path inside one of EDGE_TRIGGER_ROOTS. Nothing was "
            "changed.",
            field="picture_folder",
        )
