"""Scoring the test images of a data set: at once for a command, or as a claimed job in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import UserError
from jobs.errors import ClaimLost
from jobs.heartbeat import Heartbeat
from modelzoo.detectors.errors import DetectorError
from modelzoo.loading.scoring import LoadedModel, load_model
from modelzoo.models import ModelVersion, Threshold
from modelzoo.selectors import threshold_in_force
from training.datasets.selectors import images_of
from training.evaluations.services import claim_evaluation, fail_evaluation, finish_evaluation
from training.models import Dataset, DatasetImage, EvaluationRun
from training.report import pictures
from training.runs.execution.evaluation import Progress, evaluate_images
from training.runs.execution.robustness import measure_robustness

# Share of the progress that the figures take where the robustness is measured too.
_EVALUATION_SHARE = 0.2
# The reference: figures are compared over machines and years.
_REFERENCE = {"runtime": "torch", "precision": "fp32"}


@dataclass(frozen=True)
class Evaluated:
    """`scored`: every test image with its score, None where it could not be compared."""

    threshold: Threshold
    metrics: dict[str, Any]
    model: LoadedModel
    scored: list[tuple[DatasetImage, float | None]]


def evaluate_version(
    version: ModelVersion,
    dataset: Dataset,
    *,
    robustness: bool,
    options: Mapping[str, Any],
    progress: Progress,
) -> Evaluated:
    """All figures of a version on the test images of a data set, at the threshold that is active now.

    Raises `UserError` where there are no images for it.
    """
    images = images_of(dataset, "test")
    good = [image for image in images if not image.is_defective]
    if robustness:
        good = good or images_of(dataset, "train")
    if not images and not (robustness and good):
        raise UserError(f"{dataset} has no test images.", code="no_test_images")
    if robustness and not good:
        raise UserError(f"{dataset} has no good images to measure the robustness on.", code="no_good_images")
    threshold = threshold_in_force(version.pk)
    model = load_model(version, **options)
    scored: list[tuple[DatasetImage, float | None]] = []
    share = _EVALUATION_SHARE if robustness else 1.0
    metrics = evaluate_images(
        model.scorer,
        images,
        threshold.value,
        progress=lambda done, sentence: progress(share * done, sentence),
        each=lambda image, score: scored.append((image, score)),
    )
    if robustness:
        metrics["robustness"] = measure_robustness(
            model.scorer,
            good,
            threshold,
            version.held_out_scores,
            progress=lambda done, sentence: progress(share + (1 - share) * done, sentence),
        )
    metrics["run_in"] = {name: model.scorer.choice[name] for name in ("runtime", "precision")}
    metrics["pictures"] = pictures.picture_groups(scored)
    return Evaluated(threshold, metrics, model, scored)


def work_on_evaluation(*, run_id: int) -> None:
    """Do the work of a job; what cannot be evaluated ends it with a sentence."""
    claim = claim_evaluation(run_id=run_id)
    if claim is None:
        return
    run = EvaluationRun.objects.select_related("model_version__category", "dataset__category").get(pk=run_id)
    so_far = 0.0

    def progress(done: float, _: str) -> None:
        nonlocal so_far
        so_far = min(1.0, done)
        if heartbeat.is_lost:
            raise ClaimLost

    heartbeat = Heartbeat(claim, lambda: claim.renew(progress=so_far))
    try:
        with heartbeat:
            evaluated = evaluate_version(
                run.model_version, run.dataset, robustness=run.robustness, options=_REFERENCE, progress=progress
            )
        finish_evaluation(claim=claim, threshold=evaluated.threshold, metrics=evaluated.metrics)
    except ClaimLost:
        return
    except (UserError, DetectorError, OSError) as error:
        fail_evaluation(claim=claim, error=getattr(error, "detail", str(error)) or type(error).__name__)
