"""What boxes and polygons say of images: which are defective, of which kind, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from training.datasets.layouts.entries import LabelNames, MaskSource, RecognisedLayout
from training.datasets.layouts.families.listing import LabelledFile, Listing, plural
from training.datasets.layouts.families.roles import Role, place_of
from training.datasets.layouts.labels import GOOD, Reading, explicit_reading
from training.datasets.layouts.tree import MAX_LABEL_LENGTH, FileTree, TreeFile

_MAX_SHARE = 1000.0  # of the image's side
_DEFECT = "defect"  # what an object without a class is called


@dataclass(frozen=True)
class Shape:
    """One object: its class, and a box or a polygon in shares of the image's width and height."""

    kind: str
    box: tuple[float, float, float, float] | None = None
    polygon: tuple[tuple[float, float], ...] = ()


def listing_of(
    tree: FileTree,
    shapes: Mapping[TreeFile, Iterable[Shape]],
    *,
    labels: LabelNames,
    layout: str,
    where: str,
) -> Listing | None:
    """Images without an object are good, those with one are defective.

    Args:
        shapes: of every image that is mentioned; empty for one that is said to have none.
        layout: its name.
        where: what holds the annotations, for people.

    Returns:
        None where no image is good, or nothing is mentioned.
    """
    listing = Listing(tree, uses_tables=True)
    for file, objects in sorted(shapes.items(), key=lambda item: item[0].parts):
        defects = [shape for shape in objects if _is_defect(shape.kind, labels)]
        kinds = Counter(shape.kind for shape in defects)
        defect_type = min(kinds, key=lambda kind: (-kinds[kind], kind)) if kinds else GOOD
        listing.label_names |= {shape.kind for shape in objects}
        listing.images.append(LabelledFile(file, split_said(tree, file), defect_type, mask_of(defects)))
    if not any(image.defect_type == GOOD for image in listing.images):
        return None
    listing.skip_unlisted(shapes, where)
    good = sum(image.defect_type == GOOD for image in listing.images)
    masks = sum(image.mask is not None for image in listing.images)
    sentence = (
        f"{where}: {plural(good, 'image')} without an object {'is' if good == 1 else 'are'} good, boxes and polygons "
        f"of {masks} others become masks."
    )
    listing.layouts = (RecognisedLayout(layout, sentence),)
    return listing


def mask_of(shapes: Iterable[Shape]) -> MaskSource | None:
    shapes = list(shapes)
    boxes = tuple(shape.box for shape in shapes if shape.box and not shape.polygon and _is_near(shape.box))
    polygons = tuple(shape.polygon for shape in shapes if len(shape.polygon) > 2 and all(map(_is_near, shape.polygon)))
    return MaskSource(boxes=boxes, polygons=polygons) if boxes or polygons else None


def _is_near(values: Iterable[float]) -> bool:
    """Whether coordinates are numbers, and not absurdly far from the image."""
    return all(abs(value) <= _MAX_SHARE for value in values)


def split_said(tree: FileTree, file: TreeFile, word: str = "") -> Role | None:
    """The split that the folders of a file say, or a word in a table; None where neither does."""
    return place_of((*tree.relative(file)[:-1], *([word] if word else []))).split


def _is_defect(kind: str, labels: LabelNames) -> bool:
    return explicit_reading(kind, labels.good, labels.defect) is not Reading.GOOD


def kind_name(name: object) -> str:
    """The name of a class as a record keeps it."""
    return " ".join(str(name if name is not None else "").split())[:MAX_LABEL_LENGTH] or _DEFECT
