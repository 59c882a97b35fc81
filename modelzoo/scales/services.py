"""Writes: calibrations of stations, their pictures, and the size rule of a threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Max

from common.errors import Conflict, NotFound, UserError
from common.pixels.sixteen_bit import FULL_WINDOW
from common.rights import Right, require
from modelzoo.evaluation.region_sizes import SizeRule, rule_problem
from modelzoo.models import Category, ModelVersion, Threshold
from modelzoo.scales.measurement import Point, Scale, ScaleError, scale_from_checkerboard, scale_from_length
from modelzoo.scales.models import ScaleCalibration, scale_columns
from modelzoo.scales.selectors import scales_in_force
from modelzoo.selectors import threshold_in_force
from modelzoo.services import actor_id, append_threshold, lock_category, required_reason
from modelzoo.signatures.selectors import Act, Signature, check_signature
from records.assets.images import open_rgb
from records.assets.selectors import dataset_limits, fixed_window
from records.assets.services import check_upload, save_asset_row, store_image_file
from records.audit.services import Actor, audit
from records.models import Asset


def store_picture(*, data: bytes, filename: str, actor: Actor) -> Asset:
    """Keep a picture that a station is to be calibrated with; nothing judges it.

    Raises `Forbidden`, and `ImageRejected` for what is no picture that the system reads.
    """
    require(actor, Right.TUNE)
    facts, _ = check_upload(data=data, filename=filename, actor=actor, window=fixed_window() or FULL_WINDOW)
    filed = store_image_file(data=data, facts=facts)
    with transaction.atomic():
        asset = save_asset_row(filed)
        audit(
            kind="calibration.picture_stored",
            subject=asset,
            actor=actor,
            after={"sha256": asset.sha256, "filename": facts.clean_name},
            changes_subject=False,
        )
    return asset


def find_picture(sha256: str) -> Asset:
    """A stored picture by its hash. Raises `NotFound`, and `Discarded` where retention removed its file."""
    asset = Asset.objects.filter(sha256=sha256).first()
    if asset is None:
        raise NotFound(
            f"No stored picture has the hash {sha256[:64]!r}. Nothing was changed. Take the image_sha256 of a record, "
            "or upload the picture first.",
            code="picture_not_found",
        )
    asset.check_not_discarded()
    return asset


def calibrate_by_length(
    *,
    category: Category,
    station: str,
    picture: Asset,
    first: Point,
    second: Point,
    length_mm: float,
    reason: str,
    actor: Actor,
    length_error_mm: float = 0.0,
    point_error_px: float = 1.0,
) -> ScaleCalibration:
    """Set the scale of a station from a known length between two points of a picture, in force for the next image.

    Raises `Forbidden`, and `UserError` for a missing reason, points outside of the picture and a length that is none.
    """
    require(actor, Right.TUNE)
    for x, y in (first, second):
        if not (0 <= x <= picture.width and 0 <= y <= picture.height):
            raise UserError(
                f"The point {x:g}, {y:g} lies outside of the picture of {picture.width} x {picture.height} pixels. "
                "Nothing was changed.",
                code="calibration_refused",
            )
    scale = _measured(
        lambda: scale_from_length(
            first, second, length_mm=length_mm, length_error_mm=length_error_mm, point_error_px=point_error_px
        )
    )
    parameters = {
        "points": [list(first), list(second)],
        "length_mm": length_mm,
        "length_error_mm": length_error_mm,
        "point_error_px": point_error_px,
    }
    return _append(
        category=category,
        station=station,
        method=ScaleCalibration.Method.KNOWN_LENGTH,
        reason=reason,
        actor=actor,
        picture=picture,
        scale=scale,
        parameters=parameters,
    )


def calibrate_by_checkerboard(
    *,
    category: Category,
    station: str,
    picture: Asset,
    columns: int,
    rows: int,
    square_mm: float,
    reason: str,
    actor: Actor,
) -> ScaleCalibration:
    """Set the scale of a station from a picture of a checkerboard, in force for the next image.

    `columns`, `rows`: inner corners. Raises `Forbidden`, and `UserError` for a missing reason and where no such board
    is in the picture.
    """
    require(actor, Right.TUNE)
    required_reason(reason, "A calibration")
    window = fixed_window() or FULL_WINDOW
    pixels = np.asarray(open_rgb(picture.read(), dataset_limits(), window=window))
    scale = _measured(lambda: scale_from_checkerboard(pixels, columns=columns, rows=rows, square_mm=square_mm))
    parameters = {
        "columns": columns,
        "rows": rows,
        "square_mm": square_mm,
        "squares": scale.squares,
        "spread_percent": scale.spread_percent,
        "coverage_percent": scale.coverage_percent,
    }
    return _append(
        category=category,
        station=station,
        method=ScaleCalibration.Method.CHECKERBOARD,
        reason=reason,
        actor=actor,
        picture=picture,
        scale=scale,
        parameters=parameters,
    )


def withdraw_calibration(*, category: Category, station: str, reason: str, actor: Actor) -> ScaleCalibration:
    """Say that the scale of a station is not valid any more, as when its camera was moved: the next image has no sizes.

    Raises `Forbidden`, `Conflict` where none is in force, and `UserError` for a missing reason.
    """
    require(actor, Right.TUNE)
    return _append(
        category=category, station=station, method=ScaleCalibration.Method.WITHDRAWN, reason=reason, actor=actor
    )


def _measured(measure: Callable[[], Scale]) -> Scale:
    try:
        return measure()
    except ScaleError as error:
        raise UserError(f"{error} Nothing was changed.", code="calibration_refused") from error


@transaction.atomic
def _append(
    *,
    category: Category,
    station: str,
    method: str,
    reason: str,
    actor: Actor,
    picture: Asset | None = None,
    scale: Scale | None = None,
    parameters: dict[str, Any] | None = None,
) -> ScaleCalibration:
    reason = required_reason(reason, "A calibration")
    station = station.strip()
    if len(station) > 100 or "\0" in station:
        raise UserError("A station has a name of up to 100 characters. Nothing was changed.", code="invalid")
    lock_category(category.pk)  # two who calibrate one station at once number one by one
    before = scales_in_force(category.pk).get(station)
    if scale is None and before is None:
        raise Conflict(
            f"{station or 'Images without a station'} has no calibration of {category.name}. Nothing was changed.",
            code="not_calibrated",
        )
    revisions = ScaleCalibration.objects.filter(category=category, station=station)
    row = ScaleCalibration.objects.create(
        category=category,
        station=station,
        revision=(revisions.aggregate(last=Max("revision"))["last"] or 0) + 1,
        method=method,
        picture=picture,
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        parameters=parameters or {},
        reason=reason[:500],
        author_id=actor_id(actor),
        **(scale_columns(scale) if scale else {}),
    )
    audit(
        kind="calibration.set" if scale else "calibration.withdrawn",
        subject=category,
        actor=actor,
        before=before and {"revision": before.revision, "mm_per_px": before.mm_per_px},
        after={
            "category": category.name,
            "station": station,
            "revision": row.revision,
            "method": method,
            "mm_per_px": row.mm_per_px,
            "uncertainty_percent": row.uncertainty_percent,
            "variation_percent": row.variation_percent,
            "picture": picture and picture.sha256,
            "reason": row.reason,
        },
        attests=[row],
        changes_subject=False,
    )
    return row


# ---------------------------------------------------------------- the size rule
@transaction.atomic
def set_size_rule(
    *, version: ModelVersion, rule: SizeRule, reason: str, actor: Actor, signature: Signature | None = None
) -> Threshold:
    """Set which regions are ignored and how severe the others are: a new revision of the threshold, of the same value.

    An empty rule takes the one in force away. Raises `Forbidden`, `SignatureRequired` where the category requires one,
    `UserError` for a missing reason and a rule that makes no sense, and `Conflict` where no station of the category has
    a calibration.
    """
    require(actor, Right.TUNE)
    check_signature(Act.THRESHOLD, [version.category_id], signature=signature, actor=actor)
    reason = required_reason(reason, "A size rule")
    if problem := rule_problem(rule):
        raise UserError(f"{problem} Nothing was changed.", code="invalid_size_rule")
    ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    in_force = threshold_in_force(version.pk)
    if rule == in_force.size_rule:
        raise Conflict("This rule is in force already. Nothing was changed.", code="size_rule_unchanged")
    if not rule.is_empty and not scales_in_force(version.category_id):
        raise Conflict(
            f"No station of {version.category.name} has a calibration, so nothing there can be measured in "
            "millimetres. Nothing was changed. Calibrate the station first, then set the rule.",
            code="not_calibrated",
        )
    return append_threshold(
        version=version,
        value=in_force.value,
        method=in_force.method,
        parameters=in_force.parameters,
        # Not the figures of the revision before: they were promised without this rule.
        evidence={"repeats_revision": in_force.revision}
        | {name: value for name, value in in_force.evidence.items() if name == "n"},
        reason=reason,
        actor=actor,
        signature=signature,
        size_rule=rule,
    )
