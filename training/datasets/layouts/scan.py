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

import hashlib
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from common.errors import UserError
from modelzoo.detectors.preprocessing.input_rules import GREY_PICTURE, InputRules, colourfulness, odd_colour
from records.assets.file_tree import HIDDEN, SkippedFiles, is_hidden, is_inside, is_unfinished, printable
from records.assets.images import (
    ImageFacts,
    ImageRejected,
    UploadLimits,
    check_image,
    inspect_upload,
    name_warning,
    open_rgb,
    read_bounded,
)
from training.datasets.layouts.labels import GOOD, Reading, normal_form, reading_of

Split = Literal["train", "test"]
ScanProgress = Callable[[int, int], None]  # images looked at, of how many
Item = TypeVar("Item")
Result = TypeVar("Result")

_WRAPPERS = 3  # folders around the data set that are looked through
_MAX_PATH_LENGTH, _MAX_DEFECT_TYPE_LENGTH = 300, 100  # characters that a record keeps
_WORKERS = 4  # decoding threads; each may hold the largest image that is allowed
_MASK_SUFFIX = "_mask"
_MASK_DARK, _MASK_BRIGHT, _MASK_BLURRED = 32, 223, 0.05


class DatasetRejected(UserError):
    """The folder cannot become a data set; nothing was written.

    Codes: `not_mvtec_layout`, `unreadable_folder`, `no_good_images`, `too_few_good_images`, `mask_mismatch`,
    `unclear_label` (with `folders`), `no_such_folder` (all 422).
    """

    code = "not_mvtec_layout"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


@dataclass(frozen=True)
class Entry:
    """One image of a category. `width` and `height` are in pixels, upright; `defect_type` is `good` for good parts.

    `path` is relative to the category, with forward slashes. The hashes are sha256 of the files' bytes. `mask_path` is
    absolute; both mask fields are None where there is no mask.
    """

    path: str
    absolute_path: Path
    sha256: str
    width: int
    height: int
    size_bytes: int
    format: str
    split: Split
    is_defective: bool
    defect_type: str
    mask_path: Path | None = None
    mask_sha256: str | None = None


