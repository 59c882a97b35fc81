"""Writes: labelled data from what people said about records: images to evaluate on and to learn from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import PurePath
from typing import Any, cast

from django.db import transaction
from PIL import Image, ImageDraw

from common.errors import Conflict, UserError
from common.names import short_name
from common.rights import Right, require
from inspection.history.filters import Filters
from inspection.models import Inspection, Review, Standing
from modelzoo.detectors.preprocessing.input_rules import REASONS
from modelzoo.models import Category
from records.assets.formats import EXTENSION_OF_FORMAT
from records.assets.services import save_asset_row, store_file
from records.audit.services import Actor
from records.models import Asset
from training.datasets.documents import full_dataset_document
from training.datasets.layouts.entries import Split, snapshot_of
from training.datasets.layouts.labels import GOOD
from training.datasets.selectors import dataset_with_counts
from training.datasets.services import REPORTED, keep_snapshot, slug_of
from training.models import Dataset, DatasetImage

KIND = "dataset.made_from_reviews"
TEST_SHARE = 0.2
# Of defective parts whose reviewer named no type.
_UNNAMED = "defect"
# Of a file's name: of what the part is called, and of the hash after it.
_MAX_NAMES, _HASH_DIGITS = 60, 12


@dataclass(frozen=True)
class Choice:
    """Which reviewed records become images of a data set.

    Attributes:
        filters: which records are looked at; those that nobody reviewed never count.
        test_share: of the good parts, from 0 to 1; which ones is decided by the hash of the image, so that an image
            that was once held back for testing is held back from every later data set too. Defective parts are for
            testing always, and so is what no model could align.
        include_confirmed_good: also good parts that the model passed, not only those that it wrongly rejected.
        include_contested: also images about which reviews differ; the last word counts.
    """

    filters: Filters
    test_share: float = TEST_SHARE
    include_confirmed_good: bool = True
    include_contested: bool = False


@dataclass(frozen=True)
class _Labelled:
    """One image with what people said of it. `path` and hashes as in `training.datasets.layouts.entries.Entry`."""

    asset: Asset
    path: str
    split: Split
    is_defective: bool
    defect_type: str
    regions: Sequence[dict[str, int]] = ()
    mask: Asset | None = None

    @property
    def sha256(self) -> str:
        return self.asset.sha256

    @property
    def mask_sha256(self) -> str | None:
        return self.mask.sha256 if self.mask else None


@dataclass
class _Selection:
    """The images of a data set to be, and the records that are left out."""

    images: list[_Labelled] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)  # inspection, reason

    def leave_out(self, standing: Standing, reason: str) -> None:
        self.left_out.append((str(standing.inspection_id), reason))


def dataset_from_reviews(*, name: str, category: Category, choice: Choice, actor: Actor) -> tuple[Dataset, bool]:
    """Make a data set of reviewed images. Returns (data set, whether it is new); equal content is the same snapshot.

    Every image is there once, labelled by its last review, with the named defect types as classes and, where regions
    were marked, with a mask of them. Images that retention discarded are left out, and reported like all others.

    Raises:
        Forbidden, `UserError` for a name or a share that cannot be, and `Conflict` where no image is left. Nothing was
        kept then.
    """
    require(actor, Right.TRAIN)
    slug = slug_of(name)
    if not 0 <= choice.test_share <= 1:
        raise UserError("test_share lies between 0 and 1. Nothing was kept.", code="invalid")
    choice = replace(choice, filters=replace(choice.filters, category=category))
    selection = _select(choice)
    if not selection.images:
        raise Conflict(
            f"No reviewed image of {category.name} can be used ({_in_words(selection) or 'none is reviewed'}). Nothing "
            "was saved. Review some records, or widen the selection.",
            code="no_reviewed_images",
        )
    return _keep(
        slug, category, selection.images, _report(selection, choice), actor, source=f"reviews of {category.name}"
    )


@dataclass(frozen=True)
class Extended:
    """A data set that was made of another one and what was reviewed since, and what it has that the other has not."""

    dataset: Dataset
    training: int
    test_good: int
    test_defective: int


def extended_dataset(*, base: Dataset, actor: Actor) -> Extended:
    """A new snapshot of a data set's name: its images, and those that were reviewed in its category and are not in it.

    Good parts are training images, but for the share that is always held back; defects are test images. An image of
    the data set that the last word calls something else than the data set does is left out of it, and comes as it was
    reviewed. What retention removed, and what reviews differ about, is left out.

    Raises `Forbidden`, and `Conflict` where no reviewed image is new. Nothing was kept then.
    """
    require(actor, Right.TRAIN)
    choice = Choice(filters=Filters(category=base.category))
    selection = _select(choice)
    reviewed = {image.asset.pk: image for image in selection.images}
    kept = []
    for row in base.images.select_related("asset", "mask").order_by("path"):
        image = reviewed.get(row.asset_id)
        if image is not None and image.is_defective == row.is_defective:
            del reviewed[row.asset_id]
        elif image is not None:
            continue
        kept.append(
            _Labelled(
                asset=row.asset,
                path=row.path,
                split=cast(Split, row.split),
                is_defective=row.is_defective,
                defect_type=row.defect_type,
                mask=row.mask,
            )
        )
    split = Counter((image.split, image.is_defective) for image in reviewed.values())
    if not split["train", False]:
        raise Conflict(
            f"No good part of {base.category.name} that was reviewed is new to {base}. Nothing was started. Review "
            "more parts first.",
            code="nothing_to_learn",
        )
    report = _report(selection, choice) | {"extends": base.pk}
    images = [*kept, *reviewed.values()]
    dataset, _ = _keep(base.name, base.category, images, report, actor, source=f"{base} and reviews")
    return Extended(dataset, split["train", False], split["test", False], split["test", True])


def reviewed_images(category: Category) -> list[tuple[Asset, bool, str]]:
    """Each reviewed image of a category once, as its last review labels it: whether it is defective, and the type.

    Without what retention removed and what reviews differ about.
    """
    selection = _select(Choice(filters=Filters(category=category)))
    return [(image.asset, image.is_defective, image.defect_type) for image in selection.images]


def _keep(
    name: str, category: Category, labelled: Sequence[_Labelled], report: dict[str, Any], actor: Actor, *, source: str
) -> tuple[Dataset, bool]:
    """A snapshot of these images, with the files of their masks in place. Returns (data set, whether it is new)."""
    filed = [_with_mask(image) for image in labelled]
    with transaction.atomic():
        images = [replace(image, mask=image.mask and save_asset_row(image.mask)) for image in filed]
        dataset, created = keep_snapshot(
            kind=KIND,
            name=name,
            category=category,
            snapshot=snapshot_of(images),
            source=source,
            report=report,
            images=[
                DatasetImage(
                    asset=image.asset,
                    path=image.path,
                    split=image.split,
                    is_defective=image.is_defective,
                    defect_type=image.defect_type,
                    mask=image.mask,
                )
                for image in images
            ],
            actor=actor,
        )
        if dataset.category_id != category.pk:
            raise Conflict(f"There is a data set {name} with these images, of {dataset.category.name}. Name another.")
        if dataset.images.filter(asset__discarded_at__isnull=False).exists():
            raise Conflict("An image was deleted at the same time. Nothing was saved. Try again.")
    return dataset, created


@dataclass(frozen=True)
class Count:
    """How many images a choice has, before anything is made of it. `left_out`: how many records, and why."""

    training: int
    test_good: int
    test_defective: int
    masks: int
    left_out: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        return self.training + self.test_good + self.test_defective


def count_images(*, category: Category, choice: Choice) -> Count:
    """What `dataset_from_reviews` would make of a choice now."""
    selection = _select(replace(choice, filters=replace(choice.filters, category=category)))
    split = Counter((image.split, image.is_defective) for image in selection.images)
    return Count(
        training=split["train", False],
        test_good=split["test", False],
        test_defective=split["test", True],
        masks=sum(bool(image.regions) for image in selection.images),
        left_out=tuple(Counter(reason for _, reason in selection.left_out).most_common()),
    )


# ---------------------------------------------------------------- which images, and what they are
def _select(choice: Choice) -> _Selection:
    selection = _Selection()
    for standings in _by_image(choice.filters):
        last = standings[0]
        differ = len({standing.verdict for standing in standings}) > 1
        hard = any(standing.overruled for standing in standings)
        if last.inspection.asset.discarded_at is not None:
            reason = "its image was deleted"
        elif not choice.include_contested and (differ or any(standing.contested for standing in standings)):
            reason = "its reviews differ"
        elif last.verdict == Review.Verdict.GOOD and not choice.include_confirmed_good and not hard:
            reason = "it is good and no model rejected it"
        else:
            selection.images.append(_labelled(standings, choice.test_share))
            continue
        for standing in standings:
            selection.leave_out(standing, reason)
    selection.images.sort(key=lambda image: image.path)
    return selection


def _by_image(filters: Filters) -> Iterator[list[Standing]]:
    """The standings of the records that are meant, image by image, the one with the last word first."""
    inspections = filters.apply(Inspection.objects.filter(standing__isnull=False))
    rows = (
        Standing.objects.filter(inspection__in=inspections.order_by().values("pk"))
        .select_related("inspection__asset", "last_review")
        .only(
            "verdict",
            "defect_type",
            "overruled",
            "contested",
            "inspection__outcome",
            "inspection__reason",
            "inspection__asset",
            *_FIELDS,
        )
        .order_by("inspection__asset_id", "-last_review_id")
    )
    together: list[Standing] = []
    for standing in rows.iterator(chunk_size=2000):
        if together and together[0].inspection.asset_id != standing.inspection.asset_id:
            yield together
            together = []
        together.append(standing)
    if together:
        yield together


_FIELDS = (
    "last_review__regions",
    "inspection__serial_number",
    "inspection__filename",
    "inspection__reason",
    *(f"inspection__asset__{name}" for name in ("sha256", "content_type", "width", "height", "discarded_at")),
)


def _labelled(standings: list[Standing], test_share: float) -> _Labelled:
    last = standings[0]
    asset = last.inspection.asset
    is_defective = last.verdict == Review.Verdict.DEFECTIVE
    defect_type = (last.defect_type or _UNNAMED) if is_defective else GOOD
    # A picture of another kind can be learnt from, so that its kind is judged; what cannot be aligned cannot.
    odd = any(
        standing.inspection.outcome == Inspection.Outcome.NOT_COMPARABLE and standing.inspection.reason not in REASONS
        for standing in standings
    )
    split: Split = "test" if is_defective or odd or share_of(asset.sha256) < test_share else "train"
    folder = _folder(defect_type) if is_defective else GOOD
    return _Labelled(
        asset=asset,
        path=f"{split}/{folder}/{_filename(standings[-1].inspection)}",
        split=split,
        is_defective=is_defective,
        defect_type=defect_type,
        regions=last.last_review.regions,
    )


def _folder(defect_type: str) -> str:
    """A folder's name for what a person wrote, which may hold anything."""
    short = short_name(defect_type)
    return short if short not in ("", GOOD) else hashlib.sha256(defect_type.encode()).hexdigest()[:16]


