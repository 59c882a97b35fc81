"""Reads: records whose anomaly maps look alike."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from django.core.files.storage import default_storage
from numpy.typing import NDArray

from inspection.history.selectors import records_of
from inspection.models import Inspection
from modelzoo.anomaly_maps import decode_map

log = logging.getLogger(__name__)

# ---------------------------------------------------------------- parts like it
NEAREST, BLOCKS = 200, 8
# Chosen by looking at cases: below it two maps have little in common but that they are maps.
MIN_LIKENESS = 0.6
_MAX_SIMILAR = 6


@dataclass(frozen=True)
class Similar:
    record: Inspection
    likeness: float  # 1: the same pattern; 0: none in common


def similar(record: Inspection) -> list[Similar]:
    """Records of the same model version whose maps are high in the same places, the most similar first; none where
    nothing is at least as alike as `MIN_LIKENESS`.

    Only the nearest scores are looked at, so that it takes as long in a year as today. Other records of the same image
    would only say that it is the same image.
    """
    if record.map is None or record.score is None or record.map.discarded_at is not None:
        return []
    others = (
        Inspection.objects.filter(model_version=record.model_version_id, map__discarded_at__isnull=True)
        .exclude(asset=record.asset_id)
        .select_related("map")
        .only("score", "map__file", "map__discarded_at")
    )
    above = others.filter(score__gte=record.score).order_by("score")[:NEAREST]
    below = others.filter(score__lt=record.score).order_by("-score")[:NEAREST]
    nearest = sorted(chain(above, below), key=lambda other: abs(other.score - record.score))[:NEAREST]  # type: ignore[operator]
    likeness: dict[Any, tuple[float, Inspection]] = {}
    for other in nearest:
        value = likeness_of(record, other)
        if value is not None:
            likeness.setdefault(other.map_id, (value, other))
    matches = [pair for pair in likeness.values() if pair[0] >= MIN_LIKENESS]
    best = sorted(matches, key=lambda pair: (-pair[0], str(pair[1].pk)))[:_MAX_SIMILAR]
    records = records_of([other for _, other in best])
    return [Similar(one, value) for one, (value, _) in zip(records, best, strict=True)]


def likeness_of(record: Inspection, other: Inspection) -> float | None:
    """How alike the maps of two records are: 1, the same pattern; 0, none in common. None where one has no map left."""
    if record.map is None or other.map is None or record.map.discarded_at or other.map.discarded_at:
        return None
    pattern, other_pattern = (_pattern(str(one.map.file.name)) for one in (record, other))  # type: ignore[union-attr]
    return None if pattern is None or other_pattern is None else float(pattern @ other_pattern)


@lru_cache(maxsize=10_000)
def _pattern(name: str) -> NDArray[np.float32] | None:
    """Where a map is high: the highest value of each of 8 x 8 blocks, without their mean, of length 1.

    Two of them multiplied are the correlation of the maps. None where retention took the file just now, or where what
    lies there is no map: it is like nothing. A file never changes under its name, so it is read once.
    """
    try:
        with default_storage.open(name) as stored:
            values = decode_map(stored.read(), 1.0)
    except FileNotFoundError:
        return None
    except ValueError:
        log.error("The map %s is damaged: it cannot be read. Restore it from a backup.", name)
        return None
    for axis, side in enumerate(values.shape):
        values = np.maximum.reduceat(values, np.arange(BLOCKS) * side // BLOCKS, axis=axis)
    flat = values.ravel() - values.mean()
    length = float(np.linalg.norm(flat))
    return flat / length if length > 0 else flat
