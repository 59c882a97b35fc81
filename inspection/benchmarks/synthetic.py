"""A history that never happened, as large as wanted: to measure on, and to try the pages with.

What it writes is what years of a factory would have left: several categories of different weight, model versions that
replaced each other, thresholds that moved, stations and lots that belong to one category each (so that most
combinations of filters match nothing), reviews that confirm and overrule, and one audit chain over all of it. Pictures
are shared by many records. Nothing of it is in force: no worker will try to load these models.
"""

from __future__ import annotations

import io
import json
import math
import random
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from unittest import mock

import numpy as np
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone
from PIL import Image

from common.rights import Role
from common.version import code_version
from inspection.audited_rows import expected_inspection, expected_review
from inspection.models import BatchRun, Inspection, InspectionRequest, Review, Standing
from modelzoo.anomaly_maps import MEDIA_TYPE, encode_map
from modelzoo.models import Category, Deployment, ModelVersion, Threshold
from modelzoo.services import ensure_category, register_version, set_threshold
from records.assets.images import UploadLimits, check_image
from records.assets.services import save_asset_row, store_file, store_image
from records.audit.chain.hashes import GENESIS
from records.audit.services import attest_unreported_rows, lock_audit_chain, next_key, seal_event
from records.models import Asset, AuditEvent, canonical

PREFIX = "synthetic-"
_PER_DAY = 10_000
_CHUNK = 2_000
_IMAGES, _MAPS, _SIDE = 200, 40, 48
_VERSIONS, _REVISIONS, _HELD_OUT = 3, 3, 60
_BATCH_EVERY, _BATCH_SIZE = 5_000, 100
_LOT_SIZE = 250
# name, weight, stations, part numbers, share of defective parts
_CATEGORIES = (
    ("screw", 40, ("east-1", "east-2", "east-3"), ("M4x20", "M5x30", "M6x40"), 0.03),
    ("cookie", 25, ("oven-1", "oven-2"), ("butter", "oat"), 0.06),
    ("cell", 20, ("roof-1", "roof-2"), ("mono-60", "poly-60"), 0.10),
    ("bottle", 10, ("fill-1",), ("half-litre",), 0.01),
    ("gasket", 5, ("press-1",), ("G-17", "G-18"), 0.02),
)
_PEOPLE = 12
_SOURCES = (("api", 90), ("watcher", 8), ("web", 2))
_NOT_COMPARABLE, _REVIEWED, _TWICE, _WRONG = 0.005, 0.04, 0.08, 0.10
_DEFECTS = ("scratch", "dent", "stain", "crack")


@dataclass(frozen=True)
class _Model:
    """A version, what it scores like, and the thresholds it had, each from a moment on."""

    version: ModelVersion
    deployment: Deployment
    thresholds: Sequence[Threshold]
    held_out: Sequence[float]  # ascending


@dataclass
class _Line:
    """One category, and where its work stands."""

    category: Category
    stations: Sequence[str]
    part_numbers: Sequence[str]
    defective: float
    models: Sequence[_Model]
    count: int = 0
    batch: BatchRun | None = None
    left_in_batch: int = 0


@dataclass
class _Written:
    """What one transaction writes."""

    batches: list[BatchRun] = field(default_factory=list)
    requests: list[InspectionRequest] = field(default_factory=list)
    inspections: list[Inspection] = field(default_factory=list)
    reviews: list[tuple[Review, User]] = field(default_factory=list)


def has_real_records() -> bool:
    """Whether anything in the history was not made here."""
    ours = Category.objects.filter(name__startswith=PREFIX)
    return Inspection.objects.exclude(category__in=list(ours)).exists()


def generate(*, count: int, seed: int, tell: Callable[[str], None]) -> dict[str, int]:
    """Write `count` records that end now, and all that belongs to them."""
    rng = random.Random(seed)
    days = max(10.0, count / _PER_DAY)
    until = timezone.now() - timedelta(minutes=1)
    since = until - timedelta(days=days)
    people = _people()
    images, maps = _pictures(min(_IMAGES, count), min(_MAPS, count), rng)
    lines = [_line(row, since, until, rng) for row in _CATEGORIES]
    records = _records(lines, count, since, until, people, images, maps, rng)
    written = reviewed = 0
    while chunk := list(islice(records, _CHUNK)):
        part = _Written()
        for batch, inspection, reviews in chunk:
            if batch is not None:
                part.batches.append(batch)
            part.requests.append(inspection.request)
            part.inspections.append(inspection)
            part.reviews.extend(reviews)
        _write(part)
        written, reviewed = written + len(part.inspections), reviewed + len(part.reviews)
        if written % 50_000 < _CHUNK:
            tell(f"{written:,} of {count:,} records")
    attest_unreported_rows()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return {"inspections": written, "reviews": reviewed, "categories": len(lines), "days": math.ceil(days)}


