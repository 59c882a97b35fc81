"""Categories, trained model versions, threshold revisions, deployments."""

from __future__ import annotations

import sys
from dataclasses import fields as dataclass_fields
from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_noop as _

from common.names import validate_short_name
from common.pixels.sixteen_bit import Window
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.evaluation.region_sizes import SizeRule, rule_of
from modelzoo.evaluation.sample_size import percentile_warning
from modelzoo.lifecycle.models import Approval, PromotionGates
from modelzoo.scales.models import ScaleCalibration
from modelzoo.signatures.models import SignatureRules

__all__ = [
    "Approval",
    "Category",
    "Deployment",
    "InputCheckSettings",
    "ModelVersion",
    "PromotionGates",
    "ScaleCalibration",
    "SignatureRules",
    "Threshold",
]

_MAX_VALUE = sys.float_info.max


def finite(field: str) -> Q:
    """A condition that only finite numbers meet (PostgreSQL keeps NaN and infinities in a double)."""
    return Q(**{f"{field}__gte": -_MAX_VALUE, f"{field}__lte": _MAX_VALUE})


class Category(models.Model):
    """A kind of part that is inspected: screw, cookie, solar cell."""

    # In addresses, folders and labels; letters of any script (`common.names.short_name`).
    name = models.CharField(max_length=100, unique=True, validators=[validate_short_name])
    given_name = models.CharField(
        max_length=300, blank=True, help_text="what it was first called; empty in categories older than it"
    )
    is_default = models.BooleanField(
        default=False, help_text="judges images that name no category while several are in force"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="at_most_one_default_category"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class InputCheckSettings(models.Model):
    """What is checked of a picture before it is judged as one of a category. Append-only: the newest is in force.

    Fields as those of `InputRules` (modelzoo/detectors/preprocessing). A category without a row has its defaults.
    """

    class Action(models.TextChoices):
        OFF = "off", _("not checked")
        WARN = "warn", _("judged, with a warning")
        REFUSE = "refuse", _("not comparable")

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="input_check_settings")
    size = models.CharField(max_length=8, choices=Action.choices, default=Action.REFUSE)
    aspect = models.CharField(max_length=8, choices=Action.choices, default=Action.REFUSE)
    colour = models.CharField(max_length=8, choices=Action.choices, default=Action.REFUSE)
    likeness = models.CharField(max_length=8, choices=Action.choices, default=Action.REFUSE)
    size_factor = models.FloatField(default=InputRules.size_factor)
    aspect_percent = models.FloatField(default=InputRules.aspect_percent)
    likeness_factor = models.FloatField(default=InputRules.likeness_factor)
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "input check settings"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    **{f"{check}__in": ["off", "warn", "refuse"] for check in ("size", "aspect", "colour", "likeness")}
                ),
                name="input_check_action_is_known",
            ),
            models.CheckConstraint(
                condition=Q(
                    size_factor__gt=1,
                    size_factor__lte=100,
                    aspect_percent__gte=0,
                    aspect_percent__lte=1000,
                    likeness_factor__gt=0,
                    likeness_factor__lte=100,
                ),
                name="input_check_tolerances_are_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"input checks of {self.category.name} since {self.created_at:%Y-%m-%d}"

    @property
    def rules(self) -> InputRules:
        return InputRules(**{each.name: getattr(self, each.name) for each in dataclass_fields(InputRules)})


class ModelVersion(models.Model):
    """A trained detector: what it is made of, where its artifact lies, how well it does.

    `approved` is a candidate that somebody vouches for (`lifecycle.models.Approval`). `production` is the version whose
    deployment is active, and no other: `services.activate` moves both at once. What it replaced is `archived`, as is a
    candidate that somebody put aside.
    """

    class Stage(models.TextChoices):
        CANDIDATE = "candidate", _("Candidate")
        APPROVED = "approved", _("Approved")
        PRODUCTION = "production", _("Production")
        ARCHIVED = "archived", _("Archived")

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    algorithm = models.CharField(max_length=32)
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.CANDIDATE)
    artifact = models.CharField(max_length=200, help_text="folder below MODEL_PATH")
    artifact_sha256 = models.CharField(max_length=64, unique=True)
    artifact_bytes = models.PositiveBigIntegerField()
    config = models.JSONField()
    preprocessing = models.JSONField(
        default=dict, blank=True, help_text="what was decided about illumination and pose, why, and what was left out"
    )
    backbone = models.CharField(max_length=64, blank=True)
    backbone_sha256 = models.CharField(max_length=64, blank=True)
    dataset_name = models.CharField(max_length=100)
    dataset_snapshot = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    versions = models.JSONField(help_text="of the code and the libraries that trained it")
    held_out_scores = models.JSONField(help_text="scores of good images that the model had not seen")
    learning_curve = models.JSONField(
        null=True,
        blank=True,
        help_text="numbers of training images and the mean score of good images that models of so many had not seen; "
        "null where the detector does not measure it",
    )
    image_statistics = models.JSONField(
        null=True,
        blank=True,
        help_text="of the good training images, a list of each by name; null in versions older than it",
    )
    metrics = models.JSONField(default=dict, blank=True, help_text="of the evaluation at the end of training")
    origin = models.JSONField(
        null=True,
        blank=True,
        help_text="of a version that was imported: which one it was there, who signed it, what its package said; "
        "null where it was trained here",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["category", "number"], name="version_number_is_unique_in_category"),
            models.UniqueConstraint(
                fields=["category"], condition=Q(stage="production"), name="one_production_version_per_category"
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number_from_one"),
            models.CheckConstraint(
                condition=Q(stage__in=["candidate", "approved", "production", "archived"]),
                name="version_stage_is_known",
            ),
            models.CheckConstraint(
                condition=Q(artifact_sha256__regex=r"^[0-9a-f]{64}$"), name="version_artifact_sha256_is_hex"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.category.name} v{self.number} ({self.algorithm})"

    @staticmethod
    def long_columns(path: str = "", *, in_list: bool = False) -> tuple[str, ...]:
        """Columns to `defer` where nobody looks at the figures of all images. `path`: from another row to its version.

        `in_list`: and those that only the page of a version shows.
        """
        names = [
            "metrics",
            "held_out_scores",
            "image_statistics",
            *(["config", "preprocessing", "versions", "origin"] if in_list else []),
        ]
        return tuple(f"{path}__{name}" if path else name for name in names)

    @property
    def window(self) -> Window | None:
        """Which values of 16-bit grey images are black and white for it; None where it learnt from 8-bit images."""
        decision = self.preprocessing.get("window")
        return (decision["low"], decision["high"]) if decision else None

    @property
    def artifact_path(self) -> Path:
        return Path(settings.MODEL_PATH) / self.artifact


class Threshold(models.Model):
    """One revision of the threshold of a model version. Append-only: the highest revision is in force."""

    class Method(models.TextChoices):
        PERCENTILE = "percentile", _("Percentile")
        CONFORMAL = "conformal", _("Conformal")
        BEST_F1 = "best_f1", _("Best F1")
        COST = "cost", _("Cost")
        MANUAL = "manual", _("Manual")

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="thresholds")
    revision = models.PositiveIntegerField()
    value = models.FloatField()
    method = models.CharField(max_length=16, choices=Method.choices)
    parameters = models.JSONField(default=dict, blank=True)
    evidence = models.JSONField(
        default=dict, blank=True, help_text="what was known when it was set: figures, and what they were taken from"
    )
    # The size rule: what is above the value and smaller than this is ignored. Empty in revisions without one.
    min_region_mm2 = models.FloatField(
        null=True, blank=True, help_text="regions of a smaller area are ignored; empty: none is"
    )
    severity_grades = models.JSONField(
        null=True,
        blank=True,
        help_text="from the mildest: name, smallest area (min_area_mm2) and peak (min_peak); empty: none",
    )
    reason = models.CharField(max_length=500)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # also serves "the revision in force of this version"
            models.UniqueConstraint(fields=["model_version", "revision"], name="threshold_revision_is_unique"),
            models.CheckConstraint(condition=finite("value"), name="threshold_is_finite"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="threshold_revision_from_one"),
            models.CheckConstraint(
                condition=Q(min_region_mm2__isnull=True) | Q(min_region_mm2__gt=0, min_region_mm2__lte=_MAX_VALUE),
                name="smallest_region_is_an_area",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.value:.6g} (revision {self.revision} of {self.model_version})"

    @property
    def size_rule(self) -> SizeRule:
        return rule_of(self.min_region_mm2, self.severity_grades)

    @property
    def requested_rate(self) -> float | None:
        """The share of good parts that its rule was asked to reject; None where the rule names none."""
        if self.method == self.Method.PERCENTILE:
            percentile = self.parameters.get("percentile")
            return None if percentile is None else 1 - percentile / 100
        return self.parameters.get("false_reject_rate") if self.method == self.Method.CONFORMAL else None

    @property
    def warnings(self) -> list[str]:
        """What a person has to know who relies on it: that it was taken from too few images."""
        n = self.parameters.get("n", self.evidence.get("n"))
        percentile = self.parameters.get("percentile")
        if self.method != self.Method.PERCENTILE or n is None or percentile is None:
            return []
        warning = percentile_warning(percentile, n)
        return [warning] if warning else []


