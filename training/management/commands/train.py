"""`manage.py train`: train a detector on a data set, here or on a worker."""

from __future__ import annotations

import json
import platform
from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from modelzoo.models import ModelVersion, Threshold
from mvtec_site.commands import ProductCommand
from mvtec_site.errors import UserError
from training import services
from training.imports import find_dataset
from training.models import TrainingRun

# Options of the command that are options of a detector, where the detector has them.
_DETECTOR_OPTIONS: dict[str, Any] = {
    "backbone": "auto",
    "epochs": settings.EPOCHS,
    "batch_size": settings.BATCH_SIZE,
    "image_size": settings.IMAGE_SIZE,
    "illumination": "auto",
    "align": "auto",
    "region": [0, 0, 1, 1],
    "latent_dim": settings.LATENT_DIM,
    "learning_rate": settings.LEARNING_RATE,
    "skip_connections": False,
    "device": settings.DEVICE,
}


class Command(ProductCommand):
    help = "Train a detector on the good images of a data set; the result is a model version with a first threshold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = _DETECTOR_OPTIONS
        parser.add_argument("--model", required=True, help="padim, patchcore or autoencoder")
        parser.add_argument("--dataset", required=True, help="name of an imported data set, or a path to import")
        parser.add_argument("--backbone", help=f"pretrained network (default {default['backbone']})")
        parser.add_argument("--epochs", type=int, help=f"of the autoencoder (default EPOCHS={default['epochs']})")
        parser.add_argument("--batch-size", type=int, help=f"(default BATCH_SIZE={default['batch_size']})")
        parser.add_argument(
            "--image-size",
            type=_size,
            help="side in pixels, or HEIGHTxWIDTH; under pose alignment a side only says how many pixels, in the "
            f"part's own shape (default IMAGE_SIZE={default['image_size']})",
        )
        parser.add_argument("--illumination", choices=["auto", "none", "flatfield"], help="(default auto)")
        parser.add_argument("--align", choices=["auto", "none", "pose"], help="(default auto)")
        parser.add_argument(
            "--region",
            type=float,
            nargs=4,
            metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
            help="what is looked at, as shares of the image (default 0 0 1 1)",
        )
        parser.add_argument("--latent-dim", type=int, help=f"of the autoencoder (default {default['latent_dim']})")
        parser.add_argument(
            "--learning-rate", type=float, help=f"of the autoencoder (default {default['learning_rate']})"
        )
        parser.add_argument("--skip-connections", action="store_true", default=None, help="in the autoencoder")
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help='any other option of the detector, as JSON: floor=0.5, layers=["layer2"]; can be repeated',
        )
        rule = parser.add_mutually_exclusive_group()
        rule.add_argument(
            "--percentile",
            type=float,
            help=f"threshold: of held-out good scores (default THRESHOLD_PERCENTILE={settings.THRESHOLD_PERCENTILE:g})",
        )
        rule.add_argument(
            "--false-reject-rate",
            type=float,
            help="threshold: conformal, new good parts are rejected with at most this probability",
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--device", choices=["auto", "cpu", "cuda"])
        parser.add_argument("--queue", action="store_true", help="let a worker do it")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        from modelzoo.detectors.errors import DetectorError
        from modelzoo.detectors.registry import create, options_for

        calibration = _calibration(options["percentile"], options["false_reject_rate"])
        try:
            known = options_for(options["model"])
            given = {name: options[name] for name in _DETECTOR_OPTIONS if options[name] is not None}
            foreign = sorted(set(given) - known - {"device"})
            if foreign:
                names = ", ".join("--" + name.replace("_", "-") for name in foreign)
                raise UserError(f"{options['model']} has no {names}.")
            chosen = {k: v for k, v in (_DETECTOR_OPTIONS | given).items() if k in known or k == "device"}
            chosen |= dict(_option(text) for text in options["option"])
            # A wrong name or value is told before anything is written.
            create(options["model"], seed=options["seed"], **chosen)
        except DetectorError as error:
            raise UserError(str(error)) from error
        dataset = find_dataset(options["dataset"])
        run = services.request_run(
            dataset=dataset,
            algorithm=options["model"],
            options=chosen,
            calibration=calibration,
            seed=options["seed"],
            actor=None,
        )
        if options["queue"]:
            self._queue(run, options)
        else:
            self._run_here(run, options)

    def _queue(self, run: TrainingRun, options: dict[str, Any]) -> None:
        sent = services.publish_run(run=run)
        if options["json"]:
            self.answer({"training_run": run.pk, "status": run.status, "published": sent})
        self.say(
            f"Training run {run.pk} is queued."
            if sent
            else f"Training run {run.pk} is written down. No broker answers: it begins when workers start (make run)."
        )

    def _run_here(self, run: TrainingRun, options: dict[str, Any]) -> None:
        from modelzoo.detectors.errors import TrainingCancelled
        from training.runner import execute, progress_bar

        claim = services.claim_run(run_id=run.pk, worker=f"command@{platform.node()}")
        if claim is None:
            raise UserError(f"Training run {run.pk} was taken by a worker.", code="conflict")
        try:
            with progress_bar(quiet=options["json"]) as echo:
                version = execute(claim, echo=echo)
        except TrainingCancelled as error:
            raise UserError(str(error)) from error
        if options["json"]:
            self.answer(describe(version, run))
        else:
            self._summary(version, run)

    def _summary(self, version: ModelVersion, run: TrainingRun) -> None:
        threshold = version.thresholds.get(revision=1)
        self.say(f"Model version {version.pk}: {version} on {run.dataset}")
        self.say(f"  artifact   {version.artifact_path} ({version.artifact_bytes / 1e6:.1f} MB)")
        self.say(f"  sha256     {version.artifact_sha256}")
        if version.backbone:
            self.say(f"  backbone   {version.backbone}, weights {version.backbone_sha256[:16]}")
        self.say(f"  threshold  {threshold.value:.6g} ({_in_words(run.calibration)} of held-out good images)")
        for step in ("illumination", "align"):
            decision = version.preprocessing[step]
            self.say(f"  {step:<12} {decision['chosen']}: {decision['because']}")
        image = version.metrics.get("image")
        if image and image["auroc"] is not None:
            self.say(f"  image      AUROC {image['auroc']:.4f}, AUPR {image['aupr']:.4f}, F1 {image['f1']:.4f}")


def _size(text: str) -> int | list[int]:
    sides = [int(side) for side in text.lower().split("x")]
    return sides[0] if len(sides) == 1 else sides


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"--option {text!r} is not of the form NAME=VALUE.")
    if name == "seed":
        raise UserError("The seed has its own option: --seed.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word


def _calibration(percentile: float | None, false_reject_rate: float | None) -> dict[str, Any]:
    if false_reject_rate is not None:
        if not 0 < false_reject_rate < 1:
            raise UserError("--false-reject-rate must lie between 0 and 1.")
        return {"method": Threshold.Method.CONFORMAL, "false_reject_rate": false_reject_rate}
    chosen = settings.THRESHOLD_PERCENTILE if percentile is None else percentile
    if not 1.0 <= chosen <= 100.0:
        raise UserError("--percentile must be from 1 to 100.")
    return {"method": Threshold.Method.PERCENTILE, "percentile": chosen}


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
        "artifact": str(version.artifact_path),
        "artifact_sha256": version.artifact_sha256,
        "artifact_bytes": version.artifact_bytes,
        "backbone": version.backbone or None,
        "backbone_sha256": version.backbone_sha256 or None,
        "threshold": threshold.value,
        "threshold_parameters": threshold.parameters,
        "seed": version.seed,
        "config": version.config,
        "preprocessing": version.preprocessing,
        **version.metrics,
    }
