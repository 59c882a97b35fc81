"""Takes a record that a node forwards: exactly once, and only what its audit chain vouches for.

The order in which it is looked at: does the record say what its event says, and are its files the ones that the event
names; was it taken before; does the event fit what is anchored of the chain; and only then whether this centre knows
the model, the threshold and the scale that it was judged with. What it does not know yet stays on the node.
"""

from __future__ import annotations

import hashlib
import json
import struct
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Model
from django.utils import timezone
from rest_framework import serializers

from common.database import UNAVAILABLE
from common.errors import Conflict, UserError
from edge.nodes.chain import ChainRefused, read_event
from edge.nodes.models import EdgeNode, ForwardedRecord
from edge.nodes.selectors import anchored_hash
from edge.nodes.serializers import RecordDocument, RowDocument
from edge.nodes.services import note_refusal, report_refusal, require_node
from edge.nodes.wire import RECORDED, sha256
from inspection.derived_rows import size_fault
from inspection.forwarded import ForwardedJudgement, write_forwarded
from inspection.models import Inspection
from modelzoo.anomaly_maps import MEDIA_TYPE as MAP_MEDIA_TYPE
from modelzoo.anomaly_maps import decode_map
from modelzoo.models import ModelVersion, ScaleCalibration, Threshold
from records.assets.services import check_upload, store_file, store_image_file
from records.audit.chain.hashes import Event
from records.audit.services import Actor

_CLOCKS = timedelta(minutes=5)  # by which the clocks of node and centre may differ
_MAX_MAP_SIDE = 4096
_PNG = b"\x89PNG\r\n\x1a\n"
_TOO_DEEP = "it is nested too deeply"


class RecordInvalid(UserError):
    """It is not a record, or not the one that the node's audit chain reports."""

    code = "node_record_invalid"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class RecordDiffers(Conflict):
    """Another record of this id was taken before."""

    code = "node_record_differs"


class NotYet(Conflict):
    """The centre cannot take it now and may later: it stays on the node."""


@dataclass(frozen=True)
class _Sent:
    """A record that agrees with its event, and its files."""

    record_id: uuid.UUID
    document: dict[str, Any]
    row: dict[str, Any]
    event: Event
    image: bytes
    image_sha256: str
    map: bytes | None
    map_sha256: str | None


def take_record(
    *, node: EdgeNode, text: str, image: bytes, anomaly_map: bytes | None, actor: Actor
) -> tuple[ForwardedRecord, bool]:
    """The record here, and whether it was here before. A repeat of the very same changes nothing.

    Raises `Forbidden`, `RecordInvalid` and `RecordDiffers` (both audited), `ChainRefused` (audited), `NotYet`, and what
    an image is refused with.
    """
    require_node(node)
    said: dict[str, Any] = {}
    try:
        sent = _read(text, image, anomaly_map, said)
        before = _taken(node, sent)
        if before is not None:
            return before, True
        anchored = anchored_hash(node, sent.event.sequence)
        if anchored and anchored != sent.event.hash:
            raise ChainRefused(
                f"Event {sent.event.sequence} of this node's audit chain was anchored here as another one. The record "
                "was not kept. Verify the node (manage.py edge --verify)."
            )
        return _write(node, sent, actor)
    except (RecordInvalid, RecordDiffers, ChainRefused) as error:
        report_refusal(node=node, error=error, after=said, actor=actor)
        raise
    except UserError as error:
        note_refusal(node, error)
        raise


