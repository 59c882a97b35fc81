"""Scoring the stored images of records with a model in memory, the same for all that look back."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import UserError
from inspection.models import Inspection
from modelzoo.evaluation.calibration import p_value
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion
from modelzoo.selectors import input_rules

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredScore:
    """What a model says about the image of a record, or why it says nothing: columns of `Rescored` and its like."""

    outcome: str = ""
    score: float | None = None
    p_value: float | None = None
    reason: str = ""
    error_code: str = ""


def score_records(
    loaded: scoring.LoadedModel, records: Sequence[Inspection], *, version: ModelVersion, threshold: float
) -> list[StoredScore]:
    """In the order of the records. An image's fault is that image's alone."""
    failures: dict[uuid.UUID, str] = {}
    images: list[tuple[Inspection, bytes]] = []
    for record in records:
        try:
            images.append((record, record.asset.read()))
        except UserError as error:  # retention removed the file
            failures[record.pk] = error.code
        except OSError:
            log.exception("The image of inspection %s cannot be read.", record.pk)
            failures[record.pk] = "image_unreadable"
    results = _score_images(scoring.with_rules(loaded, input_rules(version.category_id)), images)
    return [
        StoredScore(error_code=failures[record.pk])
        if record.pk in failures
        else _stored_score(results[record.pk], version=version, threshold=threshold)
        for record in records
    ]


def _score_images(
    loaded: scoring.LoadedModel, images: Sequence[tuple[Inspection, bytes]]
) -> dict[uuid.UUID, scoring.ImageScore | scoring.IncomparableImage | Exception]:
    try:
        results = scoring.score(loaded, [data for _, data in images]) if images else []
    except Exception as error:
        if len(images) == 1:
            log.exception("Scoring inspection %s again failed.", images[0][0].pk)
            return {images[0][0].pk: error}
        return {pk: result for image in images for pk, result in _score_images(loaded, [image]).items()}
    return {record.pk: result for (record, _), result in zip(images, results, strict=True)}


def _stored_score(
    result: scoring.ImageScore | scoring.IncomparableImage | Exception, *, version: ModelVersion, threshold: float
) -> StoredScore:
    if isinstance(result, Exception):
        return StoredScore(error_code=result.code if isinstance(result, UserError) else "scoring_failed")
    if isinstance(result, scoring.IncomparableImage):
        return StoredScore(outcome=Inspection.Outcome.NOT_COMPARABLE, reason=result.reason)
    if not math.isfinite(result.score):
        return StoredScore(error_code="scoring_failed")
    return StoredScore(
        outcome=Inspection.Outcome.of(result.score, threshold),
        score=result.score,
        p_value=p_value(result.score, version.held_out_scores) if version.held_out_scores else None,
    )
