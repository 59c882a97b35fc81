"""`manage.py export`: a model version as a file for other runtimes."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from modelzoo.detectors.errors import DetectorError
from modelzoo.loading.artifact_store import local_folder
from modelzoo.selectors import find_version


class Command(ProductCommand):
    help = (
        "Write a model version to a new folder: model.onnx, from the model's input to map and score, and model.json, "
        "which says what has to be done to a photograph before. It is compared with the detector first, and refused "
        "when it scores otherwise. Thresholds are not inside."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model-version", default="latest", help="an id, or latest (default)")
        parser.add_argument(
            "--category", default="", help=("the category whose latest version is used; required if there are several")
        )
        parser.add_argument("--format", choices=["onnx"], default="onnx", help="(default onnx)")
        parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32", help="(default fp32)")
        parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a folder that does not exist")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        from modelzoo.detectors import artifacts
        from modelzoo.detectors.engines.export import export

        version = find_version(reference=options["model_version"], category=options["category"])
        source = {
            "category": version.category.name,
            "model_version": version.pk,
            "number": version.number,
            "artifact_sha256": version.artifact_sha256,
        }
        try:
            detector = artifacts.load(local_folder(version), expected_sha256=version.artifact_sha256)
            exported = export(detector, Path(options["output"]), options["precision"], source)
        except DetectorError as error:
            raise UserError(f"{version} was not exported: {error}") from error
        if options["json"]:
            self.answer({"output": str(exported.directory), "size_bytes": exported.size_bytes, **exported.description})
            return
        parity = exported.description["parity"]
        self.say(f"{version} in {options['precision']}: {exported.directory} ({exported.size_bytes / 1e6:.1f} MB)")
        self.say(
            f"On {parity['images']} good images maps differ by at most {parity['map_difference']:.2g} of their largest "
            f"value, scores by {parity['moved']:.2g} times the spread of good parts."
        )
