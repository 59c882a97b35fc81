"""Evaluating a detector on the labelled images of a data set: decode beside the scoring, keep numbers, not pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from django.conf import settings
from PIL import Image

from common.pixels.sixteen_bit import Window, is_sixteen_bit, to_sixteen_bit
from modelzoo.detectors.base import BatchScores
from modelzoo.detectors.errors import NotComparable
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.detectors.preprocessing.pipeline import PreparedImage, as_batch
from modelzoo.evaluation.image_statistics import image_statistics, pixel_statistics
from modelzoo.evaluation.metrics import MetricsCollector
from modelzoo.selectors import input_rules
from records.assets.images import as_rgb, open_pixels
from records.assets.selectors import upload_limits
from training.datasets.layouts.masks import open_mask
from training.models import DatasetImage
from training.runs.execution.disturbances import Disturb

if TYPE_CHECKING:
    import torch

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class EvaluatedImage:
    """One image as a detector sees it.

    Attributes:
        score, map: raw score and anomaly map, float32 [H,W] in the image's own pixels; None where the part could not
            be compared.
        reason: why it could not be, else empty.
        ignored: bool [H,W], the pixels that are not judged; None where all are.
        raw, prepared: statistics (`shortcuts`) of the image as it came and of the model's input.
    """

    image: DatasetImage
    score: float | None
    map: np.ndarray | None
    reason: str
    raw: dict[str, float]
    prepared: dict[str, float] | None
    ignored: np.ndarray | None = None


@dataclass(frozen=True)
class _PreparedItem:
    image: DatasetImage
    raw: dict[str, float]
    prepared: PreparedImage | None
    prepared_statistics: dict[str, float] | None
    reason: str


class ScoringDetector(Protocol):
    """What evaluations need: a detector, or one in the runtime and precision of a `Scorer`."""

    def prepare(self, image: Image.Image, rules: InputRules | None = None) -> PreparedImage:
        """As `Detector.prepare`."""
        ...

    @property
    def window(self) -> Window | None:
        """As `Detector.window`."""
        ...

    def score(self, images: torch.Tensor) -> BatchScores:
        """As `Detector.score`."""
        ...


def judge(
    detector: ScoringDetector, images: list[DatasetImage], *, disturb: Disturb | None = None
) -> Iterator[EvaluatedImage]:
    """Each image scored, in the order given; the next batch is decoded while this one is scored.

    What the line would not judge, a picture of another kind, has no score here either.

    Args:
        disturb: what is done to each decoded image before it is prepared; its seed comes from the file's content.
    """
    limits = upload_limits()
    rules = input_rules(images[0].dataset.category_id) if images else None

    def prepare(image: DatasetImage) -> _PreparedItem:
        data = image.asset.read()
        pixels = open_pixels(data, limits)
        if disturb:
            pixels = _disturbed(pixels, disturb, seed=int(image.asset.sha256[:8], 16), window=detector.window)
        raw = image_statistics(as_rgb(pixels, detector.window), len(data))
        try:
            prepared = detector.prepare(pixels, rules)
        except NotComparable as error:
            return _PreparedItem(image, raw, None, None, error.reason)
        return _PreparedItem(image, raw, prepared, pixel_statistics(prepared.pixels.permute(1, 2, 0).numpy()), "")

    size = settings.BATCH_SIZE
    with ThreadPoolExecutor(2) as pool:
        chunks = [images[start : start + size] for start in range(0, len(images), size)]
        ahead = pool.map(prepare, chunks[0]) if chunks else iter(())
        for following in [*chunks[1:], []]:
            ready = list(ahead)
            ahead = pool.map(prepare, following)
            comparable = [row.prepared for row in ready if row.prepared]
            result = detector.score(as_batch(comparable)) if comparable else None
            place = 0
            for row in ready:
                if row.prepared is None or result is None:
                    yield EvaluatedImage(row.image, None, None, row.reason, row.raw, None)
                    continue
                anomaly_map = row.prepared.frame.to_original(result.maps[place])
                yield EvaluatedImage(
                    row.image,
                    float(result.scores[place]),
                    anomaly_map,
                    "",
                    row.raw,
                    row.prepared_statistics,
                    row.prepared.ignored_in_original(),
                )
                place += 1


def _disturbed(pixels: Image.Image, disturb: Disturb, *, seed: int, window: Window | None) -> Image.Image:
    """The pixels after a disturbance, which works on 8 bits, in the depth that they had."""
    disturbed = disturb(as_rgb(pixels, window), seed)
    return to_sixteen_bit(disturbed, window) if window and is_sixteen_bit(pixels) else disturbed


def evaluate_images(
    detector: ScoringDetector,
    images: list[DatasetImage],
    threshold: float,
    *,
    progress: Progress,
    each: Callable[[DatasetImage, float | None], None] | None = None,
) -> dict[str, Any]:
    """All figures of a detector on labelled images (see `modelzoo.evaluation.metrics`), in one pass.

    Args:
        progress: told the share done after every image.
        each: told every image with its score, None where it could not be compared.
    """
    collector, limits = MetricsCollector(threshold), upload_limits()
    for done, result in enumerate(judge(detector, images), start=1):
        image = result.image
        if result.score is None:
            collector.add_not_comparable(image.is_defective, image.defect_type, reason=result.reason, raw=result.raw)
        else:
            # A good image counts as all good in the pixel figures; a defective one without a mask is left out of them.
            mask = open_mask(image.mask.read(), limits) if image.mask else None
            collector.add(
                result.score,
                image.is_defective,
                image.defect_type,
                anomaly_map=result.map,
                mask=mask,
                ignored=result.ignored,
                raw=result.raw,
                prepared=result.prepared,
            )
        if each:
            each(image, result.score)
        progress(done / len(images), f"evaluated {done} of {len(images)} test images")
    return collector.result()
