"""`manage.py verify_artifacts`: whether the artifacts on the disk are the recorded ones."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from common.commands import ProductCommand
from common.errors import UserError
from modelzoo.loading.verification import verify_artifact
from modelzoo.models import ModelVersion
from modelzoo.selectors import find_version


class Command(ProductCommand):
    help = (
        "Compare every byte of the artifacts with what was recorded when they were trained. Exit code 1 where one is "
        "another. Workers do the same each time they load one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("versions", nargs="*", metavar="VERSION", help="ids (default: all)")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        named = [find_version(reference=reference) for reference in options["versions"]]
        versions = named or ModelVersion.objects.select_related("category").order_by("pk")
        faults = {version: verify_artifact(version=version, actor=None) for version in versions}
        broken = [version for version, fault in faults.items() if fault]
        if options["json"]:
            rows = [{"model_version": version.pk, "fault": fault} for version, fault in faults.items()]
            self.answer({"verified": len(faults), "broken": len(broken), "results": rows})
        for version in broken:
            self.say(f"{version}: {faults[version]}")
        if broken:
            raise UserError(
                f"{len(broken)} of {len(faults)} artifacts are not the recorded ones. Restore them from a backup."
            )
        self.say(f"{len(faults)} artifacts verified: every byte is as recorded.")
