"""The comparison of outlined defects with the regions of maps that are known; and on a whole data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inspection.benchmarks.region_sizes import Comparison, compare, measure, summary
from tests import parts


def test_a_defect_is_compared_with_the_regions_that_overlap_it() -> None:
    mask, anomaly_map = np.zeros((40, 40), bool), np.zeros((40, 40), np.float32)
    mask[2:6, 2:6] = True  # 16 pixels, under one region of 36
    anomaly_map[1:7, 1:7] = 2
    mask[20:24, 20:24] = True  # not detected
    mask[30:32, 2:4] = mask[30:32, 8:10] = True  # two under one region: neither is alone
    anomaly_map[29:33, 1:12] = 3
    anomaly_map[10:12, 30:32] = 5  # a region without a defect
    found = list(compare("disc", anomaly_map, mask, 1.0))
    assert [(one.mask_px, one.region_px, one.is_alone) for one in found] == [
        (16, 36, True),
        (16, 0, False),
        (4, 44, False),
        (4, 44, False),
    ]
    assert found[0].ratio == 36 / 16


def test_the_summary_counts_by_size() -> None:
    rows = [Comparison("disc", 20, 0, False), Comparison("disc", 25, 50, True), Comparison("disc", 200, 100, True)]
    figures = summary(rows)
    assert (figures["defects"], figures["detected"], figures["compared"]) == (3, 2, 2)
    assert figures["ratio_worst"] == [0.5, 2.0]
    assert figures["smallest_of_a_defect_px"] == 50
    assert [(group["mask_px"], group["detected"]) for group in figures["by_size"]] == [("1-30", 1), ("101-300", 1)]
    assert summary([])["ratio"] is None


def test_a_data_set_is_measured(tmp_path: Path) -> None:
    root = parts.write_dataset(tmp_path / "disc", bad=2)
    options = {"backbone": "efficientnet_lite0", "image_size": 64, "n_features": 20}
    document = measure([root], options)
    [row] = document["categories"]
    assert (row["category"], row["images"], row["image_size"]) == ("disc", 2, [parts.SIDE, parts.SIDE])
    assert row["defects"] == 2
    assert document["all"]["defects"] == 2
