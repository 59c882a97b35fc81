"""Reading a folder of images: by which layout, which images there are, what is known about them, and what is wrong.

The given folder is a category, holds many of them, or wraps either. By what folders, tables and names say, the first
layout that fits is used (see `families`). Nothing is written, nothing outside the folder is read. Of a folder whose
name can be read either way somebody is asked, because a snapshot never changes.

A file that cannot be used costs itself and is reported, an image as well as a mask: masks serve pixel figures alone.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from modelzoo.detectors.preprocessing.input_rules import GREY_PICTURE, InputRules, colourfulness, odd_colour
from records.assets.formats import name_warning
from records.assets.images import ImageFacts, ImageRejected, UploadLimits, as_rgb, check_image, read_bounded
from training.datasets.duplicates import Duplicates, LabelledImage, find_duplicates
from training.datasets.layouts.entries import (
    CategoryScan,
    DatasetRejected,
    Entry,
    LabelNames,
    SkippedFile,
    Split,
    snapshot_of,
)
from training.datasets.layouts.families import LAYOUTS, recognise
from training.datasets.layouts.families.listing import LabelledFile, Listing, plural
from training.datasets.layouts.families.roles import Role, role_of
from training.datasets.layouts.labels import GOOD
from training.datasets.layouts.masks import WHITE, Mask, MaskUnusable, lie_on_white, read_mask
from training.datasets.layouts.split import held_out
from training.datasets.layouts.tree import MAX_PATH_LENGTH, FileTree, TreeFile, read_tree
from training.datasets.near_duplicates import ImageDescription, describe_image, duplicate_groups

ScanProgress = Callable[[int, int], None]  # images looked at, of how many
Item = TypeVar("Item")
Result = TypeVar("Result")

_WRAPPERS = 3  # folders around the data set that are looked through
_WORKERS = 4  # decoding threads; each may hold the largest image that is allowed
_FEW_TEST_IMAGES = 10  # good ones, below which figures are rough


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
        DatasetRejected: the layout, a folder name that can be read either way, or a category without enough good
            images.
    """
    root, labels = root.resolve(), labels or LabelNames()
    tree = read_tree(root)
    listings, unread_folders = _find_categories(tree, labels, limits, layout)
    labels.check({name for listing in listings for name in listing.label_names})
    _reject_undecided([path for listing in listings for path in listing.undecided])
    total, done = sum(len(listing.images) for listing in listings), 0
    scans = []
    for listing in listings:
        checked: list[_CheckResult] = []
        for result in _concurrently(partial(_check, tree=listing.tree, limits=limits), listing.images):
            checked.append(result)
            done += 1
            if progress:
                progress(done, total)
        scans.append(_assemble(listing, checked, unread_folders, limits, keep_duplicates=keep_duplicates))
    return scans


# ---------------------------------------------------------------- finding
def _find_categories(
    tree: FileTree, labels: LabelNames, limits: UploadLimits, layout: str
) -> tuple[list[Listing], list[str]]:
    """The categories that lie least deep, and the names of other folders beside them."""
    level, may_be_good_folder = [tree], not _has_annotations(tree)
    for depth in range(_WRAPPERS + 1):
        is_outermost = len(level) == 1 and may_be_good_folder
        listings = [recognise(one, labels, limits, layout=layout, is_outermost=is_outermost) for one in level]
        found = [listing for listing in listings if listing is not None]
        if found:
            others = [one.folder.name for one, listing in zip(level, listings, strict=True) if listing is None]
            return found, others if depth else []
        # A split, or masks, are of a category, and none themselves.
        subtrees = [subtree for one in level for subtree in one.subtrees()]
        level = [one for one in subtrees if role_of(one.folder.name) in (Role.LABEL, Role.WRAPPER)]
    contents = ", ".join(tree.contents[:8]) or "nothing"
    expected = LAYOUTS[layout] if layout else "a folder of good parts (good/, ok/, normal/, ...) and others of defects"
    raise DatasetRejected(
        f"The layout of {tree.folder} was not recognised: expected {expected}; found {contents}. Name the folders with "
        f"--good NAME and --defect NAME (fields good and defect in the API and on the page), or choose a layout with "
        f"--layout NAME: {', '.join(LAYOUTS)}. Nothing was imported."
    )


def _has_annotations(tree: FileTree) -> bool:
    """Whether most images have a file of text of their name, which says something of them."""
    texts = {table.folded_stem for table in tree.tables}
    return sum(image.folded_stem in texts for image in tree.images) * 2 > len(tree.images) > 0


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


# ---------------------------------------------------------------- checking
@dataclass(frozen=True)
class _Candidate:
    """A file that may be an image of the category. `path` is as records keep it."""

    path: str
    label: LabelledFile

    @property
    def file(self) -> TreeFile:
        return self.label.file

    @property
    def split(self) -> Split | None:
        return self.label.split

    @property
    def defect_type(self) -> str:
        return self.label.defect_type


