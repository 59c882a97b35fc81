"""Training and test where a folder says neither: by content, the same on every machine.

Defective images are all for the test. Of the good ones a third is held out for it, two thirds are learnt from:

* Images of one part stay together, so that the test does not show what was learnt: identical files, near-duplicates,
  and files of one folder whose names differ in nothing but the view (`exp1_num_7` and `exp4_num_7`, `000_regular` and
  `000_overexposed`, `part_012_1` and `part_012_2`; of a series with a running number `exp1_num_7`, `exp2_num_9`).
* These groups are taken in order of the sha256 over the hashes of their images, each that still fits into the third.
  Neither names nor dates nor the order of files matter.
* With fewer than 6 good images none is held out: a detector learns little from so few, and one or two good test images
  tell nothing of its false rejects.

A third, because the error of a measured false-reject rate falls with the root of the number of good test images (of
30 images 10 are left to measure it: 10 % +- 9 %; of 300 images 100: +- 3 %), and a detector hardly learns less from two
thirds: its loss from a third fewer images is small beside that error.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from training.datasets.layouts.tree import TreeFile

MIN_GOOD_TO_SPLIT = 6  # good images below which all are learnt from
TEST_SHARE = 3  # one of so many good images is held out
_VIEW_WORDS = (
    "exp|exposure|view|cam|camera|lamp|light|lighting|illumination|shot|rot|rotation|rotated|angle|pose|channel|regular|"
    "overexposed|underexposed|shift|copy|aug|augmented|flip|flipped"
)
_VIEW = re.compile(rf"(?:^|(?<=[ _.-]))(?:{_VIEW_WORDS})(?:[ _.-]?\d+)?(?=$|[ _.-])|\(\d+\)$")
_VIEW_AND_NUMBER = re.compile(rf"^(?:{_VIEW_WORDS})[ _.-]?(\d+)[ _.-]+(?:([^\W\d_]+)[ _.-]+)?(\d{{2,}})$")
_NUMBERED_VIEW = re.compile(r"^(.*\d)[ _.-]+\d{1,2}$")
_MAX_NUMBERED_VIEWS, _MIN_PARTS = 12, 3  # views of one part; parts that make a number behind theirs a view


def held_out(images: Sequence[tuple[TreeFile, str]], similar: Iterable[Iterable[int]] = ()) -> set[int]:
    """Which good images are for the test.

    Args:
        images: file and sha256 of every good image.
        similar: positions of images that show the same thing, however that was found.
    """
    if len(images) < MIN_GOOD_TO_SPLIT:
        return set()
    room = len(images) // TEST_SHARE
    test: set[int] = set()
    for group in sorted(groups_of_parts(images, similar), key=lambda group: _rank(group, images)):
        if len(test) + len(group) <= room:
            test |= set(group)
    return test


def groups_of_parts(images: Sequence[tuple[TreeFile, str]], similar: Iterable[Iterable[int]] = ()) -> list[list[int]]:
    """Positions of images that stay together, each in one group."""
    leader = list(range(len(images)))

    def root(position: int) -> int:
        while leader[position] != position:
            leader[position] = leader[leader[position]]
            position = leader[position]
        return position

    def join(positions: Iterable[int]) -> None:
        first, *others = positions
        for other in others:
            leader[root(other)] = root(first)

    by_content: dict[str, list[int]] = defaultdict(list)
    by_part: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, ((_, sha256), part) in enumerate(zip(images, part_names([file for file, _ in images]), strict=True)):
        by_content[sha256].append(position)
        by_part[part].append(position)
    for positions in (*by_content.values(), *by_part.values(), *map(list, similar)):
        if positions:
            join(positions)
    groups: dict[int, list[int]] = defaultdict(list)
    for position in range(len(images)):
        groups[root(position)].append(position)
    return list(groups.values())


def part_names(files: Sequence[TreeFile]) -> list[tuple[str, ...]]:
    """Folder and name of the part that each file shows: its stem without what tells a view."""
    if series := _series(files):
        return series
    names = [(*file.parts[:-1], _without_view(file.folded_stem)) for file in files]
    numbered = [_NUMBERED_VIEW.match(name[-1]) for name in names]
    sizes: dict[tuple[str, ...], int] = defaultdict(int)
    for name, match in zip(names, numbered, strict=True):
        if match:
            sizes[*name[:-1], match.group(1)] += 1
    is_view = (
        len(sizes) >= _MIN_PARTS
        and max(sizes.values()) <= _MAX_NUMBERED_VIEWS
        and sum(size for size in sizes.values() if size > 1) * 2 >= len(files)
    )
    if not is_view:
        return names
    return [(*name[:-1], match.group(1)) if match else name for name, match in zip(names, numbered, strict=True)]


def _series(files: Sequence[TreeFile]) -> list[tuple[str, ...]] | None:
    """Parts of a series where each picture has the number of its view and a running number (`exp1_num_129031`,
    `exp2_num_129056`, `exp1_num_139838`): in order of the latter, a part ends where the view's number does not rise.
    None where not all names are such."""
    rows = []
    for position, file in enumerate(files):
        match = _VIEW_AND_NUMBER.match(file.folded_stem)
        if not match:
            return None
        rows.append((file.parts[:-1], match.group(2) or "", int(match.group(3)), int(match.group(1)), position))
    if len({row[:3] for row in rows}) < len(rows):  # the same number tells the part
        return None
    parts: list[tuple[str, ...]] = [()] * len(rows)
    before: tuple[tuple[str, ...], str, int, int, int] | None = None
    name: tuple[str, ...] = ()
    for row in sorted(rows):
        if before is None or row[:2] != before[:2] or row[3] <= before[3]:
            name = (*row[0], row[1], str(row[2]))
        parts[row[4]], before = name, row
    return parts


def _without_view(stem: str) -> str:
    part = re.sub(r"[ _.-]+", "_", _VIEW.sub("", stem)).strip("_")
    return part if any(char.isdigit() for char in part) else stem


def _rank(group: list[int], images: Sequence[tuple[TreeFile, str]]) -> str:
    return hashlib.sha256("".join(sorted(images[position][1] for position in group)).encode()).hexdigest()
