"""Shapes of what the API of training runs takes and gives."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.schema import page_output
from modelzoo.api.fields import FiniteField, JsonObject
from modelzoo.api.serializers import choice_filter, filter_field
from modelzoo.detectors.registry import names_in_words
from modelzoo.models import Threshold
from training.models import TrainingRun
from training.runs.options import threshold_rule


# ---------------------------------------------------------------- training runs
class CalibrationInput(serializers.Serializer):
    """The rule of the first threshold, with its number."""

    method = serializers.ChoiceField(choices=[Threshold.Method.PERCENTILE.value, Threshold.Method.CONFORMAL.value])
    percentile = FiniteField(required=False, min_value=1.0, max_value=100.0, help_text="goes with percentile")
    false_reject_rate = FiniteField(required=False, min_value=0.0, max_value=1.0, help_text="goes with conformal")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        parameter = "percentile" if attrs["method"] == Threshold.Method.PERCENTILE else "false_reject_rate"
        if set(attrs) != {"method", parameter}:
            raise serializers.ValidationError({parameter: f"{attrs['method']} takes this number and no other."})
        return threshold_rule(**{parameter: attrs[parameter]})


class TrainingRunListInput(serializers.Serializer):
    dataset = filter_field(help_text="its name")
    algorithm = filter_field(32)
    status = choice_filter(TrainingRun.Status.choices)


class TrainingRunInput(serializers.Serializer):
    dataset = serializers.CharField(max_length=100, help_text="its name, then the newest snapshot is meant, or its id")
    algorithm = serializers.CharField(max_length=32, help_text=names_in_words())
    options = JsonObject(required=False, default=dict, help_text="of the detector; the others are as usual")
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**32 - 1)
    calibration = CalibrationInput(required=False, allow_null=True, default=None)
    ignore_mask = serializers.RegexField(
        r"^[0-9a-f]{64}$",
        required=False,
        allow_null=True,
        default=None,
        help_text="sha256 of a stored mask (`POST /api/ignore-masks`): what is white there is not judged",
    )
    ignore_mask_version = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=2**62,
        help_text="the version on whose mean image the mask was drawn; without one: on the images of the data set",
    )


class IgnoreMaskInput(serializers.Serializer):
    mask = serializers.FileField(
        help_text="PNG or JPEG of the size or the shape of the images, or of a version's mean image: what is not black "
        "is not judged"
    )


class IgnoreMaskOutput(serializers.Serializer):
    sha256 = serializers.CharField(help_text="for `ignore_mask` of a training run")
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    share = serializers.FloatField(help_text="of the picture that is not judged, 0 to 1")


class RunDatasetOutput(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    snapshot = serializers.CharField()


class TrainingRunOutput(serializers.Serializer):
    id = serializers.IntegerField()
    dataset = RunDatasetOutput()
    category = serializers.CharField()
    algorithm = serializers.CharField()
    base_version = serializers.IntegerField(allow_null=True, help_text="the version that it extends")
    options = serializers.DictField()
    calibration = serializers.DictField()
    ignore_mask = serializers.CharField(allow_null=True, help_text="sha256 of the mask of what is not judged")
    ignore_mask_version = serializers.IntegerField(
        allow_null=True, help_text="the version on whose mean image the mask was drawn"
    )
    seed = serializers.IntegerField()
    status = serializers.ChoiceField(choices=TrainingRun.Status.choices)
    progress = serializers.FloatField(help_text="0 to 1")
    message = serializers.CharField(allow_blank=True)
    cancel_requested = serializers.BooleanField()
    attempt = serializers.IntegerField()
    worker = serializers.CharField(allow_null=True)
    error_code = serializers.CharField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    model_version = serializers.IntegerField(allow_null=True, help_text="what came of it")
    log_url = serializers.CharField()
    requested_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


TrainingRunPageOutput = page_output(TrainingRunOutput)


class FullTrainingRunOutput(TrainingRunOutput):
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="about the first threshold: that it comes from too few images"
    )
    history = serializers.ListField(child=serializers.DictField(), help_text="epoch and losses, where there are epochs")
    selection = serializers.DictField(
        allow_null=True,
        help_text="of auto, once it succeeded: the winner, why, and every candidate with what it found",
    )
    versions = serializers.DictField(
        child=serializers.CharField(), help_text="of code and libraries, once it succeeded"
    )


class LogInput(serializers.Serializer):
    offset = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=2**62, help_text="X-Next-Offset of the piece before"
    )
