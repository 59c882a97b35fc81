"""Labels in a table: CSV, TSV or words apart by white space, a row for each image.

    images/cell0001.png  1.0  mono          (elpv: the probability that it is defective)
    image,label,mask                        (VisA: image_anno.csv)
    path;result                             (whatever a production system writes)

Which column holds what is seen from its values, and from its heading where several would do.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames, MaskSource, RecognisedLayout
from training.datasets.layouts.families.annotations import kind_name, split_said
from training.datasets.layouts.families.listing import LabelledFile, Listing, plural
from training.datasets.layouts.families.mask_files import with_mask_files
from training.datasets.layouts.families.roles import Role, place_of, role_of
from training.datasets.layouts.labels import GOOD, Reading, explicit_reading, normal_form
from training.datasets.layouts.references import FileIndex
from training.datasets.layouts.tree import FileTree, TreeFile, folded

LAYOUTS = {
    "visa": "VisA: image_anno.csv with image, label and mask; images in Data/Images/, masks in Data/Masks/",
    "label-table": "a .csv, .tsv or .txt with a column of image paths and one that says good or defective",
}
_MAX_BYTES = 64 * 1024**2
_SUFFIXES = (".csv", ".tsv", ".txt")
_LABEL_HEADINGS = frozenset(
    f"{prefix}{word}"
    for prefix in ("", "is ", "has ")
    for word in ("label", "class", "category", "defect", "defect type", "defective", "anomaly", "anomalous", "target")
) | {"labels", "status", "quality", "result", "verdict", "state", "good", "ok", "is good", "is ok"}
_SAMPLED_ROWS = 200
_MIN_ROWS = 2  # that name an image
_MASK_HEADINGS = ("mask", "masks", "mask path", "ground truth", "gt")
_SPLIT_HEADINGS = ("split", "set", "subset", "partition", "phase", "usage")
_GOOD_IS_ONE = ("good", "ok", "is good", "is ok", "normal", "is normal")


def read_label_table(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no table names images and says of some that they are good."""
    images = [file for file in tree.images if not place_of(tree.relative(file)[:-1]).is_mask]
    index, masks = FileIndex(tree, images), FileIndex(tree, tree.images)
    tables = [table for table in tree.tables if table.suffix in _SUFFIXES]
    listings = [_listing(tree, table, index, masks, labels) for table in tables]
    found = [listing for listing in listings if listing is not None]
    if not found:
        return None
    best = max(found, key=lambda listing: len(listing.images))
    return with_mask_files(best, limits)


@dataclass(frozen=True)
class _Table:
    """The rows of a table without its headings, and which column holds what."""

    rows: list[list[str]]
    image: int
    label: int
    mask: int | None
    split: int | None
    label_heading: str

    def cell(self, row: list[str], column: int | None) -> str:
        return row[column].strip() if column is not None and column < len(row) else ""


def _listing(tree: FileTree, file: TreeFile, index: FileIndex, masks: FileIndex, labels: LabelNames) -> Listing | None:
    """What one table says; None where it holds something else."""
    beside = tree.relative(file)[:-1]
    table = _table(_rows(file), index, beside, labels)
    if table is None:
        return None
    listing = Listing(tree, uses_tables=True)
    listed: dict[TreeFile, None] = {}
    missing = 0
    for row in table.rows:
        image = index.find(table.cell(row, table.image), beside=beside)
        missing += image is None
        if image is None or image in listed:
            continue
        listed[image] = None
        label = table.cell(row, table.label)
        listing.label_names.add(label)
        defect_type = _defect_type(label, table.label_heading, labels)
        if defect_type is None:
            listing.skip(image, "no_label", f"Its label in {file.name} is {label[:40]!r}: neither good nor defective.")
            continue
        mask = masks.find(table.cell(row, table.mask), beside=beside)
        source = MaskSource(files=(mask.absolute_path,)) if mask and mask != image and defect_type != GOOD else None
        said = split_said(tree, image, table.cell(row, table.split))
        listing.images.append(LabelledFile(image, said, defect_type, source))
    # A readme that names a file, or a list of a few, says nothing of the folder.
    if len(listed) * 2 < len(index.files) or not any(image.defect_type == GOOD for image in listing.images):
        return None
    return _described(listing, file, listed, index.files, missing)


