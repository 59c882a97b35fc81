"""Reads: records, batches and the state of the line, in the shapes that API and pages show."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from numpy.typing import NDArray

from common.errors import NotFound, UserError
from common.rights import Right, may
from common.version import library_versions
from inspection.models import Inspection, InspectionRequest, Review, Standing
from jobs import broker
from jobs.broker import INFERENCE, QUEUES
from modelzoo.anomaly_maps import MEDIA_TYPE, decode_map, render_heat
from modelzoo.models import Deployment
from modelzoo.selectors import active_deployments, default_category, threshold_in_force, without_category
from records.assets.images import open_rgb, thumbnail
from records.selectors import gate_limits
from records.services import Actor

_STARTED = time.time()
MAP_FORMS = ("full", "url", "none")
# How pages and documents call a verdict, the model's and a person's alike.
VERDICT_WORDS = {
    Inspection.Outcome.GOOD.value: "GOOD",
    Inspection.Outcome.DEFECTIVE.value: "DEFECT",
    Inspection.Outcome.NOT_COMPARABLE.value: "NOT COMPARABLE",
    Review.WITHDRAWN: "WITHDRAWN",
}


def inspections() -> QuerySet[Inspection]:
    """Records with what every view of them names, newest first."""
    return Inspection.objects.select_related(
        "model_version__category", "threshold", "asset", "map", "operator", "request", "standing__reviewer"
    ).order_by("-created_at", "-id")


def find_inspection(inspection_id: uuid.UUID, *, among: QuerySet[Inspection] | None = None) -> Inspection:
    found = (inspections() if among is None else among).filter(pk=inspection_id).first()
    if found is None:
        raise NotFound(f"There is no inspection {inspection_id}.", code="inspection_not_found")
    return found


def review_ids_of(inspection_id: str) -> list[str]:
    """As the audit log names them; none of what is no inspection's id."""
    try:
        wanted = uuid.UUID(inspection_id)
    except ValueError:
        return []
    return [str(pk) for pk in Review.objects.filter(inspection=wanted).order_by("number").values_list("pk", flat=True)]


def verdict_in_words(inspection: Inspection) -> str:
    """What stands of a record, as a title says it: a person's word with the name where it overrules the model's."""
    word = VERDICT_WORDS[inspection.stands]
    return f"{word}, {inspection.standing.reviewer.get_username()}" if inspection.differs else word


# ---------------------------------------------------------------- requests
def waiting_requests() -> QuerySet[InspectionRequest]:
    """Single images whose callers wait for a verdict."""
    return InspectionRequest.objects.filter(batch__isnull=True, status__in=InspectionRequest.OPEN, deadline__gt=Now())


def find_request(request_id: uuid.UUID, *, actor: Actor) -> InspectionRequest:
    """What somebody asked for. Who may not read records finds their own requests alone."""
    found = InspectionRequest.objects.select_related("asset", "inspection").filter(pk=request_id)
    if not may(actor, Right.READ):
        found = found.filter(operator=actor.pk if actor else None)
    request = found.first()
    if request is None:
        raise NotFound(f"There is no request {request_id}.", code="request_not_found")
    return request


def request_document(request: InspectionRequest) -> dict[str, Any]:
    """What became of a request: whether its image has a record, may get one yet, or never will."""
    record = getattr(request, "inspection", None)
    ended = request.status in InspectionRequest.WITHOUT_RECORD
    image_kept = request.asset is not None and request.asset.discarded_at is None
    repeatable = ended and image_kept and request.batch_id is None
    return {
        "request_id": str(request.pk),
        "status": request.status,
        "final": request.status not in InspectionRequest.OPEN,
        "deadline": request.deadline.isoformat() if request.deadline else None,
        "inspection_id": str(record.pk) if record else None,
        "inspection_url": reverse("api-inspection", args=[record.pk]) if record else None,
        "code": request.error_code,
        "detail": request.error,
        "repeat_url": reverse("api-request-inspect", args=[request.pk]) if repeatable else None,
        "repeat_of": str(request.repeat_of_id) if request.repeat_of_id else None,
        "batch_id": str(request.batch_id) if request.batch_id else None,
        "filename": request.filename,
        "path": request.path,
        "image_sha256": request.asset.sha256 if request.asset else None,
        "station": request.station,
        "part_number": request.part_number,
        "lot": request.lot,
        "serial_number": request.serial_number,
        "created_at": request.created_at.isoformat(),
    }


