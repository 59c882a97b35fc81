"""YOLO: a text file for each image, a line for each object: class, then a box or a polygon in shares of the sides."""

from __future__ import annotations

import re

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames
from training.datasets.layouts.families.annotations import Shape, kind_name, listing_of
from training.datasets.layouts.families.listing import Listing
from training.datasets.layouts.tree import FileTree, TreeFile, folded

LAYOUTS = {"yolo": "images/ and labels/ with a text file of the same name for each image, or both side by side"}
_MAX_BYTES = 4 * 1024**2
_LIST_ITEM = re.compile(r"^\s*(?:-|(\d+)\s*:)\s*(.+?)\s*$")


def read_yolo(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no text file of boxes belongs to an image. An image without a text file is good."""
    shapes = yolo_shapes(tree)
    if shapes:
        for file in tree.images:
            shapes.setdefault(file, [])
    return listing_of(tree, shapes, labels=labels, layout="yolo", where="YOLO")


def yolo_shapes(tree: FileTree) -> dict[TreeFile, list[Shape]]:
    """The objects of each image that has a text file; nothing where a text file beside an image holds something else,
    or none has an object."""
    texts: dict[tuple[tuple[str, ...], str], TreeFile] = {}
    for table in tree.tables:
        if table.suffix == ".txt":
            texts[_place(tree, table), table.folded_stem] = table
    names = _class_names(tree)
    shapes: dict[TreeFile, list[Shape]] = {}
    for file in tree.images:
        text = texts.get((_place(tree, file), file.folded_stem))
        objects = _shapes(text, names) if text else []
        if objects is None:
            return {}
        if text:
            shapes[file] = objects
    return shapes if any(shapes.values()) else {}


def _place(tree: FileTree, file: TreeFile) -> tuple[str, ...]:
    """The folders around a file without those that tell images from labels."""
    return tuple(part for name in tree.relative(file)[:-1] if (part := folded(name)) not in ("images", "labels"))


def _shapes(text: TreeFile, names: dict[int, str]) -> list[Shape] | None:
    """None where the file holds something else."""
    if text.absolute_path.stat().st_size > _MAX_BYTES:
        return None
    shapes = []
    try:
        for line in text.absolute_path.read_text("utf-8-sig").splitlines():
            words = line.split()
            if not words:
                continue
            number, values = int(words[0]), [float(word) for word in words[1:]]
            kind = names.get(number, f"class {number}")
            if len(values) in (4, 5):  # with a confidence
                x, y, width, height = values[:4]
                box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                shapes.append(Shape(kind, box=box))
            elif len(values) >= 6 and len(values) % 2 == 0:
                shapes.append(Shape(kind, polygon=tuple(zip(values[::2], values[1::2], strict=True))))
            else:
                return None
    except (OSError, ValueError):
        return None
    return shapes


def _class_names(tree: FileTree) -> dict[int, str]:
    """The names of the classes: `names` of a YAML file, or the lines of classes.txt or obj.names."""
    for table in tree.tables:
        try:
            if folded(table.name) in ("classes.txt", "obj.names", "labels.names"):
                lines = table.absolute_path.read_text("utf-8-sig").splitlines()
                return {number: kind_name(line) for number, line in enumerate(lines) if line.strip()}
            if table.suffix in (".yaml", ".yml") and (names := _yaml_names(table.absolute_path.read_text("utf-8-sig"))):
                return names
        except (OSError, ValueError):
            continue
    return {}


def _yaml_names(text: str) -> dict[int, str]:
    """`names` as a list or a mapping, in one line or several: all that is written of YAML there."""
    found = re.search(r"^names\s*:[ \t]*(.*)$", text, re.MULTILINE)
    if not found:
        return {}
    inline = found.group(1).strip()
    if inline[:1] in "[{" and inline:
        items = [item.strip() for item in inline.strip("[]{}").split(",")]
    else:
        items = []
        for line in text[found.end() :].splitlines():
            if listed := _LIST_ITEM.match(line):
                items.append(f"{listed.group(1)}: {listed.group(2)}" if listed.group(1) else listed.group(2))
            elif line.strip():
                break
    names: dict[int, str] = {}
    for position, item in enumerate(items):
        number, colon, name = item.partition(":")
        if colon and number.strip().isdecimal():
            names[int(number)] = kind_name(name.strip().strip("'\""))
        else:
            names[position] = kind_name(item.strip("'\""))
    return names
