"""Reading a folder in MVTec layout: which images there are, what is known about them, and what is wrong.

    <category>/train/good/*.png
    <category>/test/good/*.png
    <category>/test/<defect type>/*.png
    <category>/ground_truth/<defect type>/<stem>_mask.png

(Bergmann et al., "MVTec AD", CVPR 2019.) The given folder is a category, holds many of them, or wraps either. Other
folders, such as `validation/`, are noted and left alone. Nothing is written, nothing outside the folder is read.
Instead of `good` a folder may have any known name for good parts (see `labels`: ok, normal, gutteile, ...); of a name
that can be read either way somebody is asked, because a snapshot never changes.

A broken image costs itself and is reported; a mask that does not fit its image stops the scan, because figures
computed from it would be wrong without anybody noticing.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from modelzoo.detectors.preprocessing.input_rules import GREY_PICTURE, InputRules, colourfulness, odd_colour
from records.assets.file_tree import HIDDEN, SkippedFiles, is_hidden, is_inside, is_unfinished, printable
from records.assets.formats import name_warning
from records.assets.images import (
    ImageFacts,
    ImageRejected,
    UploadLimits,
    as_rgb,
    check_image,
    inspect_upload,
    read_bounded,
)
from training.datasets.duplicates import Duplicates, LabelledImage, find_duplicates
from training.datasets.layouts.entries import (
    CategoryScan,
    DatasetRejected,
    Entry,
    LabelNames,
    RecognisedLayout,
    SkippedFile,
    Split,
    snapshot_of,
)
from training.datasets.layouts.labels import GOOD, Reading, reading_of
from training.datasets.layouts.masks import open_mask
from training.datasets.near_duplicates import ImageDescription, describe_image

ScanProgress = Callable[[int, int], None]  # images looked at, of how many
Item = TypeVar("Item")
Result = TypeVar("Result")

_WRAPPERS = 3  # folders around the data set that are looked through
_MAX_PATH_LENGTH, _MAX_DEFECT_TYPE_LENGTH = 300, 100  # characters that a record keeps
_WORKERS = 4  # decoding threads; each may hold the largest image that is allowed
_MASK_SUFFIX = "_mask"
_MVTEC = RecognisedLayout("mvtec-ad", "MVTec AD: train/good/, test/<defect type>/ and masks in ground_truth/.")
LAYOUTS = {_MVTEC.name: _MVTEC.sentence}


def scan(
    root: Path,
    limits: UploadLimits,
    *,
    progress: ScanProgress | None = None,
    labels: LabelNames | None = None,
    layout: str = "",
    keep_duplicates: bool = False,
) -> list[CategoryScan]:
    """Read every category below a folder.

    Args:
        root: a category, a folder of categories, or a folder that wraps one of these.
        limits: of upload validation, which every image and every mask has to pass.
        progress: called with (images looked at, images in all), from this thread.
        labels: what somebody said about folders whose names leave it open.
        layout: by which rules to read the folder; empty: by those that it is recognised by.
        keep_duplicates: also test images that are training images, or that are called both good and defective.

    Returns:
        The categories by name; entries by path.

    Raises:
        DatasetRejected: the layout, a folder name that can be read either way, a category without enough good
            images, or a mask that does not fit.
    """
    root, labels = root.resolve(), labels or LabelNames()
    if layout not in ("", _MVTEC.name):
        raise DatasetRejected(
            f"There is no layout {layout[:100]!r}; there is: {_MVTEC.name}. Nothing was imported.",
            code="no_such_layout",
        )
    folders, unread_folders = _find_categories(root)
    listings = [_Listing(folder, root, labels) for folder in folders]
    for listing in listings:
        listing.read()
    labels.check({name for listing in listings for name in listing.label_folders})
    _reject_undecided([name for listing in listings for name in listing.undecided])
    total, done = sum(len(listing.candidates) for listing in listings), 0
    scans = []
    for listing in listings:
        checked: list[_CheckResult] = []
        for result in _concurrently(lambda candidate: _check(candidate, limits), listing.candidates):
            checked.append(result)
            done += 1
            if progress:
                progress(done, total)
        scans.append(_assemble(listing, checked, unread_folders, limits, keep_duplicates=keep_duplicates))
    return scans


# ---------------------------------------------------------------- finding
def _find_categories(root: Path) -> tuple[list[Path], list[str]]:
    """The folders of the categories, and the names of other folders beside them."""
    here = root
    for _ in range(_WRAPPERS):
        if _is_category(here):
            return [here], []
        folders = [path for path in _visible_paths(here) if path.is_dir() and is_inside(path, root)]
        categories = [folder for folder in folders if _is_category(folder)]
        if categories:
            return categories, [folder.name for folder in folders if folder not in categories]
        if len(folders) != 1:
            break
        here = folders[0]
    contents = ", ".join(path.name + "/" * path.is_dir() for path in _visible_paths(here)[:8]) or "nothing"
    raise DatasetRejected(
        f"{here} is not in MVTec layout: expected train/good/ and test/<defect type>/ (or folders that have them), "
        f"found {contents}."
    )


def _reject_undecided(undecided: list[str]) -> None:
    """Raises `DatasetRejected` where a folder's name leaves open whether its parts are good."""
    if not undecided:
        return
    names = ", ".join(f"{path}/" for path in undecided)
    first = undecided[0].rpartition("/")[2]
    one = len(undecided) == 1
    raise DatasetRejected(
        f"It is not clear whether the parts in {names} are good or have a defect. Nothing was imported. Specify "
        f"it: --good {first} or --defect {first} on the command line, the field good or defect in the API and on "
        f"the page; or rename the folder{'' if one else 's'}.",
        code="unclear_label",
        folders=undecided,
    )


