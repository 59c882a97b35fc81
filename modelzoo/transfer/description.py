"""What a package says of its version (`version.json`, `evaluation.json`), and whether an installation can take it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import ValidationError

from common.names import validate_short_name
from modelzoo import documents
from modelzoo.card.documents import data_of
from modelzoo.detectors.registry import ALGORITHMS
from modelzoo.models import ModelVersion, Threshold
from modelzoo.selectors import threshold_in_force
from modelzoo.transfer.package import DESCRIPTION, EVALUATION, PackageRefused


@dataclass(frozen=True)
class Description:
    """A version as its row has it, with its threshold in force and what is known of its data."""

    id: int
    category: str
    given_name: str
    number: int
    algorithm: str
    artifact_sha256: str
    artifact_bytes: int
    config: dict[str, Any]
    preprocessing: dict[str, Any]
    backbone: str
    backbone_sha256: str
    dataset_name: str
    dataset_snapshot: str
    seed: int
    versions: dict[str, Any]
    held_out_scores: list[float]
    learning_curve: list[Any] | None
    image_statistics: dict[str, Any] | None
    created_at: str
    created_by: str
    data: dict[str, Any]
    threshold: dict[str, Any]
    origin: dict[str, Any] | None


# Taken as they are from the row, and put back into one.
COLUMNS = (
    *("algorithm", "artifact_sha256", "artifact_bytes", "config", "preprocessing", "backbone", "backbone_sha256"),
    *("dataset_name", "dataset_snapshot", "seed", "versions", "held_out_scores", "learning_curve"),
    "image_statistics",
)


def describe(version: ModelVersion) -> dict[str, Any]:
    threshold = threshold_in_force(version.pk)
    description = Description(
        id=version.pk,
        category=version.category.name,
        given_name=version.category.given_name,
        number=version.number,
        created_at=version.created_at.isoformat(),
        created_by=version.created_by.get_username() if version.created_by else "",
        data=data_of(version),
        threshold={
            name: getattr(threshold, name)
            for name in ("revision", "value", "method", "parameters", "evidence", "reason")
        },
        origin=version.origin,
        **{name: getattr(version, name) for name in COLUMNS},
    )
    return asdict(description)


def evaluation_of(version: ModelVersion) -> dict[str, Any]:
    """The figures, without the test images that they were taken from: those stay where they are."""
    metrics = {name: value for name, value in version.metrics.items() if name != "pictures"}
    return {"metrics": metrics, "robustness": documents.robustness_of(version)}


def spelled(document: Any) -> bytes:
    """JSON in one spelling, so that the same version makes the same package."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


# ---------------------------------------------------------------- reading
def _is_text(most: int, least: int = 0) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and least <= len(value) <= most and "\0" not in value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_short_name(value: Any) -> bool:
    try:
        validate_short_name(value)
    except (ValidationError, TypeError):
        return False
    return True


def _are_statistics(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(row, list) and all(one is None or _is_number(one) for one in row) for row in value.values()
    )


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "id": _is_count,
    "category": _is_short_name,
    "given_name": _is_text(300),
    "number": _is_count,
    "algorithm": lambda value: value in tuple(ALGORITHMS),
    "artifact_sha256": lambda value: isinstance(value, str) and len(value) == 64,
    "artifact_bytes": _is_count,
    "config": _is_mapping,
    "preprocessing": _is_mapping,
    "backbone": _is_text(64),
    "backbone_sha256": _is_text(64),
    "dataset_name": _is_text(100, 1),
    "dataset_snapshot": _is_text(64, 1),
    "seed": lambda value: type(value) is int and -(2**63) <= value < 2**63,
    "versions": _is_mapping,
    "held_out_scores": lambda value: isinstance(value, list) and all(map(_is_number, value)),
    "learning_curve": lambda value: value is None or isinstance(value, list),
    "image_statistics": lambda value: value is None or _are_statistics(value),
    "created_at": _is_text(64, 1),
    "created_by": _is_text(150),
    "data": _is_mapping,
    "threshold": _is_mapping,
    "origin": lambda value: value is None or isinstance(value, dict),
}
_THRESHOLD_CHECKS: dict[str, Callable[[Any], bool]] = {
    "revision": lambda value: _is_count(value) and value >= 1,
    "value": lambda value: _is_number(value) and value > 0,
    "method": lambda value: value in Threshold.Method.values,
    "parameters": _is_mapping,
    "evidence": _is_mapping,
    "reason": _is_text(500, 1),
}


def read_description(text: bytes) -> Description:
    """Raises `PackageRefused` where a field is missing, unknown or of another kind."""
    document = _checked(_mapping(text, DESCRIPTION), _CHECKS)
    document["threshold"] = _checked(document["threshold"], _THRESHOLD_CHECKS)
    return Description(**document)


def read_evaluation(text: bytes) -> dict[str, Any]:
    document = _mapping(text, EVALUATION)
    robustness = document.get("robustness")
    if set(document) != {"metrics", "robustness"} or not isinstance(document["metrics"], dict):
        raise PackageRefused("it is no evaluation.", EVALUATION)
    if robustness is not None and not isinstance(robustness, dict):
        raise PackageRefused("it is no evaluation.", EVALUATION)
    return document


def _mapping(text: bytes, member: str) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PackageRefused(f"it is not JSON ({error}).", member) from error
    if not isinstance(document, dict):
        raise PackageRefused("it is not a JSON object.", member)
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _checked(document: dict[str, Any], checks: dict[str, Callable[[Any], bool]]) -> dict[str, Any]:
    unknown = sorted(document.keys() ^ checks.keys())
    if unknown:
        raise PackageRefused(f"{unknown[0][:50]!r} is missing or unknown.", DESCRIPTION)
    wrong = [name for name, is_right in checks.items() if not is_right(document[name])]
    if wrong:
        raise PackageRefused(f"the value of {wrong[0]} is none that a version can have.", DESCRIPTION)
    return document
