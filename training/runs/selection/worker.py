"""The search for a detector, as part of a training run."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image

from modelzoo.detectors import registry
from modelzoo.detectors.base import Detector
from modelzoo.detectors.errors import TooFewImages
from modelzoo.detectors.model_selection.candidates import BASELINE, Candidate
from modelzoo.detectors.model_selection.evidence import selection_document
from modelzoo.detectors.model_selection.search import Progress, Search, Selection
from modelzoo.detectors.model_selection.trials import ImageTrials
from modelzoo.detectors.preprocessing.ignore_mask import PaintedMask
from modelzoo.detectors.preprocessing.pipeline import DecodedImages
from modelzoo.detectors.synthetic_defects.defects import DefectSpec

# Pictures of synthetic defects that the evidence shows.
_PICTURES, _SIDE = 10, 240
_OUTLINE = (255, 229, 0)

Evidence = dict[str, Any]


def select_detector(
    images: DecodedImages,
    *,
    options: Mapping[str, Any],
    seed: int,
    rate: float,
    progress: Progress,
    ignore: PaintedMask | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Detector, Evidence]:
    """The detector that is worth training on these good images, unfitted, and why.

    Args:
        images: all good training images.
        options: those of a run of `auto`, complete.
        rate: share of the good parts that may be rejected.
        progress: told the share of the budget that is spent.
        ignore: what is not to be judged.
    """
    shared = {name: value for name, value in options.items() if name not in ("budget", "device")}
    budget, began = options["budget"], clock()
    pictures: list[dict[str, str]] = []
    try:
        trials = ImageTrials(
            images,
            options=shared,
            seed=seed,
            device=options["device"],
            minutes=budget,
            ignore=ignore,
            progress=progress,
        )
    except TooFewImages as error:
        selection = Selection(BASELINE, f"{BASELINE.name} with its defaults. {error}", rate, 60 * budget)
    else:
        search = Search(trials, rate=rate, budget=60 * budget, progress=progress, clock=clock, began=began)
        selection = search.run()
        pictures = [_picture(*example) for example in trials.examples(_PICTURES)]
    evidence = selection_document(selection) | {"pictures": pictures}
    return _detector(selection.winner, shared, seed, options["device"]), evidence


def rejected_share(calibration: Mapping[str, Any]) -> float:
    """The share of good parts that the rule of a run's threshold rejects."""
    if "false_reject_rate" in calibration:
        return float(calibration["false_reject_rate"])
    return 1 - float(calibration["percentile"]) / 100


def without_pictures(evidence: Evidence) -> Evidence:
    """What the artifact and the API have of it."""
    return {name: value for name, value in evidence.items() if name != "pictures"}


def _detector(winner: Candidate, shared: Mapping[str, Any], seed: int, device: str) -> Detector:
    names = registry.options_for(winner.algorithm)
    own = {name: value for name, value in shared.items() if name in names}
    return registry.create(winner.algorithm, seed=seed, device=device, **(own | dict(winner.options)))


def _picture(spec: DefectSpec, pixels: np.ndarray, mask: np.ndarray) -> dict[str, str]:
    """A small picture with the outline of the defect around it."""
    height, width = mask.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    # Drawn a little around it, so that the defect itself can be seen.
    marked = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    around = cv2.dilate(marked.astype(np.uint8), np.ones((9, 9), np.uint8))
    contours, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(small, contours, -1, _OUTLINE, 1, cv2.LINE_AA)
    jpeg = BytesIO()
    Image.fromarray(small).save(jpeg, "JPEG", quality=85)
    data = base64.b64encode(jpeg.getvalue()).decode()
    return {"kind": spec.kind, "size": spec.size, "contrast": spec.contrast, "photo": f"data:image/jpeg;base64,{data}"}
