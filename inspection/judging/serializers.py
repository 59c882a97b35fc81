"""Shapes of what the API takes and gives; the OpenAPI schema is made from these."""

from __future__ import annotations

from rest_framework import serializers

from inspection.judging.documents import MAP_FORMS
from inspection.models import Inspection, InspectionRequest, Review
from modelzoo.api.fields import FiniteField
from modelzoo.models import Deployment
from records.assets.formats import FORMATS


def text_field(limit: int = 100) -> serializers.CharField:
    return serializers.CharField(required=False, allow_blank=True, max_length=limit, default="")


class LoadModelInput(serializers.Serializer):
    model_version = serializers.CharField(
        required=False, default="latest", max_length=20, help_text="an id, or 'latest'"
    )
    category = text_field()
    algorithm = text_field(32)
    threshold = FiniteField(
        required=False, allow_null=True, default=None, help_text="becomes a new threshold revision of the version"
    )
    device = serializers.ChoiceField(choices=["auto", "cpu", "cuda"], required=False, allow_null=True, default=None)
    runtime = serializers.ChoiceField(
        choices=Deployment.Runtime.choices, required=False, allow_null=True, default=None, help_text="default: RUNTIME"
    )
    precision = serializers.ChoiceField(
        choices=Deployment.Precision.choices,
        required=False,
        allow_null=True,
        default=None,
        help_text="of the network; auto measures; default: PRECISION",
    )


class PartInput(serializers.Serializer):
    category = text_field()
    station = text_field()
    part_number = text_field()
    lot = text_field()
    serial_number = text_field()
    anomaly_map = serializers.ChoiceField(choices=list(MAP_FORMS), required=False, default="full")


class TestImageInput(PartInput):
    image = serializers.FileField(
        allow_empty_file=True, max_length=None, help_text="PNG or JPEG, or what else ALLOWED_EXTENSIONS names"
    )


class LoadedModelOutput(serializers.Serializer):
    deployment_id = serializers.IntegerField()
    category = serializers.CharField()
    model_version = serializers.IntegerField()
    version_number = serializers.IntegerField()
    algorithm = serializers.CharField()
    backbone = serializers.CharField(allow_null=True)
    device = serializers.CharField()
    runtime = serializers.CharField(help_text="as requested")
    runtime_chosen = serializers.CharField(allow_blank=True, help_text="what runs the model")
    precision = serializers.CharField(help_text="as requested")
    precision_chosen = serializers.CharField(allow_blank=True, help_text="what the model runs in")
    worker = serializers.CharField()
    threshold = serializers.FloatField()
    threshold_revision = serializers.IntegerField()
    image_size = serializers.JSONField()
    preprocessing = serializers.DictField(
        child=serializers.CharField(),
        help_text="illumination: flatfield or none; align: pose or none; size: WIDTHxHEIGHT of a native input",
    )
    loaded_at = serializers.DateTimeField()
    loaded_by = serializers.CharField(allow_null=True)


class WarmModelOutput(serializers.Serializer):
    model_version = serializers.IntegerField()
    name = serializers.CharField()
    device = serializers.CharField()
    runtime = serializers.CharField()
    precision = serializers.CharField()
    size_bytes = serializers.IntegerField(help_text="counted when it was loaded")
    used_at = serializers.DateTimeField()


class WorkerMemoryOutput(serializers.Serializer):
    budget_bytes = serializers.IntegerField(help_text="what models may take; see the setting WARM_MODELS_MIB")
    size_bytes = serializers.IntegerField(help_text="what they take; more than the budget where one alone is larger")
    evictions = serializers.IntegerField(help_text="models that made room for others since the process began")
    models = WarmModelOutput(many=True, help_text="the most recently used first")


class WorkerOutput(serializers.Serializer):
    name = serializers.CharField()
    queues = serializers.ListField(child=serializers.CharField())
    memory = WorkerMemoryOutput(many=True, help_text="of each process that judges, once it has said")


class SchedulerOutput(serializers.Serializer):
    alive = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True, help_text="when it is not: its last sign of life, if known")


