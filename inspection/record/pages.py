"""Reads: what the page of one record shows beside it: neighbours, where its score lies, its life, parts like it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.api.pagination import keyset_filter
from common.numbers import millimetres, score_text
from common.web.charts import Chart, lanes
from inspection.history.filters import Filters
from inspection.history.selectors import ORDERS, in_order, matching_keys, records_of
from inspection.judging import selectors
from inspection.judging.documents import measured_regions
from inspection.models import Inspection, InspectionRequest, PartInspectionView, Review
from inspection.reviews.selectors import RECORDED
from inspection.reviews.services import effective_reviews
from inspection.reviews.words import verdict_word
from modelzoo.signatures.selectors import signed_rows
from records.audit.selectors import changes_of
from records.models import Asset, AuditEvent

_BINS = 30
_MAX_SAME_PART = 12
_MAX_EVENTS = 200
# Written by retention, which knows of records; records do not know of it.
_DISCARDED = "retention.discarded"
_DISCARDS_LOOKED_AT = 10


def open_record(inspection_id: uuid.UUID) -> Inspection:
    """A record with all that its page names. Raises `NotFound`."""
    named = ("threshold__author", "deployment__requested_by", "request__batch", "standing__last_review")
    return selectors.find_inspection(inspection_id, among=selectors.inspections().select_related(*named))


# ---------------------------------------------------------------- before and after it
def neighbours(
    record: Inspection, filters: Filters, order: str = "newest"
) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    """The record before and the one after it in an order of those that are meant, be it one of them or not."""
    keys, after = in_order(filters, order)
    column = ORDERS[order].removeprefix("-")
    value = {"created_at": record.created_at, "score": record.score, "signed_margin": record.margin}[column]
    if value is None:
        return None, None  # it has no place in this order
    place = [value, record.pk]
    before = tuple(name[1:] if name.startswith("-") else f"-{name}" for name in after)

    def first(ordering: tuple[str, ...]) -> uuid.UUID | None:
        row = keys.order_by(*ordering).filter(keyset_filter(ordering, place)).first()
        return row.pk if row else None

    return first(before), first(after)


def part_view_of(record: Inspection) -> PartInspectionView | None:
    """As which view of which part the record counts, where it is one of several."""
    return PartInspectionView.objects.select_related("part", "view").filter(inspection=record).first()


def same_part(record: Inspection) -> list[Inspection]:
    """Other records of the same serial number, newest first."""
    if not record.serial_number:
        return []
    of_part = Filters(serial_number=record.serial_number, category=record.model_version.category)
    rows = matching_keys(of_part).exclude(pk=record.pk)[:_MAX_SAME_PART]
    return records_of(rows)


# ---------------------------------------------------------------- its score
def score_chart(record: Inspection) -> Chart | None:
    """The score among those of held-out good parts; None where one of the two is missing."""
    good = np.asarray(record.model_version.held_out_scores, dtype=np.float64)
    if record.score is None or not good.size:
        return None
    score, threshold = record.score, record.threshold_value
    # A score far out would press the good parts into one bar: it stands at the edge then, with its number.
    low = min(float(good.min()), score, threshold)
    reach = max(float(good.max()), threshold) - low
    high = low + 1.8 * reach if reach > 0 else low + 1
    high = max(min(high, score * 1.05), low + 1.15 * reach, low + 1e-9)
    edges = np.linspace(low, high, _BINS + 1)
    counts = np.histogram(good, edges)[0].tolist()
    beyond_edge = " →" if score > high else ""
    shown = {"n": good.size, "score": score_text(score, threshold), "threshold": score_text(threshold)}
    name = _("Scores of %(n)s held-out good parts; this part scores %(score)s, the threshold is %(threshold)s")
    this_part = str(_("this part %(score)s")) % shown
    return lanes(
        str(name) % shown,
        edges.tolist(),
        {"good": (str(_("held-out good parts")), counts)},
        marks=[
            (threshold, f"{_('threshold')} {shown['threshold']}", "threshold"),
            (score, f"{this_part}{beyond_edge}", f"part-{record.outcome}"),
        ],
        x_label=str(_("anomaly score")),
    )


@dataclass(frozen=True)
class Step:
    """A step of the work, from `start` percent of all of it on."""

    name: str
    ms: float
    start: str
    width: str


_STEP_NAMES = {
    "decode_ms": _("decode and prepare"),
    "statistics_ms": _("image statistics"),
    "model_ms": _("model"),
    "map_ms": _("map and regions"),
}


def steps(record: Inspection) -> tuple[list[Step], float]:
    """How long each step took, and all of them together."""
    times = {name: float(value) for name, value in record.timings.items() if name.endswith("_ms")}
    total = sum(times.values())
    rows, start = [], 0.0
    for name, ms in times.items():
        width = 100 * ms / total if total > 0 else 0.0
        words = str(_STEP_NAMES.get(name) or name.removesuffix("_ms").replace("_", " "))
        rows.append(Step(words, ms, f"{start:.2f}", f"{width:.2f}"))
        start += width
    return rows, total


# ---------------------------------------------------------------- its regions
@dataclass(frozen=True)
class Place:
    """A defect region as a row, and the viewer's position that shows it closely."""

    peak: float
    peak_x: int
    peak_y: int
    area_px: int
    width: int
    height: int
    area_mm2: float | None
    box_mm: str
    is_ignored: bool
    severity: str | None
    view: str


