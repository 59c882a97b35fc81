"""Shapes of what the API of categories, model versions, thresholds and deployments takes and gives."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.schema import page_output
from modelzoo.api.fields import FiniteField, JsonObject
from modelzoo.detectors.preprocessing.input_rules import ACTIONS
from modelzoo.models import Deployment, ModelVersion, Threshold
from modelzoo.signatures.serializers import SignatureOutput, signature_field

_MAX_ID = 10**18 - 1


def reason_field() -> serializers.CharField:
    return serializers.CharField(max_length=500, help_text="why; kept with the change")


def id_field(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=_MAX_ID, **options)


def filter_field(limit: int = 100, **options: Any) -> serializers.CharField:
    """One word that rows are filtered by; an empty one is none."""
    return serializers.CharField(required=False, allow_blank=True, default="", max_length=limit, **options)


def choice_filter(choices: Any) -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=choices, required=False, allow_blank=True, default="")


class ReasonInput(serializers.Serializer):
    reason = reason_field()


class SignedReasonInput(ReasonInput):
    signature = signature_field()


# ---------------------------------------------------------------- categories
class ProductionVersionOutput(serializers.Serializer):
    id = serializers.IntegerField()
    number = serializers.IntegerField()
    algorithm = serializers.CharField()


class CategoryOutput(serializers.Serializer):
    name = serializers.CharField()
    is_default = serializers.BooleanField(
        help_text=("used for images without a category while several are in production")
    )
    production = ProductionVersionOutput(allow_null=True, help_text="the model version that judges its parts")
    deployment = serializers.IntegerField(allow_null=True, help_text="the active one")
    model_versions = serializers.IntegerField(help_text="how many")
    datasets = serializers.IntegerField(help_text="how many")
    created_at = serializers.DateTimeField()


CategoryPageOutput = page_output(CategoryOutput)


class InputChecksInput(serializers.Serializer):
    """What is checked of a picture before it is judged; what is not sent is as it was."""

    size = serializers.ChoiceField(choices=ACTIONS, required=False)
    aspect = serializers.ChoiceField(choices=ACTIONS, required=False)
    colour = serializers.ChoiceField(choices=ACTIONS, required=False)
    likeness = serializers.ChoiceField(choices=ACTIONS, required=False)
    size_factor = FiniteField(required=False, help_text="how many times longer or shorter the sides may be")
    aspect_percent = FiniteField(required=False, help_text="by how many per cent width to height may differ")
    likeness_factor = FiniteField(required=False, help_text="how many times the learnt limit is allowed")
    reason = reason_field()


class InputChecksOutput(serializers.Serializer):
    category = serializers.CharField()
    size = serializers.ChoiceField(choices=ACTIONS)
    aspect = serializers.ChoiceField(choices=ACTIONS)
    colour = serializers.ChoiceField(choices=ACTIONS)
    likeness = serializers.ChoiceField(choices=ACTIONS)
    size_factor = serializers.FloatField()
    aspect_percent = serializers.FloatField()
    likeness_factor = serializers.FloatField()
    reason = serializers.CharField(allow_blank=True)
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True, help_text="null: nobody set them, these are the defaults")


class DefaultCategoryInput(serializers.Serializer):
    category = serializers.CharField(
        allow_null=True, max_length=100, help_text="a category in production; null: remove the default"
    )
    reason = reason_field()


class DefaultCategoryOutput(serializers.Serializer):
    category = serializers.CharField(allow_null=True)


# ---------------------------------------------------------------- model versions
class VersionListInput(serializers.Serializer):
    category = filter_field()
    algorithm = filter_field(32)
    stage = choice_filter(ModelVersion.Stage.choices)


class ModelVersionOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField()
    number = serializers.IntegerField(help_text="within its category")
    algorithm = serializers.CharField()
    backbone = serializers.CharField(allow_null=True)
    stage = serializers.ChoiceField(choices=ModelVersion.Stage.choices)
    auroc = serializers.FloatField(allow_null=True, help_text="image AUROC at the end of training")
    threshold = serializers.FloatField(help_text="in force")
    threshold_revision = serializers.IntegerField()
    dataset = serializers.CharField(help_text="name of the data set it learned from")
    dataset_snapshot = serializers.CharField()
    artifact_sha256 = serializers.CharField()
    artifact_bytes = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(allow_null=True)


ModelVersionPageOutput = page_output(ModelVersionOutput)


class VersionIgnoreMaskOutput(serializers.Serializer):
    share = serializers.FloatField(help_text="of the model's input that is not judged, 0 to 1")
    sha256 = serializers.CharField(allow_null=True, help_text="of the mask as it was drawn or sent")
    drawn_on_version = serializers.IntegerField(
        allow_null=True, help_text="the version on whose mean image it was drawn; null: on the images as they are"
    )
    picture_url = serializers.CharField(help_text="white is not judged, in the pixels of the mean image")


class VersionOriginOutput(serializers.Serializer):
    """What an imported version was where it came from, and whose signature says so."""

    category = serializers.CharField()
    number = serializers.IntegerField()
    id = serializers.IntegerField()
    created_at = serializers.DateTimeField(help_text="when it was trained")
    created_by = serializers.CharField()
    threshold_revision = serializers.IntegerField(help_text="in force there when it was exported")
    key_id = serializers.CharField()
    fingerprint = serializers.CharField(help_text="SHA-256 of the key that signed it")
    package_sha256 = serializers.CharField(help_text="of the signed list of contents")
    before = serializers.DictField(allow_null=True, help_text="where that installation had it from")


class FullModelVersionOutput(ModelVersionOutput):
    config = serializers.DictField(help_text="options of the detector")
    preprocessing = serializers.DictField(help_text="what was decided about illumination and pose, and why")
    backbone_sha256 = serializers.CharField(allow_null=True)
    seed = serializers.IntegerField()
    versions = serializers.DictField(child=serializers.CharField(), help_text="of code and libraries that trained it")
    origin = VersionOriginOutput(allow_null=True, help_text="of a version that was imported; null: trained here")
    training_run = serializers.IntegerField(allow_null=True)
    dataset_id = serializers.IntegerField(allow_null=True)
    base_version = serializers.IntegerField(allow_null=True, help_text="the version that it extends")
    ignore_mask = VersionIgnoreMaskOutput(allow_null=True, help_text="null where the whole image is judged")
    threshold_warnings = serializers.ListField(
        child=serializers.CharField(), help_text="of the threshold in force: that it comes from too few images"
    )


class DisturbanceEffectOutput(serializers.Serializer):
    """What became of good images, not comparable ones counted as rejected."""

    title = serializers.CharField(help_text="of the disturbance, in words")
    n = serializers.IntegerField()
    rejected = serializers.IntegerField()
    rejected_share = serializers.FloatField()
    not_comparable = serializers.IntegerField()
    change_median = serializers.FloatField(
        allow_null=True, help_text="of the score, in standard deviations of the held-out scores; positive: to rejection"
    )
    change_p95 = serializers.FloatField(allow_null=True, help_text="95th percentile of the same")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="why images are not comparable")


class DisturbanceOutput(DisturbanceEffectOutput):
    name = serializers.CharField(help_text="darker, brighter, blur, noise, shift, rotation or jpeg")


class LampOutput(serializers.Serializer):
    steps = serializers.ListField(child=serializers.FloatField(), help_text="changes of brightness, as shares")
    max_rejected_share = serializers.FloatField(help_text="twice the expected rate")
    darker = serializers.FloatField(help_text="the largest step up to which no more are rejected; 0: none")
    brighter = serializers.FloatField(help_text="the same")
    rejected_share = serializers.DictField(
        child=serializers.DictField(child=serializers.FloatField()),
        help_text="of darker and brighter: of each step that was tried",
    )


class RobustnessOutput(serializers.Serializer):
    images = serializers.CharField(help_text="test images, or training images where there are no good test images")
    n = serializers.IntegerField()
    threshold = serializers.FloatField(help_text="in force when it was measured")
    spread = serializers.FloatField(help_text="standard deviation of the held-out scores, the unit of changes")
    expected_rate = serializers.FloatField(help_text="share of good parts that the threshold should reject")
    expected_rate_is = serializers.ChoiceField(
        choices=["requested", "held-out"], help_text="by its rule, or where it has none from the held-out scores"
    )
    baseline = DisturbanceEffectOutput(help_text="the images as taken")
    disturbances = DisturbanceOutput(many=True)
    lamp = LampOutput()
    sentence = serializers.CharField(help_text="what the lamp may do before parts are rejected")


def _interval_field(**options: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.FloatField(), allow_null=True, **options)


class MoreImagesOutput(serializers.Serializer):
    n = serializers.IntegerField(help_text="held-out good images now")
    more = serializers.IntegerField(help_text="how many more are meant")
    promised_rate = serializers.FloatField(help_text="the smallest false-reject rate that a threshold can promise")
    promised_rate_then = serializers.FloatField(help_text="the same with more images")
    requested_rate = serializers.FloatField(
        allow_null=True, help_text="of the threshold in force, where its rule has one"
    )
    rate_interval = _interval_field(help_text="where the real rate lies in 95 % of cases; null: too few images for it")
    rate_interval_then = _interval_field(help_text="the same with more images")
    score_fall = serializers.FloatField(
        allow_null=True, help_text="share by which scores of new good parts would fall; null: not measured"
    )
    score_fall_range = _interval_field(help_text="of it, over pairs of points of the learning curve")
    sentence = serializers.CharField()


class MetricsOutput(serializers.Serializer):
    model_version = serializers.IntegerField()
    dataset = serializers.CharField()
    dataset_snapshot = serializers.CharField()
    metrics = serializers.DictField(help_text="of the evaluation at the end of training; empty without test images")
    held_out_scores = serializers.ListField(
        child=serializers.FloatField(), help_text="of good images that the model had not seen"
    )
    robustness = RobustnessOutput(
        allow_null=True, help_text="of the newest evaluation that measured it (manage.py evaluate --robustness)"
    )
    more_images = MoreImagesOutput(allow_null=True, help_text="what ten more good images would be worth")


# ---------------------------------------------------------------- model card
class CardModelOutput(serializers.Serializer):
    category = serializers.CharField()
    number = serializers.IntegerField()
    algorithm = serializers.CharField()
    backbone = serializers.CharField(allow_null=True)
    artifact_sha256 = serializers.CharField()
    artifact_bytes = serializers.IntegerField()
    stage = serializers.CharField()
    seed = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(allow_null=True)
    software = serializers.DictField(help_text="that trained it")
    configuration = serializers.DictField()


class CardDataOutput(serializers.Serializer):
    name = serializers.CharField()
    snapshot = serializers.CharField()
    train_images = serializers.IntegerField(allow_null=True)
    test_images = serializers.IntegerField(allow_null=True)
    duplicates_left_out = serializers.IntegerField(allow_null=True)
    held_out_images = serializers.IntegerField(help_text="good images that thresholds are set from")
    left_out = serializers.ListField(
        child=serializers.DictField(), help_text="training images that cannot be compared, and why"
    )


class CardFigureOutput(serializers.Serializer):
    words = serializers.CharField()
    text = serializers.CharField()
    interval = serializers.CharField(allow_blank=True, help_text="95 %")


class CardDefectOutput(serializers.Serializer):
    words = serializers.CharField()
    detected = serializers.IntegerField()
    total = serializers.IntegerField()
    interval = serializers.CharField(allow_blank=True)


class CardEvaluationOutput(serializers.Serializer):
    images = serializers.IntegerField(allow_null=True)
    good = serializers.IntegerField(allow_null=True)
    defective = serializers.IntegerField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True)
    figures = CardFigureOutput(many=True)
    defects = CardDefectOutput(many=True)
    not_comparable = serializers.DictField(allow_null=True)


class CardThresholdOutput(serializers.Serializer):
    revision = serializers.IntegerField()
    in_force = serializers.BooleanField()
    value = serializers.FloatField()
    method = serializers.CharField()
    parameters = serializers.DictField()
    reason = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField())
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


class ModelCardOutput(serializers.Serializer):
    format = serializers.CharField()
    model = CardModelOutput()
    intended_use = serializers.ListField(child=serializers.CharField())
    not_intended_for = serializers.ListField(child=serializers.CharField())
    training_data = CardDataOutput()
    evaluation = CardEvaluationOutput(allow_null=True, help_text="null: its data set has no test images")
    robustness = RobustnessOutput(allow_null=True, help_text="null: not measured")
    shortcut_audit = serializers.DictField(allow_null=True)
    thresholds = CardThresholdOutput(many=True, help_text="the last twenty revisions, newest first")
    limits = serializers.ListField(child=serializers.CharField())
    origin = VersionOriginOutput(allow_null=True)


# ---------------------------------------------------------------- thresholds
class ThresholdListInput(serializers.Serializer):
    model_version = id_field(required=False, default=None)
    category = filter_field()


class ThresholdInput(serializers.Serializer):
    model_version = id_field()
    value = FiniteField(required=False, allow_null=True, default=None, help_text="percentile and conformal compute it")
    method = serializers.ChoiceField(
        choices=Threshold.Method.choices, required=False, default=Threshold.Method.MANUAL.value
    )
    parameters = JsonObject(required=False, default=dict, help_text="of the method, kept with the revision")
    evidence = JsonObject(required=False, default=dict, help_text="what was known when it was set, kept with it")
    reason = reason_field()
    signature = signature_field()


class ThresholdOutput(serializers.Serializer):
    id = serializers.IntegerField()
    model_version = serializers.IntegerField()
    category = serializers.CharField()
    revision = serializers.IntegerField()
    in_force = serializers.BooleanField()
    value = serializers.FloatField()
    method = serializers.ChoiceField(choices=Threshold.Method.choices)
    parameters = serializers.DictField()
    evidence = serializers.DictField()
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="what to know before relying on it: that it comes from too few images"
    )
    min_region_mm2 = serializers.FloatField(
        allow_null=True, help_text="the size rule: regions of a smaller area are ignored; null: none is"
    )
    severity_grades = serializers.ListField(
        child=serializers.DictField(),
        allow_null=True,
        help_text="the size rule: name, min_area_mm2 and min_peak of each grade, from the mildest; null: none",
    )
    reason = serializers.CharField()
    author = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    signature = SignatureOutput(allow_null=True)


ThresholdPageOutput = page_output(ThresholdOutput)


# ---------------------------------------------------------------- deployments
class DeploymentListInput(serializers.Serializer):
    category = filter_field()
    status = choice_filter(Deployment.Status.choices)


class HowInput(serializers.Serializer):
    """On what and how the model is run; what is not given is as the settings say."""

    device = serializers.ChoiceField(choices=["auto", "cpu", "cuda"], required=False, default="")
    runtime = serializers.ChoiceField(choices=Deployment.Runtime.choices, required=False, default="")
    precision = serializers.ChoiceField(choices=Deployment.Precision.choices, required=False, default="")


class DeploymentInput(HowInput):
    model_version = id_field()
    threshold = FiniteField(
        required=False, allow_null=True, default=None, help_text="the version's next revision, in force with it"
    )
    threshold_reason = serializers.CharField(
        required=False, default="", max_length=500, help_text="goes with a threshold"
    )
    signature = signature_field()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs["threshold"] is None) != (attrs["threshold_reason"] == ""):
            raise serializers.ValidationError({"threshold_reason": "A threshold and its reason go together."})
        return attrs


class PromotionInput(HowInput):
    reason = reason_field()
    signature = signature_field()


class DeploymentOutput(serializers.Serializer):
    id = serializers.IntegerField()
    category = serializers.CharField()
    model_version = serializers.IntegerField()
    version_number = serializers.IntegerField()
    algorithm = serializers.CharField()
    kind = serializers.ChoiceField(choices=Deployment.Kind.choices)
    station = serializers.CharField(allow_null=True, help_text="of a canary: the station whose images it judges")
    reason = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=Deployment.Status.choices)
    device_requested = serializers.CharField()
    device = serializers.CharField(allow_null=True)
    runtime = serializers.ChoiceField(choices=Deployment.Runtime.choices, help_text="as requested")
    runtime_chosen = serializers.CharField(allow_null=True, help_text="what runs it")
    precision = serializers.ChoiceField(choices=Deployment.Precision.choices, help_text="as requested")
    precision_chosen = serializers.CharField(allow_null=True, help_text="what it runs in")
    choice = serializers.DictField(help_text="why, and what was measured")
    threshold = serializers.FloatField(allow_null=True, help_text="that came with it")
    threshold_reason = serializers.CharField(allow_blank=True)
    worker = serializers.CharField(allow_null=True)
    error_code = serializers.CharField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    requested_by = serializers.CharField(allow_null=True)
    requested_at = serializers.DateTimeField()
    activated_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    signature = SignatureOutput(allow_null=True)


DeploymentPageOutput = page_output(DeploymentOutput)
