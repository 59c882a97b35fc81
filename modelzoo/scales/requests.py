"""Which service a request for a calibration means, of the API and of the page alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import UserError
from modelzoo.models import Category, ScaleCalibration
from modelzoo.scales import services
from records.audit.services import Actor

_Method = ScaleCalibration.Method
_NEEDED = {
    _Method.KNOWN_LENGTH: ("picture", "points", "length_mm"),
    _Method.CHECKERBOARD: ("picture", "columns", "rows", "square_mm"),
    _Method.WITHDRAWN: (),
}


def calibrate(*, category: Category, fields: Mapping[str, Any], actor: Actor) -> ScaleCalibration:
    """`fields`: those of `ScaleCalibrationInput`. Raises as the services do, and `UserError` for what is missing."""
    method = fields["method"]
    missing = [name for name in _NEEDED[method] if fields[name] in (None, "", [])]
    if method == _Method.KNOWN_LENGTH and len(fields["points"]) == 1:
        missing.append("points")
    if missing:
        raise UserError(
            f"A calibration by {_Method(method).label.lower()} needs {', '.join(missing)}. Nothing was changed.",
            code="calibration_refused",
        )
    common: dict[str, Any] = {
        "category": category,
        "station": fields["station"],
        "reason": fields["reason"],
        "actor": actor,
    }
    if method == _Method.WITHDRAWN:
        return services.withdraw_calibration(**common)
    common["picture"] = services.find_picture(fields["picture"])
    if method == _Method.CHECKERBOARD:
        board = {name: fields[name] for name in ("columns", "rows", "square_mm")}
        return services.calibrate_by_checkerboard(**common, **board)
    first, second = (tuple(point) for point in fields["points"])
    length = {name: fields[name] for name in ("length_mm", "length_error_mm", "point_error_px")}
    return services.calibrate_by_length(**common, first=first, second=second, **length)