# ---------------------------------------------------------------- what records refer to
def _people() -> list[User]:
    role, _ = Group.objects.get_or_create(name=Role.OPERATOR)
    people = []
    for number in range(1, _PEOPLE + 1):
        name = f"{PREFIX}operator-{number:02d}"
        person, fresh = User.objects.get_or_create(username=name, defaults={"password": make_password(None)})
        if fresh:
            person.groups.add(role)
        people.append(person)
    return people


def _pictures(of_parts: int, of_maps: int, rng: random.Random) -> tuple[list[Asset], list[tuple[Asset, float]]]:
    """Images and anomaly maps that exist, small and few."""
    noise = np.random.default_rng(rng.getrandbits(32))
    images, maps = [], []
    for number in range(of_parts):
        png = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (_SIDE, _SIDE), dtype=np.uint8)).save(png, "PNG")
        data = png.getvalue()
        facts, _ = check_image(data, f"{number}.png", UploadLimits())
        images.append(store_image(data=data, facts=facts))
    for _ in range(of_maps):
        data, maximum = encode_map(noise.random((_SIDE, _SIDE), dtype=np.float32))
        filed = store_file(data=data, extension="png", content_type=MEDIA_TYPE, width=_SIDE, height=_SIDE)
        maps.append((save_asset_row(filed), maximum))
    return images, maps


def _line(
    row: tuple[str, int, tuple[str, ...], tuple[str, ...], float],
    since: datetime,
    until: datetime,
    rng: random.Random,
) -> _Line:
    """A category whose versions replaced each other, with thresholds that moved."""
    name, _, stations, part_numbers, defective = row
    step = (until - since) / _VERSIONS
    with _at(since):
        category = ensure_category(name=PREFIX + name)
    models = [_model(category, since + step * number, step, rng) for number in range(_VERSIONS)]
    return _Line(category, stations, part_numbers, defective, models)


def _model(category: Category, began: datetime, lasted: timedelta, rng: random.Random) -> _Model:
    held_out = sorted(round(rng.lognormvariate(0, 0.25), 4) for _ in range(_HELD_OUT))
    with _at(began):
        version = register_version(
            category=category,
            actor=None,
            stage=ModelVersion.Stage.ARCHIVED,
            algorithm="padim",
            artifact=f"{category.name}/synthetic-{uuid.UUID(int=rng.getrandbits(128), version=4)}",
            artifact_sha256=f"{rng.getrandbits(256):064x}",
            artifact_bytes=1,
            config={"image_size": _SIDE},
            backbone="resnet18",
            backbone_sha256=f"{rng.getrandbits(256):064x}",
            dataset_name=category.name,
            dataset_snapshot=f"{rng.getrandbits(256):064x}",
            seed=0,
            versions={},
            held_out_scores=held_out,
        )
        deployment = Deployment.objects.create(
            category=category,
            model_version=version,
            status=Deployment.Status.REPLACED,
            device_requested="cpu",
            device="cpu",
            worker="synthetic",
            activated_at=began,
            ended_at=began + lasted,
        )
    thresholds = []
    for number in range(_REVISIONS):
        with _at(began + lasted / _REVISIONS * number):
            value = held_out[-1] * (1.15 - 0.05 * number)
            thresholds.append(
                set_threshold(version=version, value=value, method="manual", reason="synthetic", actor=None)
            )
    return _Model(version, deployment, thresholds, held_out)


@contextmanager
def _at(moment: datetime) -> Iterator[None]:
    """What services write meanwhile is dated then."""
    with mock.patch("django.utils.timezone.now", return_value=moment):
        yield


