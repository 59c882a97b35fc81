"""Folders that say it all: train and test with a folder for each class, or folders of classes alone.

    train/good/*.png  test/good/*.png  test/<defect type>/*.png  ground_truth/<defect type>/<stem>_mask.png
    good/train/*.png  good/test/*.png  bad/test/*.png
    OK/*.png  NG/*.png

The names of folders are read as `roles` and `labels` have them, wherever `rgb/`, `images/` or the like stand between.
The first folder that says good or defective decides; what lies in folders below it are reasons or variants of it, and
the kind of defect where the outer one only says `bad`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames, MaskSource, RecognisedLayout
from training.datasets.layouts.families.listing import LabelledFile, Listing, plural
from training.datasets.layouts.families.mask_files import PlacedFile, folded_labels, masks_beside, match_masks
from training.datasets.layouts.families.roles import Place, Role, place_of
from training.datasets.layouts.labels import (
    BAD_WORDS,
    GOOD,
    Reading,
    explicit_reading,
    normal_form,
    reading_of,
    resembles_good,
)
from training.datasets.layouts.masks import is_like_a_mask, marks_something
from training.datasets.layouts.tree import MAX_LABEL_LENGTH, FileTree, TreeFile

LAYOUTS = {
    "mvtec-ad": "train/good/, test/good/, test/<defect type>/, ground_truth/<defect type>/<stem>_mask.png",
    "mvtec-3d": "train/good/rgb/, test/<defect type>/rgb/ and gt/; point clouds in xyz/ are left out",
    "mvtec-loco": "train/good/, validation/good/, test/<defect type>/, ground_truth/<defect type>/<stem>/000.png",
    "mvtec-ad-2": "train/good/, validation/good/, test_public/good/ and bad/, several lamps of one part",
    "btad": "train/ok/, test/ok/, test/ko/, ground_truth/ko/",
    "train-test": "folders for training and test around or within folders of good and defective parts",
    "class-folders": "a folder of good parts and others of defects, without a split",
}
_SAMPLED_MASKS = 20  # of a folder whose name leaves open what it holds


def read_train_test(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no folder says train or test, or nothing in them says good or defective."""
    places = _places(tree)
    if not any(_is_split_here(place) for place in places.values()):
        return None
    reader = _Reader(tree, labels, limits, places, has_split=True)
    reader.read()
    if not reader.has_labels:
        return None
    reader.listing.layouts = _layouts_of(reader)
    return reader.listing


