"""Whether the files that rows name are there, and are what the rows and their events say: `verify_audit --files`.

Stored images, masks and maps are known here; each app registers what else it names (in `ready`).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.db.models import Max, Min, QuerySet

from records.models import Asset

_CHUNK = 500


@dataclass(frozen=True)
class NamedFiles:
    """Files of one kind. `fault_of` says what is wrong with that of a row (no full stop), empty where nothing is.

    `share`: of a sample, how large a part is of this kind; a model takes as long as many images.
    """

    rows: Callable[[], QuerySet[Any]]
    fault_of: Callable[[Any], str]
    share: float = 1.0


_registry: dict[str, NamedFiles] = {}


def register_files(label: str, files: NamedFiles) -> None:
    _registry[label] = files


def fault_of_asset(asset: Asset) -> str:
    """A file that is missing or is not what the hash of its row says; retention may have taken it meanwhile."""
    digest = hashlib.sha256()
    try:
        with default_storage.open(str(asset.file.name)) as stored:
            while block := stored.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        if not Asset.objects.filter(pk=asset.pk, discarded_at__isnull=True).exists():
            return ""
        return f"the file of {asset.sha256[:12]} ({asset.file.name}) is missing"
    except (OSError, ValueError, SuspiciousFileOperation) as error:
        return f"the file of {asset.sha256[:12]} ({asset.file.name}) cannot be read ({type(error).__name__})"
    if digest.hexdigest() != asset.sha256:
        return f"the file of {asset.sha256[:12]} ({asset.file.name}) is another one than its hash says"
    return ""


def verify_files(
    *, sample: int | None = None, seed: str = "", progress: Callable[[int], None] | None = None
) -> tuple[int, list[str]]:
    """How many files are as they should be, and what is wrong with the others.

    `sample`: that many, drawn by `seed`; None: all. Rows are drawn by their number, so that a billion costs no more.
    """
    count, faults = 0, []
    for label, files in _all().items():
        rows = files.rows()
        everything = rows.order_by("pk").iterator(chunk_size=_CHUNK)
        for row in (
            everything if sample is None else _draw(rows, f"{seed}:{label}", max(1, round(sample * files.share)))
        ):
            fault = files.fault_of(row)
            if fault:
                faults.append(fault)
            else:
                count += 1
            if progress:
                progress(0)
    return count, faults


def faults_of_files(label: str) -> list[str]:
    """What is wrong with the files of one kind, all of them."""
    files = _all()[label]
    return [fault for row in files.rows().order_by("pk").iterator(chunk_size=_CHUNK) if (fault := files.fault_of(row))]


def files_besides_assets() -> list[str]:
    return list(_registry)


def _all() -> dict[str, NamedFiles]:
    assets = NamedFiles(rows=lambda: Asset.objects.filter(discarded_at__isnull=True), fault_of=fault_of_asset)
    return {Asset._meta.label_lower: assets} | _registry


def _draw(rows: QuerySet[Any], seed: str, count: int) -> Iterator[Any]:
    """Whoever knows the seed draws the same again from the same rows; with gaps in the numbers it may be fewer."""
    ends = rows.aggregate(low=Min("pk"), high=Max("pk"))
    if ends["low"] is None:
        return
    # Reproducible on purpose; who forges cannot choose the seed, which is the newest hash of the chain.
    chance = random.Random(seed)
    drawn = {chance.randint(ends["low"], ends["high"]) for _ in range(count)}
    done = set()
    for number in sorted(drawn):
        row = rows.filter(pk__gte=number).order_by("pk").first()
        if row is not None and row.pk not in done:
            done.add(row.pk)
            yield row
