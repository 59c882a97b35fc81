"""`manage.py import_dataset PATH`: keep a folder or archive in MVTec layout as data set snapshots."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.commands import ProductCommand
from training.datasets.imports import ImportResult, import_path
from training.datasets.layouts.scan import LabelNames

_MAX_LISTED = 20


class Command(ProductCommand):
    help = "Import a folder, .zip or .tar.xz in MVTec layout; images are validated, hashed and kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--name", default="", help="name of the data set (default: the folder's)")
        parser.add_argument(
            "--good", action="append", default=[], metavar="FOLDER", help="a folder of good parts, whatever its name"
        )
        parser.add_argument(
            "--defect", action="append", default=[], metavar="FOLDER", help="a folder of defective parts"
        )
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        with tqdm(unit=" files", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

            def move(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            labels = LabelNames(tuple(options["good"]), tuple(options["defect"]))
            imported = import_path(options["path"], actor=None, name=options["name"], progress=move, labels=labels)
        if options["json"]:
            self.answer([self._document(item) for item in imported])
            return
        for item in imported:
            self._write_summary(item)

    def _document(self, item: ImportResult) -> dict[str, Any]:
        images = item.dataset.images.values_list("split", "defect_type")
        return {
            "id": item.dataset.pk,
            "name": item.dataset.name,
            "snapshot": item.dataset.snapshot,
            "created": item.created,
            "images": {f"{split}/{defect}": count for (split, defect), count in sorted(Counter(images).items())},
            "masks": item.dataset.images.filter(mask__isnull=False).count(),
            "skipped": [{"path": skipped.path, "reason": skipped.reason} for skipped in item.scan.skipped],
            "warnings": list(item.scan.warnings),
        }

    def _write_summary(self, item: ImportResult) -> None:
        document = self._document(item)
        state = "imported" if item.created else "unchanged since its last import"
        self.say(f"{item.dataset.name} (snapshot {item.dataset.snapshot[:12]}): {state}")
        for group, count in document["images"].items():
            self.say(f"  {group:<30} {count}")
        self.say(f"  {'masks':<30} {document['masks']}")
        for skipped in document["skipped"][:_MAX_LISTED]:
            self.say(f"  skipped {skipped['path']}: {skipped['reason']}")
        if len(document["skipped"]) > _MAX_LISTED:
            self.say(f"  ... and {len(document['skipped']) - _MAX_LISTED} more; --json names them all")
        for warning in document["warnings"]:
            self.say(f"  note: {warning}")