# ---------------------------------------------------------------- what was sent
def _read(text: str, image: bytes, anomaly_map: bytes | None, said: dict[str, Any]) -> _Sent:
    """`said` is filled with what an event may say of it, should it be refused."""
    document = _valid(RecordDocument, _json(text, "record"), "record")
    event = read_event(document["event"])
    said |= {"record": str(document["record_id"]), "sequence": event.sequence}
    after = _json(event.after, "event")
    row = _valid(RowDocument, _json(document["row"], "row"), "row")
    record_id = document["record_id"]
    label = Inspection._meta.label_lower
    if (event.kind, event.object_type, event.object_id) != (RECORDED, label, str(record_id)) or row["id"] != record_id:
        raise RecordInvalid("The event reports another record than the one that came with it. Nothing was kept.")
    if after.get("row") != sha256(document["row"]):
        raise RecordInvalid(
            "The record was changed after it was written: the fingerprint of its row is not the one that the event "
            "names. Nothing was kept. Verify the node (manage.py edge --verify)."
        )
    hashes = [_sha256(image), None if anomaly_map is None else _sha256(anomaly_map)]
    for what, found, named in zip(("image", "map"), hashes, (after.get("image"), after.get("map")), strict=True):
        if found != named:
            raise RecordInvalid(
                f"The {what} is not the one that the event names. Nothing was kept. Verify the node (manage.py edge "
                "--verify)."
            )
    return _Sent(record_id, document, row, event, image, str(hashes[0]), anomaly_map, hashes[1])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(text: str, what: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        found = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        why = _TOO_DEEP if isinstance(error, RecursionError) else str(error)
        raise RecordInvalid(f"The {what} is no JSON ({why}). Nothing was kept.") from error
    if not isinstance(found, dict):
        raise RecordInvalid(f"The {what} is no JSON object. Nothing was kept.")
    return found


def _valid(shape: type[serializers.Serializer], data: dict[str, Any], what: str) -> dict[str, Any]:
    serializer = shape(data=data)
    if not serializer.is_valid():
        field, why = next(iter(serializer.errors.items()))
        raise RecordInvalid(f"The {what} cannot be read: {field}: {_first(why)} Nothing was kept.")
    return dict(serializer.validated_data)


def _first(why: Any) -> str:
    while isinstance(why, list | dict):
        why = next(iter(why.values() if isinstance(why, dict) else why), "")
    return str(why)


# ---------------------------------------------------------------- once
def _taken(node: EdgeNode, sent: _Sent) -> ForwardedRecord | None:
    before = ForwardedRecord.objects.select_related("inspection").filter(node=node, record_id=sent.record_id).first()
    if before is None:
        if ForwardedRecord.objects.filter(node=node, sequence=sent.event.sequence).exists():
            raise RecordDiffers(
                f"Event {sent.event.sequence} of this node reported another record, which is here. Nothing was kept. "
                "Verify the node (manage.py edge --verify)."
            )
        return None
    if before.row_sha256 != sha256(sent.document["row"]) or before.event_sha256 != sent.event.hash:
        raise RecordDiffers(
            f"Record {sent.record_id} is here already and says something else. What is here stays as it is. Verify the "
            "node (manage.py edge --verify)."
        )
    return before


# ---------------------------------------------------------------- what it means here
def _write(node: EdgeNode, sent: _Sent, actor: Actor) -> tuple[ForwardedRecord, bool]:
    judgement = _judgement(node, sent, actor)
    row, event = sent.document["row"], json.dumps(sent.document["event"], ensure_ascii=False, separators=(",", ":"))

    def keep(inspection: Inspection) -> list[Model]:
        if fault := size_fault(inspection):
            raise RecordInvalid(f"The record {fault}. Nothing was kept.")
        return [
            ForwardedRecord.objects.create(
                node=node,
                record_id=sent.record_id,
                inspection=inspection,
                sequence=sent.event.sequence,
                row_sha256=sha256(row),
                event_sha256=sent.event.hash,
                row=row,
                event=event,
                received_at=timezone.now(),
            )
        ]

    try:
        with transaction.atomic():
            inspection = write_forwarded(
                judgement=judgement,
                key=f"node-{node.pk}:{sent.record_id}",
                said={
                    "node": node.name,
                    "node_record": str(sent.record_id),
                    "node_row": sha256(row),
                    "node_sequence": sent.event.sequence,
                    "node_event": sent.event.hash,
                    "node_source": sent.row["source"],
                    "node_operator": sent.document["operator"],
                },
                also=keep,
                actor=actor,
            )
        return inspection.forwarded, False
    except UNAVAILABLE:
        raise
    except DatabaseError as error:
        # Somebody was faster with the same record; or the database refuses what no record says.
        before = _taken(node, sent) if isinstance(error, IntegrityError) else None
        if before is not None:
            return before, True
        raise RecordInvalid("The record contradicts itself, so the database refuses it. Nothing was kept.") from error


def _judgement(node: EdgeNode, sent: _Sent, actor: Actor) -> ForwardedJudgement:
    row = sent.row
    if node.station and row["station"] != node.station:
        raise NotYet(
            f"The edge node {node.name} may forward records of the station {node.station}, and this one is of "
            f"{row['station'] or 'none'}. It was not kept, and stays on the node.",
            code="node_station_differs",
        )
    _check_clock(row["created_at"])
    version = _version(sent)
    threshold, calibration = _threshold(version, sent), _calibration(version, sent)
    facts, _ = check_upload(data=sent.image, filename=row["filename"], actor=actor, window=version.window)
    anomaly_map = None
    if sent.map is not None:
        width, height = _map_size(sent.map)
        anomaly_map = store_file(
            data=sent.map, extension="png", content_type=MAP_MEDIA_TYPE, width=width, height=height
        )
    return ForwardedJudgement(
        asset=store_image_file(data=sent.image, facts=facts),
        map=anomaly_map,
        version=version,
        threshold=threshold,
        calibration=calibration,
        created_at=row["created_at"],
        part={name: row[name] for name in ("filename", "station", "part_number", "lot", "serial_number")},
        columns=_columns(node, row),
    )


def _check_clock(created_at: datetime) -> None:
    if created_at > timezone.now() + _CLOCKS:
        raise NotYet(
            f"The record is of {created_at:%Y-%m-%d %H:%M} UTC, which is still to come: the clock of the node is "
            "ahead. It was not kept, and stays on the node until then. Set the node's clock (NTP).",
            code="node_clock_ahead",
        )


def _version(sent: _Sent) -> ModelVersion:
    artifact, category = sent.document["artifact_sha256"], sent.document["category"]
    version = ModelVersion.objects.select_related("category").filter(artifact_sha256=artifact).first()
    if version is None or version.category.name != category:
        here = f" It is here as one of {version.category.name}." if version else ""
        raise NotYet(
            f"This centre has no model of {category} with the artifact {artifact[:12]}, which judged the record.{here} "
            "It was not kept, and stays on the node. Import the model here (manage.py import_model).",
            code="node_model_unknown",
            artifact_sha256=artifact,
        )
    return version


def _threshold(version: ModelVersion, sent: _Sent) -> Threshold:
    """The revision of the same value and size rule. None is set for it: the newest one is in force on lines here."""
    value = sent.row["threshold_value"]
    found = Threshold.objects.filter(
        model_version=version, value=value, min_region_mm2=sent.document["min_region_mm2"]
    ).order_by("revision")
    for threshold in found:
        if (threshold.severity_grades or None) == (sent.document["severity_grades"] or None):
            return threshold
    raise NotYet(
        f"{version} has no threshold revision of {value:.17g} with the same size rule here. The record was not kept, "
        "and stays on the node. Set this threshold here once (and the one that is to be in force after it).",
        code="node_threshold_unknown",
        threshold=value,
        model_version=version.pk,
    )


def _calibration(version: ModelVersion, sent: _Sent) -> ScaleCalibration | None:
    mm_per_px = sent.document["mm_per_px"]
    if mm_per_px is None:
        return None
    found = ScaleCalibration.objects.filter(
        category=version.category_id, station=sent.row["station"], mm_per_px=mm_per_px
    )
    calibration = found.order_by("-revision").first()
    if calibration is None:
        raise NotYet(
            f"This centre has no calibration of {mm_per_px:.17g} mm per pixel for {version.category.name} at station "
            f"{sent.row['station'] or '-'}. The record was not kept, and stays on the node. Calibrate the station here "
            "with the same scale.",
            code="node_calibration_unknown",
        )
    return calibration


def _map_size(data: bytes) -> tuple[int, int]:
    """Width and height of an anomaly map's file. Raises `RecordInvalid` for what is none."""
    try:
        width, height = struct.unpack(">II", data[16:24])
        if not data.startswith(_PNG) or not 0 < max(width, height) <= _MAX_MAP_SIDE:
            raise ValueError("not a PNG file of its size")
        if decode_map(data, 1.0).shape != (height, width):
            raise ValueError("it is cut off")
    except (ValueError, struct.error) as error:
        raise RecordInvalid(f"The anomaly map cannot be read ({error}). Nothing was kept.") from error
    return width, height


_WHOLE = ("region_count", "largest_region_px", "ignored_region_count")
_KEPT = (
    *("outcome", "score", "p_value", "reason", "explanation", "image_statistics", "map_maximum", "min_region_px"),
    *("severity", "timings", "device", "code_version"),
)


def _columns(node: EdgeNode, row: dict[str, Any]) -> dict[str, Any]:
    """Hashed texts have no whole numbers (`canonical_value`): what counts pixels and regions becomes whole again."""
    regions = row["regions"]
    return {
        **{name: row[name] for name in _KEPT},
        **{name: None if row[name] is None else int(row[name]) for name in _WHOLE},
        "regions": None if regions is None else [_whole(dict(region), but=("peak",)) for region in regions],
        "input_findings": _whole(row["input_findings"]),
        "ignored_outlines": _whole(row["ignored_outlines"]),
        "worker": f"{node.name}: {row['worker']}"[:100],
    }


def _whole(value: Any, *, but: tuple[str, ...] = ()) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: inner if name in but else _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value
