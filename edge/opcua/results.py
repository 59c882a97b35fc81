"""What a result says, by the names of OPC 40100-1 where it has them: in the event, and in variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from edge.connections.kinds import Message, Target
from edge.opcua.jobs import Job
from edge.triggers.recipes import recipe_of

UNDEFINED, COMPLETED, PROCESSING, ABORTED, FAILED = range(5)  # of ResultStateDataType
_STATES = {"good": COMPLETED, "defective": COMPLETED, "not_comparable": FAILED, "no_verdict": ABORTED}

_TEXT, _BOOL, _INT, _TIME = (
    ua.VariantType.String,
    ua.VariantType.Boolean,
    ua.VariantType.Int32,
    ua.VariantType.DateTime,
)
# OPC 40100-1 has structures for ids; ours are the plain text of their `id`.
FIELDS: dict[str, ua.VariantType] = {
    "ResultId": _TEXT,
    "IsPartial": _BOOL,
    "IsSimulated": _BOOL,
    "ResultState": _INT,
    "MeasId": _TEXT,
    "PartId": _TEXT,
    "ExternalRecipeId": _TEXT,
    "InternalRecipeId": _TEXT,
    "ProductId": _TEXT,
    "InternalConfigurationId": _TEXT,
    "JobId": _TEXT,
    "CreationTime": _TIME,
    # Ours.
    "Verdict": _TEXT,
    "Score": ua.VariantType.Double,
    "Sequence": ua.VariantType.UInt32,
    "IsDuplicate": _BOOL,
    "IsLate": _BOOL,
    "IsSupplement": _BOOL,
    "Station": _TEXT,
    "SerialNumber": _TEXT,
    "ResultContent": _TEXT,
}
EMPTY: dict[str, Any] = {name: ua.get_default_value(kind) for name, kind in FIELDS.items()}


def result_of(
    message: Message, target: Target, *, job_id: str, measurement: str, is_supplement: bool
) -> dict[str, Any]:
    document = message.document
    recipe = recipe_of(target, message.category)
    return EMPTY | {
        "ResultId": message.delivery_id,
        "ResultState": _STATES[message.verdict],
        "MeasId": measurement,
        "PartId": document["serial_number"] or document["part_number"],
        "ExternalRecipeId": (message.category or _layout(document)) if recipe is None else str(recipe),
        "InternalRecipeId": _layout(document) or f"{document['model_version']}.{document['threshold_revision'] or 0}",
        "ProductId": document["part_number"],
        "InternalConfigurationId": str(target.revision),
        "JobId": job_id,
        "CreationTime": datetime.fromisoformat(document["recorded_at"]),
        "Verdict": message.verdict,
        "Score": float("nan") if document["score"] is None else float(document["score"]),
        "Sequence": message.sequence,
        "IsDuplicate": message.is_duplicate,
        "IsLate": message.is_late,
        "IsSupplement": is_supplement,
        "Station": message.station,
        "SerialNumber": document["serial_number"],
        "ResultContent": json.dumps(document, separators=(",", ":"), ensure_ascii=False),
    }


def _layout(document: Mapping[str, Any]) -> str:
    """The part layout, which is the recipe of a part of several views; empty of a single image."""
    return str(document["part"]["layout"]) if document["part"] else ""


def no_verdict_of(job: Job, target: Target) -> dict[str, Any]:
    """Of a job of which nobody else will say anything in time: there is no record, and no sequence."""
    return EMPTY | {
        "ResultId": f"{job.job_id}-no-verdict",
        "ResultState": ABORTED,
        "MeasId": job.measurement,
        "PartId": job.part_id or job.part_number,
        "ExternalRecipeId": str(job.recipe),
        "ProductId": job.part_number,
        "InternalConfigurationId": str(target.revision),
        "JobId": job.job_id,
        "CreationTime": datetime.now(UTC),
        "Verdict": "no_verdict",
        "Score": float("nan"),
        "Station": target.station,
        "SerialNumber": job.part_id,
    }
