"""What the good training images look like as pictures: what the line's are compared with."""

from __future__ import annotations

import numpy as np
from PIL import Image

from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import NotComparable
from modelzoo.detectors.image_source import FileImageSource
from modelzoo.detectors.preprocessing.input_check import exemplars
from modelzoo.detectors.preprocessing.input_rules import OFF, InputRules
from modelzoo.loading.scoring import statistics_of

# Nothing is refused: all of them are good.
_RULES = InputRules(size=OFF, aspect=OFF, colour=OFF, likeness=OFF)


def training_statistics(
    detector: Detector, source: FileImageSource, *, before: dict[str, list[float]] | None = None
) -> dict[str, list[float]]:
    """Statistics of good training images as records have them, a list of each name; at most 512 images, evenly spaced.

    `before`: those of the images that the detector had learnt from already. The distance from the training images is
    that to the images of other folds: what was learnt from has none to itself.
    """
    rows = list(source.map(lambda image: _statistics(detector, image), exemplars(len(source))))
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: (before or {}).get(name, []) + [row[name] for row in rows if name in row] for name in names}
    if detector.input_profile is not None:
        columns["likeness_distance"] = np.round(detector.input_profile.held_out_distances, 6).tolist()
    return columns


def _statistics(detector: Detector, image: Image.Image) -> dict[str, float]:
    try:
        prepared = detector.prepare(image, _RULES)
    except NotComparable:
        prepared = None
    return statistics_of(image, prepared, detector.window)
