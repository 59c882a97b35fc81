"""What commands share that end in a training run: it is done here, or by a worker, and its version is told."""

from __future__ import annotations

import platform
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from common.numbers import percent
from modelzoo.detectors.errors import TrainingCancelled
from modelzoo.documents import more_images_of
from modelzoo.models import ModelVersion
from training.models import TrainingRun
from training.runs import documents, services


class RunCommand(ProductCommand):
    """A command that has written a run down carries it out."""

    def carry_out(self, run: TrainingRun, *, queue: bool, as_json: bool) -> None:
        if queue:
            self._queue(run, as_json=as_json)
        else:
            self._run_here(run, as_json=as_json)

    def _queue(self, run: TrainingRun, *, as_json: bool) -> None:
        sent = services.TRAINING_RUNS.publish(run.pk)
        if as_json:
            self.answer({"training_run": run.pk, "status": run.status, "published": sent})
        self.say(
            f"Training run {run.pk} is queued."
            if sent
            else (
                f"Training run {run.pk} is saved. The message broker does not answer: the run starts when the "
                "workers start (make run)."
            )
        )

    def _run_here(self, run: TrainingRun, *, as_json: bool) -> None:
        from training.runs.execution.runner import execute, progress_bar

        claim = services.claim_run(run_id=run.pk, worker=f"command@{platform.node()}")
        if claim is None:
            raise UserError(f"Training run {run.pk} was taken by a worker.", code="conflict")
        try:
            with progress_bar(quiet=as_json) as echo:
                version = execute(claim, echo=echo)
        except TrainingCancelled as error:
            raise UserError(str(error)) from error
        if as_json:
            self.answer(describe(version, run))
        else:
            self._summary(version, run)

    def _summary(self, version: ModelVersion, run: TrainingRun) -> None:
        threshold = version.thresholds.get(revision=1)
        self.say(f"Model version {version.pk}: {version} on {run.dataset}")
        if run.base_version:
            self.say(f"  extends    model version {run.base_version_id}: {run.base_version}")
        self.say(f"  artifact   {version.artifact_path} ({version.artifact_bytes / 1e6:.1f} MB)")
        self.say(f"  sha256     {version.artifact_sha256}")
        if version.backbone:
            self.say(f"  backbone   {version.backbone}, weights {version.backbone_sha256[:16]}")
        self.say(f"  threshold  {threshold.value:.6g} ({_in_words(run.calibration)} of held-out good images)")
        for warning in threshold.warnings:
            self.say(f"  warning    {warning}")
        worth = more_images_of(version)
        if worth:
            self.say(f"  more       {worth['sentence']}")
        for step in ("window", "illumination", "align", "size"):
            decision = version.preprocessing.get(step)
            if decision:
                self.say(f"  {step:<12} {decision['chosen']}: {decision['because']}")
        if mask := version.preprocessing.get("ignore_mask"):
            self.say(f"  ignored    {percent(mask['share'])} of the image is not judged")
        if selection := TrainingRun.objects.get(pk=run.pk).selection:
            self.say(f"  chosen       {selection['winner']['name']}: {selection['because']}")
        image = version.metrics.get("image")
        if image and image["auroc"] is not None:
            self.say(f"  image      AUROC {image['auroc']:.4f}, AUPR {image['aupr']:.4f}, F1 {image['f1']:.4f}")


def _in_words(calibration: dict[str, Any]) -> str:
    if "percentile" in calibration:
        return f"{calibration['percentile']:g}th percentile"
    return f"{calibration['false_reject_rate']:.3g} of new good parts rejected at most, by the conformal rule,"


def describe(version: ModelVersion, run: TrainingRun) -> dict[str, Any]:
    threshold = version.thresholds.get(revision=1)
    return {
        "training_run": run.pk,
        "model_version": version.pk,
        "category": version.category.name,
        "number": version.number,
        "algorithm": version.algorithm,
        "dataset": run.dataset.name,
        "dataset_snapshot": run.dataset.snapshot,
        "base_version": run.base_version_id,
        "artifact": str(version.artifact_path),
        "artifact_sha256": version.artifact_sha256,
        "artifact_bytes": version.artifact_bytes,
        "backbone": version.backbone or None,
        "backbone_sha256": version.backbone_sha256 or None,
        "threshold": threshold.value,
        "threshold_parameters": threshold.parameters,
        "warnings": threshold.warnings,
        "more_images": more_images_of(version),
        "seed": version.seed,
        "config": version.config,
        "preprocessing": version.preprocessing,
        "selection": documents.selection_of(TrainingRun.objects.get(pk=run.pk)),
        **version.metrics,
    }
