"""Writes: importing snapshots."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from common.errors import Conflict, UserError
from common.names import MAX_CHARACTERS, short_name
from common.rights import Right, require
from modelzoo import services
from modelzoo.models import Category
from records.assets.images import inspect_upload
from records.assets.selectors import dataset_limits
from records.assets.services import store_image
from records.audit.services import Actor, audit
from records.models import Asset
from training.datasets.layouts.entries import CategoryScan, Entry
from training.datasets.layouts.masks import MaskUnusable, read_mask
from training.datasets.layouts.preview import category_preview
from training.models import Dataset, DatasetImage

REPORTED = 200  # skipped files kept by name in a data set's report


# ---------------------------------------------------------------- data sets
def _asset_of(path: Path, sha256: str) -> Asset:
    """The stored form of a file that the scan accepted (read again: the folder is not ours and may change)."""
    return _store(path.read_bytes(), path, sha256)


def _mask_asset(entry: Entry) -> Asset:
    """The stored form of a mask, which may be drawn or put together from several files."""
    assert entry.mask  # as the scan has it
    assert entry.mask_sha256
    path = entry.mask.files[0] if entry.mask.files else entry.absolute_path
    try:
        mask, _ = read_mask(entry.mask, (entry.width, entry.height), dataset_limits())
    except MaskUnusable as error:
        raise _changed(path) from error
    return _store(mask.data, path, entry.mask_sha256)


def _store(data: bytes, path: Path, sha256: str) -> Asset:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _changed(path)
    return store_image(data=data, facts=inspect_upload(data, path.name, dataset_limits()))


def _changed(path: Path) -> Conflict:
    return Conflict(f"{path} changed during the import. Nothing was saved. Import it again.")


def import_scan(*, scan: CategoryScan, name: str, source: str, actor: Actor) -> tuple[Dataset, bool]:
    """Keep one category as a snapshot. Returns (data set, whether it is new); the same content is the same row."""
    require(actor, Right.TRAIN)
    slug = slug_of(name)
    services.check_category_name(name=slug, given_name=name)  # before the files are copied
    existing = Dataset.objects.filter(name=slug, snapshot=scan.snapshot).first()
    if existing:
        return existing, False
    assets = {entry.sha256: _asset_of(entry.absolute_path, entry.sha256) for entry in scan.entries}
    masks = {entry.mask_sha256: _mask_asset(entry) for entry in scan.entries if entry.mask_sha256}
    images = [
        DatasetImage(
            path=entry.path,
            asset=assets[entry.sha256],
            split=entry.split,
            is_defective=entry.is_defective,
            defect_type=entry.defect_type,
            mask=masks[entry.mask_sha256] if entry.mask_sha256 else None,
        )
        for entry in scan.entries
    ]
    report = {
        "skipped": [[s.path, s.reason] for s in scan.skipped[:REPORTED]],
        "skipped_count": len(scan.skipped),
        "warnings": list(scan.warnings),
        "preview": category_preview(scan),
    }
    with transaction.atomic():
        return keep_snapshot(
            kind="dataset.imported",
            name=slug,
            category=services.ensure_category(name=slug, given_name=name),
            snapshot=scan.snapshot,
            source=source,
            report=report,
            images=images,
            actor=actor,
        )


def slug_of(name: str) -> str:
    """What a data set of this name is called. Raises `UserError` where nothing is left of it, or too much."""
    slug = short_name(name)
    if not slug:
        raise UserError(
            f"{name[:MAX_CHARACTERS]!r} cannot name a data set; use letters and digits of any script, - and _, at most "
            f"{MAX_CHARACTERS}.",
            code="invalid_name",
        )
    return slug


@transaction.atomic
def keep_snapshot(
    *,
    kind: str,
    name: str,
    category: Category,
    snapshot: str,
    source: str,
    report: dict[str, Any],
    images: list[DatasetImage],
    actor: Actor,
) -> tuple[Dataset, bool]:
    """The rows of a snapshot, whose files are in place. Returns (data set, whether it is new).

    `images` are not saved yet and belong to no data set. `kind` is that of the audit event. Raises `Forbidden`, and
    `Conflict` where a data set of another category has the name.
    """
    require(actor, Right.TRAIN)
    other = Dataset.objects.filter(name=name).exclude(category=category).select_related("category").first()
    if other:
        raise Conflict(
            f"The data set {name} is of category {other.category.name}, not {category.name}. Nothing was saved. "
            "Give it another name.",
            code="name_taken",
        )
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(
                name=name,
                category=category,
                snapshot=snapshot,
                source=source[:500],
                report=report,
                created_by_id=actor.pk if actor else None,
            )
    except IntegrityError:  # the same content is there, perhaps since a moment ago
        return Dataset.objects.select_related("category").get(name=name, snapshot=snapshot), False
    for image in images:
        image.dataset = dataset
    DatasetImage.objects.bulk_create(images, batch_size=500)
    audit(
        kind=kind,
        subject=dataset,
        actor=actor,
        after={"name": name, "snapshot": snapshot, "images": len(images), "source": source[:500]},
    )
    return dataset, True