def _filename(inspection: Inspection) -> str:
    """What people call the part: its serial number, else the name of the file; and enough of the hash to be unique."""
    asset = inspection.asset
    extension = EXTENSION_OF_FORMAT[asset.image_format]
    called = short_name(inspection.serial_number) or short_name(PurePath(inspection.filename).stem) or "image"
    return f"{called[:_MAX_NAMES]}-{asset.sha256[:_HASH_DIGITS]}.{extension}"


def share_of(sha256: str) -> float:
    """A number from 0 to 1 (excluded) that an image has for good, as if drawn by lot."""
    return int(hashlib.sha256(f"split:{sha256}".encode()).hexdigest()[:13], 16) / 16**13


def _with_mask(image: _Labelled) -> _Labelled:
    """With the file of its mask in place, where a person marked regions."""
    if not image.regions:
        return image
    size = (image.asset.width, image.asset.height)
    return replace(
        image,
        mask=store_file(
            data=mask_png(image.regions, size), extension="png", content_type="image/png", width=size[0], height=size[1]
        ),
    )


def mask_png(regions: Sequence[dict[str, int]], size: tuple[int, int]) -> bytes:
    """The marked boxes, white on black, as a PNG of width and height `size`."""
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    for region in regions:
        x, y = region["x"], region["y"]
        draw.rectangle((x, y, x + region["width"] - 1, y + region["height"] - 1), fill=255)
    out = BytesIO()
    mask.save(out, "PNG")
    return out.getvalue()


