"""Which image a mask file belongs to, by its name and the folders around it.

Compared without case and in one form of Unicode. For the image `broken/000.png` these are masks: in a folder for masks
`broken/000.png`, `000_mask.png`, `mask_000.bmp`, `000_GT.tif`, `000.png_mask.png` and `000/*.png` (several, united);
beside the image `000_mask.png` and, where all images of the folder have one, `000` with another extension.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import MaskSource
from training.datasets.layouts.families.listing import Listing
from training.datasets.layouts.families.roles import Role, place_of
from training.datasets.layouts.labels import GOOD
from training.datasets.layouts.masks import is_like_a_mask
from training.datasets.layouts.tree import TreeFile, folded

_WORD = r"(?:masks?|gt|ground[ _-]?truth|labels?|seg|segmentation|anno|annotation)"
_BEHIND = re.compile(rf"[ ._-]+{_WORD}(?:[ ._-]?\d{{1,2}})?$")
_BEFORE = re.compile(rf"^{_WORD}[ ._-]+")
_INSIDE = re.compile(r"(?<=[ ._-])gt(?=[ ._-])")
_EXTENSION = re.compile(r"\.(?:png|jpe?g|bmp|tiff?|webp)$")
_SAMPLED = 5  # twins of a folder that are looked at


@dataclass(frozen=True)
class PlacedFile:
    """A file with what its folders say: the split, and the labels as they are compared."""

    file: TreeFile
    split: Role | None
    labels: tuple[str, ...]


def match_masks(
    images: Sequence[PlacedFile], masks: Sequence[PlacedFile]
) -> tuple[dict[TreeFile, list[TreeFile]], list[TreeFile]]:
    """The masks of each image, and those that belong to none or could belong to several kinds."""
    by_stem: dict[str, list[PlacedFile]] = defaultdict(list)
    for image in images:
        by_stem[image.file.folded_stem].append(image)
    known_labels = {label for image in images for label in image.labels}
    matches: dict[TreeFile, list[TreeFile]] = defaultdict(list)
    unused = []
    for mask in masks:
        owners = _owners(mask, by_stem, known_labels)
        for owner in owners:
            matches[owner.file].append(mask.file)
        if not owners:
            unused.append(mask.file)
    return matches, unused


def masks_beside(images: Iterable[TreeFile], limits: UploadLimits) -> set[TreeFile]:
    """The files that are masks of others in the same folder."""
    folders: dict[tuple[str, ...], list[TreeFile]] = defaultdict(list)
    for file in images:
        folders[file.parts[:-1]].append(file)
    found: set[TreeFile] = set()
    for files in folders.values():
        stems = {file.folded_stem for file in files}
        named = {file for file in files if any(stem in stems for stem in _without_affix(file.folded_stem))}
        found |= named
        found |= _twins([file for file in files if file not in named], limits)
    return found


# ---------------------------------------------------------------- names
def image_stems(mask: TreeFile) -> list[str]:
    """The stems that the image of a mask may have, most literal first."""
    stem = mask.folded_stem
    return list(dict.fromkeys([stem, _EXTENSION.sub("", stem), *_without_affix(stem)]))


def _without_affix(stem: str) -> Iterator[str]:
    for pattern in (_BEHIND, _BEFORE):
        shorter = pattern.sub("", stem)
        if shorter != stem and shorter:
            yield shorter
            yield _EXTENSION.sub("", shorter)
    if _INSIDE.search(stem):  # x_D_01 and its mask x_GT_01
        yield from (_INSIDE.sub(word, stem) for word in ("d", "def", "defect", "img", "image"))


def _owners(mask: PlacedFile, by_stem: dict[str, list[PlacedFile]], known_labels: set[str]) -> list[PlacedFile]:
    places = [(stem, mask.labels) for stem in image_stems(mask.file)]
    if mask.labels and any(image.labels == mask.labels[:-1] for image in by_stem.get(mask.labels[-1], [])):
        places.insert(0, (mask.labels[-1], mask.labels[:-1]))  # one of several, in a folder of the image's name
    for stem, labels in places:
        owners = _of_these_labels(by_stem.get(stem, []), labels, known_labels)
        for split in (mask.split, Role.TEST):
            owners = [owner for owner in owners if owner.split is split] or owners
        if owners:
            return owners
    return []


def _of_these_labels(images: list[PlacedFile], labels: tuple[str, ...], known_labels: set[str]) -> list[PlacedFile]:
    """Those with the same labels; else of one that the mask names; else all, where they are of one kind."""
    if exact := [image for image in images if image.labels == labels]:
        return exact
    if named := [image for image in images if set(labels) & set(image.labels)]:
        return named
    is_of_another = bool(set(labels) & known_labels)
    return images if len({image.labels for image in images}) == 1 and not is_of_another else []


# ---------------------------------------------------------------- twins
def _twins(files: list[TreeFile], limits: UploadLimits) -> set[TreeFile]:
    """Files of one extension that all lie beside an image of the same stem, and look like masks."""
    by_suffix: dict[str, dict[str, TreeFile]] = defaultdict(dict)
    for file in files:
        by_suffix[file.suffix][file.folded_stem] = file
    for mask_suffix, image_suffix in product(sorted(by_suffix), sorted(by_suffix)):
        masks, images = by_suffix[mask_suffix], by_suffix[image_suffix]
        if mask_suffix != image_suffix and masks.keys() <= images.keys():
            sample = sorted(masks)[:_SAMPLED]
            if all(is_like_a_mask(masks[stem].absolute_path, limits) for stem in sample) and not all(
                is_like_a_mask(images[stem].absolute_path, limits) for stem in sample
            ):
                return set(masks.values())
    return set()


def folded_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(folded(label) for label in labels)


def with_mask_files(listing: Listing, limits: UploadLimits) -> Listing:
    """The same with masks for images with a defect that have none yet, from folders for masks and from beside them."""
    tree = listing.tree
    places = {file: place_of(tree.relative(file)[:-1]) for file in tree.images}
    beside = masks_beside([file for file, place in places.items() if not place.is_mask], limits)
    referenced = {path for image in listing.images if image.mask for path in image.mask.files}
    masks = [
        file
        for file, place in places.items()
        if (place.is_mask or file in beside) and file.absolute_path not in referenced
    ]
    paths = {tree.path_of(mask) for mask in masks}
    listing.skipped = [file for file in listing.skipped if file.path not in paths]

    def placed(files: Iterable[TreeFile]) -> list[PlacedFile]:
        return [PlacedFile(file, places[file].split, folded_labels(places[file].labels)) for file in files]

    matches, listing.unused_masks = match_masks(placed(image.file for image in listing.images), placed(masks))
    listing.images = [
        image
        if image.mask or image.defect_type == GOOD or image.file not in matches
        else replace(image, mask=MaskSource(files=tuple(mask.absolute_path for mask in matches[image.file])))
        for image in listing.images
        if image.file not in beside
    ]
    return listing
