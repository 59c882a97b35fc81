"""`manage.py train`: train a detector on a data set, here or on a worker."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from common.errors import UserError
from modelzoo.detectors.config import NATIVE
from modelzoo.detectors.errors import DetectorError
from modelzoo.detectors.registry import names_in_words
from modelzoo.selectors import find_version
from records.assets.images import read_bounded
from records.assets.selectors import upload_limits
from records.models import Asset
from training.datasets.imports import find_dataset
from training.runs import services
from training.runs.command_line import RunCommand
from training.runs.ignore_masks.services import receive_mask
from training.runs.options import complete_options, default_options, option_names, threshold_rule


class Command(RunCommand):
    help = "Train a detector on the good images of a data set; the result is a model version with a first threshold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = default_options()
        parser.add_argument("--model", required=True, help=names_in_words())
        parser.add_argument("--dataset", required=True, help="name of an imported data set, or a path to import")
        parser.add_argument("--backbone", help=f"pretrained network (default {default['backbone']})")
        parser.add_argument("--epochs", type=int, help=f"of the autoencoder (default EPOCHS={default['epochs']})")
        parser.add_argument(
            "--budget",
            type=float,
            metavar="MINUTES",
            help=f"of auto: what comparing detectors and training the best may take (default {default['budget']:g})",
        )
        parser.add_argument("--batch-size", type=int, help=f"(default BATCH_SIZE={default['batch_size']})")
        parser.add_argument(
            "--image-size",
            type=_size,
            help="side in pixels, HEIGHTxWIDTH, or native: the good images' own size; under pose alignment a side "
            "only says how many pixels, in the part's own shape, and native is the part's own size "
            f"(default IMAGE_SIZE={default['image_size']})",
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
        parser.add_argument(
            "--window",
            type=int,
            nargs=2,
            metavar=("LOW", "HIGH"),
            help="values of 16-bit grey images that are black and white (default: decided from the good images)",
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
        parser.add_argument(
            "--ignore-mask",
            type=Path,
            metavar="FILE",
            help="a picture of the size or the shape of the images: what is not black is not judged",
        )
        parser.add_argument(
            "--ignore-mask-version",
            type=int,
            metavar="ID",
            help="the mask was drawn on the mean image of this model version, aligned with the part",
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
        parser.add_argument("--queue", action="store_true", help="run it in a worker")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        calibration = threshold_rule(percentile=options["percentile"], false_reject_rate=options["false_reject_rate"])
        values = {name: options[name] for name in default_options() if options[name] is not None}
        foreign = sorted(set(values) - option_names(options["model"]))
        if foreign:
            names = ", ".join("--" + name.replace("_", "-") for name in foreign)
            raise UserError(f"{options['model']} has no {names}.")
        # A wrong name or value is told before anything is written.
        run_options = complete_options(
            algorithm=options["model"],
            values=values | dict(_option(text) for text in options["option"]),
            seed=options["seed"],
        )
        if not options["queue"]:
            self._check_device(run_options["device"])
        dataset = find_dataset(options["dataset"])
        mask_version = options["ignore_mask_version"]
        run = services.request_run(
            dataset=dataset,
            algorithm=options["model"],
            options=run_options,
            calibration=calibration,
            seed=options["seed"],
            actor=None,
            ignore_mask=_mask(options["ignore_mask"]) if options["ignore_mask"] else None,
            ignore_mask_version=find_version(reference=str(mask_version)) if mask_version is not None else None,
        )
        self.carry_out(run, queue=options["queue"], as_json=options["json"])

    def _check_device(self, device: str) -> None:
        from modelzoo.detectors.base import resolve_device

        try:
            resolve_device(device)
        except DetectorError as error:
            raise UserError(str(error)) from error


def _mask(path: Path) -> Asset:
    try:
        data = read_bounded(path, upload_limits())
    except OSError as error:
        raise UserError(f"The mask {path} cannot be read ({error.strerror}). Nothing was started.") from error
    return receive_mask(data=data, filename=path.name, actor=None)


def _size(text: str) -> int | list[int] | str:
    if text == NATIVE:
        return text
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