def _described(
    listing: Listing,
    table: TreeFile,
    listed: dict[TreeFile, None],
    images: Sequence[TreeFile],
    missing: int,
) -> Listing:
    name = listing.tree.path_of(table)
    for file in images:
        if file not in listed:
            listing.skip(file, "no_label", f"{name} says nothing of it.")
    if missing > 0:
        listing.warnings.append(f"{plural(missing, 'row')} of {name} name no image that is there.")
    good = sum(image.defect_type == GOOD for image in listing.images)
    is_visa = folded(table.name) == "image_anno.csv"
    sentence = (
        f"{'VisA, by' if is_visa else 'The table'} {name}: {plural(len(listing.images), 'image')}, {good} of them good"
        f"{'' if any(image.said for image in listing.images) else '; the system splits into training and test'}."
    )
    general = RecognisedLayout("label-table", sentence)
    listing.layouts = (RecognisedLayout("visa", sentence), general) if is_visa else (general,)
    return listing


# ---------------------------------------------------------------- rows and columns
def _rows(table: TreeFile) -> list[list[str]]:
    if table.absolute_path.stat().st_size > _MAX_BYTES:
        return []
    try:
        lines = [line for line in table.absolute_path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError):
        return []
    if not lines:
        return []
    counts = {delimiter: lines[0].count(delimiter) for delimiter in (",", ";", "\t")}
    delimiter = max(counts, key=lambda one: counts[one])
    if not counts[delimiter]:
        return [line.split() for line in lines]
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return []


def _table(rows: list[list[str]], index: FileIndex, beside: tuple[str, ...], labels: LabelNames) -> _Table | None:
    if len(rows) < 2 or "object" in map(normal_form, rows[0]):  # of several kinds of parts, as VisA's split_csv/
        return None
    sample, width = rows[:_SAMPLED_ROWS], min(len(row) for row in rows[:_SAMPLED_ROWS])
    hits = Counter(column for row in sample for column in range(width) if index.find(row[column], beside=beside))
    [(image, count)] = hits.most_common(1) or [(0, 0)]
    if count < _MIN_ROWS or count < len(sample) // 2:
        return None
    has_headings = index.find(rows[0][image], beside=beside) is None
    headings = [normal_form(cell) for cell in rows[0]] if has_headings else []
    body = rows[1:] if has_headings else rows

    def values(column: int) -> set[str]:
        return {row[column].strip() for row in body if column < len(row)}

    def headed(words: Collection[str]) -> list[int]:
        return [column for column, heading in enumerate(headings[:width]) if heading in words]

    label_columns = [column for column in range(width) if column != image and _says_labels(values(column), labels)]
    if not label_columns:
        return None
    label = next((column for column in headed(_LABEL_HEADINGS) if column in label_columns), label_columns[0])
    splits = headed(_SPLIT_HEADINGS) or [column for column in range(width) if _says_splits(values(column))]
    return _Table(
        rows=body,
        image=image,
        label=label,
        mask=next(iter(headed(_MASK_HEADINGS)), None),
        split=next(iter(splits), None),
        label_heading=headings[label] if has_headings else "",
    )


def _says_splits(values: set[str]) -> bool:
    return bool(values) and all(role_of(value) in (Role.TRAIN, Role.TEST, Role.EXTRA) for value in values)


def _says_labels(values: set[str], labels: LabelNames) -> bool:
    """Whether some values say good, or all are probabilities of which some are 0 or 1."""
    if not values:
        return False
    if any(explicit_reading(value, labels.good, labels.defect) is Reading.GOOD for value in values):
        return True
    numbers = {_number(value) for value in values}
    return all(number is not None and 0 <= number <= 1 for number in numbers) and bool(numbers & {0.0, 1.0})


def _defect_type(label: str, heading: str, labels: LabelNames) -> str | None:
    """None where a probability leaves it open, or there is no label."""
    reading = explicit_reading(label, labels.good, labels.defect)
    number = _number(label)
    if number is not None and reading is None:
        if number not in (0.0, 1.0):
            return None
        is_good = (number == 1.0) == (heading in _GOOD_IS_ONE)
        return GOOD if is_good else "defect"
    if not label:
        return None
    return GOOD if reading is Reading.GOOD else kind_name(label)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}.get(value.strip().casefold())