class LabelledImage(Protocol):
    """What a snapshot is made of, wherever the image comes from: attributes as those of `Entry`."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def split(self) -> Split: ...
    @property
    def is_defective(self) -> bool: ...
    @property
    def defect_type(self) -> str: ...
    @property
    def mask_sha256(self) -> str | None: ...


@dataclass(frozen=True)
class SkippedFile:
    """A file that is not part of the data set. `code` is upload validation's, or one of `unreadable`, `not_a_file`,
    `outside_folder`, `unfinished`, `bad_name`, `leak`, `contradiction`."""

    path: str
    reason: str
    code: str


@dataclass(frozen=True)
class CategoryScan:
    """What one category holds. The same images with the same labels have the same `snapshot`, wherever they lie."""

    name: str
    entries: tuple[Entry, ...]
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...]
    snapshot: str


@dataclass(frozen=True)
class LabelNames:
    """Folder names, in any spelling, that somebody said are of good or of defective parts, whatever they look like."""

    good: tuple[str, ...] = ()
    defect: tuple[str, ...] = ()

    def check(self, present: Collection[str]) -> None:
        """Raises `DatasetRejected` for a name that no folder has, or that was said to be both."""
        forms = {normal_form(name) for name in present}
        for name in (*self.good, *self.defect):
            if normal_form(name) not in forms:
                folders = ", ".join(sorted(present)) or "none"
                raise DatasetRejected(
                    f"There is no folder {name[:100]!r} in train/ or test/ (there are: {folders}). Nothing was "
                    "imported.",
                    code="no_such_folder",
                )
        both = {normal_form(name) for name in self.good} & {normal_form(name) for name in self.defect}
        if both:
            raise DatasetRejected(
                f"The folder {sorted(both)[0]!r} was named both good and defect. Nothing was imported.",
                code="unclear_label",
            )


def scan(
    root: Path, limits: UploadLimits, *, progress: ScanProgress | None = None, labels: LabelNames | None = None
) -> list[CategoryScan]:
    """Read every category below a folder.

    Args:
        root: a category, a folder of categories, or a folder that wraps one of these.
        limits: of upload validation, which every image and every mask has to pass.
        progress: called with (images looked at, images in all), from this thread.
        labels: what somebody said about folders whose names leave it open.

    Returns:
        The categories by name; entries by path.

    Raises:
        DatasetRejected: the layout, a folder name that can be read either way, a category without enough good
            images, or a mask that does not fit.
    """
    root, labels = root.resolve(), labels or LabelNames()
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
        scans.append(_assemble(listing, checked, unread_folders, limits))
    return scans


def open_mask(mask: bytes | Path, limits: UploadLimits) -> np.ndarray:
    """The defective pixels of a ground-truth mask, by the one rule that the scan checks masks with.

    Where the mask has at most two grey levels, everything that is not black is defective (0/255 and 0/1 alike). Where
    it has more, as after lossy compression or resizing, a pixel is defective above 127, if at most 5 % of the pixels
    lie between 32 and 223 and some lie above: anything softer is no mask.

    Args:
        mask: the bytes of the file, or its path.
        limits: of upload validation.

    Returns:
        bool [H, W], upright.

    Raises:
        ImageRejected: it is not an image that passes upload validation.
        DatasetRejected: `mask_mismatch`, it is coloured, cannot be binarised, or is black all over.
    """
    rgb = np.asarray(open_rgb(mask, limits))
    grey = rgb[..., 0]
    if not (rgb == grey[..., None]).all():
        raise DatasetRejected("it is coloured", code="mask_mismatch")
    levels = np.flatnonzero(np.bincount(grey.ravel(), minlength=256))
    if not levels.any():
        raise DatasetRejected("it is completely black", code="mask_mismatch")
    if len(levels) <= 2:
        return grey > 0
    blurred = ((grey >= _MASK_DARK) & (grey <= _MASK_BRIGHT)).mean()
    if levels[-1] <= _MASK_BRIGHT or blurred > _MASK_BLURRED:
        raise DatasetRejected(
            f"it has {len(levels)} grey levels from {levels[0]} to {levels[-1]} and cannot be made black and white",
            code="mask_mismatch",
        )
    return grey > 127


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
    """A candidate and what upload validation said: exactly one of `image` and `refusal` is there."""

    candidate: _Candidate
    image: ImageFacts | None = None
    colourfulness: float = 0.0
    refusal: SkippedFile | None = None


def _check(candidate: _Candidate, limits: UploadLimits) -> _CheckResult:
    try:
        data = read_bounded(candidate.absolute_path, limits)
        facts, pixels = check_image(data, candidate.absolute_path.name, limits)
        return _CheckResult(candidate, image=facts, colourfulness=colourfulness(pixels.convert("RGB")))
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
    listing: _Listing, checked: list[_CheckResult], unread_folders: list[str], limits: UploadLimits
) -> CategoryScan:
    skipped = listing.skipped + [result.refusal for result in checked if result.refusal]
    read = [(result.candidate, result.image) for result in checked if result.image]
    _check_good_images(listing, checked, read)
    images, conflicts = _without_leaks(read)
    results = _concurrently(lambda pair: _with_mask(*pair, listing=listing, limits=limits), images)
    entries = tuple(sorted(results, key=lambda entry: entry.path))
    return CategoryScan(
        name=listing.folder.name,
        entries=entries,
        skipped=tuple(sorted(skipped + conflicts, key=lambda item: item.path)),
        warnings=(
            *_unread_folder_warnings(unread_folders),
            *listing.warnings,
            *_image_kind_warnings(checked),
            *_content_warnings(listing, entries),
        ),
        snapshot=snapshot_of(entries),
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


def _without_leaks(
    read: list[tuple[_Candidate, ImageFacts]],
) -> tuple[list[tuple[_Candidate, ImageFacts]], list[SkippedFile]]:
    """Leave out test images that are also training images, and those that are called both good and defective."""
    training_paths = {image.sha256: candidate.path for candidate, image in read if candidate.split == "train"}
    labels: dict[str, set[bool]] = defaultdict(set)
    for candidate, image in read:
        if candidate.split == "test":
            labels[image.sha256].add(candidate.defect_type == GOOD)
    images, conflicts = [], []
    for candidate, image in read:
        if candidate.split == "train":
            images.append((candidate, image))
        elif image.sha256 in training_paths:
            reason = f"It is identical to the training image {training_paths[image.sha256]}."
            conflicts.append(SkippedFile(candidate.path, reason, "leak"))
        elif len(labels[image.sha256]) == 2:
            reason = "Identical images are in test/ as good and as a defect."
            conflicts.append(SkippedFile(candidate.path, reason, "contradiction"))
        else:
            images.append((candidate, image))
    return images, conflicts


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
    """Test images of another colour or shape than the training images: no model of these would judge them."""
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


def snapshot_of(images: Iterable[LabelledImage]) -> str:
    """sha256 over what the images are and how they are labelled; not over where they lie or when they were written."""
    facts = sorted(
        [image.path, image.sha256, image.split, image.is_defective, image.defect_type, image.mask_sha256]
        for image in images
    )
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