# ---------------------------------------------------------------- what is reported
def dataset_document(dataset: Dataset, *, created: bool) -> dict[str, Any]:
    """The data set, whether it is new, and what its report says: as requested, what was left out and why."""
    return {
        **full_dataset_document(dataset_with_counts(dataset.pk)),
        "created": created,
        "made_from": dataset.report.get("made_from", {}),  # the same content may have been imported before
    }


def _report(selection: _Selection, choice: Choice) -> dict[str, Any]:
    return {
        "skipped": [[inspection, reason] for inspection, reason in selection.left_out[:REPORTED]],
        "skipped_count": len(selection.left_out),
        "warnings": list(_doubts(selection)),
        "made_from": {
            "filters": choice.filters.as_dict(),
            "test_share": choice.test_share,
            "include_confirmed_good": choice.include_confirmed_good,
            "include_contested": choice.include_contested,
        },
    }


def _doubts(selection: _Selection) -> Iterator[str]:
    """What is legitimate, and yet worth a look."""
    if selection.left_out:
        yield f"Left out: {_in_words(selection)}."
    training = sum(image.split == "train" for image in selection.images)
    if training < 2:
        yield f"There are {training} training images: enough to extend a version at most, too few to train one."
    if training == len(selection.images):
        yield "There are no test images: a model can be trained, but not evaluated."
    unmasked = sum(image.is_defective and not image.regions for image in selection.images)
    if unmasked:
        yield f"{unmasked} test images with defects have no mask; pixel metrics leave them out."


def _in_words(selection: _Selection) -> str:
    counts = Counter(reason for _, reason in selection.left_out)
    return ", ".join(
        f"{count} record{'' if count == 1 else 's'} because {reason}" for reason, count in counts.most_common()
    )
