"""The work of a training run: decode, fit, calibrate, evaluate, write the artifact, hand it over.

Runs in a process of its own (`manage.py train` or `execute_run`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage

from common.errors import UserError
from common.paths import without_server_paths
from common.version import library_versions
from jobs.engine import Claim
from jobs.errors import ClaimLost
from modelzoo.detectors import artifacts, registry
from modelzoo.detectors.base import Detector, Subset
from modelzoo.detectors.engines.base import FP32
from modelzoo.detectors.engines.selection import open_scorer, processor
from modelzoo.detectors.errors import DetectorError, TrainingCancelled
from modelzoo.detectors.image_source import FileImageSource
from modelzoo.detectors.options import AUTO
from modelzoo.detectors.padim.detector import Padim
from modelzoo.detectors.preprocessing.grey_window import DECIDE
from modelzoo.detectors.preprocessing.ignore_mask import PaintedMask
from modelzoo.evaluation.calibration import conformal_threshold, percentile_threshold
from modelzoo.loading.artifact_store import local_folder, stored_artifact
from modelzoo.models import ModelVersion, Threshold
from records.assets.images import open_pixels
from records.assets.selectors import fixed_window, upload_limits
from training.datasets.selectors import images_of, training_asset_ids
from training.models import DatasetImage, TrainingRun
from training.report.pictures import picture_groups
from training.runs import services
from training.runs.execution.checkpoints import checkpoint_of, discard_checkpoint
from training.runs.execution.evaluation import evaluate_images
from training.runs.execution.image_statistics import training_statistics
from training.runs.execution.lifeline import Lifeline, Progress, Steps
from training.runs.ignore_masks.services import read_mask
from training.runs.selection.worker import Evidence, rejected_share, select_detector, without_pictures

# Shares of a run's progress bar; where the detector is chosen first, that is the larger part of `_FIT`.
_FIT, _EVALUATE = 0.8, 0.18
_SELECT = 0.65


class RunFailed(UserError):
    code = "training_failed"


def execute(claim: Claim[TrainingRun], *, echo: Progress = lambda fraction, sentence: None) -> ModelVersion:
    """Do the work of a claimed run and return its version.

    Raises `RunFailed` (the row says why), `TrainingCancelled`, `KeyboardInterrupt` (the row is closed as cancelled)
    or `ClaimLost` (nothing is written). In every case but success no artifact and no version stays.
    """
    relations = ("dataset__category", "base_version", "ignore_mask", "ignore_mask_version")
    run = TrainingRun.objects.select_related(*relations).get(pk=claim.pk)
    status = TrainingRun.Status
    try:
        version = _work(run, claim, echo)
    except (TrainingCancelled, KeyboardInterrupt):
        _close(run, claim, status=status.CANCELLED, error="Cancelled. No model was created.")
        raise
    except ClaimLost:
        services.discard_artifacts(run_id=run.pk)
        raise
    except (DetectorError, UserError, OSError, MemoryError) as error:
        sentence = str(error) or type(error).__name__
        _close(run, claim, status=status.FAILED, code=RunFailed.code, error=without_server_paths(sentence))
        raise RunFailed(sentence) from error
    except BaseException as error:
        sentence = without_server_paths(f"{type(error).__name__}: {error}")
        _close(run, claim, status=status.FAILED, code="internal_error", error=sentence)
        raise
    discard_checkpoint(run_id=run.pk)
    return version


def _close(run: TrainingRun, claim: Claim[TrainingRun], *, status: str, error: str, code: str = "") -> None:
    if services.end_run(run_id=run.pk, claim=claim, status=status, code=code, error=error):
        discard_checkpoint(run_id=run.pk)


def _work(run: TrainingRun, claim: Claim[TrainingRun], echo: Progress) -> ModelVersion:
    versions = software_and_machine()
    with ExitStack() as until_registered:
        with Lifeline(claim, echo) as lifeline:
            began = time.monotonic()
            detector, images, tests, selection = fit(run, lifeline, checkpoint=checkpoint_of(run))
            held_out = np.asarray(detector.held_out_scores, dtype=np.float64)
            threshold = _first_threshold(run.calibration, held_out)
            fit_seconds = round(time.monotonic() - began, 2)
            metrics = _evaluate(detector, tests, threshold, lifeline) if tests else None
            lifeline.progress(_FIT + _EVALUATE, "writing the artifact")
            folder = settings.MODEL_PATH / run.dataset.category.name / f"run-{run.pk}-{run.attempt}"
            metadata = _metadata(run, selection, versions=versions, metrics=metrics, fit_seconds=fit_seconds)
            artifact = artifacts.save(detector, folder, metadata=metadata)
            name = until_registered.enter_context(stored_artifact(artifact.path, artifact.sha256))
            lifeline.progress(_FIT + _EVALUATE, "registering the version")
        return services.finish_run(
            claim=claim,
            version_fields={
                "artifact": name,
                "artifact_sha256": artifact.sha256,
                "artifact_bytes": artifact.size_bytes,
                **_version_fields(run, detector, images),
            },
            threshold=threshold,
            threshold_method=run.calibration["method"],
            threshold_parameters=_threshold_parameters(run, held_out),
            metrics=metrics,
            history=detector.history,
            selection=selection,
            versions=versions,
        )


def software_and_machine() -> dict[str, str]:
    """What decides how a training comes out besides data, configuration and seed: releases, processor, threads."""
    return library_versions() | {"processor": " ".join(processor().split())}


def _evaluate(detector: Detector, tests: list[DatasetImage], threshold: float, lifeline: Lifeline) -> dict[str, Any]:
    """The figures of the test images, and the pictures that the report will show."""
    scored: list[tuple[DatasetImage, float | None]] = []
    metrics = evaluate_images(
        open_scorer(detector, precision=FP32),
        tests,
        threshold,
        progress=lifeline.share(_FIT, _EVALUATE),
        each=lambda image, score: scored.append((image, score)),
    )
    return metrics | {"pictures": picture_groups(scored)}


def _metadata(
    run: TrainingRun,
    selection: Evidence,
    *,
    versions: dict[str, str],
    metrics: dict[str, Any] | None,
    fit_seconds: float,
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
        "ignore_mask_sha256": run.ignore_mask.sha256 if run.ignore_mask else None,
        "selection": without_pictures(selection) or None,
        "versions": versions,
        "metrics": metrics,
        "fit_seconds": fit_seconds,
    }


def _version_fields(run: TrainingRun, detector: Detector, images: list[DatasetImage]) -> dict[str, Any]:
    """What the version's row says about the detector."""
    backbone = detector.backbone_info or {"name": "", "sha256": ""}
    return {
        "algorithm": detector.algorithm,
        "config": detector.describe()["config"],
        "preprocessing": _preprocessing_record(run, detector, images),
        "backbone": backbone["name"],
        "backbone_sha256": backbone["sha256"],
        "held_out_scores": [float(value) for value in detector.held_out_scores],
        "learning_curve": detector.learning_curve or None,
        "image_statistics": training_statistics(
            detector,
            source_of(images, detector),
            before=run.base_version.image_statistics if run.base_version else None,
        ),
    }


