"""Anomaly values of pixels against ground-truth masks, counted in bins: memory does not grow with the images."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from modelzoo.evaluation.rank_metrics import Ranking, thin_curve

# Anomaly values are counted by the 20 leading bits of their float32 representation: sign, exponent and 11 bits of
# mantissa, which is a bin width of at most 2^-11 = 0.05 % of the value, whatever its range.
KEY_BITS = 20
# The per-region overlap is integrated up to this false-positive rate: beyond it a map marks a third of a good part.
MAX_FALSE_POSITIVE_RATE = 0.3


class PixelHistogram:
    """Counts of anomaly values of good and of defective pixels: 24 MiB, however many pixels are added.

    Attributes:
        counts: int64 [2, 2^20], good and defective pixels in each bin.
        overlap: float64 [2^20], defective pixels in each bin, each weighing 1 / (pixels of its region). Summed from
            the top it is the sum over the regions of the share that lies above a value, which is all that the mean
            per-region overlap needs: no region has to be remembered.
        regions: how many there are (8-connected components of the masks).
    """

    def __init__(self) -> None:
        self.counts = np.zeros((2, 1 << KEY_BITS), dtype=np.int64)
        self.overlap = np.zeros(1 << KEY_BITS)
        self.regions = 0

    def add(self, values: np.ndarray, mask: np.ndarray, judged: np.ndarray | None = None) -> None:
        """Count float32 [H,W] values by boolean [H,W] mask, whose pixels are all `judged`; others are not counted."""
        # Adding 0 turns -0.0, whose bits differ, into 0.0.
        bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)
        # The bits of floats in an order that integers share: negative ones are reversed, positive ones go above.
        ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
        keys = ordered >> np.uint32(32 - KEY_BITS)
        for row, part in enumerate((keys[~mask if judged is None else judged & ~mask], keys[mask])):
            if part.size:
                low = int(part.min())
                counts = np.bincount(part - np.uint32(low))
                self.counts[row, low : low + len(counts)] += counts
        if mask.any():
            self._add_regions(keys[mask], mask)

    def _add_regions(self, keys: np.ndarray, mask: np.ndarray) -> None:
        n_labels, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        region_of_pixel = labels[mask]
        sizes = np.bincount(region_of_pixel, minlength=n_labels)
        lowest_key = int(keys.min())
        counts = np.bincount(keys - np.uint32(lowest_key), weights=1 / sizes[region_of_pixel])
        self.overlap[lowest_key : lowest_key + len(counts)] += counts
        self.regions += n_labels - 1

    def ranking(self) -> Ranking:
        """Of the bins that are not empty; a value is the lower end of its bin."""
        keys = self._keys()
        ordered = keys.astype(np.uint32) << np.uint32(32 - KEY_BITS)
        bits = np.where(ordered >> 31, ordered & np.uint32(0x7FFFFFFF), ~ordered)
        values = bits.astype(np.uint32).view(np.float32).astype(np.float64)
        return Ranking(values, self.counts[1, keys], self.counts[0, keys])

    def region_overlap(self) -> dict[str, Any]:
        """The area under the per-region-overlap curve (Bergmann et al., "MVTec AD", IJCV 2021).

        At each threshold: the share of all good pixels that lie above it, against the mean over the regions of the
        share of their pixels that do. A small defect weighs as much as a large one.

        Returns:
            aupro: the area up to a false-positive rate of 0.3, divided by 0.3; None without regions or good pixels.
            aupro_uncertainty: how far it can be from that of values which were not binned.
            pro_curve: [false-positive rate, overlap] up to 0.3, thinned.
        """
        keys = self._keys()
        good = self.counts[0, keys]
        if not (self.regions and good.any()):
            return {"aupro": None, "aupro_uncertainty": None, "pro_curve": None}
        false_rate = np.concatenate([[0.0], np.cumsum(good) / good.sum()])
        overlap = np.concatenate([[0.0], np.cumsum(self.overlap[keys]) / self.regions])
        n_inside = np.searchsorted(false_rate, MAX_FALSE_POSITIVE_RATE, side="right")
        at_limit = np.interp(
            MAX_FALSE_POSITIVE_RATE, false_rate[n_inside - 1 : n_inside + 1], overlap[n_inside - 1 : n_inside + 1]
        )
        # Within a bin the true curve rises anyhow between the bin's two ends.
        steps = np.diff(np.minimum(false_rate[: n_inside + 1], MAX_FALSE_POSITIVE_RATE))
        uncertainty = (steps * np.diff(overlap[: n_inside + 1])).sum() / MAX_FALSE_POSITIVE_RATE
        false_rate = np.append(false_rate[:n_inside], MAX_FALSE_POSITIVE_RATE)
        overlap = np.append(overlap[:n_inside], at_limit)
        return {
            "aupro": float(np.trapezoid(overlap, false_rate) / MAX_FALSE_POSITIVE_RATE),
            "aupro_uncertainty": float(uncertainty),
            "pro_curve": thin_curve(false_rate, overlap),
        }

    def _keys(self) -> np.ndarray:
        """The bins that are not empty, int64, from the largest value down."""
        return np.flatnonzero(self.counts.any(axis=0))[::-1]
