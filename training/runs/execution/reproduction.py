"""Training a version again from its snapshot and configuration, and comparing what comes out with what is on record.

On the same machine with as many threads the same numbers come out, bit for bit. With other threads, another processor
or other libraries sums are rounded otherwise; how far that leads was measured for each detector (docs/models.md).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import Conflict
from modelzoo.detectors import artifacts
from modelzoo.detectors.base import Detector
from modelzoo.detectors.options import AUTO
from modelzoo.loading.artifact_store import local_folder
from modelzoo.models import ModelVersion
from training.datasets.selectors import images_of
from training.models import DatasetImage, TrainingRun
from training.runs.execution.evaluation import judge
from training.runs.execution.lifeline import Progress
from training.runs.execution.runner import fit, software_and_machine

# Largest difference of two scores of one image, as a share of the larger one, where not everything is as it was.
TOLERANCES = {"padim": 1e-4, "patchcore": 3e-2, "autoencoder": 1e-1}
_FIT = 0.9
_NAMED = 5  # tensors in a sentence


@dataclass(frozen=True)
class Reproduction:
    """What training again came to.

    Attributes:
        tensors: how many the model has.
        other_tensors: names of those that are not the same bit for bit.
        images, equal_images: test images and held-out images that were scored, and how many scored the same.
        deviation: the largest difference of two scores, as a share of the larger one.
        tolerance: what is allowed where the processor, its threads or the libraries are others.
        differences: in what the machine and the software differ from those of the training.
    """

    tensors: int
    other_tensors: list[str]
    images: int
    equal_images: int
    deviation: float
    tolerance: float
    differences: list[str]

    @property
    def is_identical(self) -> bool:
        """By every score. A tensor of the input checks may round its last bit otherwise, and moves none."""
        return self.equal_images == self.images

    @property
    def is_reproduced(self) -> bool:
        """Identical, or as near as another machine can come."""
        return self.is_identical or (bool(self.differences) and self.deviation <= self.tolerance)

    @property
    def sentence(self) -> str:
        if self.is_identical:
            same = self.tensors - len(self.other_tensors)
            but = f" Not {', '.join(self.other_tensors[:_NAMED])}." if self.other_tensors else ""
            return f"identical bit for bit: all {self.images} scores, {same} of {self.tensors} tensors.{but}"
        what = f"{self.images - self.equal_images} of {self.images} scores differ, by at most {self.deviation:.2g}"
        if not self.differences:
            return f"not identical, though machine, threads and software are the same: {what} of their value."
        verdict = "within" if self.is_reproduced else "beyond"
        return (
            f"{verdict} the tolerance of {self.tolerance:g}: {what} of their value. Other than at the training: "
            f"{'; '.join(self.differences)}."
        )

    def document(self) -> dict[str, Any]:
        names = ("tensors", "other_tensors", "images", "equal_images", "deviation", "tolerance", "differences")
        return {
            **{name: getattr(self, name) for name in (*names, "sentence")},
            "identical": self.is_identical,
            "reproduced": self.is_reproduced,
        }


def reproduce(run: TrainingRun, *, progress: Progress) -> Reproduction:
    """Train again and compare. Nothing is written.

    Raises `Conflict` where there is nothing to compare with or an image is not the one on record, and what the
    training itself raises.
    """
    version = run.model_version
    if version is None:
        raise Conflict(
            f"Training run {run.pk} has no version: it {run.status}. Nothing was trained.", code="no_version"
        )
    tests = images_of(run.dataset, DatasetImage.Split.TEST)
    _check_images([*images_of(run.dataset, DatasetImage.Split.TRAIN), *tests])
    recorded = artifacts.load(local_folder(version), version.artifact_sha256)
    trained = fit(_as_decided(run, version), _Steps(progress))[0]
    progress(_FIT, "comparing")
    scores = (_scores(recorded, tests), _scores(trained, tests))
    deviations = [_deviation(one, other) for one, other in zip(*scores, strict=True)]
    return Reproduction(
        tensors=len(recorded.state()),
        other_tensors=artifacts.differing_tensors(recorded, trained),
        images=len(deviations),
        equal_images=sum(one == 0 for one in deviations),
        deviation=max(deviations, default=0.0),
        tolerance=TOLERANCES[version.algorithm],
        differences=_differences(run),
    )


class _Steps:
    """Nobody waits for the row of a run that is over."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def watch(self, detector: Detector) -> None:
        pass

    def share(self, start: float, length: float) -> Progress:
        return lambda fraction, sentence: self._progress(start + length * min(1.0, fraction), sentence)


def _as_decided(run: TrainingRun, version: ModelVersion) -> TrainingRun:
    """The run with the detector that its selection chose: comparing them again takes its time from a clock."""
    if run.algorithm != AUTO:
        return run
    decided = copy.copy(run)
    decided.algorithm = version.algorithm
    chosen = {name: value for name, value in version.config.items() if name != "seed"}
    decided.options = chosen | {"device": run.options["device"]}
    return decided


def _check_images(images: Sequence[DatasetImage]) -> None:
    for image in images:
        if hashlib.sha256(image.asset.read()).hexdigest() != image.asset.sha256:
            raise Conflict(
                f"The image {image.path} is not the one of the snapshot: its hash differs. Nothing was trained. "
                "Restore it from a backup.",
                code="image_changed",
            )


def _scores(detector: Detector, tests: list[DatasetImage]) -> list[float]:
    """Of the held-out good images, then of the test images; NaN where a part is not comparable."""
    judged = [np.nan if one.score is None else float(one.score) for one in judge(detector, tests)]
    return [*(float(score) for score in detector.held_out_scores), *judged]


def _deviation(one: float, other: float) -> float:
    if one == other or (np.isnan(one) and np.isnan(other)):
        return 0.0
    share = abs(one - other) / max(abs(one), abs(other))
    return float(share) if np.isfinite(share) else float("inf")


def _differences(run: TrainingRun) -> list[str]:
    """Code, libraries, processor and threads, then and now; older runs say nothing of the processor."""
    now = software_and_machine()
    names = [name for name in now if run.versions.get(name) != now[name]]
    return [f"{name} {run.versions.get(name, 'not known')} then, {now[name]} now" for name in names]