def _is_category(folder: Path) -> bool:
    return (folder / "train").is_dir() or (folder / "test").is_dir()


def _visible_paths(folder: Path) -> list[Path]:
    """What is in a folder, by name, without hidden files and the junk of operating systems."""
    return [path for path in _sorted_paths(folder) if not is_hidden(path.name)]


def _sorted_paths(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DatasetRejected(
            f"The folder {folder} cannot be read ({error.strerror or error}).", code="unreadable_folder"
        ) from error


@dataclass(frozen=True)
class _Candidate:
    """A file that may be an image of the category."""

    path: str
    absolute_path: Path
    split: Split
    defect_type: str


@dataclass
class _Listing:
    """The files of one category, before any is opened."""

    folder: Path
    root: Path
    labels: LabelNames
    candidates: list[_Candidate] = field(default_factory=list)
    label_folders: list[str] = field(default_factory=list)  # names of the folders in train/ and test/
    undecided: list[str] = field(default_factory=list)  # paths of folders that somebody has to be asked about
    masks: dict[tuple[str, str], Path] = field(default_factory=dict)  # by defect type and stem of the image
    skipped: list[SkippedFile] = field(default_factory=list)
    left_out: SkippedFiles = field(default_factory=SkippedFiles)
    warnings: list[str] = field(default_factory=list)
    stray_masks: int = 0

    def read(self) -> None:
        folders = list(self._folders(self.folder))
        # The masks first: they tell defects.
        for path in sorted(folders, key=lambda path: path.name != "ground_truth"):
            if path.name == "train":
                self._read_train(path)
            elif path.name == "test":
                self._read_test(path)
            elif path.name == "ground_truth":
                for folder in self._folders(path):
                    self._read_masks(folder)
            else:
                self.warnings.append(f"{path.name}/ is not part of the layout and was not read.")

    def relative(self, path: Path) -> str:
        """The path as records keep it; bytes that are no UTF-8 are spelt out."""
        return printable(path.relative_to(self.folder).as_posix())

    def _read_train(self, train: Path) -> None:
        for folder in self._folders(train):
            reading = self._reading(folder.name)
            if reading is Reading.GOOD:
                self._read_images(folder, "train", GOOD)
            elif reading is Reading.UNDECIDED:
                self.undecided.append(self.relative(folder))
            else:
                self.warnings.append(f"train/{folder.name}/ was not read: only train/good/ is used for training.")

    def _read_test(self, test: Path) -> None:
        for folder in self._folders(test):
            reading = self._reading(folder.name)
            if reading is Reading.UNDECIDED:
                self.undecided.append(self.relative(folder))
            else:
                self._read_images(folder, "test", GOOD if reading is Reading.GOOD else folder.name)

    def _reading(self, name: str) -> Reading:
        self.label_folders.append(name)
        has_masks = any(defect_type == name for defect_type, _ in self.masks)
        return reading_of(name, has_masks=has_masks, good=self.labels.good, defect=self.labels.defect)

    def _folders(self, parent: Path) -> Iterator[Path]:
        """Folders within; a link that leads outside is reported, a loose file at the top is a readme or the like."""
        for path in _visible_paths(parent):
            if path.is_symlink() and not is_inside(path, self.root):
                self._skip(path, "outside_folder", "It is a link that leads outside the folder.")
            elif path.is_dir():
                yield path
            elif parent != self.folder:
                self._skip(path, "not_a_file", f"Files directly in {parent.name}/ belong to no class.")

    def _read_images(self, folder: Path, split: Split, label: str) -> None:
        for path in _sorted_paths(folder):
            if is_hidden(path.name):
                self.left_out.add(self.relative(path), HIDDEN)
                continue
            relative = path.relative_to(self.folder).as_posix()
            if not is_inside(path, self.root):
                self._skip(path, "outside_folder", "It is a link that leads outside the folder, or nowhere.")
            elif not path.is_file():
                self._skip(path, "not_a_file", "It is not a file; images lie directly in the folder of their class.")
            elif is_unfinished(path.name):
                self._skip(path, "unfinished", "By its name it is not complete yet.")
            elif self.relative(path) != relative:
                self._skip(path, "bad_name", "Its name is not valid UTF-8.")
            elif len(relative) > _MAX_PATH_LENGTH or len(folder.name) > _MAX_DEFECT_TYPE_LENGTH:
                self._skip(path, "bad_name", f"Its path is too long (at most {_MAX_PATH_LENGTH} characters).")
            else:
                self.candidates.append(_Candidate(relative, path, split, label))

    def _read_masks(self, folder: Path) -> None:
        for path in _visible_paths(folder):
            stem = path.stem.removesuffix(_MASK_SUFFIX)
            key = (folder.name, stem)
            if stem != path.stem and key not in self.masks and path.is_file() and is_inside(path, self.root):
                self.masks[key] = path
            else:
                self.stray_masks += 1

    def _skip(self, path: Path, code: str, reason: str) -> None:
        self.skipped.append(SkippedFile(self.relative(path), reason, code))


# ---------------------------------------------------------------- checking
@dataclass(frozen=True)
class _CheckResult:
    """A candidate and what upload validation said: either `image` and `description` or `refusal` is there."""

    candidate: _Candidate
    image: ImageFacts | None = None
    description: ImageDescription | None = None
    colourfulness: float = 0.0
    refusal: SkippedFile | None = None


def _check(candidate: _Candidate, limits: UploadLimits) -> _CheckResult:
    try:
        data = read_bounded(candidate.absolute_path, limits)
        facts, pixels = check_image(data, candidate.absolute_path.name, limits)
        rgb = as_rgb(pixels)
        return _CheckResult(
            candidate,
            image=facts,
            description=describe_image(rgb, facts.sha256),
            colourfulness=colourfulness(rgb),
        )
    except ImageRejected as refusal:
        return _CheckResult(candidate, refusal=SkippedFile(candidate.path, refusal.detail, refusal.code))
    except OSError as error:
        reason = f"It cannot be read ({error.strerror or error})."
        return _CheckResult(candidate, refusal=SkippedFile(candidate.path, reason, "unreadable"))


def _concurrently(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in order (Pillow releases the interpreter lock while it decodes); stops early when one raises."""
    pool = ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1))
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _assemble(
    listing: _Listing,
    checked: list[_CheckResult],
    unread_folders: list[str],
    limits: UploadLimits,
    *,
    keep_duplicates: bool,
) -> CategoryScan:
    skipped = listing.skipped + [result.refusal for result in checked if result.refusal]
    read = [(result.candidate, result.image) for result in checked if result.image]
    _check_good_images(listing, checked, read)
    duplicates = _duplicates(checked, keep=keep_duplicates)
    conflicts = [SkippedFile(one.path, one.reason, one.code) for one in duplicates.left_out]
    conflicting = {conflict.path for conflict in conflicts}
    images = [(candidate, image) for candidate, image in read if candidate.path not in conflicting]
    results = _concurrently(lambda pair: _with_mask(*pair, listing=listing, limits=limits), images)
    entries = tuple(sorted(results, key=lambda entry: entry.path))
    return CategoryScan(
        name=listing.folder.name,
        layout=_MVTEC,
        entries=entries,
        skipped=tuple(sorted(skipped + conflicts, key=lambda item: item.path)),
        warnings=(
            *_unread_folder_warnings(unread_folders),
            *listing.warnings,
            *_image_kind_warnings(checked),
            *_content_warnings(listing, entries),
            *duplicates.warnings(),
        ),
        snapshot=snapshot_of(entries),
        duplicates=duplicates,
    )


def _check_good_images(
    listing: _Listing, checked: list[_CheckResult], read: list[tuple[_Candidate, ImageFacts]]
) -> None:
    name = listing.folder.name
    training_files = [result for result in checked if result.candidate.split == "train"]
    good = sum(candidate.split == "train" for candidate, _ in read)
    if not training_files:
        raise DatasetRejected(
            f"{name} has no images in train/good/ (or train/ok/, train/normal/, ...): a detector is trained on good "
            "parts only.",
            code="no_good_images",
        )
    if good < 2:
        refusal = next((result.refusal for result in training_files if result.refusal), None)
        why = f" {refusal.path} was refused: {refusal.reason}" if refusal else ""
        raise DatasetRejected(
            f"{name} has {good} readable of {len(training_files)} good images in train/; at least 2 are needed.{why}",
            code="too_few_good_images",
            readable=good,
            found=len(training_files),
        )


def _duplicates(checked: list[_CheckResult], *, keep: bool) -> Duplicates:
    images = [
        LabelledImage(
            path=result.candidate.path,
            split=result.candidate.split,
            defect_type=result.candidate.defect_type,
            is_defective=result.candidate.defect_type != GOOD,
            description=result.description,
        )
        for result in checked
        if result.description
    ]
    return find_duplicates(images, keep=keep)


def _with_mask(candidate: _Candidate, image: ImageFacts, *, listing: _Listing, limits: UploadLimits) -> Entry:
    is_defective = candidate.defect_type != GOOD
    key = (candidate.defect_type, candidate.absolute_path.stem)
    mask_path = listing.masks.get(key) if is_defective else None
    return Entry(
        path=candidate.path,
        absolute_path=candidate.absolute_path,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        size_bytes=image.size_bytes,
        format=image.format,
        split=candidate.split,
        is_defective=is_defective,
        defect_type=candidate.defect_type,
        mask_path=mask_path,
        mask_sha256=_checked_mask(mask_path, candidate, image, listing, limits) if mask_path else None,
    )


def _checked_mask(path: Path, candidate: _Candidate, image: ImageFacts, listing: _Listing, limits: UploadLimits) -> str:
    """The hash of a mask that fits its image. Raises `DatasetRejected` for any other."""
    name = f"{listing.folder.name}/{listing.relative(path)}"

    def unfit(why: str, **sizes: Any) -> DatasetRejected:
        owner = f"{candidate.path} ({image.width} x {image.height})"
        detail = f"The mask {name} does not fit its image {owner}: {why}. Nothing was imported."
        return DatasetRejected(detail, code="mask_mismatch", mask=name, image=candidate.path, **sizes)

    try:
        data = read_bounded(path, limits)
        facts = inspect_upload(data, path.name, limits)
    except ImageRejected as refusal:
        raise unfit(f"it cannot be read. {refusal.detail.rstrip('.')}") from refusal
    except OSError as error:
        raise unfit(f"it cannot be read ({error.strerror or error})") from error
    if (facts.width, facts.height) != (image.width, image.height):
        raise unfit(
            f"it has {facts.width} x {facts.height} pixels",
            mask_size=[facts.width, facts.height],
            image_size=[image.width, image.height],
        )
    try:
        open_mask(data, limits)
    except DatasetRejected as problem:
        raise unfit(problem.detail) from problem
    return facts.sha256


# ---------------------------------------------------------------- reporting
def _unread_folder_warnings(unread_folders: list[str]) -> Iterator[str]:
    if unread_folders:
        yield f"Not read, because outside of the categories: {', '.join(f'{name}/' for name in unread_folders)}."


def _image_kind_warnings(checked: list[_CheckResult]) -> Iterator[str]:
    """Test images of another colour, depth or shape than the training images: no model of these would judge them."""
    training_images = [result for result in checked if result.image and result.candidate.split == "train"]
    test_images = [result for result in checked if result.image and result.candidate.split == "test"]
    colours = [result.colourfulness for result in training_images]
    odd = [odd_colour(result.colourfulness, lowest=min(colours), highest=max(colours)) for result in test_images]
    if any(odd):
        kind, theirs = ("grey", "coloured") if GREY_PICTURE in odd else ("coloured", "grey")
        yield (
            f"{sum(map(bool, odd))} of {len(test_images)} test images are {kind}, and the training images are "
            f"{theirs}: with the present input checks they are not comparable."
        )
    depths = {result.image.is_sixteen_bit for result in training_images if result.image}
    other_depth = [result for result in test_images if result.image and result.image.is_sixteen_bit not in depths]
    if other_depth:
        bits, theirs_bits = (8, 16) if True in depths else (16, 8)
        yield (
            f"{len(other_depth)} of {len(test_images)} test images have {bits} bits per pixel, and the training images "
            f"have {theirs_bits}: with the present input checks they are not comparable."
        )
    ratios = [math.log(result.image.width / result.image.height) for result in training_images if result.image]
    # As `InputProfile` has it.
    slack = max(math.log1p(InputRules.aspect_percent / 100), (max(ratios) - min(ratios)) / 2)
    low, high = min(ratios) - slack, max(ratios) + slack
    stretched = [
        result.image
        for result in test_images
        if result.image and not low <= math.log(result.image.width / result.image.height) <= high
    ]
    if stretched:
        example = f"{stretched[0].width} x {stretched[0].height}"
        yield (
            f"{len(stretched)} of {len(test_images)} test images have another shape than the training images "
            f"(such as {example} pixels): with the present input checks they are not comparable."
        )


def _content_warnings(listing: _Listing, entries: tuple[Entry, ...]) -> Iterator[str]:
    """What is legitimate, and yet worth a look."""
    yield from listing.left_out.sentences()
    misnamed = [entry.path for entry in entries if name_warning(entry.path, entry.format)]
    if misnamed:
        yield (
            f"{len(misnamed)} {'image is' if len(misnamed) == 1 else 'images are'} named for another format than "
            f"{'its' if len(misnamed) == 1 else 'their'} content has ({', '.join(misnamed[:3])}); the content counts."
        )
    unmasked = sum(entry.is_defective and entry.mask_path is None for entry in entries)
    if unmasked:
        yield f"{unmasked} test images with defects have no mask; pixel metrics leave them out."
    owners = {
        (candidate.defect_type, candidate.absolute_path.stem)
        for candidate in listing.candidates
        if candidate.defect_type != GOOD
    }
    unowned = listing.stray_masks + len(listing.masks.keys() - owners)
    if unowned:
        yield f"{unowned} files in ground_truth/ belong to no test image with a defect."
    shared = sum(n - 1 for path, n in Counter(entry.mask_path for entry in entries).items() if path and n > 1)
    if shared:
        yield f"{shared} test images share a mask with another one of the same name and another extension."
    twice = sum(n - 1 for n in Counter((entry.split, entry.sha256) for entry in entries).values())
    if twice:
        yield f"{twice} images are identical copies of another one in the same split."
    if not any(entry.split == "test" for entry in entries):
        yield "There are no test images: a model can be trained, but not evaluated."
