"""Rows of the accuracy table for anomalib's detectors, measured on our data sets by our figures."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.errors import UserError
from modelzoo.detectors.backbones.weights import resolve_weights
from modelzoo.detectors.errors import DetectorError
from modelzoo.evaluation.image_statistics import image_statistics
from modelzoo.evaluation.metrics import MetricsCollector
from records.assets.images import open_rgb
from records.assets.selectors import upload_limits
from training.benchmarks.accuracy import Report, figures, row_of
from training.benchmarks.protocol import Side, SideFailed
from training.datasets.layouts.masks import open_mask
from training.datasets.selectors import images_of, local_files
from training.models import Dataset, DatasetImage

_DETECTORS = ("padim", "patchcore")
_PEER = "training.benchmarks.peers.anomalib_scores"


def measure(
    datasets: Sequence[Dataset], python: str, seeds: Sequence[int], *, threads: int, tell: Report
) -> list[dict[str, Any]]:
    """One row per data set and detector of the peer; figures that need a threshold are None.

    Args:
        python: of a virtual environment with the peer, see `anomalib_scores`.
        threads: of the peer.

    Raises:
        UserError: the peer does not run, or there are no weights for it.
    """
    try:
        weights = resolve_weights("resnet18")
    except DetectorError as error:
        raise UserError(f"The peer is compared with ResNet-18 on both sides: {error}") from error
    rows = []
    for detector in _DETECTORS:
        try:
            with Side(_command(python, detector, weights.path), threads=threads) as side:
                for dataset in datasets:
                    runs = []
                    for seed in seeds:
                        tell(f"{dataset.name}, {side.hello['name']}, seed {seed}")
                        runs.append(_run(side, dataset, seed) | {"backbone": weights.info()})
                    rows.append(row_of(dataset, side.hello["name"], runs))
        except (SideFailed, OSError) as error:
            raise UserError(f"The peer does not run with {python}: {error}") from error
    return rows


def _command(python: str, detector: str, weights: Path) -> list[str]:
    return [python, "-m", _PEER, "--detector", detector, "--weights", str(weights)]


def _run(side: Side, dataset: Dataset, seed: int) -> dict[str, Any]:
    fit = side.ask("fit", files=local_files(images_of(dataset, DatasetImage.Split.TRAIN)), seed=seed)
    tests = images_of(dataset, DatasetImage.Split.TEST)
    collector, limits = MetricsCollector(threshold=0.0), upload_limits()
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        scores = side.ask("score", files=local_files(tests), maps=folder)["scores"]
        for number, (image, score) in enumerate(zip(tests, scores, strict=True)):
            pixels = open_rgb(image.asset.read(), limits)
            anomaly_map = cv2.resize(np.load(Path(folder) / f"{number}.npy"), pixels.size)
            mask = open_mask(image.mask.read(), limits) if image.mask else None
            raw = image_statistics(pixels, image.asset.size_bytes)
            collector.add(score, image.is_defective, image.defect_type, anomaly_map=anomaly_map, mask=mask, raw=raw)
    metrics = collector.result()
    scored = [(image.is_defective, score) for image, score in zip(tests, scores, strict=True)]
    without_threshold = {"F1": None, "false rejects": None, "recall": None}
    return {
        "seed": seed,
        "fit_seconds": fit["seconds"],
        "illumination": "none",
        "align": "none",
        "input_size": [256, 256],
        "n": metrics["n"],
        "not_comparable": 0,
        "trivial_f1": metrics["image"]["trivial_f1"],
        "shortcut_audit": metrics["shortcut_audit"],
        "figures": figures(metrics, scored) | without_threshold,
    }