class JudgingOutput(serializers.Serializer):
    alive = serializers.BooleanField(help_text="an inference worker gave a sign of life in the last seconds")
    since = serializers.DateTimeField(
        allow_null=True, help_text="when none is alive: the last sign of life; null where it is not known"
    )
    waiting = serializers.IntegerField(help_text="single images that wait for their verdict")


class CanaryStatusOutput(serializers.Serializer):
    deployment_id = serializers.IntegerField()
    category = serializers.CharField()
    station = serializers.CharField()
    model_version = serializers.IntegerField()
    version_number = serializers.IntegerField()
    algorithm = serializers.CharField()
    threshold = serializers.FloatField()
    threshold_revision = serializers.IntegerField()
    reason = serializers.CharField()
    loaded_at = serializers.DateTimeField()


class StatusOutput(serializers.Serializer):
    model_loaded = serializers.BooleanField()
    model = LoadedModelOutput(
        allow_null=True, help_text="what judges an image that names no category; null: nothing, or several could"
    )
    default_category = serializers.CharField(allow_null=True, help_text="set on purpose; null: none is")
    deployments = LoadedModelOutput(many=True)
    canaries = CanaryStatusOutput(many=True, help_text="versions that judge one station instead of production")
    device = serializers.CharField()
    threshold = serializers.FloatField(allow_null=True)
    workers = WorkerOutput(many=True)
    judging = JudgingOutput()
    scheduler = SchedulerOutput()
    queues = serializers.DictField(
        child=serializers.IntegerField(allow_null=True), help_text="messages, of which several may be for one image"
    )
    broker = serializers.CharField()
    versions = serializers.DictField(child=serializers.CharField())
    uptime_seconds = serializers.FloatField()


class RequestOutput(serializers.Serializer):
    """What became of the request to judge one image."""

    request_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=InspectionRequest.Status.choices)
    final = serializers.BooleanField(help_text="false: a record may come yet, until the deadline")
    deadline = serializers.DateTimeField(allow_null=True, help_text="no record is written after it; null: no end")
    inspection_id = serializers.UUIDField(allow_null=True, help_text="the record; null where there is none")
    inspection_url = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_blank=True, help_text="why there is no record, when status is failed")
    detail = serializers.CharField(allow_blank=True)
    repeat_url = serializers.CharField(
        allow_null=True, help_text="POST: have the kept image judged again; null where that is not possible"
    )
    repeat_of = serializers.UUIDField(allow_null=True, help_text="the first request for the same part")
    batch_id = serializers.UUIDField(allow_null=True)
    filename = serializers.CharField()
    path = serializers.CharField(
        allow_blank=True, help_text="in the zip, folder or data set of its batch; empty where it came alone"
    )
    image_sha256 = serializers.CharField(allow_null=True)
    station = serializers.CharField(allow_blank=True)
    part_number = serializers.CharField(allow_blank=True)
    lot = serializers.CharField(allow_blank=True)
    serial_number = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class RegionOutput(serializers.Serializer):
    """A connected place above the threshold, in pixels of the image; its peak is in the unit of the score."""

    x = serializers.IntegerField(help_text="left edge of its box")
    y = serializers.IntegerField(help_text="upper edge of its box")
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    area_px = serializers.IntegerField()
    peak = serializers.FloatField()
    peak_x = serializers.IntegerField()
    peak_y = serializers.IntegerField()
    area_mm2 = serializers.FloatField(allow_null=True, help_text="null: the station had no calibration")
    width_mm = serializers.FloatField(allow_null=True, help_text="of its box")
    height_mm = serializers.FloatField(allow_null=True)
    is_ignored = serializers.BooleanField(help_text="by the size rule: smaller than min_region_mm2 of the record")
    severity = serializers.CharField(allow_null=True, help_text="its grade; null: none, or ignored")


class StandingOutput(serializers.Serializer):
    """Where a record stands after its last review."""

    verdict = serializers.ChoiceField(choices=Review.Verdict.choices)
    reviewer = serializers.CharField()
    defect_type = serializers.CharField(allow_blank=True)
    overruled = serializers.BooleanField(help_text="the last review and the model's verdict differ")
    contested = serializers.BooleanField(help_text="its reviews differ among themselves")
    reviews = serializers.IntegerField(help_text="how many there are")


