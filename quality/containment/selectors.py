"""Reads: the conditions under which a part escaped, the parts that passed under them, and how many more escapes to
expect."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max, Q, QuerySet

from common.errors import Conflict, NotFound
from inspection.models import Inspection, Review
from modelzoo.models import ModelVersion
from monitoring.models import ReferenceCheck, ReferencePart
from quality.models import ContainedPart, Containment
from quality.random_audit.selectors import figures_of


@dataclass(frozen=True)
class Bound:
    """Since when parts of a station are searched: until then it judged its reference parts as it had to."""

    station: str
    since: datetime
    parts: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"station": self.station, "since": self.since.isoformat(), "reference_parts": list(self.parts)}


@dataclass(frozen=True)
class Conditions:
    """Since when a part could pass as the escape did, and what had changed then; later at the stations of `bounds`."""

    since: datetime
    since_what: str
    bounds: tuple[Bound, ...] = ()


def containments() -> QuerySet[Containment]:
    return Containment.objects.select_related(
        "escape__category",
        "escape__model_version__category",
        "escape__threshold",
        "rescoring__model_version__category",
        "requested_by",
    ).defer(*ModelVersion.long_columns("escape__model_version"), *ModelVersion.long_columns("rescoring__model_version"))


def find_containment(containment_id: uuid.UUID) -> Containment:
    containment = containments().filter(pk=containment_id).first()
    if containment is None:
        raise NotFound(f"There is no containment {containment_id}.", code="containment_not_found")
    return containment


def conditions_of(escape: Inspection) -> Conditions:
    """The last change of the threshold or of the model before an escape, which passed under what came of it."""
    deployment = escape.deployment
    changes = [(escape.threshold.created_at, Containment.Since.THRESHOLD)]
    if deployment and deployment.activated_at and deployment.activated_at <= escape.created_at:
        changes.append((deployment.activated_at, Containment.Since.DEPLOYMENT))
    since, what = max(changes)
    since = min(since, escape.created_at)
    return Conditions(since, str(what), tuple(bound for bound in reference_bounds(escape) if bound.since > since))


def reference_bounds(escape: Inspection) -> list[Bound]:
    """When each station was last proven before the escape: when the last of its category's reference parts in use
    had passed there. A station at which one of them had never passed has no such bound."""
    moment = escape.created_at
    in_use = ReferencePart.objects.filter(category=escape.category_id, created_at__lte=moment)
    names = dict(in_use.exclude(retired_at__lte=moment).values_list("pk", "serial_number"))
    passed = ReferenceCheck.objects.filter(part__in=names, passed=True, checked_at__lte=moment).order_by()
    by_station: dict[str, list[datetime]] = {}
    last = passed.values("station", "part").annotate(at=Max("checked_at"))
    for station, at in last.values_list("station", "at"):
        by_station.setdefault(station, []).append(at)
    parts = tuple(sorted(names.values()))
    # The earliest of them: whatever was inspected after it was not checked by all parts.
    return [
        Bound(station, min(times), parts) for station, times in sorted(by_station.items()) if len(times) == len(names)
    ]


def check_escape(escape: Inspection) -> None:
    """Raises `Conflict` for a record that is no escape: judged good, and defective by a person's word that stands."""
    standing = getattr(escape, "standing", None)
    if escape.outcome != Inspection.Outcome.GOOD or standing is None or standing.verdict != Review.Verdict.DEFECTIVE:
        raise Conflict(
            "This record is no escape: the model judged the part good and a review says defective. Nothing was "
            "started. Review the part first.",
            code="not_an_escape",
        )


def passed_records(
    escape: Inspection, since: datetime, until: datetime, bounds: Iterable[Mapping[str, Any]] | None = ()
) -> QuerySet[Inspection]:
    """All that passed by the same model version at the same threshold revision, in that time.

    `bounds`: those of a containment. A batch was not inspected at a station, so nothing that passed there proves
    anything about it. Reference parts themselves are no parts to contain; older containments (None) had them.
    """
    records = Inspection.objects.filter(
        model_version=escape.model_version_id,
        threshold=escape.threshold_id,
        outcome=Inspection.Outcome.GOOD,
        created_at__gte=since,
        created_at__lte=until,
    )
    if bounds is None:
        return records
    for bound in bounds:
        before = Q(station=bound["station"], created_at__lt=datetime.fromisoformat(bound["since"]))
        records = records.exclude(before & Q(request__batch__isnull=True))
    checks = ReferenceCheck.objects.filter(part__category=escape.category_id, checked_at__gte=since)
    return records.exclude(pk__in=checks.values("inspection"))


def searched_records(containment: Containment) -> QuerySet[Inspection]:
    return passed_records(containment.escape, containment.since, containment.until, containment.bounds)


def next_records(containment: Containment) -> QuerySet[Inspection]:
    """The parts that were not searched yet, oldest first."""
    records = searched_records(containment)
    if containment.reached_at is not None:
        later = Q(created_at__gt=containment.reached_at) | Q(
            created_at=containment.reached_at, id__gt=containment.reached_id
        )
        records = records.filter(later, created_at__gte=containment.reached_at)
    return records.select_related("map").order_by("created_at", "id")


def listed_parts(containment: Containment) -> list[ContainedPart]:
    """In the order of the list: what the other version rejects first, then the most alike."""
    parts = ContainedPart.objects.filter(containment=containment)
    parts = parts.select_related("inspection__asset", "inspection__request")
    return sorted(
        parts.defer("inspection__regions", "inspection__timings"),
        key=lambda part: (
            part.rescored_outcome != Inspection.Outcome.DEFECTIVE,
            -(part.likeness if part.likeness is not None else -1.0),
            str(part.inspection_id),
        ),
    )


def expected_escapes(containment: Containment) -> dict[str, Any]:
    """How many defective parts passed besides those that are known, by the random audits at this threshold.

    `basis` is empty without any: then nothing is known of it. Bounds are exact at 95 %; open and doubtful parts count
    as good in the lower and as defective in the upper one.
    """
    escape = containment.escape
    figures = figures_of(threshold_id=escape.threshold_id)
    known = searched_records(containment).filter(standing__verdict=Review.Verdict.DEFECTIVE).count()
    document: dict[str, Any] = {"basis": "", "known": known, "drawn": 0, "value": None, "low": None, "high": None}
    if figures["exact_interval"] is None or figures["escape_rate"] is None:
        return document
    low, high = figures["exact_interval"]
    total = containment.passed
    return document | {
        "basis": "random_audit",
        "drawn": figures["drawn"],
        "found": figures["defective"],
        "unclear": figures["open"] + figures["doubtful"],
        "value": max(0.0, figures["escape_rate"] * total - known),
        "low": max(0, math.ceil(low * total - 1e-9) - known),
        "high": max(0, math.floor(high * total + 1e-9) - known),
    }