# ---------------------------------------------------------------- the records
def _records(
    lines: Sequence[_Line],
    count: int,
    since: datetime,
    until: datetime,
    people: Sequence[User],
    images: Sequence[Asset],
    maps: Sequence[tuple[Asset, float]],
    rng: random.Random,
) -> Iterator[tuple[BatchRun | None, Inspection, list[tuple[Review, User]]]]:
    """Oldest first: each with the batch that begins with it, if one does, and with what was said of it."""
    step = (until - since) / count
    weights = [weight for _, weight, *_ in _CATEGORIES]
    code, inspected_at = code_version(), since
    for number in range(count):
        [line] = rng.choices(lines, weights)
        if rng.random() > 0.05:  # else two cameras at once
            inspected_at = since + step * (number + rng.random())
        share = (inspected_at - since) / (until - since)
        model = line.models[min(int(share * _VERSIONS), _VERSIONS - 1)]
        threshold = model.thresholds[min(int(share * _VERSIONS % 1 * _REVISIONS), _REVISIONS - 1)]
        line.count += 1
        batch = None
        if line.count % _BATCH_EVERY == 0:
            batch = line.batch = _batch(line, model, inspected_at, rng.choice(people), rng)
            line.left_in_batch = _BATCH_SIZE
        elif line.batch and line.batch.deployment_id != model.deployment.pk:
            line.batch, line.left_in_batch = None, 0
        # A shift of eight hours is one person's at each station.
        station = rng.choice(line.stations)
        operator = people[
            (line.stations.index(station) + inspected_at.toordinal() * 3 + inspected_at.hour // 8) % len(people)
        ]
        request = InspectionRequest(
            id=uuid.UUID(int=rng.getrandbits(128), version=4),
            asset=rng.choice(images),
            model_version=model.version,
            deployment=model.deployment,
            filename=f"{station}-{number:08d}.png",
            source=rng.choices([name for name, _ in _SOURCES], [weight for _, weight in _SOURCES])[0],
            station=station,
            part_number=rng.choice(line.part_numbers),
            lot=f"{line.category.name[len(PREFIX) :][:2].upper()}-{line.count // _LOT_SIZE:05d}",
            serial_number=f"SN{number:09d}",
            operator=operator,
            status=InspectionRequest.Status.DONE,
            attempt=1,
            worker="synthetic",
            created_at=inspected_at - timedelta(milliseconds=40),
        )
        if line.left_in_batch:
            request.batch, request.position, request.source = line.batch, _BATCH_SIZE - line.left_in_batch, "api"
            line.left_in_batch -= 1
        inspection = _inspection(line, model, threshold, request, inspected_at, code, rng.choice(maps), rng)
        yield batch, inspection, _reviews(inspection, people, rng)


def _batch(line: _Line, model: _Model, at: datetime, person: User, rng: random.Random) -> BatchRun:
    return BatchRun(
        id=uuid.UUID(int=rng.getrandbits(128), version=4),
        deployment=model.deployment,
        name=f"{_BATCH_SIZE} files",
        status=BatchRun.Status.FINISHED,
        requested_by=person,
        created_at=at,
        started_at=at,
        finished_at=at + timedelta(minutes=2),
    )


def _inspection(
    line: _Line,
    model: _Model,
    threshold: Threshold,
    request: InspectionRequest,
    at: datetime,
    code: str,
    map_: tuple[Asset, float],
    rng: random.Random,
) -> Inspection:
    inspection = Inspection(
        request=request,
        asset=request.asset,
        deployment=model.deployment,
        model_version=model.version,
        category=line.category,
        threshold=threshold,
        threshold_value=threshold.value,
        filename=request.filename,
        source=request.source,
        station=request.station,
        part_number=request.part_number,
        lot=request.lot,
        serial_number=request.serial_number,
        operator=request.operator,
        timings={"decode_ms": 3.1, "model_ms": round(rng.uniform(8, 14), 3), "map_ms": 1.2, "runtime": "torch"},
        device="cpu",
        worker="synthetic",
        code_version=code,
        backbone_sha256=model.version.backbone_sha256,
        created_at=at,
    )
    if rng.random() < _NOT_COMPARABLE:
        inspection.outcome = Inspection.Outcome.NOT_COMPARABLE
        inspection.reason, inspection.explanation = "no_part_found", ("No part can be separated from the background.")
        return inspection
    spread = rng.lognormvariate(0, 0.25)
    score = spread + threshold.value * rng.uniform(0.6, 1.5) if rng.random() < line.defective else spread
    inspection.score = score
    inspection.outcome = Inspection.Outcome.of(score, threshold.value)
    defective = inspection.outcome == Inspection.Outcome.DEFECTIVE
    as_high = _HELD_OUT - bisect_left(model.held_out, score)
    inspection.p_value = (1 + as_high) / (_HELD_OUT + 1)
    inspection.map, inspection.map_maximum = map_[0], score
    regions = [_region(score, rng) for _ in range(rng.randint(1, 3))] if defective else []
    inspection.regions, inspection.region_count = regions, len(regions)
    inspection.largest_region_px = max((int(region["area_px"]) for region in regions), default=0)
    return inspection


def _region(score: float, rng: random.Random) -> dict[str, float]:
    x, y, side = rng.randrange(_SIDE - 12), rng.randrange(_SIDE - 12), rng.randint(3, 12)
    box = {"x": x, "y": y, "width": side, "height": side, "area_px": side * side}
    return box | {"peak": score, "peak_x": x + side // 2, "peak_y": y + side // 2}


def _reviews(inspection: Inspection, people: Sequence[User], rng: random.Random) -> list[tuple[Review, User]]:
    """What people said of a record: mostly nothing, mostly the same as the model."""
    if rng.random() > _REVIEWED:
        return []
    has_verdict = inspection.outcome != Inspection.Outcome.NOT_COMPARABLE
    reviews = []
    for number in range(1, 3 if rng.random() < _TWICE else 2):
        wrong = rng.random() < (_WRONG if number == 1 else 0.5)
        defective = (inspection.outcome == Inspection.Outcome.DEFECTIVE) != wrong
        verdict = Review.Verdict.DEFECTIVE if defective else Review.Verdict.GOOD
        reviewer = rng.choice(people)
        review = Review(
            inspection=inspection,
            number=number,
            verdict=verdict.value,
            agrees=verdict == inspection.outcome if has_verdict else None,
            defect_type=rng.choice(_DEFECTS) if defective else "",
            regions=[],
            reviewer=reviewer,
            created_at=inspection.created_at + timedelta(hours=number),
        )
        reviews.append((review, reviewer))
    return reviews


# ---------------------------------------------------------------- writing many at once
_Event = tuple[str, Model, User | None, datetime, object]


@transaction.atomic
def _write(part: _Written) -> None:
    """Rows and their events, all or nothing."""
    lock_audit_chain()
    insert(BatchRun, part.batches)
    insert(InspectionRequest, part.requests)
    insert(Inspection, part.inspections)
    Review.objects.bulk_create([review for review, _ in part.reviews], batch_size=200)
    standings: dict[uuid.UUID, Standing] = {}
    events: list[_Event] = [
        ("inspection.recorded", inspection, inspection.operator, inspection.created_at, expected_inspection(inspection))
        for inspection in part.inspections
    ]
    for review, reviewer in part.reviews:
        before = standings.get(review.inspection_id)
        standings[review.inspection_id] = Standing(
            inspection=review.inspection,
            last_review=review,
            verdict=review.verdict,
            defect_type=review.defect_type,
            reviewer=reviewer,
            overruled=review.agrees is False,
            contested=before is not None and before.verdict != review.verdict,
            reviews=review.number,
            inspected_at=review.inspection.created_at,
        )
        events.append(("review.recorded", review, reviewer, review.created_at, expected_review(review)))
    insert(Standing, list(standings.values()))
    _chain(events)


def _chain(events: Iterable[_Event]) -> None:
    """Append many events, as `records.audit.services.audit` appends one."""
    last = AuditEvent.objects.order_by("-sequence").first()
    key = next_key(last)
    sequence, head = (last.sequence, last.hash) if last else (0, GENESIS)
    rows = []
    for kind, subject, person, at, after in events:
        sequence += 1
        event = AuditEvent(
            sequence=sequence,
            at=at,
            actor_id=person.pk if person else None,
            actor_name=person.get_username() if person else "worker",
            kind=kind,
            object_type=subject._meta.label_lower,
            object_id=str(subject.pk),
            before=canonical(None),
            after=canonical(after),
            source="worker",
            request_id="",
            address="",
            previous_hash=head,
        )
        seal_event(event, key=key)
        head = event.hash
        rows.append(event)
    insert(AuditEvent, rows)


def insert(model: type[Model], rows: Sequence[Model]) -> None:
    """Insert rows exactly as they stand, dates that are set by themselves included, by the fastest way there is."""
    if not rows:
        return
    fields = model._meta.concrete_fields
    quote = connection.ops.quote_name
    table, columns = quote(model._meta.db_table), ", ".join(quote(str(field.column)) for field in fields)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            text = "".join("\t".join(_cell(getattr(row, field.attname)) for field in fields) + "\n" for row in rows)
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.StringIO(text))
            return
        places = ", ".join(["%s"] * len(fields))
        cursor.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({places})",
            [[field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields] for row in rows],
        )


def _cell(value: object) -> str:
    """A value in the text form of COPY."""
    if value is None:
        return r"\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        value = json.dumps(value)
    return str(value).replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")