def read_class_folders(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no folder of good parts is known, or folders say a split."""
    places = _places(tree)
    if any(map(_is_split_here, places.values())):
        return None
    reader = _Reader(tree, labels, limits, places, has_split=False)
    reader.read()
    if not any(image.defect_type == GOOD for image in reader.listing.images):
        return None
    good = ", ".join(f"{name}/" for name in reader.names_of(GOOD))
    defect_types = {image.defect_type for image in reader.listing.images} - {GOOD}
    kinds = plural(len(defect_types), "kind of defect", "kinds of defects")
    sentence = f"Folders of classes: good parts in {good}, {kinds}; the system splits into training and test."
    reader.listing.layouts = (RecognisedLayout("class-folders", sentence),)
    return reader.listing


def _places(tree: FileTree) -> dict[TreeFile, Place]:
    return {file: place_of(tree.relative(file)[:-1]) for file in tree.images}


def _is_split_here(place: Place) -> bool:
    """Whether training or test is said by a folder of this category, not of one within it."""
    return place.split in (Role.TRAIN, Role.TEST) and all(explicit_reading(name) for name in place.before_split)


@dataclass
class _Reader:
    tree: FileTree
    labels: LabelNames
    limits: UploadLimits
    places: dict[TreeFile, Place]
    has_split: bool
    listing: Listing = field(init=False)
    readings: dict[str, Reading] = field(default_factory=dict)
    masks: list[PlacedFile] = field(default_factory=list)
    masks_of_label: dict[str, list[TreeFile]] = field(default_factory=lambda: defaultdict(list))
    matched: dict[TreeFile, list[TreeFile]] = field(default_factory=dict)
    points: int = 0
    is_train_flat: bool = False

    def __post_init__(self) -> None:
        self.listing = Listing(self.tree)

    @property
    def has_labels(self) -> bool:
        return bool(self.listing.images or self.listing.undecided)

    def names_of(self, defect_type: str) -> list[str]:
        """The folders whose images have the label."""
        wanted = {image.file for image in self.listing.images if image.defect_type == defect_type}
        return sorted({self._label_folder(file) for file in wanted} - {""})

    # ------------------------------------------------------------ reading
    def read(self) -> None:
        self._find_masks()
        images = [file for file in self.tree.images if file not in self._mask_set and self._is_picture(file)]
        self._read_labels(images)
        self._look_for_flat_training_folder(images)
        for file in images:
            self._take(file, self.places[file])
        self._match(images)

    def _find_masks(self) -> None:
        beside = masks_beside([file for file, place in self.places.items() if not place.is_mask], self.limits)
        self._mask_set = beside | {file for file, place in self.places.items() if place.is_mask}
        labels = [file for file in self.tree.images if normal_form(file.parts[-2:][0]) in ("label", "labels")]
        if labels and all(is_like_a_mask(file.absolute_path, self.limits) for file in labels[:_SAMPLED_MASKS]):
            self._mask_set |= set(labels)  # as DAGM calls its masks; elsewhere a label may have a defect
        for file in self.tree.images:
            if file in self._mask_set:
                place = self.places[file]
                self.masks.append(PlacedFile(file, place.split, folded_labels(place.labels)))
                for label in place.labels:
                    self.masks_of_label[label].append(file)

    def _is_picture(self, file: TreeFile) -> bool:
        if not self.places[file].is_point_cloud:
            return True
        self.points += 1
        self.listing.skip(file, "point_cloud", "Depth and point clouds are not read; the colour images are.")
        return False

    def _read_labels(self, images: list[TreeFile]) -> None:
        """What each folder of a class says. Of folders without a split, one that may be good is, if no other one is."""
        names = {self._label(self.places[file].labels) for file in images} - {""}
        for file in images:
            self.listing.label_names |= set(self.places[file].labels)
        self.readings = {name: self._reading(name) for name in sorted(names)}
        if self.has_split or Reading.GOOD in self.readings.values():
            return
        candidates = [name for name, reading in self.readings.items() if reading is Reading.UNDECIDED]
        if len(candidates) == 1 and len(names) > 1 and resembles_good(candidates[0]):
            self.readings[candidates[0]] = Reading.GOOD

    def _look_for_flat_training_folder(self, images: list[TreeFile]) -> None:
        """Images directly in train/ are good where only the test has folders of classes."""
        places = [self.places[file] for file in images]
        with_labels = {place.split for place in places if place.labels}
        self.is_train_flat = Role.TEST in with_labels and Role.TRAIN not in with_labels
        if self.is_train_flat and any(place.split is Role.TRAIN for place in places):
            self.listing.warnings.append(
                "The images directly in the training folder are taken for good parts: it has no folders of classes."
            )

    def _label(self, labels: tuple[str, ...]) -> str:
        """The folder that decides: the first that says good or defective by its name, else the outermost."""
        explicit = (name for name in labels if explicit_reading(name, self.labels.good, self.labels.defect))
        if not self.has_split:  # what lies deeper is a category of its own
            return labels[0] if labels else ""
        return next(explicit, labels[0] if labels else "")

    def _reading(self, name: str) -> Reading:
        reading = reading_of(name, has_masks=False, good=self.labels.good, defect=self.labels.defect)
        said = {normal_form(one) for one in (*self.labels.good, *self.labels.defect)}
        if normal_form(name) in {GOOD, *said} or reading is Reading.DEFECT or name not in self.masks_of_label:
            return reading
        sample = sorted(self.masks_of_label[name], key=lambda file: file.parts)[:_SAMPLED_MASKS]
        if any(marks_something(file.absolute_path, self.limits) for file in sample):
            return reading_of(name, has_masks=True, good=self.labels.good, defect=self.labels.defect)
        return reading

    def _take(self, file: TreeFile, place: Place) -> None:
        if self.has_split and place.split is Role.UNLABELLED:
            self.listing.skip(file, "no_label", "It is of a test whose labels are not public.")
        elif self.has_split and (place.split is None or not all(map(explicit_reading, place.before_split))):
            self.listing.skip(file, "no_label", "Its folder says neither training nor test.")
        elif not place.labels and place.split is Role.TRAIN and self.is_train_flat:
            self.listing.images.append(LabelledFile(file, Role.TRAIN))
        elif not place.labels:
            self.listing.skip(file, "no_label", "Its folder says neither good nor defective.")
        else:
            self._take_labelled(file, place)

    def _take_labelled(self, file: TreeFile, place: Place) -> None:
        name = self._label(place.labels)
        reading = self.readings[name]
        if reading is Reading.UNDECIDED:
            parts = self.tree.relative(file)
            path = "/".join(parts[: parts.index(name) + 1])
            if path not in self.listing.undecided:
                self.listing.undecided.append(path)
            return
        defect_type = GOOD if reading is Reading.GOOD else self._defect_type(name, place.labels)
        if len(defect_type) > MAX_LABEL_LENGTH:
            self.listing.skip(file, "bad_name", f"The name of its folder is longer than {MAX_LABEL_LENGTH} characters.")
            return
        self.listing.images.append(LabelledFile(file, place.split if self.has_split else None, defect_type))

    def _defect_type(self, name: str, labels: tuple[str, ...]) -> str:
        """The folder that decides, or the one within it where it only says that parts are bad."""
        below = labels[labels.index(name) + 1 :]
        return below[0] if below and normal_form(name) in BAD_WORDS else name

    def _label_folder(self, file: TreeFile) -> str:
        return self._label(self.places[file].labels)

    # ------------------------------------------------------------ masks
    def _match(self, images: list[TreeFile]) -> None:
        placed = [PlacedFile(file, self.places[file].split, folded_labels(self.places[file].labels)) for file in images]
        self.matched, self.listing.unused_masks = match_masks(placed, self.masks)
        with_masks = []
        used: set[TreeFile] = set()
        for image in self.listing.images:
            masks = self.matched.get(image.file, []) if image.defect_type != GOOD else []
            used |= set(masks)
            source = MaskSource(files=tuple(mask.absolute_path for mask in masks)) if masks else None
            with_masks.append(replace(image, mask=source))
        self.listing.images = with_masks


# ---------------------------------------------------------------- which of the published layouts it is
def _layouts_of(reader: _Reader) -> tuple[RecognisedLayout, ...]:
    sentences = {
        "mvtec-3d": "MVTec 3D: colour images in rgb/, masks in gt/"
        + (f"; {plural(reader.points, 'point cloud')} left out." if reader.points else "."),
        "mvtec-ad-2": f"MVTec AD 2: test_public/ is the test{_lamps(reader)}.",
        "mvtec-loco": "MVTec LOCO: several masks of one image, in a folder of its name, are united.",
        "btad": "BTAD: ok/ is good, ko/ is defective.",
        "mvtec-ad": "MVTec AD: train/good/, test/<defect type>/ and masks in ground_truth/.",
        "train-test": f"Folders for training and test; good parts in "
        f"{', '.join(f'{name}/' for name in reader.names_of(GOOD)) or 'none'}.",
    }
    return tuple(RecognisedLayout(name, sentences[name]) for name, is_it in _SIGNS.items() if is_it(reader))


def _has_folder(reader: _Reader, *names: str) -> bool:
    folders = {part.casefold() for file in reader.tree.images for part in reader.tree.relative(file)[:-1]}
    return not folders.isdisjoint(names)


def _is_loco(reader: _Reader) -> bool:
    return any(
        reader.places[mask].is_mask and mask.parts[-2].casefold() == image.stem.casefold()
        for image, masks in reader.matched.items()
        for mask in masks
    )


def _is_mvtec(reader: _Reader) -> bool:
    """Images lie directly in train/<label>/ and test/<label>/, good ones in good/."""
    paths = [reader.tree.relative(image.file) for image in reader.listing.images]
    is_plain = all(len(path) == 3 and path[0] in ("train", "test") for path in paths)
    learns_from_good = all(image.defect_type == GOOD for image in reader.listing.images if image.said is Role.TRAIN)
    return is_plain and learns_from_good and reader.names_of(GOOD) == [GOOD]


_SIGNS: dict[str, Callable[[_Reader], bool]] = {
    "mvtec-3d": lambda reader: _has_folder(reader, "rgb") and (_has_folder(reader, "gt") or bool(reader.points)),
    "mvtec-ad-2": lambda reader: _has_folder(reader, "test_public"),
    "mvtec-loco": _is_loco,
    "btad": lambda reader: {name.casefold() for name in reader.listing.label_names} == {"ok", "ko"},
    "mvtec-ad": _is_mvtec,
    "train-test": lambda _: True,
}


def _lamps(reader: _Reader) -> str:
    """The lamps that the names tell: 000_regular, 000_overexposed, ..."""
    lamps = {image.file.stem.partition("_")[2] for image in reader.listing.images} - {""}
    return f"; lamps: {', '.join(sorted(lamps)[:8])}" if lamps else ""
