"""`manage.py export_model`: a model version as one signed file, for another installation."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from modelzoo.selectors import find_version
from modelzoo.transfer import services


class Command(ProductCommand):
    help = (
        "Write a model version to one signed file: artifact, threshold, evaluation report and model card, which "
        "import_model takes in another installation. Images do not travel."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("version", help="an id, or latest")
        parser.add_argument("--category", default="", help="the category whose latest version is meant")
        parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a file that does not exist")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        version = find_version(reference=options["version"], category=options["category"])
        made = services.export_version(version=version, output=options["output"], actor=None)
        own = services.own_fingerprint()
        if options["json"]:
            self.answer(
                {
                    "output": str(options["output"]),
                    "size_bytes": made.size_bytes,
                    "package_sha256": made.identity,
                    "fingerprint": own,
                    "files": made.contents.files,
                }
            )
            return
        self.say(f"{version} was written to {options['output']} ({made.size_bytes / 1e6:.1f} MB).")
        self.say(f"Signed with the key of this installation. Whoever imports it asks you for its fingerprint: {own}")
