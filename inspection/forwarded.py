"""Writes: records that were judged elsewhere, on an edge node. What vouches for them there is checked by the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models, transaction

from inspection.audited_rows import expected_inspection
from inspection.models import Inspection, InspectionRequest
from modelzoo.models import ModelVersion, ScaleCalibration, Threshold
from records.assets.services import save_asset_row
from records.audit.services import Actor, audit
from records.models import Asset

NODE_SOURCE = "node"  # how such a record came; nobody who inspects here can say that


@dataclass(frozen=True)
class ForwardedJudgement:
    """What a node found.

    `asset` and `map`: files in place, perhaps without a row. `columns`: the other ones of a record that stand for
    themselves; `part`: file name, station, part number, lot and serial number.
    """

    asset: Asset
    map: Asset | None
    version: ModelVersion
    threshold: Threshold
    calibration: ScaleCalibration | None
    created_at: datetime
    part: Mapping[str, str]
    columns: Mapping[str, Any]


@transaction.atomic
def write_forwarded(
    *,
    judgement: ForwardedJudgement,
    key: str,
    said: Mapping[str, Any],
    also: Callable[[Inspection], Iterable[models.Model]],
    actor: Actor,
) -> Inspection:
    """The record with a request that is done and its audit event, all or nothing.

    `key`: of the request; a second one with it is an `IntegrityError`. `said`: what the event says besides. `also`:
    rows that are written with the record, and attested by its event. No deployment of here judged it, so nobody is told
    the verdict: the line heard it on the node.
    """
    version = judgement.version
    asset = save_asset_row(judgement.asset)
    request = InspectionRequest.objects.create(
        asset=asset,
        model_version=version,
        status=InspectionRequest.Status.DONE,
        source=NODE_SOURCE,
        idempotency_key=key,
        **judgement.part,
    )
    inspection = Inspection(
        request=request,
        asset=asset,
        model_version=version,
        category_id=version.category_id,
        threshold=judgement.threshold,
        threshold_value=judgement.threshold.value,
        calibration=judgement.calibration,
        map=save_asset_row(judgement.map) if judgement.map else None,
        source=NODE_SOURCE,
        backbone_sha256=version.backbone_sha256,
        created_at=judgement.created_at,
        **judgement.part,
        **judgement.columns,
    )
    inspection.save(force_insert=True)
    rows = list(also(inspection))
    audit(
        kind="inspection.recorded",
        subject=inspection,
        actor=actor,
        after={**expected_inspection(inspection), **said},
        attests=rows,
    )
    return inspection
