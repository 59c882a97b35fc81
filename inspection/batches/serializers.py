"""Shapes of what the API of batches takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from inspection.batches import documents
from inspection.judging.serializers import InspectionOutput, PartInput, text_field
from inspection.models import BatchRun, Inspection, InspectionRequest


class NamedBatchInput(PartInput):
    """What can be asked for without sending images."""

    dataset = text_field()
    folder = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=1000,
        default="",
        help_text="of the server, inside one of BATCH_ROOTS: absolute, or below one of them",
    )
    wait = serializers.FloatField(
        required=False, default=0.0, min_value=0.0, max_value=60.0, help_text="seconds to wait for the results"
    )
    anomaly_map = serializers.ChoiceField(choices=list(documents.MAP_FORMS), required=False, default="url")


class BatchTestInput(NamedBatchInput):
    images = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True), required=False, default=list, help_text="files"
    )
    archive = serializers.FileField(required=False, default=None, help_text="a zip of images")


class BatchItemOutput(InspectionOutput):
    """The fields of a record are there when `status` is done, `code` and `detail` when it is failed."""

    position = serializers.IntegerField()
    path = serializers.CharField(help_text="within the zip, the folder or the data set; else not there")
    status = serializers.ChoiceField(choices=InspectionRequest.Status.choices)
    code = serializers.CharField()
    detail = serializers.CharField()
    version_number = serializers.IntegerField(help_text="of the model version, within its category")
    standing_verdict = serializers.ChoiceField(
        choices=Inspection.Outcome.choices, help_text="after the reviews: the last person's verdict, else the model's"
    )
    reviewed_at = serializers.DateTimeField(allow_null=True, help_text="when that person said it; see review")

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        for name, field in fields.items():
            field.required = name in ("position", "status", "filename")
        return fields


class BatchRowOutput(serializers.Serializer):
    """A batch in a list."""

    batch_id = serializers.UUIDField()
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=BatchRun.Status.choices)
    cancel_requested = serializers.BooleanField()
    url = serializers.CharField()
    model_version = serializers.IntegerField(help_text="its id")
    version_number = serializers.IntegerField(help_text="of the model version, within its category")
    algorithm = serializers.CharField()
    category = serializers.CharField()
    requested_by = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    done = serializers.IntegerField(help_text="have a record: good, defective or not comparable")
    failed = serializers.IntegerField(help_text="have none, and say why")
    cancelled = serializers.IntegerField(help_text="were not judged because the batch was cancelled")
    good = serializers.IntegerField(help_text="by the model; reviews do not change it")
    defective = serializers.IntegerField(help_text="by the model")
    not_comparable = serializers.IntegerField(help_text="by the model")
    reviewed = serializers.IntegerField(help_text="have a person's verdict that stands")
    overruled = serializers.IntegerField(help_text="of the reviewed: that verdict and the model's differ")
    stands_good = serializers.IntegerField(help_text="after the reviews")
    stands_defective = serializers.IntegerField(help_text="after the reviews")
    stands_not_comparable = serializers.IntegerField(help_text="after the reviews")
    progress = serializers.FloatField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    duration_seconds = serializers.FloatField(
        allow_null=True,
        help_text="from the first slice to the end, or to now; null where the clock was set back meanwhile",
    )
    images_per_second = serializers.FloatField(allow_null=True)


class ScoresOutput(serializers.Serializer):
    minimum = serializers.FloatField()
    p05 = serializers.FloatField()
    p25 = serializers.FloatField()
    median = serializers.FloatField()
    p75 = serializers.FloatField()
    p95 = serializers.FloatField()
    maximum = serializers.FloatField()


class BatchOutput(BatchRowOutput):
    """A whole batch; `results` are empty where they were not asked for."""

    failed_by_code = serializers.DictField(child=serializers.IntegerField())
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="what was left out, and names that may be misread, in sentences"
    )
    scores = ScoresOutput(allow_null=True, help_text="quantiles; null while nothing has a score")
    results = BatchItemOutput(many=True)


class BatchReportOutput(BatchOutput):
    """A whole batch as a file."""

    complete = serializers.BooleanField(help_text="false while the batch is not finished")
