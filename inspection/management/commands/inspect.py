"""`manage.py inspect IMAGE...`: judge images from the command line, recorded like any other inspection."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from common.commands import ProductCommand
from common.errors import UserError
from common.numbers import millimetres
from inspection.judging import services
from inspection.judging.documents import inspection_document
from inspection.models import Inspection
from modelzoo.loading.options import add_runtime_options, runtime_options
from modelzoo.models import ModelVersion
from modelzoo.selectors import NoModelLoaded, deployment_in_force, find_version


class Command(ProductCommand):
    help = (
        "Judge images with a model version, in this process. Each image gets a permanent record. Exit status 0 "
        "if every image has a record (good, defect or not comparable), else 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
        parser.add_argument(
            "--model-version", default="", help="an id or latest (default: what is loaded, else latest)"
        )
        parser.add_argument("--category", default="", help="required if several are in production")
        parser.add_argument("--station", default="")
        add_runtime_options(parser)
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        version = self._version(options)
        documents: list[dict[str, Any]] = []
        failed = 0
        for path in options["images"]:
            try:
                documents.append(self._inspect_file(path, version, options))
            except UserError as error:
                failed += 1
                documents.append({"filename": str(path), "code": error.code, "detail": error.detail})
                self.say(f"{path}: {error.detail}")
        if options["json"]:
            self.answer({"results": documents})
        if failed:
            raise UserError(f"{failed} of {len(options['images'])} images were not judged; the others are recorded.")

    def _version(self, options: dict[str, Any]) -> ModelVersion:
        if options["model_version"]:
            return find_version(reference=options["model_version"], category=options["category"])
        try:
            return deployment_in_force(options["category"]).model_version
        except NoModelLoaded:
            return find_version(category=options["category"])

    def _inspect_file(self, path: Path, version: ModelVersion, options: dict[str, Any]) -> dict[str, Any]:
        try:
            if path.stat().st_size > settings.MAX_FILE_SIZE:
                raise UserError(f"larger than MAX_FILE_SIZE ({settings.MAX_FILE_SIZE:,} bytes).", code="file_too_large")
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror}).", code="unreadable") from error
        record = services.inspect_here(
            data=data,
            submission=services.Submission(
                filename=path.name, source="command", actor=None, part=services.PartContext(station=options["station"])
            ),
            version=version,
            runtime_options=runtime_options(options),
        )
        document = inspection_document(record, anomaly_map="url")
        if not options["json"]:
            self.stdout.write(f"{path}: {self._sentence(record)}, inspection {record.pk}")
        return document

    def _sentence(self, record: Inspection) -> str:
        if record.score is None:
            return f"NOT COMPARABLE: {record.explanation} {record.what_next}"
        verdict = "DEFECTIVE" if record.is_defective else "good"
        sentence = f"{verdict}, score {record.score:.6g}, threshold {record.threshold_value:.6g}"
        if record.among_good_parts:
            sentence += f", {record.among_good_parts}"
        if record.region_count:
            plural = "" if record.region_count == 1 else "s"
            sentence += f", {record.region_count} region{plural}, largest {record.largest_region_px} px"
            if record.largest_region_mm2 is not None:
                sentence += f" ({millimetres(record.largest_region_mm2)} mm2)"
        if record.size_note:
            sentence += f". {record.size_note}"
        return sentence
