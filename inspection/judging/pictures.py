"""Reads: the pictures of a record: as it was sent, small, its anomaly map."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.errors import NotFound
from common.pixels.sixteen_bit import Window
from inspection.models import Inspection
from modelzoo.anomaly_maps import MEDIA_TYPE, decode_map, render_heat
from records.assets.browser_picture import browser_picture
from records.assets.images import open_rgb, thumbnail
from records.assets.selectors import fixed_window, upload_limits
from records.models import Discarded


# ---------------------------------------------------------------- pictures of a record
@dataclass(frozen=True)
class Picture:
    data: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def original(inspection: Inspection) -> Picture:
    """The bytes that were judged, as they were sent."""
    return Picture(inspection.asset.read(), inspection.asset.content_type)


def small(inspection: Inspection) -> Picture:
    return Picture(thumbnail(as_judged(inspection)), "image/jpeg")


def for_page(inspection: Inspection) -> Picture:
    """The picture as it was judged, in a form that every browser shows."""
    return Picture(*browser_picture(inspection.asset.read(), upload_limits(), window=window_of(inspection)))


def as_judged(inspection: Inspection) -> Image.Image:
    """The picture in RGB, 16-bit values through the window that it was judged with."""
    return open_rgb(inspection.asset.read(), upload_limits(), window=window_of(inspection))


def window_of(inspection: Inspection) -> Window | None:
    return inspection.model_version.window or fixed_window()


def stored_map(inspection: Inspection) -> NDArray[np.float32]:
    """The anomaly map [h, w] as it is kept: it lies over the whole image, pixel for pixel or reduced."""
    if inspection.map is None or inspection.map_maximum is None:
        raise _no_map(inspection)
    return decode_map(inspection.map.read(), inspection.map_maximum)


def _no_map(inspection: Inspection) -> NotFound:
    return NotFound(f"Inspection {inspection.pk} has no anomaly map: {inspection.explanation}", code="no_map")


def small_with_heat(inspection: Inspection, side: int = 360) -> Picture:
    """The picture with its anomaly map over it, as small as a list wants it; without the map where that is gone."""
    image = as_judged(inspection)
    image.thumbnail((side, side))
    try:
        layer = render_heat(
            stored_map(inspection), threshold=inspection.threshold_value, width=image.width, height=image.height
        )
    except (NotFound, Discarded):
        return Picture(thumbnail(image, side), "image/jpeg")
    heat_layer = Image.open(BytesIO(layer)).convert("RGBA").resize(image.size)
    heated = Image.alpha_composite(image.convert("RGBA"), heat_layer)
    return Picture(thumbnail(heated.convert("RGB"), side), "image/jpeg")


def raw_map(inspection: Inspection) -> Picture:
    """The anomaly map as it is kept: 16-bit PNG; the header names the value of its highest level."""
    if inspection.map is None:
        raise _no_map(inspection)
    return Picture(inspection.map.read(), MEDIA_TYPE, {"X-Map-Maximum": repr(inspection.map_maximum)})


def heat(inspection: Inspection) -> Picture:
    """The map as a transparent layer over the image, on the scale of the threshold that was in force."""
    layer = render_heat(
        stored_map(inspection),
        threshold=inspection.threshold_value,
        width=inspection.asset.width,
        height=inspection.asset.height,
    )
    return Picture(layer, MEDIA_TYPE)
