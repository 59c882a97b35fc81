"""The mean image of a data set, on which one paints what is not judged."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image

from common.errors import NotFound
from modelzoo.loading.artifact_pictures import as_png
from records.assets.images import open_rgb
from records.assets.selectors import upload_limits
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage

# So many images show what is always there, and so many pixels are decoded in about a second.
_MAX_IMAGES, _MIN_IMAGES = 16, 3
_MAX_PIXELS = 64_000_000
_MAX_SIDE = 1024  # pixels: finer than a brush


def mean_image(dataset: Dataset) -> bytes:
    """A PNG of the mean of good training images, evenly spaced, of the size that most of them have.

    Raises `NotFound` where none is left.
    """
    images = [image for image in images_of(dataset, DatasetImage.Split.TRAIN) if image.asset.discarded_at is None]
    if not images:
        raise NotFound(f"{dataset} has no good training image.", code="dataset_image_not_found")
    sizes = Counter((image.asset.width, image.asset.height) for image in images)
    [(size, _)] = sizes.most_common(1)
    alike = [image for image in images if (image.asset.width, image.asset.height) == size]
    n = min(len(alike), max(_MIN_IMAGES, min(_MAX_IMAGES, _MAX_PIXELS // (size[0] * size[1]))))
    chosen = np.unique(np.linspace(0, len(alike) - 1, n).round().astype(int))
    factor = min(1.0, _MAX_SIDE / max(size))
    small = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    total = np.zeros((small[1], small[0], 3))
    for index in chosen:
        image = open_rgb(alike[index].asset.read(), upload_limits())
        total += np.asarray(image.resize(small, Image.Resampling.BILINEAR, reducing_gap=2.0))
    return as_png(np.clip(total / len(chosen) + 0.5, 0, 255).astype(np.uint8))