def _threshold_parameters(run: TrainingRun, held_out: np.ndarray) -> dict[str, Any]:
    return {
        **{name: value for name, value in run.calibration.items() if name != "method"},
        "scores": "held-out good images",
        "n": len(held_out),
        **({"n_new": len(held_out) - len(run.base_version.held_out_scores)} if run.base_version else {}),
    }


FitResult = tuple[Detector, list[DatasetImage], list[DatasetImage], Evidence]
"""The detector, the images it was fitted on in this run, those left to evaluate it on, and why this detector."""


def fit(run: TrainingRun, steps: Steps, *, checkpoint: Path | None = None) -> FitResult:
    """What a run asks for: a new detector, or a trained one that learns more. `checkpoint`: see `Detector`."""
    return _fit_anew(run, steps, checkpoint) if run.base_version is None else _extend(run, steps)


def _fit_anew(run: TrainingRun, steps: Steps, checkpoint: Path | None) -> FitResult:
    images = images_of(run.dataset, DatasetImage.Split.TRAIN)
    options, ignore = _with_fixed_window(run.options), painted_mask(run)
    start = 0.0
    evidence: Evidence = {}
    if run.algorithm == AUTO:
        start = _SELECT
        detector, evidence = select_detector(
            decoded_images(images, window=options.get("window", DECIDE)),
            options=options,
            seed=run.seed,
            ignore=ignore,
            rate=rejected_share(run.calibration),
            progress=steps.share(0.0, _SELECT),
        )
    else:
        detector = registry.create(run.algorithm, seed=run.seed, **options)
    detector.checkpoint = checkpoint
    steps.watch(detector)
    detector.fit(source_of(images, detector), ignore=ignore, progress=steps.share(start, _FIT - start))
    return detector, images, images_of(run.dataset, DatasetImage.Split.TEST), evidence


