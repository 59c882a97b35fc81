"""Reads: which records are replayed, and how each of them was scored."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter

from django.db.models import QuerySet

from common.errors import NotFound
from inspection.models import Inspection
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.models import InputCheckSettings
from tuning.models import ReplayRun

_MAX_TRIES = 20  # of a draw, for each record that is wanted


def find_replay(run_id: int) -> ReplayRun:
    run = ReplayRun.objects.filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no replay {run_id}.", code="replay_not_found")
    return run


def replayable() -> QuerySet[Inspection]:
    """Records whose image is still there."""
    return Inspection.objects.filter(asset__discarded_at__isnull=True)


def draw(seed: str, sample: int) -> list[uuid.UUID]:
    """So many records, chosen by the seed alone: each number that it gives takes the record whose request comes next.

    Ids of requests are random (those of records are in the order of time), so every record has the same chance
    beforehand, and who knows the seed can draw them again.
    """
    rows = replayable().order_by("request_id").values_list("pk", flat=True)
    if rows[: sample + 1].count() <= sample:
        return sorted(rows)
    drawn: dict[uuid.UUID, None] = {}
    for number in range(_MAX_TRIES * sample):
        place = uuid.UUID(bytes=hashlib.sha256(f"{seed}:{number}".encode()).digest()[:16])
        drawn.setdefault(rows.filter(request_id__gte=place).first() or rows[0])
        if len(drawn) == sample:
            break
    return sorted(drawn)


@dataclass(frozen=True)
class Way:
    """How a record was scored: what has to be the same for its score to be the same."""

    model_version: int
    device: str
    runtime: str
    precision: str
    rules: tuple[object, ...]

    @property
    def input_rules(self) -> InputRules:
        return InputRules(*self.rules)  # type: ignore[arg-type]


def by_way(ids: Sequence[uuid.UUID]) -> list[tuple[Way, list[Inspection]]]:
    """The records, those of one version and one way together, so that each model is loaded once."""
    records = Inspection.objects.select_related("asset", "deployment", "threshold").filter(pk__in=ids)
    history = _RulesHistory()
    groups: dict[Way, list[Inspection]] = defaultdict(list)
    for record in records.order_by("model_version_id", "pk"):
        groups[_way_of(record, history)].append(record)
    return sorted(groups.items(), key=lambda group: repr(group[0]))


def _way_of(record: Inspection, history: _RulesHistory) -> Way:
    """As the record says; older ones do not, then as their deployment does."""
    chosen = record.deployment
    return Way(
        model_version=record.model_version_id,
        device=record.device,
        runtime=str(record.timings.get("runtime") or (chosen.runtime_chosen if chosen else "") or "torch"),
        precision=str(record.timings.get("precision") or (chosen.precision_chosen if chosen else "") or "fp32"),
        rules=history.at(record.category_id, record.created_at),
    )


class _RulesHistory:
    """What was checked of pictures of a category at a time: rows are only ever added."""

    def __init__(self) -> None:
        self._rows: dict[int, list[InputCheckSettings]] = {}

    def at(self, category_id: int, moment: datetime) -> tuple[object, ...]:
        if category_id not in self._rows:
            rows = InputCheckSettings.objects.filter(category_id=category_id).order_by("created_at", "pk")
            self._rows[category_id] = list(rows)
        past = [row for row in self._rows[category_id] if row.created_at <= moment]
        names = [field.name for field in fields(InputRules)]
        values: tuple[object, ...] = attrgetter(*names)(past[-1].rules if past else InputRules())
        return values