class PictureWarningOutput(serializers.Serializer):
    """What was odd about a picture that was judged all the same."""

    code = serializers.CharField()
    detail = serializers.CharField()


class InspectionOutput(serializers.Serializer):
    """A whole record. What could not be compared has no verdict, so it is never "good": `is_defective` is null."""

    reconstruction_error = serializers.FloatField(
        allow_null=True, help_text="the image score, for every algorithm; null when not comparable"
    )
    is_defective = serializers.BooleanField(allow_null=True, help_text="null when not comparable: no verdict")
    threshold = serializers.FloatField()
    confidence = serializers.FloatField(allow_null=True, help_text="|score - threshold|")
    anomaly_map = serializers.JSONField(
        help_text="nested list [H][W] over the whole image, longer side at most 512; an address; or null"
    )
    inspection_id = serializers.UUIDField()
    outcome = serializers.ChoiceField(choices=Inspection.Outcome.choices)
    reason = serializers.CharField(allow_blank=True, help_text="why it is not comparable, a word for programs")
    explanation = serializers.CharField(allow_blank=True, help_text="the same as a sentence")
    warnings = PictureWarningOutput(many=True, help_text="warnings about an image that was judged")
    score = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(
        allow_null=True, help_text="share of good parts at least as anomalous, this one included: small is suspicious"
    )
    regions = RegionOutput(many=True, allow_null=True, help_text="above the threshold, highest first, at most 50")
    ignored_outlines = serializers.ListField(
        child=serializers.ListField(
            child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2)
        ),
        allow_null=True,
        help_text="polygons [[x, y], ...] of what is not judged, in the image's pixels; one inside another is a hole; "
        "null where the whole image is judged",
    )
    image_statistics = serializers.DictField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="what the picture looks like as a whole, see docs/drift.md; null in records older than it",
    )
    region_count = serializers.IntegerField(allow_null=True)
    largest_region_px = serializers.IntegerField(allow_null=True)
    largest_region_mm2 = serializers.FloatField(allow_null=True, help_text="null: the station had no calibration")
    mm_per_px = serializers.FloatField(allow_null=True, help_text="with which it was measured, when it was judged")
    calibration = serializers.IntegerField(allow_null=True, help_text="the calibration that was in force then")
    min_region_mm2 = serializers.FloatField(
        allow_null=True, help_text="the size rule of its threshold revision; null: it had none"
    )
    ignored_region_count = serializers.IntegerField(
        allow_null=True, help_text="of region_count; null: no size rule was applied"
    )
    severity = serializers.CharField(allow_null=True, help_text="the most severe grade of its regions")
    size_note = serializers.CharField(
        allow_blank=True, help_text="what the size rule did to the verdict, or why it was not applied"
    )
    algorithm = serializers.CharField()
    model_version = serializers.IntegerField()
    category = serializers.CharField()
    threshold_revision = serializers.IntegerField()
    filename = serializers.CharField()
    path = serializers.CharField(
        allow_blank=True, help_text="in the zip, folder or data set of its batch; empty where it came alone"
    )
    image_sha256 = serializers.CharField()
    image_format = serializers.ChoiceField(choices=FORMATS, help_text="by content; the name may say otherwise")
    image_url = serializers.CharField()
    overlay_url = serializers.CharField(allow_null=True)
    page_url = serializers.CharField()
    station = serializers.CharField(allow_blank=True)
    part_number = serializers.CharField(allow_blank=True)
    lot = serializers.CharField(allow_blank=True)
    serial_number = serializers.CharField(allow_blank=True)
    device = serializers.CharField()
    worker = serializers.CharField()
    timings = serializers.DictField(
        child=serializers.JSONField(), help_text="milliseconds of each step; how the model ran (runtime, precision)"
    )
    created_at = serializers.DateTimeField()
    review = StandingOutput(allow_null=True, help_text="null: not reviewed")
