"""`manage.py import_dataset PATH`: keep a folder or archive as data set snapshots, or only say what it holds."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.commands import ProductCommand
from training.datasets.imports import ImportResult, import_path, preview_path
from training.datasets.layouts.entries import CategoryScan, LabelNames
from training.datasets.layouts.families import LAYOUTS
from training.datasets.layouts.preview import MAX_EXAMPLES, category_preview, preview_document


class Command(ProductCommand):
    help = (
        "Import a folder, .zip or .tar.xz of images: says which layout it recognised and what it understood, then "
        "validates, hashes and keeps the images."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--name", default="", help="name of the data set (default: the folder's)")
        parser.add_argument(
            "--good", action="append", default=[], metavar="FOLDER", help="a folder of good parts, whatever its name"
        )
        parser.add_argument(
            "--defect", action="append", default=[], metavar="FOLDER", help="a folder of defective parts"
        )
        parser.add_argument(
            "--layout", default="", metavar="NAME", help=f"read the folder as one of: {', '.join(LAYOUTS)}"
        )
        parser.add_argument(
            "--keep-duplicates",
            action="store_true",
            help="also import test images that are training images, or good and defective in one",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be imported, and keep nothing")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        arguments: dict[str, Any] = {
            "name": options["name"],
            "labels": LabelNames(tuple(options["good"]), tuple(options["defect"])),
            "layout": options["layout"],
            "keep_duplicates": options["keep_duplicates"],
        }

        def show(scans: list[CategoryScan]) -> None:
            bar.close()
            if not options["json"]:
                for preview in preview_document(scans):
                    self._write_preview(options["name"] or preview["name"], preview)

        with tqdm(unit=" files", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

            def move(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            if options["dry_run"]:
                scans = preview_path(options["path"], progress=move, **arguments)
                show(scans)
                self.say("Nothing was imported: this was a dry run.")
                if options["json"]:
                    self.answer(preview_document(scans))
                return
            imported = import_path(options["path"], actor=None, progress=move, seen=show, **arguments)
        if options["json"]:
            self.answer([self._document(item) for item in imported])
            return
        for item in imported:
            state = "imported" if item.created else "unchanged since its last import"
            self.say(f"{item.dataset.name} (snapshot {item.dataset.snapshot[:12]}): {state}")

    def _document(self, item: ImportResult) -> dict[str, Any]:
        images = item.dataset.images.values_list("split", "defect_type")
        preview = category_preview(item.scan)
        return {
            "id": item.dataset.pk,
            "name": item.dataset.name,
            "snapshot": item.dataset.snapshot,
            "created": item.created,
            "layout": preview["layout"],
            "images": {f"{split}/{defect}": count for (split, defect), count in sorted(Counter(images).items())},
            "masks": item.dataset.images.filter(mask__isnull=False).count(),
            "skipped": [{"path": skipped.path, "reason": skipped.reason} for skipped in item.scan.skipped],
            "left_out": preview["left_out"],
            "duplicates": preview["duplicates"],
            "warnings": list(item.scan.warnings),
        }

    def _write_preview(self, name: str, preview: dict[str, Any]) -> None:
        self.say(f"{name}, layout {preview['layout']['name']}")
        self.say(f"  {preview['layout']['sentence']}")
        for row in preview["images"]:
            self.say(f"  {row['split'] + '/' + row['defect_type']:<30} {row['count']}")
        self.say(f"  {'masks':<30} {preview['masks']}")
        for reason in preview["left_out"]:
            more = ", ..." if reason["count"] > len(reason["examples"]) else ""
            examples = ", ".join(reason["examples"]) + more
            self.say(f"  left out, {reason['code']}: {reason['count']} ({examples}). {reason['reason']}")
        for group in preview["duplicates"]["groups"][:MAX_EXAMPLES]:
            how = "identical" if group["is_identical"] else "nearly identical"
            self.say(f"  {how}: {', '.join(image['path'] for image in group['images'])}")
        if preview["duplicates"]["group_count"] > MAX_EXAMPLES:
            self.say(f"  ... {preview['duplicates']['group_count']} such groups in all")
        for warning in preview["warnings"]:
            self.say(f"  note: {warning}")