class Deployment(models.Model):
    """The recorded act of loading a model version for its category: which one judged, since when, by whom.

    A canary judges the images of one station instead of what is in production. Its version's stage does not change.
    """

    class Runtime(models.TextChoices):
        AUTO = "auto"
        TORCH = "torch"
        COMPILE = "compile", "torch.compile"
        ONNXRUNTIME = "onnxruntime", "ONNX Runtime"
        OPENVINO = "openvino", "OpenVINO"

    class Precision(models.TextChoices):
        AUTO = "auto"
        FP32 = "fp32"
        BF16 = "bf16"
        INT8 = "int8"

    class Status(models.TextChoices):
        LOADING = "loading", _("Loading")
        ACTIVE = "active", _("Active")
        REPLACED = "replaced", _("Replaced")
        FAILED = "failed", _("Failed")

    class Kind(models.TextChoices):
        LOAD = "load", _("Load")
        PROMOTION = "promotion", _("Promotion")
        ROLLBACK = "rollback", _("Rollback")
        CANARY = "canary", _("Canary")

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="deployments")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="deployments")
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.LOAD)
    station = models.CharField(
        max_length=100, blank=True, help_text="of a canary: the station whose images it judges; empty: production"
    )
    reason = models.CharField(max_length=500, blank=True)
    threshold_value = models.FloatField(
        null=True, blank=True, help_text="becomes the version's next threshold revision when it is put in force"
    )
    threshold_reason = models.CharField(max_length=500, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.LOADING)
    device_requested = models.CharField(max_length=16)
    device = models.CharField(max_length=16, blank=True)
    runtime = models.CharField(
        max_length=16, choices=Runtime.choices, default=Runtime.AUTO, help_text="what was asked for"
    )
    runtime_chosen = models.CharField(
        max_length=16, blank=True, help_text="what runs it; empty in deployments older than it"
    )
    precision = models.CharField(
        max_length=8, choices=Precision.choices, default=Precision.AUTO, help_text="what was asked for"
    )
    precision_chosen = models.CharField(
        max_length=8, blank=True, help_text="what it runs in; empty in deployments older than it"
    )
    choice = models.JSONField(default=dict, blank=True, help_text="why, and what was measured")
    worker = models.CharField(max_length=100, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["category"],
                condition=Q(status="active", station=""),
                name="one_active_deployment_per_category",
            ),
            # also serves "what judges the images of this station"
            models.UniqueConstraint(
                fields=["category", "station"],
                condition=Q(status="active") & ~Q(station=""),
                name="one_active_canary_per_station",
            ),
            models.CheckConstraint(
                condition=(Q(kind="canary") & ~Q(station="")) | (~Q(kind="canary") & Q(station="")),
                name="canary_has_its_station",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["loading", "active", "replaced", "failed"]), name="deployment_status_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["active", "replaced"]) | Q(activated_at__isnull=False),
                name="deployment_in_force_has_a_start",
            ),
            models.CheckConstraint(
                condition=Q(runtime__in=["auto", "torch", "compile", "onnxruntime", "openvino"]),
                name="deployment_runtime_is_known",
            ),
            models.CheckConstraint(
                condition=Q(runtime_chosen="")
                | (
                    Q(runtime_chosen__in=["torch", "compile", "onnxruntime", "openvino"])
                    & (Q(runtime="auto") | Q(runtime=models.F("runtime_chosen")))
                ),
                name="deployment_has_the_runtime_it_asked_for",
            ),
            models.CheckConstraint(
                condition=Q(precision__in=["auto", "fp32", "bf16", "int8"]), name="deployment_precision_is_known"
            ),
            models.CheckConstraint(
                condition=Q(precision_chosen="")
                | (
                    Q(precision_chosen__in=["fp32", "bf16", "int8"])
                    & (Q(precision="auto") | Q(precision=models.F("precision_chosen")))
                ),
                name="deployment_has_the_precision_it_asked_for",
            ),
            models.CheckConstraint(
                condition=Q(kind="load") | (Q(kind__in=["promotion", "rollback", "canary"]) & ~Q(reason="")),
                name="deployment_kind_is_known_and_has_its_reason",
            ),
            models.CheckConstraint(
                condition=Q(threshold_value__isnull=True, threshold_reason="")
                | (Q(threshold_value__isnull=False) & finite("threshold_value") & ~Q(threshold_reason="")),
                name="deployment_threshold_is_finite_and_has_its_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_version} on {self.device or self.device_requested}: {self.status}"

    @property
    def runtime_options(self) -> dict[str, str]:
        """Device, runtime and precision that were asked for, as `modelzoo.loading.scoring.hold` takes them."""
        return {"device": self.device_requested, "runtime": self.runtime, "precision": self.precision}
