"""Manifests of Amazon Lookout for Vision and SageMaker Ground Truth: a line of JSON for each image.

The images are looked for by the end of their `source-ref`, masks by that of their `anomaly-mask-ref`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames, MaskSource, RecognisedLayout
from training.datasets.layouts.families.annotations import Shape, kind_name, mask_of, split_said
from training.datasets.layouts.families.listing import LabelledFile, Listing, plural
from training.datasets.layouts.families.mask_files import with_mask_files
from training.datasets.layouts.families.roles import Role, role_of
from training.datasets.layouts.labels import GOOD, Reading, explicit_reading, normal_form
from training.datasets.layouts.references import FileIndex
from training.datasets.layouts.tree import FileTree, TreeFile

LAYOUTS = {"manifest": "a manifest of Lookout for Vision or SageMaker Ground Truth, and its images anywhere below"}
_MAX_BYTES = 64 * 1024**2
_SUFFIXES = (".manifest", ".json", ".jsonl", ".txt")
_HEX_COLOUR = re.compile(r"#?([0-9a-fA-F]{6})$")


def read_manifest(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no file is in this form, or it says of no image that it is good."""
    listing, index = Listing(tree, uses_tables=True), FileIndex(tree, tree.images)
    names: list[str] = []
    listed: dict[TreeFile, None] = {}
    masks: set[TreeFile] = set()
    missing = 0
    for table in tree.tables:
        lines = list(_lines(table))
        if lines:
            names.append(tree.path_of(table))
        for line in lines:
            file = index.find(str(line["source-ref"]))
            if file is None:
                missing += 1
            elif file not in listed:
                listed[file] = None
                if mask := index.find(str(line.get("anomaly-mask-ref", ""))):
                    masks.add(mask)
                try:
                    _take(listing, file, line, mask, _split_word(table), labels)
                except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # JSON of another form
                    listing.skip(file, "no_label", f"Its line in {table.name} cannot be read.")
    if not any(image.defect_type == GOOD for image in listing.images):
        return None
    where = ", ".join(names[:3])
    listing.skip_unlisted({*listed, *masks}, where)
    if missing:
        listing.warnings.append(f"{plural(missing, 'line')} of {where} name no image that is there.")
    sentence = f"The manifest {where}: {plural(len(listing.images), 'image')} with labels."
    listing.layouts = (RecognisedLayout("manifest", sentence),)
    return with_mask_files(listing, limits)


def _lines(table: TreeFile) -> Iterator[dict[str, Any]]:
    if table.suffix not in _SUFFIXES or table.absolute_path.stat().st_size > _MAX_BYTES:
        return
    try:
        for text in table.absolute_path.read_text("utf-8-sig").splitlines():
            line = json.loads(text) if text.strip() else None
            if line is not None:
                if not (isinstance(line, dict) and "source-ref" in line):
                    return
                yield line
    except (OSError, ValueError, RecursionError):
        return


def _take(
    listing: Listing, file: TreeFile, line: dict[str, Any], mask: TreeFile | None, split: str, labels: LabelNames
) -> None:
    kind, shapes = _label(line, labels)
    if kind is None:
        listing.skip(file, "no_label", "The manifest gives no label for it.")
        return
    listing.label_names.add(kind)
    metadata = line.get("anomaly-mask-ref-metadata")
    colours = metadata.get("internal-color-map", {}) if isinstance(metadata, dict) else {}
    if kind != GOOD:
        kinds = {row["class-name"] for row in colours.values() if not _is_background(row)} if colours else set()
        kind = kind_name(kinds.pop()) if len(kinds) == 1 else kind
    source = mask_of(shapes)
    if mask is not None:
        source = MaskSource(files=(mask.absolute_path,), background=_background(colours))
    listing.images.append(
        LabelledFile(file, split_said(listing.tree, file, split), kind, source if kind != GOOD else None)
    )


def _label(line: dict[str, Any], labels: LabelNames) -> tuple[str | None, list[Shape]]:
    """The kind of defect, `good`, or None where nothing says it; and what boxes mark."""
    for key, value in line.items():
        metadata = line.get(f"{key}-metadata")
        if not isinstance(metadata, dict):
            continue
        if isinstance(value, dict) and isinstance(value.get("annotations"), list):
            shapes = _boxes(value, metadata)
            return (shapes[0].kind if shapes else GOOD), shapes
        if "class-name" in metadata:
            name = str(metadata["class-name"])
            reading = explicit_reading(name, labels.good, labels.defect)
            return (GOOD if reading is Reading.GOOD else kind_name(name)), []
        if key == "anomaly-label" and value in (0, 1):
            return ("anomaly" if value else GOOD), []
    return None, []


def _boxes(value: dict[str, Any], metadata: dict[str, Any]) -> list[Shape]:
    sizes, names = value.get("image_size") or [{}], metadata.get("class-map", {})
    width, height = float(sizes[0].get("width") or 0), float(sizes[0].get("height") or 0)
    shapes = []
    for row in value["annotations"]:
        kind = kind_name(names.get(str(row.get("class_id")), "defect"))
        left, top = float(row.get("left", 0)), float(row.get("top", 0))
        right, bottom = left + float(row.get("width", 0)), top + float(row.get("height", 0))
        box = (left / width, top / height, right / width, bottom / height) if width and height else None
        shapes.append(Shape(kind, box=box))
    return shapes


def _background(colours: dict[str, Any]) -> tuple[int, int, int] | None:
    """The colour of what is no defect, which Lookout for Vision paints white."""
    for row in colours.values():
        found = _HEX_COLOUR.match(str(row.get("hex-color", ""))) if _is_background(row) else None
        if found:
            value = int(found.group(1), 16)
            return value >> 16, value >> 8 & 255, value & 255
    return None


def _is_background(row: dict[str, Any]) -> bool:
    return normal_form(str(row.get("class-name", ""))) == "background"


def _split_word(table: TreeFile) -> str:
    """The word in the manifest's name that says a split: train.manifest, output-test.manifest."""
    words = normal_form(table.stem).split()
    return next((word for word in words if role_of(word) in (Role.TRAIN, Role.TEST, Role.EXTRA)), "")
