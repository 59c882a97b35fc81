"""The same picture twice in a data set: named, and kept out of the test where it would flatter or contradict itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training.datasets.near_duplicates import ImageDescription, duplicate_groups

_MAX_LISTED = 50  # groups, and images of a group, that are named


@dataclass(frozen=True)
class LabelledImage:
    """An image of a data set that is being read, with what its folder says of it."""

    path: str
    split: str
    defect_type: str
    is_defective: bool
    description: ImageDescription


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are the same picture; `is_identical`: byte for byte. `left_out`: the paths that are not imported."""

    images: tuple[LabelledImage, ...]
    is_identical: bool
    left_out: frozenset[str]

    def kept(self, split: str) -> list[LabelledImage]:
        return [image for image in self.images if image.split == split and image.path not in self.left_out]

    @property
    def document(self) -> dict[str, Any]:
        return {
            "is_identical": self.is_identical,
            "count": len(self.images),
            "images": [
                {
                    "path": image.path,
                    "split": image.split,
                    "defect_type": image.defect_type,
                    "left_out": image.path in self.left_out,
                }
                for image in self.images[:_MAX_LISTED]
            ],
        }


@dataclass(frozen=True)
class LeftOutDuplicate:
    """A test image that is not imported. `code`: `leak` (it is a training image too) or `contradiction` (it is called
    good and defective)."""

    path: str
    code: str
    reason: str


@dataclass(frozen=True)
class Duplicates:
    """All that is twice in a data set."""

    groups: tuple[DuplicateGroup, ...] = ()
    left_out: tuple[LeftOutDuplicate, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """As previews, the API and the report of a data set show it."""
        return {
            "group_count": len(self.groups),
            "image_count": sum(len(group.images) for group in self.groups),
            "left_out_count": len(self.left_out),
            "groups": [group.document for group in self.groups[:_MAX_LISTED]],
        }

    def warnings(self) -> Iterator[str]:
        """What stays in the data set although it is there more than once; identical copies are the scan's to count."""
        for split, words in (("train", "training"), ("test", "test")):
            counts = [len({image.description.sha256 for image in group.kept(split)}) for group in self.groups]
            if more := sum(count - 1 for count in counts if count > 1):
                yield (
                    f"{more} {words} image{' is' if more == 1 else 's are'} nearly identical to another one of the "
                    "same split."
                )
        if any(group.kept("train") and group.kept("test") for group in self.groups):
            yield "Training images are in the test, too: its figures are better than the model is."


def find_duplicates(images: Sequence[LabelledImage], *, keep: bool = False) -> Duplicates:
    """The groups of the same picture, and which test images are left out because of them.

    A test image that is also a training image is left out, and so are test images that are good and defective in one;
    with `keep` none is. Other duplicates stay and are named.
    """
    positions = duplicate_groups([image.description for image in images], [image.is_defective for image in images])
    groups, left_out = [], []
    for members in positions:
        group = sorted((images[position] for position in members), key=lambda one: (one.split != "train", one.path))
        conflicts = [] if keep else list(_conflicts(group))
        left_out += conflicts
        groups.append(
            DuplicateGroup(
                images=tuple(group),
                is_identical=len({image.description.sha256 for image in group}) == 1,
                left_out=frozenset(conflict.path for conflict in conflicts),
            )
        )
    return Duplicates(tuple(groups), tuple(left_out))


def _conflicts(group: Sequence[LabelledImage]) -> Iterator[LeftOutDuplicate]:
    """The test images of a group that no figure can be computed from."""
    training = [image for image in group if image.split == "train"]
    tests = [image for image in group if image.split != "train"]
    for image in tests:
        if training:
            other = _most_alike(image, training)
            yield LeftOutDuplicate(
                image.path, "leak", f"It is {_how(image, other)} to the training image {other.path}."
            )
        elif opposite := [one for one in tests if one.is_defective != image.is_defective]:
            other = _most_alike(image, opposite)
            reason = f"It is {_how(image, other)} to {other.path}, and one is called good, the other defective."
            yield LeftOutDuplicate(image.path, "contradiction", reason)


def _most_alike(image: LabelledImage, others: Sequence[LabelledImage]) -> LabelledImage:
    """An identical one, if there is one."""
    identical = [other for other in others if other.description.sha256 == image.description.sha256]
    return (identical or list(others))[0]


def _how(image: LabelledImage, other: LabelledImage) -> str:
    return "identical" if image.description.sha256 == other.description.sha256 else "nearly identical"
