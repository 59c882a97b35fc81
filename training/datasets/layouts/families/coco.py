"""COCO: one JSON file with `images`, `annotations` (bbox, segmentation) and `categories`."""

from __future__ import annotations

import json
from typing import Any

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames
from training.datasets.layouts.families.annotations import Shape, kind_name, listing_of
from training.datasets.layouts.families.listing import Listing
from training.datasets.layouts.references import FileIndex
from training.datasets.layouts.tree import FileTree, TreeFile

LAYOUTS = {"coco": "a JSON file with images, annotations and categories, and the images anywhere below"}
_MAX_BYTES = 64 * 1024**2


def read_coco(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no JSON file is in this form."""
    return listing_of(tree, coco_shapes(tree), labels=labels, layout="coco", where="COCO")


def coco_shapes(tree: FileTree) -> dict[TreeFile, list[Shape]]:
    """The objects of each image that is mentioned. Run-length masks count as their boxes."""
    shapes: dict[TreeFile, list[Shape]] = {}
    index = FileIndex(tree, tree.images)
    for table in tree.tables:
        document = _document(table)
        if document is None:
            continue
        try:
            found = _shapes(document, index, tree.relative(table)[:-1])
        # JSON of another form, in spite of its keys.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            continue
        for file, objects in found.items():
            shapes.setdefault(file, []).extend(objects)
    return shapes


def _document(table: TreeFile) -> dict[str, Any] | None:
    if table.suffix != ".json" or table.absolute_path.stat().st_size > _MAX_BYTES:
        return None
    try:
        document = json.loads(table.absolute_path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    is_coco = isinstance(document, dict) and all(
        isinstance(document.get(key), list) for key in ("images", "annotations")
    )
    return document if is_coco else None


def _shapes(document: dict[str, Any], index: FileIndex, beside: tuple[str, ...]) -> dict[TreeFile, list[Shape]]:
    kinds = {row.get("id"): kind_name(row.get("name")) for row in document.get("categories", [])}
    files: dict[Any, tuple[TreeFile, float, float]] = {}
    shapes: dict[TreeFile, list[Shape]] = {}
    for row in document["images"]:
        file = index.find(str(row.get("file_name", "")), beside=beside)
        if file is not None and row.get("width") and row.get("height"):
            files[row.get("id")] = (file, float(row["width"]), float(row["height"]))
            shapes[file] = []
    for row in document["annotations"]:
        if row.get("image_id") in files:
            file, width, height = files[row["image_id"]]
            shapes[file] += _of_annotation(row, kinds.get(row.get("category_id"), kind_name(None)), width, height)
    return shapes


def _of_annotation(row: dict[str, Any], kind: str, width: float, height: float) -> list[Shape]:
    segmentation = row.get("segmentation")
    if isinstance(segmentation, list) and segmentation:
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        return [
            Shape(kind, polygon=tuple((x / width, y / height) for x, y in zip(flat[::2], flat[1::2], strict=False)))
            for flat in polygons
            if len(flat) >= 6
        ]
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        x, y, w, h = (float(value) for value in box)
        return [Shape(kind, box=(x / width, y / height, (x + w) / width, (y + h) / height))]
    return [Shape(kind)]
