"""The work of a training run: decode, fit, calibrate, evaluate, write the artifact, hand it over.

Runs in a process of its own (`manage.py train` or `execute_run`). A thread renews the lease while the work goes on
and hears of cancellations; the work itself notices at its next step.
"""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from common.errors import UserError
from common.paths import without_server_paths
from common.version import library_versions
from jobs.engine import Claim
from jobs.errors import ClaimLost
from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.base import Detector, Subset
from modelzoo.detectors.errors import DetectorError, TrainingCancelled
from modelzoo.detectors.image_source import FileImageSource
from modelzoo.detectors.padim.detector import Padim
from modelzoo.evaluation.calibration import conformal_threshold, percentile_threshold
from modelzoo.models import ModelVersion, Threshold
from records.assets.images import open_rgb
from records.assets.selectors import gate_limits
from training.datasets.selectors import images_of, learnt_by
from training.models import DatasetImage, TrainingRun
from training.report.pictures import noted
from training.runs import services as runs_services
from training.runs.execution.evaluation import evaluate_images

log = logging.getLogger(__name__)
Progress = Callable[[float, str], None]
# Shares of a run's progress bar.
_FIT, _EVALUATE = 0.8, 0.18
# Of one step, such as an image after the other, the log tells every percent, or where that lasts, every few seconds.
_NUMBER, _LOG_EVERY = re.compile(r"\d+"), 5.0


class RunFailed(UserError):
    code = "training_failed"


@dataclass
class _Report:
    fraction: float = 0.0
    sentence: str = "starting"
    lines: str = ""


