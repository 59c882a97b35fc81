"""Shapes of what the API of calibrations and size rules takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from common.api.schema import page_output
from modelzoo.api.fields import FiniteField
from modelzoo.api.serializers import ThresholdOutput, filter_field, reason_field
from modelzoo.evaluation.region_sizes import MAX_GRADE_NAME, MAX_GRADES
from modelzoo.models import ScaleCalibration
from modelzoo.scales.measurement import BOARD_CORNERS
from modelzoo.signatures.serializers import signature_field

_LOW, _HIGH = BOARD_CORNERS


class CalibrationListInput(serializers.Serializer):
    station = filter_field()


class PointField(serializers.ListField):
    child = FiniteField()

    def __init__(self) -> None:
        super().__init__(min_length=2, max_length=2)


class ScaleCalibrationInput(serializers.Serializer):
    """A scale by a known length (`points`, `length_mm`) or a checkerboard (`columns`, `rows`, `square_mm`), or none."""

    station = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=100, help_text="empty: images that name no station"
    )
    method = serializers.ChoiceField(choices=ScaleCalibration.Method.choices)
    picture = serializers.CharField(
        max_length=64,
        required=False,
        allow_blank=True,
        default="",
        help_text="image_sha256 of a record or sha256 of a stored calibration picture; not where it is withdrawn",
    )
    points = serializers.ListField(
        child=PointField(),
        required=False,
        default=list,
        max_length=2,
        help_text="[[x, y], [x, y]] in pixels of the picture, from its upper left corner",
    )
    length_mm = FiniteField(required=False, allow_null=True, default=None, help_text="between the two points")
    length_error_mm = FiniteField(required=False, default=0.0, help_text="standard uncertainty of that length")
    point_error_px = FiniteField(required=False, default=1.0, help_text="standard uncertainty of each point")
    columns = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=_LOW, max_value=_HIGH, help_text="inner corners"
    )
    rows = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=_LOW, max_value=_HIGH, help_text="inner corners"
    )
    square_mm = FiniteField(required=False, allow_null=True, default=None, help_text="side of a square")
    reason = reason_field()


class ScaleCalibrationOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    revision = serializers.IntegerField(help_text="of this category and station")
    in_force = serializers.BooleanField()
    method = serializers.ChoiceField(choices=ScaleCalibration.Method.choices)
    mm_per_px = serializers.FloatField(allow_null=True, help_text="null: withdrawn")
    uncertainty_percent = serializers.FloatField(allow_null=True, help_text="standard uncertainty of a length")
    variation_percent = serializers.FloatField(
        allow_null=True, help_text="by how much the scale differs over the board; null: not measured"
    )
    is_uneven = serializers.BooleanField(
        help_text="it differs by more than 2 %: the camera is tilted, or its lens distorts"
    )
    warnings = serializers.ListField(child=serializers.CharField())
    picture = serializers.CharField(allow_null=True, help_text="SHA-256")
    width = serializers.IntegerField(allow_null=True, help_text="of the pictures that it is valid for")
    height = serializers.IntegerField(allow_null=True)
    parameters = serializers.DictField()
    reason = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


ScaleCalibrationPageOutput = page_output(ScaleCalibrationOutput)


class CalibrationPictureInput(serializers.Serializer):
    image = serializers.FileField(help_text="a picture of the station, of the size that it sends")


class CalibrationPictureOutput(serializers.Serializer):
    sha256 = serializers.CharField(help_text="for `picture` of a calibration")
    width = serializers.IntegerField()
    height = serializers.IntegerField()


class GradeInput(serializers.Serializer):
    """A region has the last grade whose area and peak it reaches."""

    name = serializers.CharField(max_length=MAX_GRADE_NAME)
    min_area_mm2 = FiniteField(required=False, default=0.0, help_text="smallest area; 0: any")
    min_peak = FiniteField(required=False, default=0.0, help_text="smallest peak, in the unit of the score; 0: any")


class GradeOutput(serializers.Serializer):
    name = serializers.CharField()
    min_area_mm2 = serializers.FloatField()
    min_peak = serializers.FloatField()


class SizeRuleInput(serializers.Serializer):
    """Which regions are ignored, and how severe the others are; both empty: no rule."""

    min_area_mm2 = FiniteField(
        required=False, allow_null=True, default=None, help_text="regions of a smaller area are ignored; null: none is"
    )
    grades = serializers.ListField(
        child=GradeInput(), required=False, default=list, max_length=MAX_GRADES, help_text="from the mildest"
    )
    reason = reason_field()
    signature = signature_field()


class SizeRuleOutput(serializers.Serializer):
    model_version = serializers.IntegerField()
    min_area_mm2 = serializers.FloatField(allow_null=True)
    grades = GradeOutput(many=True)
    stations_without_calibration = serializers.ListField(
        child=serializers.CharField(allow_blank=True),
        help_text="that sent pictures lately: their verdicts are those of the threshold alone; empty text: no station",
    )
    threshold = ThresholdOutput(help_text="the revision that holds it")
