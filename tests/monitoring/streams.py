"""Records of a line as charts see them, written without a model."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import numpy as np
from django.utils import timezone

from inspection.models import Inspection, InspectionRequest
from modelzoo.models import Deployment, ModelVersion
from modelzoo.selectors import threshold_in_force
from monitoring.drift.services import evaluate
from monitoring.models import Alarm
from tests.retention.test_services import stored
from tests.versions import serve

USUAL = {
    **{"brightness": (170.0, 1.0), "contrast": (30.0, 0.5), "focus": (12.0, 0.3), "noise": (3.0, 0.1)},
    **{"background": (180.0, 1.0), "saturation": (0.0, 0.0), "direction": (0.5, 0.2)},
    **{"alignment_residual": (0.05, 0.005), "likeness_distance": (0.3, 0.02)},
}


def statistics(count: int, *, seed: int = 0, **shifts: float) -> list[dict[str, float]]:
    """Of so many pictures, each number about its usual value; `shifts` are added to it."""
    generator = np.random.default_rng(seed)
    return [
        {name: float(generator.normal(mean + shifts.get(name, 0.0), spread)) for name, (mean, spread) in USUAL.items()}
        for _ in range(count)
    ]


def record_line(
    version: ModelVersion,
    rows: Iterable[Mapping[str, float] | None],
    *,
    station: str = "",
    scores: Iterable[float] | None = None,
    begin: datetime | None = None,
    serial_number: str = "",
) -> list[Inspection]:
    """A record for each row of statistics, a tenth of a second apart; all long settled."""
    rows = list(rows)
    threshold = threshold_in_force(version.pk)
    deployment = Deployment.objects.filter(model_version=version, status="active").first()
    if deployment is None:
        serve(version)
        deployment = Deployment.objects.get(model_version=version, status="active")
    newest = Inspection.objects.order_by("-created_at").first()
    usual_begin = max(
        newest.created_at if newest else timezone.now() - timedelta(hours=1), timezone.now() - timedelta(hours=1)
    )
    moment = begin or usual_begin
    image, anomaly_map = stored(b"an image of the line"), stored(b"a map of the line")
    generator = np.random.default_rng(len(rows))
    values = list(scores or generator.normal(0.5 * threshold.value, 0.05 * threshold.value, len(rows)))
    made = []
    for index, (row, score) in enumerate(zip(rows, values, strict=True)):
        request = InspectionRequest.objects.create(
            asset=image, model_version=version, deployment=deployment, filename="a.png", source="api", status="done"
        )
        made.append(
            Inspection.objects.create(
                request=request,
                asset=image,
                deployment=deployment,
                model_version=version,
                category=version.category,
                threshold=threshold,
                threshold_value=threshold.value,
                outcome=Inspection.Outcome.of(score, threshold.value),
                score=score,
                image_statistics=row,
                map=anomaly_map,
                map_maximum=1.0,
                filename="a.png",
                source="api",
                station=station,
                serial_number=serial_number,
                timings={},
                device="cpu",
                worker="test",
                code_version="test",
                created_at=moment + timedelta(milliseconds=100 * (index + 1)),
            )
        )
    return made


def drifted(version: ModelVersion, *, station: str = "") -> Alarm:
    """The alarm of a lamp that went dim after 120 parts."""
    record_line(version, statistics(120), station=station)
    record_line(version, statistics(20, seed=1, brightness=-17.0), station=station)
    evaluate(until=timezone.now() + timedelta(hours=1))
    return Alarm.objects.get(category=version.category, station=station, status="open")


def checked(version: ModelVersion, *serial_numbers: str, station: str = "", score: float | None = None) -> None:
    """An inspection of each of these parts, well below the threshold unless said, taken in."""
    value = 0.5 * threshold_in_force(version.pk).value if score is None else score
    for serial_number in serial_numbers:
        record_line(version, statistics(1), station=station, scores=[value], serial_number=serial_number)
    evaluate(until=timezone.now() + timedelta(hours=1))


def not_comparable(version: ModelVersion, serial_number: str, *, station: str = "") -> Inspection:
    """An inspection of a part that the model could not judge, taken in."""
    [judged] = record_line(version, statistics(1), station=station)
    request = InspectionRequest.objects.create(
        asset=judged.asset,
        model_version=version,
        deployment=judged.deployment,
        filename="a.png",
        source="api",
        status="done",
    )
    record = Inspection.objects.get(pk=judged.pk)
    record.pk, record.request = uuid.uuid4(), request
    record.outcome, record.score, record.map, record.map_maximum = "not_comparable", None, None, None
    record.reason, record.explanation = "no_part_found", "No part."
    record.serial_number, record.created_at = serial_number, judged.created_at + timedelta(milliseconds=50)
    record.save(force_insert=True)
    evaluate(until=timezone.now() + timedelta(hours=1))
    return record