def painted_mask(run: TrainingRun) -> PaintedMask | None:
    """What a run does not judge, and on which pictures that was painted."""
    if run.ignore_mask is None:
        return None
    drawn_on = run.ignore_mask_version
    preprocessing = None
    if drawn_on is not None:
        preprocessing = artifacts.load(local_folder(drawn_on), drawn_on.artifact_sha256).preprocessing
    return PaintedMask(read_mask(run.ignore_mask), preprocessing)


def _with_fixed_window(options: dict[str, Any]) -> dict[str, Any]:
    """The options with the window that the installation fixes (SIXTEEN_BIT), where nothing else was asked for."""
    fixed = fixed_window()
    undecided = tuple(options.get("window", DECIDE)) == DECIDE
    return options | {"window": list(fixed)} if fixed and undecided else options


def _extend(run: TrainingRun, steps: Steps) -> FitResult:
    """Let the base version learn from what it has not learnt yet. Images that it cannot compare are left out.

    Its held-out scores stay, those of the new images join them, each by a model that had not seen the image: the
    threshold is set from all of them.
    """
    base = run.base_version
    assert base is not None
    detector = artifacts.load(local_folder(base), base.artifact_sha256, run.options["device"])
    assert isinstance(detector, Padim), "is_extendable"
    asset_ids = training_asset_ids(base)
    images = [image for image in images_of(run.dataset, DatasetImage.Split.TRAIN) if image.asset_id not in asset_ids]
    source = source_of(images, detector)
    preprocessing = detector.preprocessing
    fitting = repeat(True, len(source)) if preprocessing.is_plain else preprocessing.comparable(source)
    usable = [index for index, fits in enumerate(fitting) if fits]
    detector.partial_fit(Subset(source, usable), progress=steps.share(0.0, _FIT))
    detector.extend_input_profile(source)
    tests = [image for image in images_of(run.dataset, DatasetImage.Split.TEST) if image.asset_id not in asset_ids]
    return detector, images, tests, {}


def _first_threshold(calibration: dict[str, Any], held_out: np.ndarray) -> float:
    """Raises `RunFailed` where the scores tell nothing about how good parts differ."""
    if calibration["method"] == Threshold.Method.CONFORMAL:
        threshold = conformal_threshold(held_out, calibration["false_reject_rate"])
    else:
        threshold = percentile_threshold(held_out, calibration["percentile"])
    if threshold <= 0 or (len(held_out) > 1 and np.ptp(held_out) == 0):
        images = "the one held-out good image" if len(held_out) == 1 else f"all {len(held_out)} held-out good images"
        raise RunFailed(
            f"There is no reliable threshold: {threshold:.3g} is the score of {images}. Train with more, "
            "different images of good parts."
        )
    return threshold


def _preprocessing_record(run: TrainingRun, detector: Detector, images: list[DatasetImage]) -> dict[str, Any]:
    """What was decided about the preprocessing, for the record: no arrays, and images by their names."""
    preprocessing = detector.preprocessing
    return {
        **preprocessing.decisions,
        "region": list(preprocessing.region),
        "input_size": list(detector.input_size),
        "input_check": detector.input_profile.describe() if detector.input_profile else None,
        "ignore_mask": _ignore_mask_record(run, detector),
        "excluded": [{"image": images[row["image"]].path, "reason": row["reason"]} for row in preprocessing.excluded],
    }


def _ignore_mask_record(run: TrainingRun, detector: Detector) -> dict[str, Any] | None:
    mask = detector.preprocessing.ignore_mask
    if mask is None:
        return None
    return {
        **mask.describe(),
        "sha256": run.ignore_mask.sha256 if run.ignore_mask else None,
        "drawn_on_version": run.ignore_mask_version_id,
    }


def decoded_images(images: list[DatasetImage], *, window: Sequence[int] = DECIDE) -> FileImageSource:
    """Good images in RGB as they were taken, for detectors that have yet to be chosen: 16-bit ones in one window."""
    source = source_of(images, registry.create("padim", illumination="none", align="none", window=window))
    source.preprocessing.fit(source)
    return source


def source_of(images: list[DatasetImage], detector: Detector) -> FileImageSource:
    """Images of a data set as a detector reads them, decoded by the rules of upload validation."""
    limits = upload_limits()
    return FileImageSource(
        [Path(str(image.asset.file.name)) for image in images],
        detector.preprocessing,
        open_image=lambda name: open_pixels(_read_stored(name), limits),
    )


def _read_stored(name: Path) -> bytes:
    with default_storage.open(str(name)) as stored:
        return bytes(stored.read())


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
