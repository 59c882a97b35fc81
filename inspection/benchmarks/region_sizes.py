"""How well the area of a region tells that of the defect: `python -m inspection.benchmarks.region_sizes FOLDER ...`.

Takes folders of data sets with masks. PaDiM learns each category as a training run does it, with the first threshold of
a new version. Then each region that a person outlined on a test image is compared with the regions of the anomaly map
above the threshold that overlap it. All areas are in pixels of the image. Nothing is kept.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from modelzoo.detectors import registry
from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import NotComparable
from modelzoo.detectors.image_source import FileImageSource
from modelzoo.evaluation.calibration import percentile_threshold
from records.assets.images import UploadLimits, open_pixels
from training.datasets.layouts.entries import CategoryScan
from training.datasets.layouts.masks import open_mask, read_mask
from training.datasets.layouts.scan import scan

_PERCENTILE = 95.0


@dataclass(frozen=True)
class Comparison:
    """An outlined defect: its area, and that of the regions that overlap it (0: it was not detected)."""

    category: str
    mask_px: int
    region_px: int
    is_alone: bool  # the regions overlap no other defect: their area is that of this one

    @property
    def ratio(self) -> float:
        return self.region_px / self.mask_px


def compare(name: str, anomaly_map: np.ndarray, mask: np.ndarray, threshold: float) -> Iterator[Comparison]:
    """Each connected place of a boolean mask [H, W] with the regions of a map [H, W] that overlap it."""
    n_defects, defects = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats((anomaly_map > threshold).astype(np.uint8), connectivity=8)
    for defect in range(1, n_defects):
        inside = defects == defect
        overlapping = np.setdiff1d(np.unique(regions[inside]), [0])
        others = np.setdiff1d(np.unique(defects[np.isin(regions, overlapping)]), [0, defect])
        area = int(stats[overlapping, cv2.CC_STAT_AREA].sum())
        yield Comparison(name, int(inside.sum()), area, bool(len(overlapping)) and not len(others))


def measure_category(category: CategoryScan, options: dict[str, Any]) -> tuple[dict[str, Any], list[Comparison]]:
    """What the map of a category resolves, and its comparisons."""
    limits = UploadLimits()
    detector: Detector = registry.create("padim", device="cpu", **options)
    good = [entry.absolute_path for entry in category.entries if entry.split == "train"]
    detector.fit(FileImageSource(good, detector.preprocessing, open_image=lambda path: open_pixels(path, limits)))
    threshold = percentile_threshold(detector.held_out_scores, _PERCENTILE)
    compared: list[Comparison] = []
    areas: list[int] = []
    sizes: Counter[tuple[int, int]] = Counter()
    for entry in category.entries:
        if entry.split != "test" or not entry.is_defective or entry.mask is None:
            continue
        image = open_pixels(entry.absolute_path, limits)
        try:
            prepared = detector.prepare(image)
        except NotComparable:
            continue
        result = detector.score(prepared.pixels[None])
        whole = prepared.frame.to_original(result.maps[0])
        sizes[image.size] += 1
        above = cv2.connectedComponentsWithStats((whole > threshold).astype(np.uint8), connectivity=8)[2]
        areas += above[1:, cv2.CC_STAT_AREA].tolist()
        mask, _ = read_mask(entry.mask, image.size, limits)
        compared += compare(category.name, whole, open_mask(mask.data, limits), threshold)
    figures = {
        "category": category.name,
        "images": sizes.total(),
        "image_size": list(sizes.most_common(1)[0][0]) if sizes else None,
        "input_size": list(detector.input_size),
        **summary(compared),
        "smallest_region_px": min(areas, default=None),
    }
    return figures, compared


def summary(compared: Sequence[Comparison]) -> dict[str, Any]:
    """How many defects were detected, and how their areas compare."""
    alone = [one for one in compared if one.is_alone]
    ratios = np.array([one.ratio for one in alone]) if alone else None
    small = sorted(one.region_px for one in alone)[: max(1, len(alone) // 20)]
    return {
        "defects": len(compared),
        "detected": sum(one.region_px > 0 for one in compared),
        "compared": len(alone),
        "ratio": None if ratios is None else [round(float(q), 2) for q in np.quantile(ratios, [0.05, 0.5, 0.95])],
        "ratio_worst": None if ratios is None else [round(float(ratios.min()), 2), round(float(ratios.max()), 1)],
        "smallest_of_a_defect_px": small[0] if small else None,
        "by_size": [
            {
                "mask_px": f"{low}-{high}",
                "defects": len(group),
                "detected": sum(one.region_px > 0 for one in group),
                "ratio": round(float(np.median([one.ratio for one in group if one.is_alone])), 2)
                if any(one.is_alone for one in group)
                else None,
            }
            for low, high in ((1, 30), (31, 100), (101, 300), (301, 1000), (1001, 10_000), (10_001, 10**7))
            if (group := [one for one in compared if low <= one.mask_px <= high])
        ],
    }


def measure(folders: Iterable[Path], options: dict[str, Any]) -> dict[str, Any]:
    rows, compared = [], []
    for folder in folders:
        for category in scan(folder, UploadLimits()):
            figures, found = measure_category(category, options)
            print(json.dumps(figures), flush=True)  # noqa: T201
            rows.append(figures)
            compared += found
    return {"categories": rows, "all": summary(compared)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--option", action="append", default=[], help="of PaDiM, name=value")
    given = parser.parse_args()
    pairs = (text.split("=", 1) for text in given.option)
    print(json.dumps(measure(given.folders, {name: json.loads(value) for name, value in pairs}), indent=1))  # noqa: T201
