"""The layouts of folders that are recognised, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import DatasetRejected, LabelNames
from training.datasets.layouts.families import coco, folders, good_folder, label_table, manifest, mask_labels, voc, yolo
from training.datasets.layouts.families.annotations import mask_of
from training.datasets.layouts.families.listing import Listing
from training.datasets.layouts.labels import GOOD
from training.datasets.layouts.tree import FileTree

Reader = Callable[[FileTree, LabelNames, UploadLimits], Listing | None]


@dataclass(frozen=True)
class Family:
    """Layouts that are read by one reader. `layouts`: what a folder has to hold for each, by its name."""

    layouts: dict[str, str]
    read: Reader


FAMILIES = (
    Family({name: text for name, text in folders.LAYOUTS.items() if name != "class-folders"}, folders.read_train_test),
    Family(manifest.LAYOUTS, manifest.read_manifest),
    Family(label_table.LAYOUTS, label_table.read_label_table),
    Family({"class-folders": folders.LAYOUTS["class-folders"]}, folders.read_class_folders),
    Family(mask_labels.LAYOUTS, mask_labels.read_mask_labels),
    Family(coco.LAYOUTS, coco.read_coco),
    Family(voc.LAYOUTS, voc.read_voc),
    Family(yolo.LAYOUTS, yolo.read_yolo),
    Family(good_folder.LAYOUTS, good_folder.read_good_folder),
)
LAYOUTS = {name: text for family in FAMILIES for name, text in family.layouts.items()}
_LAST = FAMILIES[-1]


def recognise(
    tree: FileTree, labels: LabelNames, limits: UploadLimits, *, layout: str = "", is_outermost: bool = True
) -> Listing | None:
    """What the first layout that fits makes of a folder; None where none does.

    Args:
        layout: the only one that is tried; empty: all of them.
        is_outermost: False for a folder within others, which is not taken for one of good parts without a word.

    Raises:
        DatasetRejected: `no_such_layout`.
    """
    if layout and layout not in LAYOUTS:
        raise DatasetRejected(
            f"There is no layout {layout[:100]!r}; there are: {', '.join(LAYOUTS)}. Nothing was imported.",
            code="no_such_layout",
        )
    for family in FAMILIES:
        if (layout and layout not in family.layouts) or (family is _LAST and not is_outermost):
            continue
        listing = family.read(tree, labels, limits)
        if listing is None:
            continue
        fitting = [one for one in listing.layouts if layout in ("", one.name)]
        if fitting:
            listing.layouts = tuple(fitting)
            listing.settle_splits()
            return _with_annotations(listing)
    return None


def _with_annotations(listing: Listing) -> Listing:
    """Boxes and polygons as masks of images with a defect that have none."""
    if all(image.mask or image.defect_type == GOOD for image in listing.images) or not listing.tree.tables:
        return listing
    shapes = {**yolo.yolo_shapes(listing.tree), **voc.voc_shapes(listing.tree), **coco.coco_shapes(listing.tree)}
    listing.uses_tables |= bool(shapes)
    listing.images = [
        image if image.mask or image.defect_type == GOOD else replace(image, mask=mask_of(shapes.get(image.file, ())))
        for image in listing.images
    ]
    return listing
