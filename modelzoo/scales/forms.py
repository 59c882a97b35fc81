"""What the page of calibrations and the form of a size rule take."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from modelzoo.evaluation.region_sizes import MAX_GRADE_NAME, Grade, SizeRule
from modelzoo.models import ScaleCalibration
from modelzoo.scales.measurement import BOARD_CORNERS

_LOW, _HIGH = BOARD_CORNERS
_POINTS = ("x1", "y1", "x2", "y2")
GRADE_ROWS = 3  # that the form offers; the API takes more


def _number(label: Any, *, required: bool = True, **options: Any) -> forms.FloatField:
    widget = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"})
    return forms.FloatField(label=label, required=required, widget=widget, **options)


class _StationForm(forms.Form):
    station = forms.CharField(
        label=_("Station"), required=False, max_length=100, help_text=_("Empty: images that name no station.")
    )
    picture = forms.RegexField(r"^[0-9a-f]{64}$", widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"), max_length=500, help_text=_("Such as the gauge that was measured. Kept in the audit log.")
    )

    def fields_of_calibration(self) -> dict[str, Any]:
        """As `requests.calibrate` takes them."""
        raise NotImplementedError


class KnownLengthForm(_StationForm):
    x1 = _number(_("First point, x"), min_value=0)
    y1 = _number(_("First point, y"), min_value=0)
    x2 = _number(_("Second point, x"), min_value=0)
    y2 = _number(_("Second point, y"), min_value=0)
    length_mm = _number(_("Length between them (mm)"), min_value=0)
    length_error_mm = _number(_("Its standard uncertainty (mm)"), min_value=0, initial=0)
    point_error_px = _number(
        _("Standard uncertainty of a point (pixels)"),
        min_value=0.1,
        max_value=100,
        initial=1,
        help_text=_("Drawing sets it to what a pixel of the screen stands for, at least 1."),
    )
    field_order = ("station", *_POINTS, "length_mm", "length_error_mm", "point_error_px", "reason")

    def fields_of_calibration(self) -> dict[str, Any]:
        values = self.cleaned_data
        x1, y1, x2, y2 = (values[name] for name in _POINTS)
        return values | {"method": ScaleCalibration.Method.KNOWN_LENGTH, "points": [[x1, y1], [x2, y2]]}


class CheckerboardForm(_StationForm):
    columns = forms.IntegerField(
        label=_("Inner corners, columns"),
        min_value=_LOW,
        max_value=_HIGH,
        help_text=_("Where four squares meet: a board of 10 squares has 9."),
    )
    rows = forms.IntegerField(label=_("Inner corners, rows"), min_value=_LOW, max_value=_HIGH)
    square_mm = _number(_("Side of a square (mm)"), min_value=0)
    field_order = ("station", "columns", "rows", "square_mm", "reason")

    def fields_of_calibration(self) -> dict[str, Any]:
        return self.cleaned_data | {"method": ScaleCalibration.Method.CHECKERBOARD}


class WithdrawalForm(_StationForm):
    picture = None  # type: ignore[assignment]  # a form takes a field of its base away like this

    def fields_of_calibration(self) -> dict[str, Any]:
        return self.cleaned_data | {"method": ScaleCalibration.Method.WITHDRAWN}


FORMS: dict[str, type[_StationForm]] = {
    ScaleCalibration.Method.KNOWN_LENGTH: KnownLengthForm,
    ScaleCalibration.Method.CHECKERBOARD: CheckerboardForm,
    ScaleCalibration.Method.WITHDRAWN: WithdrawalForm,
}


class SizeRuleForm(forms.Form):
    """The smallest area, up to `GRADE_ROWS` grades from the mildest, a reason."""

    min_area_mm2 = _number(
        _("Ignore regions below (mm²)"), required=False, min_value=0, help_text=_("Empty: no region is ignored.")
    )
    reason = forms.CharField(label=_("Reason"), max_length=500, help_text=_("Why? Kept in the audit log."))

    def __init__(self, data: Any = None, *, rule: SizeRule | None = None) -> None:
        """`rule`: what stands in it at first."""
        rule = rule or SizeRule()
        initial: dict[str, Any] = {"min_area_mm2": rule.min_area_mm2}
        self.extra_grades = rule.grades[GRADE_ROWS:]
        for place, grade in enumerate(rule.grades[:GRADE_ROWS], start=1):
            initial |= {
                f"grade_{place}": grade.name,
                f"area_{place}": grade.min_area_mm2 or None,
                f"peak_{place}": grade.min_peak or None,
            }
        super().__init__(data, initial=initial)
        for place in range(1, GRADE_ROWS + 1):
            self.fields[f"grade_{place}"] = forms.CharField(
                label=_("Grade %(n)s") % {"n": place}, required=False, max_length=MAX_GRADE_NAME
            )
            self.fields[f"area_{place}"] = _number(_("from area (mm²)"), required=False, min_value=0)
            self.fields[f"peak_{place}"] = _number(_("from peak"), required=False, min_value=0)

    def grade_rows(self) -> list[tuple[Any, Any, Any]]:
        names = ("grade", "area", "peak")
        return [
            (self[f"{names[0]}_{place}"], self[f"{names[1]}_{place}"], self[f"{names[2]}_{place}"])
            for place in range(1, GRADE_ROWS + 1)
        ]

    @property
    def rule(self) -> SizeRule:
        """Of a form that is valid."""
        values = self.cleaned_data
        grades = [
            Grade(values[f"grade_{place}"].strip(), values[f"area_{place}"] or 0.0, values[f"peak_{place}"] or 0.0)
            for place in range(1, GRADE_ROWS + 1)
            if values[f"grade_{place}"].strip()
        ]
        return SizeRule(values["min_area_mm2"], (*grades, *self.extra_grades))
