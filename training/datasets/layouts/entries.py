"""What reading a folder gives: images with their labels, what was left out, and by which layout it was read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Literal, Protocol

from common.errors import UserError
from training.datasets.duplicates import Duplicates
from training.datasets.layouts.labels import normal_form

Split = Literal["train", "test"]


class DatasetRejected(UserError):
    """The folder cannot become a data set; nothing was written.

    Codes: `not_mvtec_layout`, `unreadable_folder`, `no_good_images`, `too_few_good_images`, `unclear_label` (with
    `folders`), `no_such_folder`, `no_such_layout`; of a mask that is read `mask_mismatch` (all 422).
    """

    code = "not_mvtec_layout"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


@dataclass(frozen=True)
class MaskSource:
    """Where it stands which pixels of an image are defective: everything that one of these marks.

    Attributes:
        files: absolute paths of mask images.
        boxes: (left, top, right, bottom), polygons: of (x, y); in shares of the image's width and height.
        background: the colour (RGB) that marks nothing, where somebody said so.
    """

    files: tuple[Path, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()
    background: tuple[int, int, int] | None = None

    def __bool__(self) -> bool:
        return bool(self.files or self.boxes or self.polygons)


@dataclass(frozen=True)
class Entry:
    """One image of a category. `width` and `height` are in pixels, upright; `defect_type` is `good` for good parts.

    `path` is relative to the category, with forward slashes. `sha256` is that of the file's bytes, `mask_sha256` that
    of the mask as it is kept (see `masks`); both mask fields are None where there is no mask.
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
    mask: MaskSource | None = None
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
    """A file that is not part of the data set. `code` is upload validation's, one of `unreadable`, `not_a_file`,
    `outside_folder`, `unfinished`, `bad_name`, `not_an_image`, `no_label`, `point_cloud`, `leak`, `contradiction`, or
    of a mask `mask_unreadable`, `mask_size`, `mask_empty`."""

    path: str
    reason: str
    code: str


@dataclass(frozen=True)
class RecognisedLayout:
    """By which rules a folder was read: a name for `--layout`, and one sentence for people."""

    name: str
    sentence: str


@dataclass(frozen=True)
class CategoryScan:
    """What one category holds. The same images with the same labels have the same `snapshot`, wherever they lie.

    `layout` says by which rules the folder was read. What was left out because of `duplicates` is in `skipped`, too.
    """

    name: str
    layout: RecognisedLayout
    entries: tuple[Entry, ...]
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...]
    snapshot: str
    duplicates: Duplicates = field(default_factory=Duplicates)


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
                    f"There is no folder {name[:100]!r}, nor a label (there are: {folders}). Nothing was imported.",
                    code="no_such_folder",
                )
        both = {normal_form(name) for name in self.good} & {normal_form(name) for name in self.defect}
        if both:
            raise DatasetRejected(
                f"The folder {sorted(both)[0]!r} was named both good and defect. Nothing was imported.",
                code="unclear_label",
            )


def snapshot_of(images: Iterable[LabelledImage]) -> str:
    """sha256 over what the images are and how they are labelled; not over where they lie or when they were written."""
    facts = sorted(
        [image.path, image.sha256, image.split, image.is_defective, image.defect_type, image.mask_sha256]
        for image in images
    )
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