def check_map_form(wanted: str, *, allowed: tuple[str, ...] = MAP_FORMS) -> str:
    if wanted not in allowed:
        raise UserError(f"anomaly_map must be one of {', '.join(allowed)}.", code="invalid")
    return wanted


def inspection_document(inspection: Inspection, *, anomaly_map: str = "url") -> dict[str, Any]:
    """One record as the API answers it: the seed's fields first, then what makes it a record.

    What is not comparable has no verdict, no score and no map: these are null, and `reason` and `explanation` are not.
    The numbers of a map that retention removed are null too.
    """
    document = listed_document(inspection) | {"regions": inspection.regions, "timings": inspection.timings}
    if anomaly_map == "none":
        document["anomaly_map"] = None
    elif anomaly_map == "full" and inspection.map is not None:
        document["anomaly_map"] = None if inspection.map.discarded_at else _numbers(inspection)
    return document


def listed_document(inspection: Inspection) -> dict[str, Any]:
    """The same for lists: without regions and timings, which are long, and with the map's address."""
    version = inspection.model_version
    return {
        "reconstruction_error": inspection.score,
        "is_defective": inspection.is_defective,
        "threshold": inspection.threshold_value,
        "confidence": inspection.confidence,
        "anomaly_map": reverse("inspection-map", args=[inspection.pk]) if inspection.map is not None else None,
        "inspection_id": str(inspection.pk),
        "outcome": inspection.outcome,
        "reason": inspection.reason,
        "explanation": inspection.explanation,
        "warnings": [
            {"code": finding["code"], "detail": finding["explanation"]} for finding in inspection.input_findings or []
        ],
        "score": inspection.score,
        "p_value": inspection.p_value,
        "region_count": inspection.region_count,
        "largest_region_px": inspection.largest_region_px,
        "algorithm": version.algorithm,
        "model_version": version.pk,
        "category": version.category.name,
        "threshold_revision": inspection.threshold.revision,
        "filename": inspection.filename,
        "path": inspection.request.path,
        "image_sha256": inspection.asset.sha256,
        "image_format": inspection.asset.image_format,
        "image_url": reverse("inspection-image", args=[inspection.pk]),
        "overlay_url": reverse("inspection-overlay", args=[inspection.pk]) if inspection.map is not None else None,
        "page_url": reverse("inspection", args=[inspection.pk]),
        "station": inspection.station,
        "part_number": inspection.part_number,
        "lot": inspection.lot,
        "serial_number": inspection.serial_number,
        "device": inspection.device,
        "worker": inspection.worker,
        "created_at": inspection.created_at.isoformat(),
        "review": standing_document(getattr(inspection, "standing", None)),
    }


def standing_document(standing: Standing | None) -> dict[str, Any] | None:
    """Where a record stands after what people said of it, None where nobody did.

    No query of its own where the reviewer was fetched along.
    """
    if standing is None:
        return None
    return {
        "verdict": standing.verdict,
        "reviewer": standing.reviewer.get_username(),
        "defect_type": standing.defect_type,
        "overruled": standing.overruled,
        "contested": standing.contested,
        "reviews": standing.reviews,
    }


def _numbers(inspection: Inspection) -> list[list[float]]:
    """The map as nested lists [H][W]. Seven digits of its maximum: it is kept to less, and the rest would be noise."""
    values = _map_of(inspection)
    digits = 6 - math.floor(math.log10(values.max())) if values.max() > 0 else 0
    return values.astype(np.float64).round(digits).tolist()


# ---------------------------------------------------------------- pictures of a record
@dataclass(frozen=True)
class Picture:
    data: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)


def original(inspection: Inspection) -> Picture:
    """The bytes that were judged, as they were sent."""
    return Picture(inspection.asset.read(), inspection.asset.content_type)


