"""`manage.py import_model`: a model version of another installation, from its signed file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from modelzoo.detectors.errors import DetectorError
from modelzoo.documents import full_version_document
from modelzoo.transfer import package, services


class Command(ProductCommand):
    help = (
        "Take in a model version that export_model wrote, as a candidate with its threshold. Every byte is compared "
        "with what was signed; the signer must be known here or named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--category", default="", help="judge this category instead of the one it was trained for")
        parser.add_argument(
            "--fingerprint",
            action="append",
            default=[],
            metavar="SHA256",
            help="of the signer's key, as the signer told you over another way",
        )
        parser.add_argument(
            "--public-key", action="append", default=[], type=Path, metavar="FILE", help="of the signer (PEM)"
        )
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        version = services.import_version(
            path=options["file"],
            category=options["category"],
            fingerprints=options["fingerprint"],
            public_keys=options["public_key"],
            actor=None,
            check=_load,
        )
        if options["json"]:
            self.answer(full_version_document(version.pk))
            return
        self.say(f"{version} is here, as version {version.pk}, a candidate. Promote it to use it.")


def _load(folder: Path, artifact_sha256: str) -> None:
    """The model itself fits together: what the hashes cannot tell."""
    from modelzoo.detectors import artifacts

    try:
        artifacts.load(folder, expected_sha256=artifact_sha256)
    except DetectorError as error:
        raise services.PackageNotAccepted(
            f"The package was not imported: its model cannot be loaded here: {error} Nothing was kept.",
            member=package.TENSORS,
        ) from error