class Lifeline:
    """Keeps a claim alive from a thread, carries progress to the row, and brings cancellations back."""

    def __init__(self, claim: Claim[TrainingRun], echo: Progress) -> None:
        self._claim = claim
        self._echo = echo
        self._report = _Report()
        self._logged, self._logged_at = ("", 0), 0.0
        self._lock = threading.Lock()
        self._watched: Detector | None = None
        self._stop = threading.Event()
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        self._interrupted = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lifeline", daemon=True)

    def __enter__(self) -> Lifeline:
        self._thread.start()
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._unlisten()
        self._stop.set()
        self._thread.join()
        if not self._lost.is_set():
            self._renew()

    def _listen(self) -> None:
        """Ctrl-C is heard at the next step, a second one at once.

        Raised wherever the work happens to be, a KeyboardInterrupt can end up in a callback that swallows it.
        """
        self._previous = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._interrupt)

    def _unlisten(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        self._interrupted.set()

    def progress(self, fraction: float, sentence: str) -> None:
        """Called by the work. Raises `TrainingCancelled`, `KeyboardInterrupt` or `ClaimLost` when it should stop."""
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        if self._lost.is_set():
            raise ClaimLost
        if self._cancelled.is_set():
            raise TrainingCancelled("The run was cancelled.")
        with self._lock:
            if self._is_news(fraction, sentence):
                self._report.lines += f"{timezone.now():%H:%M:%S} {fraction:4.0%} {sentence}\n"
            self._report.fraction, self._report.sentence = fraction, sentence
        self._echo(fraction, sentence)

    def _is_news(self, fraction: float, sentence: str) -> bool:
        """Whether the log gets a line: another step, another percent, or the same after a while."""
        step, now = _NUMBER.sub("#", sentence), time.monotonic()
        if (step, int(100 * fraction)) == self._logged and now < self._logged_at + _LOG_EVERY:
            return False
        self._logged, self._logged_at = (step, int(100 * fraction)), now
        return True

    def watch(self, detector: Detector) -> None:
        """Its losses are carried to the row as they come."""
        self._watched = detector

    def share(self, start: float, length: float) -> Progress:
        """A progress function for a part of the work."""
        return lambda fraction, sentence: self.progress(start + length * min(1.0, fraction), sentence)

    def _keep(self) -> None:
        try:
            while not self._stop.wait(min(1.0, settings.LEASE_SECONDS / 4)):
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        with self._lock:
            report, self._report = self._report, _Report(self._report.fraction, self._report.sentence)
        try:
            if runs_services.renew(
                claim=self._claim,
                progress=report.fraction,
                message=report.sentence,
                lines=report.lines,
                history=list(self._watched.history) if self._watched else None,
            ):
                self._cancelled.set()
        except ClaimLost:
            self._lost.set()
            self._stop.set()
        except OperationalError as error:
            # A database that is busy or away for a moment costs this beat, not the run: the lease covers several.
            log.warning("The lease of run %s could not be renewed: %s", self._claim.pk, error)
            with self._lock:
                self._report.lines = report.lines + self._report.lines


def execute(claim: Claim[TrainingRun], *, echo: Progress = lambda fraction, sentence: None) -> ModelVersion:
    """Do the work of a claimed run and return its version.

    Raises `RunFailed` (the row says why), `TrainingCancelled`, `KeyboardInterrupt` (the row is closed as cancelled)
    or `ClaimLost` (nothing is written). In every case but success no artifact and no version stays.
    """
    run = TrainingRun.objects.select_related("dataset__category", "base_version").get(pk=claim.pk)
    status = TrainingRun.Status
    try:
        return _work(run, claim, echo)
    except (TrainingCancelled, KeyboardInterrupt):
        runs_services.end_run(run_id=run.pk, claim=claim, status=status.CANCELLED, error="Cancelled. Nothing was kept.")
        raise
    except ClaimLost:
        runs_services.discard_artifacts(run_id=run.pk)
        raise
    except (DetectorError, UserError, OSError, MemoryError) as error:
        sentence = str(error) or type(error).__name__
        told = without_server_paths(sentence)
        runs_services.end_run(run_id=run.pk, claim=claim, status=status.FAILED, code=RunFailed.code, error=told)
        raise RunFailed(sentence) from error
    except BaseException as error:
        runs_services.end_run(
            run_id=run.pk,
            claim=claim,
            status=status.FAILED,
            code="internal_error",
            error=without_server_paths(f"{type(error).__name__}: {error}"),
        )
        raise


def _work(run: TrainingRun, claim: Claim[TrainingRun], echo: Progress) -> ModelVersion:
    versions = library_versions()
    with Lifeline(claim, echo) as lifeline:
        began = time.monotonic()
        fit = _fit_anew if run.base_version is None else _extend
        detector, images, tests = fit(run, lifeline)
        held_out = np.asarray(detector.held_out_scores, dtype=np.float64)
        threshold = _first_threshold(run.calibration, held_out)
        fit_seconds = round(time.monotonic() - began, 2)
        metrics = _evaluate(detector, tests, threshold, lifeline) if tests else None
        lifeline.progress(_FIT + _EVALUATE, "writing the artifact")
        folder = Path(run.dataset.category.name) / f"run-{run.pk}-{run.attempt}"
        metadata = _metadata(run, versions=versions, metrics=metrics, fit_seconds=fit_seconds)
        artifact = artifacts.save(detector, settings.MODEL_PATH / folder, metadata=metadata)
        lifeline.progress(_FIT + _EVALUATE, "registering the version")
    return runs_services.finish_run(
        claim=claim,
        version_fields={
            "artifact": str(folder),
            "artifact_sha256": artifact.sha256,
            "artifact_bytes": artifact.size_bytes,
            **_version_fields(detector, images),
        },
        threshold=threshold,
        threshold_method=run.calibration["method"],
        threshold_parameters=_threshold_parameters(run, held_out),
        metrics=metrics,
        history=detector.history,
        versions=versions,
    )


def _evaluate(detector: Detector, tests: list[DatasetImage], threshold: float, lifeline: Lifeline) -> dict[str, Any]:
    """The figures of the test images, and the pictures that the report will show."""
    scored: list[tuple[DatasetImage, float | None]] = []
    metrics = evaluate_images(
        detector,
        tests,
        threshold,
        progress=lifeline.share(_FIT, _EVALUATE),
        each=lambda image, score: scored.append((image, score)),
    )
    return metrics | {"pictures": noted(scored)}


def _metadata(
    run: TrainingRun, *, versions: dict[str, str], metrics: dict[str, Any] | None, fit_seconds: float
) -> dict[str, Any]:
    """What the manifest of the artifact says about how it was made."""
    return {
        "training_run": run.pk,
        "dataset": run.dataset.name,
        "dataset_snapshot": run.dataset.snapshot,
        "base_version": run.base_version_id,
        "base_artifact_sha256": run.base_version.artifact_sha256 if run.base_version else None,
        "seed": run.seed,
        "calibration": run.calibration,
        "versions": versions,
        "metrics": metrics,
        "fit_seconds": fit_seconds,
    }


def _version_fields(detector: Detector, images: list[DatasetImage]) -> dict[str, Any]:
    """What the version's row says about the detector."""
    backbone = detector.backbone_info or {"name": "", "sha256": ""}
    return {
        "config": detector.describe()["config"],
        "preprocessing": _explained(detector, images),
        "backbone": backbone["name"],
        "backbone_sha256": backbone["sha256"],
        "held_out_scores": [float(value) for value in detector.held_out_scores],
    }


def _threshold_parameters(run: TrainingRun, held_out: np.ndarray) -> dict[str, Any]:
    return {
        **{name: value for name, value in run.calibration.items() if name != "method"},
        "scores": "held-out good images",
        "n": len(held_out),
        **({"n_new": len(held_out) - len(run.base_version.held_out_scores)} if run.base_version else {}),
    }


Fitted = tuple[Detector, list[DatasetImage], list[DatasetImage]]
"""The detector, the images it was fitted on in this run, and those left to evaluate it on."""


def _fit_anew(run: TrainingRun, lifeline: Lifeline) -> Fitted:
    detector = registry.create(run.algorithm, seed=run.seed, **run.options)
    lifeline.watch(detector)
    images = images_of(run.dataset, DatasetImage.Split.TRAIN)
    detector.fit(source_of(images, detector), progress=lifeline.share(0.0, _FIT))
    return detector, images, images_of(run.dataset, DatasetImage.Split.TEST)


def _extend(run: TrainingRun, lifeline: Lifeline) -> Fitted:
    """Let the base version learn from what it has not learnt yet. Images that it cannot compare are left out.

    Its held-out scores stay, those of the new images join them, each by a model that had not seen the image: the
    threshold is set from all of them.
    """
    base = run.base_version
    assert base is not None
    detector = artifacts.load(base.artifact_path, base.artifact_sha256, run.options["device"])
    assert isinstance(detector, Padim), "is_extendable"
    learnt = learnt_by(base)
    images = [image for image in images_of(run.dataset, DatasetImage.Split.TRAIN) if image.asset_id not in learnt]
    source = source_of(images, detector)
    preprocessing = detector.preprocessing
    fitting = repeat(True, len(source)) if preprocessing.is_plain else preprocessing.comparable(source)
    usable = [index for index, fits in enumerate(fitting) if fits]
    detector.partial_fit(Subset(source, usable), progress=lifeline.share(0.0, _FIT))
    detector.extend_input_profile(source)
    tests = [image for image in images_of(run.dataset, DatasetImage.Split.TEST) if image.asset_id not in learnt]
    return detector, images, tests


def _first_threshold(calibration: dict[str, Any], held_out: np.ndarray) -> float:
    """Raises `RunFailed` where the scores tell nothing about how good parts differ."""
    if calibration["method"] == Threshold.Method.CONFORMAL:
        threshold = conformal_threshold(held_out, calibration["false_reject_rate"])
    else:
        threshold = percentile_threshold(held_out, calibration["percentile"])
    if threshold <= 0 or (len(held_out) > 1 and np.ptp(held_out) == 0):
        images = "the one held-out good image" if len(held_out) == 1 else f"all {len(held_out)} held-out good images"
        raise RunFailed(
            f"There is no threshold that could be relied on: {threshold:.3g} is the score of {images}, which tells "
            "nothing about how good parts differ. Train with more images of good parts, and no copies of one."
        )
    return threshold


def _explained(detector: Detector, images: list[DatasetImage]) -> dict[str, Any]:
    """What was decided about the preprocessing, for the record: no arrays, and images by their names."""
    preprocessing = detector.preprocessing
    return {
        **preprocessing.decisions,
        "region": list(preprocessing.region),
        "input_size": list(detector.input_size),
        "input_check": detector.input_profile.describe() if detector.input_profile else None,
        "excluded": [{"image": images[row["image"]].path, "reason": row["reason"]} for row in preprocessing.excluded],
    }


def source_of(images: list[DatasetImage], detector: Detector) -> FileImageSource:
    """Images of a data set as a detector reads them, decoded by the rules of the upload gate."""
    limits = gate_limits()
    return FileImageSource(
        [Path(image.asset.file.path) for image in images],
        detector.preprocessing,
        open_image=lambda path: open_rgb(path, limits),
    )


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Progress]:
    """A bar on a terminal, a line for each tenth elsewhere, nothing when `quiet`."""
    import sys

    from tqdm import tqdm

    if quiet:
        yield lambda fraction, sentence: None
        return
    if not sys.stderr.isatty():
        last = [-1]

        def tell(fraction: float, sentence: str) -> None:
            if int(fraction * 10) > last[0]:
                last[0] = int(fraction * 10)
                print(f"{fraction:4.0%} {sentence}", file=sys.stderr, flush=True)  # noqa: T201

        yield tell
        return
    with tqdm(total=100, bar_format="{l_bar}{bar}| {elapsed} {desc}", file=sys.stderr) as bar:

        def move(fraction: float, sentence: str) -> None:
            bar.set_description_str(sentence[:60], refresh=False)
            bar.update(fraction * 100 - bar.n)

        yield move