def small(inspection: Inspection) -> Picture:
    return Picture(thumbnail(open_rgb(inspection.asset.read(), gate_limits())), "image/jpeg")


def _map_of(inspection: Inspection) -> NDArray[np.float32]:
    """The anomaly map [h, w] as it is kept: it lies over the whole image, pixel for pixel or reduced."""
    if inspection.map is None or inspection.map_maximum is None:
        raise _no_map(inspection)
    return decode_map(inspection.map.read(), inspection.map_maximum)


def _no_map(inspection: Inspection) -> NotFound:
    return NotFound(f"Inspection {inspection.pk} has no anomaly map: {inspection.explanation}", code="no_map")


def raw_map(inspection: Inspection) -> Picture:
    """The anomaly map as it is kept: 16-bit PNG; the header names the value of its highest level."""
    if inspection.map is None:
        raise _no_map(inspection)
    return Picture(inspection.map.read(), MEDIA_TYPE, {"X-Map-Maximum": repr(inspection.map_maximum)})


def heat(inspection: Inspection) -> Picture:
    """The map as a transparent layer over the image, on the scale of the threshold that was in force."""
    layer = render_heat(
        _map_of(inspection),
        threshold=inspection.threshold_value,
        width=inspection.asset.width,
        height=inspection.asset.height,
    )
    return Picture(layer, MEDIA_TYPE)


# ---------------------------------------------------------------- the line
def deployment_document(deployment: Deployment) -> dict[str, Any]:
    version = deployment.model_version
    threshold = threshold_in_force(version.pk)
    return {
        "deployment_id": deployment.pk,
        "category": version.category.name,
        "model_version": version.pk,
        "version_number": version.number,
        "algorithm": version.algorithm,
        "backbone": version.backbone or None,
        "device": deployment.device,
        "runtime": deployment.runtime,
        "precision": deployment.precision,
        "precision_chosen": deployment.precision_chosen,
        "worker": deployment.worker,
        "threshold": threshold.value,
        "threshold_revision": threshold.revision,
        "image_size": version.config.get("image_size"),
        "preprocessing": {
            step: version.preprocessing[step]["chosen"]
            for step in ("illumination", "align")
            if step in version.preprocessing
        },
        "loaded_at": deployment.activated_at.isoformat() if deployment.activated_at else None,
        "loaded_by": deployment.requested_by.get_username() if deployment.requested_by else None,
    }


def line_status() -> dict[str, Any]:
    """What is loaded, who works, what waits."""
    deployments = active_deployments()
    loaded = [deployment_document(deployment) for deployment in deployments]
    meant = without_category(deployments)
    model = loaded[deployments.index(meant)] if meant else None
    default = default_category()
    return {
        "model_loaded": bool(loaded),
        "model": model,
        "default_category": default.name if default else None,
        "deployments": loaded,
        "device": model["device"] if model else settings.DEVICE,
        "threshold": model["threshold"] if model else None,
        **traffic(),
        "versions": library_versions(),
        "uptime_seconds": round(time.time() - _STARTED, 1),
    }


def _scheduler() -> dict[str, Any]:
    alive = broker.scheduler_is_alive()
    return {"alive": alive, "since": None if alive else broker.last_sign(broker.SCHEDULER)}


def traffic() -> dict[str, Any]:
    """Who works, and what waits for them.

    `judging`: whether anybody judges images, since when nobody does (the last sign of life of an inference worker,
    None where that is not known or somebody does), and how many single images wait for their verdict. `scheduler`: the
    same of what takes up lost work and asks for what is due.
    """
    workers = broker.live_workers()
    queues = broker.queue_depths(QUEUES)
    alive = any(INFERENCE in served for served in workers.values())
    return {
        "judging": {
            "alive": alive,
            "since": None if alive else broker.last_sign(INFERENCE),
            "waiting": waiting_requests().count(),
        },
        "scheduler": _scheduler(),
        "workers": [{"name": name, "queues": served} for name, served in workers.items()],
        "queues": queues,
        "broker": "reachable" if None not in queues.values() else "unreachable",
    }