@dataclass(frozen=True)
class _CheckResult:
    """A candidate and what upload validation said: either `image` and `description` or `refusal` is there."""

    candidate: _Candidate
    image: ImageFacts | None = None
    description: ImageDescription | None = None
    colourfulness: float = 0.0
    refusal: SkippedFile | None = None


def _check(image: LabelledFile, tree: FileTree, limits: UploadLimits) -> _CheckResult:
    candidate = _Candidate(tree.path_of(image.file), image)

    def refused(code: str, reason: str) -> _CheckResult:
        return _CheckResult(candidate, refusal=SkippedFile(candidate.path, reason, code))

    if len(candidate.path) > MAX_PATH_LENGTH:
        return refused("bad_name", f"Its path is too long (at most {MAX_PATH_LENGTH} characters).")
    try:
        data = read_bounded(image.file.absolute_path, limits)
        facts, pixels = check_image(data, image.file.name, limits)
        rgb = as_rgb(pixels)
        return _CheckResult(
            candidate,
            image=facts,
            description=describe_image(rgb, facts.sha256),
            colourfulness=colourfulness(rgb),
        )
    except ImageRejected as refusal:
        return refused(refusal.code, refusal.detail)
    except OSError as error:
        return refused("unreadable", f"It cannot be read ({error.strerror or error}).")


