"""Pascal VOC: an XML file for each image, with objects and their boxes, or polygons as labelling programs add them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames
from training.datasets.layouts.families.annotations import Shape, kind_name, listing_of
from training.datasets.layouts.families.listing import Listing
from training.datasets.layouts.references import FileIndex
from training.datasets.layouts.tree import FileTree, TreeFile

LAYOUTS = {"voc": "an XML file <annotation> for each image, beside it or in Annotations/"}
_MAX_BYTES = 4 * 1024**2
# Entities could be made to expand without end; no annotation has any.
_ENTITIES = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def read_voc(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no XML file is in this form. Images without a file are good where each file has an object."""
    shapes = voc_shapes(tree)
    if shapes and all(shapes.values()):
        for file in tree.images:
            shapes.setdefault(file, [])
    return listing_of(tree, shapes, labels=labels, layout="voc", where="Pascal VOC")


def voc_shapes(tree: FileTree) -> dict[TreeFile, list[Shape]]:
    """The objects of each image that is mentioned."""
    shapes: dict[TreeFile, list[Shape]] = {}
    index = FileIndex(tree, tree.images)
    for table in tree.tables:
        root = _root(table)
        if root is None:
            continue
        file = index.find(table.stem, beside=tree.relative(table)[:-1]) or index.find(root.findtext("filename") or "")
        if file is not None:
            shapes[file] = _shapes(root)
    return shapes


def _root(table: TreeFile) -> ElementTree.Element | None:
    if table.suffix != ".xml" or table.absolute_path.stat().st_size > _MAX_BYTES:
        return None
    try:
        content = table.absolute_path.read_bytes()
        root = None if b"\0" in content or _ENTITIES.search(content) else ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError, ValueError):
        return None
    return root if root is not None and root.tag == "annotation" else None


def _shapes(root: ElementTree.Element) -> list[Shape]:
    width, height = _number(root, "size/width"), _number(root, "size/height")
    shapes = []
    for element in root.iter("object"):
        kind = kind_name(element.findtext("name"))
        polygon = element.find("polygon")
        box = element.find("bndbox")
        if polygon is not None and width and height:
            values = [_as_number(point.text) for point in polygon]
            points = zip(values[::2], values[1::2], strict=False)
            shapes.append(Shape(kind, polygon=tuple((x / width, y / height) for x, y in points)))
        elif box is not None and width and height:
            left, top, right, bottom = (_number(box, name) for name in ("xmin", "ymin", "xmax", "ymax"))
            shapes.append(Shape(kind, box=(left / width, top / height, right / width, bottom / height)))
        else:
            shapes.append(Shape(kind))
    return shapes


def _number(element: ElementTree.Element, path: str) -> float:
    return _as_number(element.findtext(path))


def _as_number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
