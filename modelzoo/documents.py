"""Reads: categories, versions, thresholds and deployments, in the shapes that the API shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, Exists, F, OuterRef, Prefetch, QuerySet, Subquery
from django.urls import reverse

from common.errors import NotFound
from modelzoo.detectors.preprocessing.input_rules import InputRules
from modelzoo.evaluation.learning_curve import worth_of_more
from modelzoo.models import Category, Deployment, InputCheckSettings, ModelVersion, Threshold
from modelzoo.selectors import default_category, threshold_in_force
from modelzoo.signatures.documents import signature_document
from modelzoo.signatures.selectors import signed_rows


def _name(user: AbstractBaseUser | None) -> str | None:
    return user.get_username() if user else None


# ---------------------------------------------------------------- categories
def categories() -> QuerySet[Category]:
    """Kinds of parts with what serves them, and how many versions and data sets they have."""

    def count(related: str) -> Subquery:
        return Subquery(Category.objects.filter(pk=OuterRef("pk")).annotate(n=Count(related)).values("n"))

    production = ModelVersion.objects.filter(stage=ModelVersion.Stage.PRODUCTION)
    active = Deployment.objects.filter(status=Deployment.Status.ACTIVE, station="")
    return Category.objects.annotate(version_count=count("versions"), dataset_count=count("datasets")).prefetch_related(
        Prefetch("versions", queryset=production.defer(*ModelVersion.long_columns()), to_attr="in_production"),
        Prefetch("deployments", queryset=active, to_attr="in_force"),
    )


def input_check_document(category: Category) -> dict[str, Any]:
    """What is checked of a picture before it is judged as one of a category, who set it and why."""
    row = InputCheckSettings.objects.select_related("author").filter(category=category).first()
    return {
        "category": category.name,
        **asdict(row.rules if row else InputRules()),
        "reason": row.reason if row else "",
        "author": row and _name(row.author),
        "created_at": row and row.created_at.isoformat(),
    }


def category_document(category: Any) -> dict[str, Any]:
    """Of a row of `categories`."""
    version = next(iter(category.in_production), None)
    deployment = next(iter(category.in_force), None)
    return {
        "name": category.name,
        "is_default": category.is_default,
        "production": version and {"id": version.pk, "number": version.number, "algorithm": version.algorithm},
        "deployment": deployment and deployment.pk,
        "model_versions": category.version_count,
        "datasets": category.dataset_count,
        "created_at": category.created_at.isoformat(),
    }


def default_category_document() -> dict[str, Any]:
    category = default_category()
    return {"category": category.name if category else None}


# ---------------------------------------------------------------- model versions
def versions(*, category: str = "", algorithm: str = "", stage: str = "") -> QuerySet[ModelVersion]:
    """Rows of a list: one figure of the evaluation, and nothing that is long."""
    latest = Threshold.objects.filter(model_version=OuterRef("pk")).order_by("-revision")
    rows = ModelVersion.objects.select_related("category", "created_by").annotate(
        auroc=F("metrics__image__auroc"),
        threshold=Subquery(latest.values("value")[:1]),
        threshold_revision=Subquery(latest.values("revision")[:1]),
    )
    rows = rows.defer(*ModelVersion.long_columns(in_list=True))
    if category:
        rows = rows.filter(category__name=category)
    if algorithm:
        rows = rows.filter(algorithm=algorithm)
    return rows.filter(stage=stage) if stage else rows


def version_document(version: Any) -> dict[str, Any]:
    """Of a row of `versions`, in short."""
    return {
        "id": version.pk,
        "category": version.category.name,
        "number": version.number,
        "algorithm": version.algorithm,
        "backbone": version.backbone or None,
        "stage": version.stage,
        "auroc": version.auroc,
        "threshold": version.threshold,
        "threshold_revision": version.threshold_revision,
        "dataset": version.dataset_name,
        "dataset_snapshot": version.dataset_snapshot,
        "artifact_sha256": version.artifact_sha256,
        "artifact_bytes": version.artifact_bytes,
        "created_at": version.created_at.isoformat(),
        "created_by": _name(version.created_by),
    }


def full_version_document(version_id: int) -> dict[str, Any]:
    """Everything that a version is made of, and what made it."""
    # The run that made it, and its data set, belong to an app that builds on this one: reached by name, not imported.
    rows = versions().select_related("training_run").defer(None)
    rows = rows.defer(*ModelVersion.long_columns(), "training_run__log", "training_run__history")
    version: Any = rows.filter(pk=version_id).first()
    if version is None:
        raise _no_version(version_id)
    run = getattr(version, "training_run", None)
    return {
        **version_document(version),
        "config": version.config,
        "preprocessing": version.preprocessing,
        "backbone_sha256": version.backbone_sha256 or None,
        "seed": version.seed,
        "versions": version.versions,
        "origin": origin_document(version),
        "training_run": run and run.pk,
        "dataset_id": run and run.dataset_id,
        "base_version": run and run.base_version_id,
        "ignore_mask": _ignore_mask_document(version),
        "threshold_warnings": threshold_in_force(version.pk).warnings,
    }


def origin_document(version: ModelVersion) -> dict[str, Any] | None:
    """Of a version that came from another installation: which one it was there, and whose signature says so."""
    if version.origin is None:
        return None
    return {name: value for name, value in version.origin.items() if name not in ("data", "robustness")}


def _ignore_mask_document(version: ModelVersion) -> dict[str, Any] | None:
    """What a version does not judge; None where it judges the whole image."""
    mask = version.preprocessing.get("ignore_mask")
    if not mask:
        return None
    return {
        "share": mask["share"],
        "sha256": mask["sha256"],
        "drawn_on_version": mask["drawn_on_version"],
        "picture_url": reverse("model-version-ignore-mask", args=[version.pk]),
    }


def metrics_document(version_id: int) -> dict[str, Any]:
    version = ModelVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise _no_version(version_id)
    return {
        "model_version": version.pk,
        "dataset": version.dataset_name,
        "dataset_snapshot": version.dataset_snapshot,
        "metrics": version.metrics,
        "held_out_scores": version.held_out_scores,
        "robustness": robustness_of(version),
        "more_images": more_images_of(version),
    }


def more_images_of(version: ModelVersion) -> dict[str, Any] | None:
    """What ten more good images would be worth to a version; None without held-out scores."""
    if not version.held_out_scores:
        return None
    threshold = threshold_in_force(version.pk)
    return worth_of_more(
        len(version.held_out_scores),
        rate=threshold.requested_rate,
        conformal=threshold.method == Threshold.Method.CONFORMAL,
        curve=version.learning_curve or (),
    )


def robustness_of(version: Any) -> dict[str, Any] | None:
    """How good images bear disturbances, of the newest evaluation that measured it; None where none did."""
    # Evaluations belong to an app that builds on this one: reached by name, not imported.
    measured = version.evaluations.filter(metrics__robustness__isnull=False).order_by("-pk")
    document: dict[str, Any] | None = measured.values_list("metrics__robustness", flat=True).first()
    return document or (version.origin or {}).get("robustness")


def _no_version(version_id: int) -> NotFound:
    return NotFound(f"There is no model version {version_id}.", code="model_version_not_found")


# ---------------------------------------------------------------- thresholds
def thresholds(*, model_version: int | None = None, category: str = "") -> QuerySet[Threshold]:
    later = Threshold.objects.filter(model_version=OuterRef("model_version"), revision__gt=OuterRef("revision"))
    rows = Threshold.objects.select_related("model_version__category", "author").annotate(in_force=~Exists(later))
    rows = signed_rows(rows, kind="threshold.set", of="model_version_id", key=("revision", "revision"))
    rows = rows.defer(*ModelVersion.long_columns("model_version"))
    if model_version is not None:
        rows = rows.filter(model_version=model_version)
    return rows.filter(model_version__category__name=category) if category else rows


def find_threshold(threshold_id: int) -> Threshold:
    threshold = thresholds().filter(pk=threshold_id).first()
    if threshold is None:
        raise NotFound(f"There is no threshold {threshold_id}.", code="threshold_not_found")
    return threshold


def threshold_document(threshold: Any) -> dict[str, Any]:
    """Of a row of `thresholds`."""
    return {
        "id": threshold.pk,
        "model_version": threshold.model_version_id,
        "category": threshold.model_version.category.name,
        "revision": threshold.revision,
        "in_force": threshold.in_force,
        "value": threshold.value,
        "method": threshold.method,
        "parameters": threshold.parameters,
        "evidence": threshold.evidence,
        "warnings": threshold.warnings,
        "min_region_mm2": threshold.min_region_mm2,
        "severity_grades": threshold.severity_grades,
        "reason": threshold.reason,
        "author": _name(threshold.author),
        "created_at": threshold.created_at.isoformat(),
        "signature": signature_document(threshold),
    }


# ---------------------------------------------------------------- deployments
def deployments(*, category: str = "", status: str = "") -> QuerySet[Deployment]:
    rows = Deployment.objects.select_related("category", "model_version", "requested_by")
    rows = signed_rows(rows.defer(*ModelVersion.long_columns("model_version")), kind="deployment.requested")
    if category:
        rows = rows.filter(category__name=category)
    return rows.filter(status=status) if status else rows


def find_deployment(deployment_id: int) -> Deployment:
    deployment = deployments().filter(pk=deployment_id).first()
    if deployment is None:
        raise NotFound(f"There is no deployment {deployment_id}.", code="deployment_not_found")
    return deployment


def deployment_record(deployment: Deployment) -> dict[str, Any]:
    """One act of loading, a row of `deployments`: as requested, by whom and why, and what became of it."""
    version = deployment.model_version
    return {
        "id": deployment.pk,
        "category": deployment.category.name,
        "model_version": version.pk,
        "version_number": version.number,
        "algorithm": version.algorithm,
        "kind": deployment.kind,
        "station": deployment.station or None,
        "reason": deployment.reason,
        "status": deployment.status,
        "device_requested": deployment.device_requested,
        "device": deployment.device or None,
        "runtime": deployment.runtime,
        "runtime_chosen": deployment.runtime_chosen or None,
        "precision": deployment.precision,
        "precision_chosen": deployment.precision_chosen or None,
        "choice": deployment.choice,
        "threshold": deployment.threshold_value,
        "threshold_reason": deployment.threshold_reason,
        "worker": deployment.worker or None,
        "error_code": deployment.error_code or None,
        "error": deployment.error or None,
        "requested_by": _name(deployment.requested_by),
        "requested_at": deployment.requested_at.isoformat(),
        "activated_at": deployment.activated_at.isoformat() if deployment.activated_at else None,
        "ended_at": deployment.ended_at.isoformat() if deployment.ended_at else None,
        "signature": signature_document(deployment),
    }