def places(record: Inspection) -> list[Place]:
    width, height = record.asset.width, record.asset.height

    def place(region: dict[str, Any]) -> Place:
        zoom = min(12.0, max(2.0, 0.4 * min(width / region["width"], height / region["height"])))
        x = (region["x"] + region["width"] / 2) / width
        y = (region["y"] + region["height"] / 2) / height
        names = ("peak", "peak_x", "peak_y", "area_px", "width", "height", "area_mm2", "is_ignored", "severity")
        sides = [region["width_mm"], region["height_mm"]]
        box = "" if None in sides else f"{' x '.join(map(millimetres, sides))} mm"
        return Place(**{name: region[name] for name in names}, box_mm=box, view=f"{zoom:.2f},{x:.4f},{y:.4f}")

    return [place(region) for region in measured_regions(record) or []]


# ---------------------------------------------------------------- what happened to it
def reviews_of(record: Inspection) -> list[Review]:
    """In the order in which they were said, rows of `signed_rows`."""
    return list(signed_rows(record.reviews.select_related("reviewer"), kind=RECORDED).order_by("number"))


def marked_regions(reviews: list[Review]) -> list[dict[str, Any]]:
    """The places that people marked and stand by: not those of reviews that were undone."""
    return [region for review in effective_reviews(reviews) for region in review.regions]


_OUTCOMES = {
    Inspection.Outcome.GOOD.value: _("good"),
    Inspection.Outcome.DEFECTIVE.value: _("defective"),
    Inspection.Outcome.NOT_COMPARABLE.value: _("not comparable"),
}


@dataclass(frozen=True)
class Moment:
    """Something that happened to a record, in words."""

    at: datetime
    words: str
    by: str = ""


def life(record: Inspection, reviews: list[Review]) -> list[Moment]:
    """What happened to it, oldest first, for those who may see the record and not the audit log."""
    request = record.request
    received = {"source": record.source, "batch": request.batch.name if request.batch else ""}
    arrived = _("Received via %(source)s with the batch %(batch)s") if request.batch else _("Received via %(source)s")
    judged = {"outcome": _OUTCOMES[record.outcome], "model": record.model_version, "n": record.threshold.revision}
    moments = [
        Moment(request.created_at, str(arrived) % received, _name(record.operator)),
        Moment(
            record.created_at,
            str(_("Judged %(outcome)s by %(model)s, threshold revision %(n)s")) % judged,
            str(_("worker %(name)s")) % {"name": record.worker},
        ),
        *(Moment(review.created_at, _review_text(review), _name(review.reviewer)) for review in reviews),
    ]
    for words, asset in ((_("Image removed"), record.asset), (_("Anomaly map removed"), record.map)):
        if asset is not None and asset.discarded_at is not None:
            moments.append(Moment(asset.discarded_at, str(words), str(_("retention"))))
    return sorted(moments, key=lambda moment: moment.at)


def _review_text(review: Review) -> str:
    if review.verdict == Review.WITHDRAWN:
        return str(_("Review undone: not reviewed again"))
    sentence = _("Review undone: %(verdict)s again") if review.undoes_id else _("Reviewed as %(verdict)s")
    return str(sentence) % {"verdict": verdict_word(review.verdict)}


def _name(user: Any) -> str:
    return user.get_username() if user else ""


@dataclass(frozen=True)
class AuditEventDiff:
    """An audit event, and what differs between its before and after."""

    event: AuditEvent
    changes: list[dict[str, Any]]


def events_of(record: Inspection, reviews: list[Review]) -> list[AuditEventDiff]:
    """Everything that the audit log says of a record, its request, its reviews and its files, oldest first."""
    about = Q(object_type=Inspection._meta.label_lower, object_id=str(record.pk))
    about |= Q(object_type=InspectionRequest._meta.label_lower, object_id=str(record.request_id))
    about |= Q(object_type=Review._meta.label_lower, object_id__in=[str(review.pk) for review in reviews])
    events = list(AuditEvent.objects.filter(about).order_by("sequence")[:_MAX_EVENTS])
    gone = {event.pk: event for asset in (record.asset, record.map) for event in _discards(asset)}
    diffs = {event.pk: AuditEventDiff(event, _changes(event)) for event in events}
    # Such an event names hundreds of files: which policy did it is said of this one.
    diffs |= {pk: AuditEventDiff(event, changes_of(None, _without_files(event))) for pk, event in gone.items()}
    return [diffs[pk] for pk in sorted(diffs)]


def _changes(event: AuditEvent) -> list[dict[str, Any]]:
    return changes_of(json.loads(event.before), json.loads(event.after))


def _without_files(event: AuditEvent) -> dict[str, Any]:
    return {name: value for name, value in json.loads(event.after).items() if name != "files"}


def recorded_by(record: Inspection) -> AuditEvent:
    """The event that was written together with the record."""
    events = AuditEvent.objects.filter(object_type=Inspection._meta.label_lower, object_id=str(record.pk))
    return events.filter(kind="inspection.recorded").earliest("sequence")


def _discards(asset: Asset | None) -> Iterator[AuditEvent]:
    """The event that told of the removal of a file: among the first after it, for they are of one transaction."""
    if asset is None or asset.discarded_at is None:
        return
    since = AuditEvent.objects.filter(kind=_DISCARDED, at__gte=asset.discarded_at).order_by("sequence")
    yield from (event for event in since[:_DISCARDS_LOOKED_AT] if asset.sha256 in event.after)


def removal(record: Inspection) -> str:
    """By which rule the image was removed; empty where it was not, or no event tells."""
    for event in _discards(record.asset):
        after = json.loads(event.after)
        if after.get("policy_revision"):
            sentence = _("By revision %(n)s of the retention rule of %(category)s.")
            return str(sentence) % {"n": after["policy_revision"], "category": after["category"]}
    return ""
