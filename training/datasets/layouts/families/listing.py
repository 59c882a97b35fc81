"""What a layout makes of a folder: files with their labels, before any image is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from training.datasets.layouts.entries import MaskSource, RecognisedLayout, SkippedFile, Split
from training.datasets.layouts.families.roles import Role
from training.datasets.layouts.labels import GOOD
from training.datasets.layouts.tree import FileTree, TreeFile


@dataclass(frozen=True)
class LabelledFile:
    """A file that may be an image of the category.

    `said` is what the folder or a table says of the split, `split` what follows; where it is None, the system splits.
    """

    file: TreeFile
    said: Role | None
    defect_type: str = GOOD
    mask: MaskSource | None = None
    split: Split | None = None


@dataclass
class Listing:
    """The files of one category.

    Attributes:
        layouts: by which the folder may be read, the one that is used by default first.
        undecided: paths of folders of which somebody has to be asked whether their parts are good.
        label_names: the names that a person may call good or defective.
        unused_masks: masks that belong to no image with a defect.
        uses_tables: whether tables or annotations say what the images are.
    """

    tree: FileTree
    layouts: tuple[RecognisedLayout, ...] = ()
    images: list[LabelledFile] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    label_names: set[str] = field(default_factory=set)
    unused_masks: list[TreeFile] = field(default_factory=list)
    uses_tables: bool = False

    def skip(self, file: TreeFile, code: str, reason: str) -> None:
        self.skipped.append(SkippedFile(self.tree.path_of(file), reason, code))

    def skip_unlisted(self, listed: Iterable[TreeFile], where: str) -> None:
        """Leave out the images that a table or an annotation does not mention."""
        known = set(listed)
        for file in self.tree.images:
            if file not in known:
                self.skip(file, "no_label", f"{where} says nothing of it.")

    def settle_splits(self) -> None:
        """Defects are for the test, wherever they lie. Good parts of a third split are learnt from, unless there is no
        other test than it."""
        said = {image.said for image in self.images}
        has_extra_defects = any(image.said is Role.EXTRA and image.defect_type != GOOD for image in self.images)
        extra_is_test = Role.TEST not in said and has_extra_defects
        self._say_what_moved(extra_is_test=extra_is_test)

        def split(image: LabelledFile) -> Split | None:
            if image.said is None:
                return None
            is_training = image.said is Role.TRAIN or (image.said is Role.EXTRA and not extra_is_test)
            return "train" if is_training and image.defect_type == GOOD else "test"

        self.images = [replace(image, split=split(image)) for image in self.images]

    def _say_what_moved(self, *, extra_is_test: bool) -> None:
        if defects := sum(image.said is Role.TRAIN and image.defect_type != GOOD for image in self.images):
            self.warnings.append(
                f"{plural(defects, 'image')} of defects in the training folder {'is' if defects == 1 else 'are'} used "
                "for the test: a detector learns from good parts only."
            )
        extra = sum(image.said is Role.EXTRA and image.defect_type == GOOD for image in self.images)
        if extra_is_test:
            self.warnings.append("There is no folder for the test; that for validation is used for it.")
        elif extra:
            self.warnings.append(
                f"{plural(extra, 'good image')} for validation or calibration {'is' if extra == 1 else 'are'} used for "
                "training: the system itself holds good images out to set the threshold."
            )


def plural(count: int, singular: str, several: str = "") -> str:
    return f"{count} {singular if count == 1 else several or singular + 's'}"
