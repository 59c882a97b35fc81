"""The few test images that a person wants to see: where the detector errs, or nearly does, and typical defects."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from operator import itemgetter
from typing import Any

import cv2
import numpy as np
from django.utils.translation import gettext_noop as _
from PIL import Image

from common.pixels.sixteen_bit import Window
from modelzoo.anomaly_maps import render_heat
from records.assets.images import open_rgb
from records.assets.selectors import upload_limits
from training.datasets.layouts.masks import open_mask
from training.models import DatasetImage
from training.report.context import JudgedImage
from training.runs.execution.evaluation import EvaluatedImage, ScoringDetector, judge

MAX_PICTURES = 4  # pictures in a group
_MAX_SIDE = 320  # pixels
_DEFECT_COLOUR = (255, 229, 0, 255)  # BGRA: the annotated defect


@dataclass(frozen=True)
class Group:
    """Pictures under one heading; before `show` only the images are known."""

    title: str
    images: list[DatasetImage]


@dataclass(frozen=True)
class EmbeddedPicture(JudgedImage):
    """One image as it is embedded.

    Attributes:
        photo, heat: data URIs, at most 320 pixels; heat lies on the photo, and is empty where there is no map.
    """

    photo: str
    heat: str


def choose(scored: Iterable[tuple[DatasetImage, float | None]]) -> list[Group]:
    """At most four groups of four: they say where the detector is weak, not where it shines."""
    rows = list(scored)
    compared = sorted((row for row in rows if row[1] is not None), key=itemgetter(1))
    good = [image for image, _ in compared if not image.is_defective]
    bad = [image for image, _ in compared if image.is_defective]
    typical = []
    for kind, count in sorted(
        Counter(image.defect_type for image in bad).items(), key=lambda item: (-item[1], item[0])
    ):
        middle = [image for image in bad if image.defect_type == kind][count // 2]
        if middle not in bad[:MAX_PICTURES]:
            typical.append(middle)
    groups = [
        Group(_("Good parts with the highest scores"), good[::-1][:MAX_PICTURES]),
        Group(_("Defects with the lowest scores"), bad[:MAX_PICTURES]),
        Group(_("Typical defects, with the median score of their type"), typical[:MAX_PICTURES]),
        Group(_("Not comparable"), [image for image, score in rows if score is None][:MAX_PICTURES]),
    ]
    return [group for group in groups if group.images]


def picture_groups(scored: Iterable[tuple[DatasetImage, float | None]]) -> list[dict[str, Any]]:
    """The groups as metrics keep them: which images with which scores, so that pages can show them later."""
    scores = {image.pk: (image, score) for image, score in scored}
    return [
        {
            "title": group.title,
            "images": [{"image": image.pk, "score": scores[image.pk][1]} for image in group.images],
        }
        for group in choose(scores.values())
    ]


def show(detector: ScoringDetector, groups: list[Group], threshold: float) -> list[tuple[str, list[EmbeddedPicture]]]:
    """The groups with their pictures; the images are scored once more, so that no map had to be kept until now."""
    return [
        (group.title, [_picture(row, threshold, detector.window) for row in judge(detector, group.images)])
        for group in groups
    ]


def _picture(result: EvaluatedImage, threshold: float, window: Window | None) -> EmbeddedPicture:
    image = result.image
    photo = open_rgb(image.asset.read(), upload_limits(), window=window)
    width, height = photo.size
    photo.thumbnail((_MAX_SIDE, _MAX_SIDE))
    heat = ""
    if result.map is not None:
        overlay = render_heat(result.map, threshold=threshold, width=width, height=height)
        heat = _uri("png", _small_overlay(overlay, image, photo.size))
    jpeg = BytesIO()
    photo.save(jpeg, "JPEG", quality=85)
    return EmbeddedPicture(
        path=image.path,
        is_defective=image.is_defective,
        score=result.score,
        threshold=threshold,
        photo=_uri("jpeg", jpeg.getvalue()),
        heat=heat,
    )


def _small_overlay(overlay: bytes, image: DatasetImage, size: tuple[int, int]) -> bytes:
    """The overlay at `size` (width, height), with the outline of the annotated defect where there is one."""
    layer = cv2.imdecode(np.frombuffer(overlay, np.uint8), cv2.IMREAD_UNCHANGED)
    layer = cv2.resize(np.asarray(layer), size, interpolation=cv2.INTER_AREA)
    if image.mask:
        truth = Image.fromarray(open_mask(image.mask.read(), upload_limits())).convert("L")
        # Whatever is left of a defect's pixel after the reduction counts, or the small ones would vanish.
        marked = (np.array(truth.resize(size, Image.Resampling.BOX)) > 0).astype(np.uint8)
        contours, _ = cv2.findContours(marked, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(layer, contours, -1, _DEFECT_COLOUR, 1, cv2.LINE_AA)
    return cv2.imencode(".png", layer)[1].tobytes()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