def _concurrently(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in order (Pillow releases the interpreter lock while it decodes); stops early when one raises."""
    pool = ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1))
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)


def _assemble(
    listing: Listing,
    checked: list[_CheckResult],
    unread_folders: list[str],
    limits: UploadLimits,
    *,
    keep_duplicates: bool,
) -> CategoryScan:
    tree = listing.tree
    split, split_warnings = _with_splits(checked)
    read = [(result.candidate, result.image) for result in split if result.image]
    _check_good_images(tree.folder.name, split, read)
    duplicates = _duplicates(split, keep=keep_duplicates)
    conflicts = [SkippedFile(one.path, one.reason, one.code) for one in duplicates.left_out]
    conflicting = {conflict.path for conflict in conflicts}
    images = [(candidate, image) for candidate, image in read if candidate.path not in conflicting]
    images, mask_warnings = _with_background(images, limits)
    results = list(_concurrently(lambda pair: _with_mask(*pair, tree=tree, limits=limits), images))
    entries = tuple(sorted((entry for entry, *_ in results), key=lambda entry: entry.path))
    soft = sum(is_soft for _, _, is_soft in results)
    skipped = [
        *tree.skipped_files(),
        *_files_without_pixels(listing),
        *listing.skipped,
        *(result.refusal for result in checked if result.refusal),
        *conflicts,
        *(problem for _, problems, _ in results for problem in problems),
    ]
    return CategoryScan(
        name=tree.folder.name,
        layout=listing.layouts[0],
        entries=entries,
        skipped=tuple(sorted(skipped, key=lambda item: item.path)),
        warnings=(
            *_unread_folder_warnings(unread_folders),
            *listing.warnings,
            *split_warnings,
            *_image_kind_warnings(split),
            *mask_warnings,
            *_content_warnings(listing, entries, soft),
            *duplicates.warnings(),
        ),
        snapshot=snapshot_of(entries),
        duplicates=duplicates,
    )


def _files_without_pixels(listing: Listing) -> Iterator[SkippedFile]:
    """Code, text and the like among the images; directly in the folder of a category they are a readme or a licence."""
    tree = listing.tree
    for file in (*tree.other, *(() if listing.uses_tables else tree.tables)):
        if len(tree.relative(file)) > 1:
            yield SkippedFile(tree.path_of(file), "It is not an image.", "not_an_image")


def _with_splits(checked: list[_CheckResult]) -> tuple[list[_CheckResult], list[str]]:
    """The same with a split for each image; what the system did, where the folder said none."""
    undecided = [result for result in checked if result.candidate.split is None]
    good = [result for result in undecided if result.candidate.defect_type == GOOD and result.image]
    files = [(result.candidate.file, result.image.sha256) for result in good if result.image]
    test = held_out(files, duplicate_groups([result.description for result in good if result.description]))
    in_test = {id(good[position]) for position in test}

    def decided(result: _CheckResult) -> _CheckResult:
        if result.candidate.split is not None:
            return result
        is_test = result.candidate.defect_type != GOOD or id(result) in in_test
        label = replace(result.candidate.label, split="test" if is_test else "train")
        return replace(result, candidate=replace(result.candidate, label=label))

    warnings = []
    if good:
        warnings.append(
            f"The folder does not say what is for training and what for the test: of {plural(len(good), 'good image')} "
            f"{len(test)} {'is' if len(test) == 1 else 'are'} held out for the test, and all defective ones are."
        )
    return [decided(result) for result in checked], warnings


def _check_good_images(name: str, checked: list[_CheckResult], read: list[tuple[_Candidate, ImageFacts]]) -> None:
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
            f"{name} has {good} readable of {len(training_files)} good images for training; at least 2 are "
            f"needed.{why}",
            code="too_few_good_images",
            readable=good,
            found=len(training_files),
        )


def _duplicates(checked: list[_CheckResult], *, keep: bool) -> Duplicates:
    images = [
        LabelledImage(
            path=result.candidate.path,
            split=result.candidate.split or "",
            defect_type=result.candidate.defect_type,
            is_defective=result.candidate.defect_type != GOOD,
            description=result.description,
        )
        for result in checked
        if result.description
    ]
    return find_duplicates(images, keep=keep)


def _with_background(
    images: list[tuple[_Candidate, ImageFacts]], limits: UploadLimits
) -> tuple[list[tuple[_Candidate, ImageFacts]], list[str]]:
    """The same, with masks that mark what is not white where all lie on white; and a sentence about it."""
    unsaid = [candidate for candidate, _ in images if candidate.label.mask and not candidate.label.mask.background]
    files = [path for candidate in unsaid if candidate.label.mask for path in candidate.label.mask.files]
    if not lie_on_white(files, limits):
        return images, []

    def on_white(candidate: _Candidate) -> _Candidate:
        mask = candidate.label.mask
        if mask is None or not mask.files or mask.background:
            return candidate
        return replace(candidate, label=replace(candidate.label, mask=replace(mask, background=WHITE)))

    sentence = "The masks are white where the parts are good: what is black in them is taken as defective."
    return [(on_white(candidate), image) for candidate, image in images], [sentence]


def _with_mask(
    candidate: _Candidate, image: ImageFacts, *, tree: FileTree, limits: UploadLimits
) -> tuple[Entry, list[SkippedFile], bool]:
    """The entry, which masks of it were left out, and whether a soft mask was cut at half."""
    is_defective = candidate.defect_type != GOOD
    source = candidate.label.mask if is_defective else None
    mask: Mask | None = None
    problems: list[MaskUnusable] = []
    if source:
        try:
            mask, problems = read_mask(source, (image.width, image.height), limits)
        except MaskUnusable as problem:
            problems = [problem]
    entry = Entry(
        path=candidate.path,
        absolute_path=candidate.file.absolute_path,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        size_bytes=image.size_bytes,
        format=image.format,
        split="train" if candidate.split == "train" else "test",
        is_defective=is_defective,
        defect_type=candidate.defect_type,
        mask=source if mask else None,
        mask_sha256=mask.sha256 if mask else None,
    )
    return entry, [_left_out_mask(problem, candidate, tree) for problem in problems], bool(mask and mask.is_soft)


def _left_out_mask(problem: MaskUnusable, candidate: _Candidate, tree: FileTree) -> SkippedFile:
    path = problem.path.relative_to(tree.folder).as_posix() if problem.path else candidate.path
    return SkippedFile(path, f"{problem.reason} The image {candidate.path} stays, without a mask.", problem.code)


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


def _content_warnings(listing: Listing, entries: tuple[Entry, ...], soft: int) -> Iterator[str]:
    """What is legitimate, and yet worth a look."""
    yield from listing.tree.hidden_sentences()
    misnamed = [entry.path for entry in entries if name_warning(entry.path, entry.format)]
    if misnamed:
        yield (
            f"{len(misnamed)} {'image is' if len(misnamed) == 1 else 'images are'} named for another format than "
            f"{'its' if len(misnamed) == 1 else 'their'} content has ({', '.join(misnamed[:3])}); the content counts."
        )
    unmasked = sum(entry.is_defective and entry.mask is None for entry in entries)
    if unmasked:
        yield f"{unmasked} test images with defects have no mask; pixel metrics leave them out."
    if soft:
        yield f"{plural(soft, 'mask')} with soft edges: what is brighter than half of the brightest pixel is defective."
    if listing.unused_masks:
        files = listing.unused_masks
        examples = ", ".join(listing.tree.path_of(file) for file in files[:3])
        verb = "belongs" if len(files) == 1 else "belong"
        yield f"{plural(len(files), 'mask file')} ({examples}) {verb} to no image."
    shared = sum(n - 1 for mask, n in Counter(entry.mask for entry in entries).items() if mask and n > 1)
    if shared:
        yield f"{shared} test images share a mask with another one of the same name and another extension."
    twice = sum(n - 1 for n in Counter((entry.split, entry.sha256) for entry in entries).values())
    if twice:
        yield f"{twice} images are identical copies of another one in the same split."
    test_images = [entry for entry in entries if entry.split == "test"]
    good = sum(not entry.is_defective for entry in test_images)
    if not test_images:
        yield "There are no test images: a model can be trained, but not evaluated."
    elif not good:
        yield "There are no good test images: false rejects cannot be measured."
    elif good < _FEW_TEST_IMAGES and any(entry.is_defective for entry in test_images):
        yield f"The test has only {plural(good, 'good image')}: its figures are rough."
