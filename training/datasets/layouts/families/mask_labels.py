"""Masks say it all: an image whose mask marks something is defective, one with an empty mask, or none, is good.

train/10000.png  train/10000_GT.png        (KolektorSDD2: masks beside the images)
Train/0576.PNG   Train/Label/0576_label.PNG (DAGM: masks of defects alone)
"""

from __future__ import annotations

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames, MaskSource, RecognisedLayout
from training.datasets.layouts.families.listing import LabelledFile, Listing, plural
from training.datasets.layouts.families.mask_files import PlacedFile, folded_labels, masks_beside, match_masks
from training.datasets.layouts.families.roles import place_of
from training.datasets.layouts.labels import GOOD, explicit_reading, normal_form
from training.datasets.layouts.masks import marks_something
from training.datasets.layouts.tree import FileTree, TreeFile

LAYOUTS = {"mask-labels": "images and their masks without folders of classes; an image whose mask is empty is good"}
_DEFECT = "defect"
_MASK_FOLDERS = ("label", "labels")  # elsewhere these may hold images of labels


def read_mask_labels(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where there are no masks, no good or no defective image, or folders say more than the outermost split."""
    placed = {file: _placed(tree, file) for file in tree.images}
    places = [place_of(tree.relative(file)[:-1]) for file in tree.images]
    if any(place.before_split or any(map(explicit_reading, place.labels)) for place in places):
        return None
    beside = masks_beside([file for file in tree.images if not _is_in_mask_folder(tree, file)], limits)
    masks = [file for file in tree.images if file in beside or _is_in_mask_folder(tree, file)]
    images = [file for file in tree.images if file not in set(masks)]
    if not masks or not images:
        return None
    matches, unused = match_masks([placed[file] for file in images], [placed[file] for file in masks])
    listing = Listing(tree, unused_masks=unused)
    for file in images:
        marks = tuple(
            mask.absolute_path for mask in matches.get(file, ()) if marks_something(mask.absolute_path, limits)
        )
        source = MaskSource(files=marks) if marks else None
        listing.images.append(LabelledFile(file, placed[file].split, _DEFECT if marks else GOOD, source))
    defects = sum(image.defect_type != GOOD for image in listing.images)
    if defects in (0, len(images)):
        return None
    sentence = (
        f"Masks without folders of classes: {plural(defects, 'image')} whose mask marks something "
        f"{'is' if defects == 1 else 'are'} defective, {len(images) - defects} others are good."
    )
    listing.layouts = (RecognisedLayout("mask-labels", sentence),)
    return listing


def _placed(tree: FileTree, file: TreeFile) -> PlacedFile:
    place = place_of(tree.relative(file)[:-1])
    folders = tuple(name for name in place.labels if normal_form(name) not in _MASK_FOLDERS)
    return PlacedFile(file, place.split, folded_labels(folders))


def _is_in_mask_folder(tree: FileTree, file: TreeFile) -> bool:
    folders = tree.relative(file)[:-1]
    return place_of(folders).is_mask or any(normal_form(name) in _MASK_FOLDERS for name in folders)
