"""Writes: registering versions, threshold revisions, deployments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from accounts.roles import Right, require
from modelzoo.models import Category, Deployment, ModelVersion, Threshold
from mvtec_site.errors import UserError
from records.services import Actor, audit


def _actor_id(actor: Actor) -> int | None:
    return actor.pk if actor is not None else None


@transaction.atomic
def ensure_category(*, name: str) -> Category:
    return Category.objects.get_or_create(name=name)[0]


@transaction.atomic
def register_version(*, category: Category, actor: Actor, **fields: Any) -> ModelVersion:
    """A new candidate with the next free number of its category. `fields` are those of `ModelVersion`."""
    Category.objects.select_for_update().get(pk=category.pk)  # two trainings that end together number one by one
    last = ModelVersion.objects.filter(category=category).aggregate(last=Max("number"))["last"] or 0
    version = ModelVersion.objects.create(category=category, number=last + 1, created_by_id=_actor_id(actor), **fields)
    audit(
        kind="model_version.registered",
        subject=version,
        actor=actor,
        after={
            "category": category.name,
            "number": version.number,
            "algorithm": version.algorithm,
            "artifact_sha256": version.artifact_sha256,
            "dataset_snapshot": version.dataset_snapshot,
        },
    )
    return version


def set_threshold(
    *,
    version: ModelVersion,
    value: float,
    method: str,
    reason: str,
    actor: Actor,
    parameters: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
) -> Threshold:
    """Set the threshold of a version: a new revision, in force for the next image, on every worker.

    Raises `Forbidden`, and `UserError` for a number that is not finite or a missing reason. Verdicts of the past keep
    the revision that they were made with.
    """
    require(actor, Right.TUNE)
    if not reason.strip():
        raise UserError("A threshold needs a reason: what will somebody ask in a year?", code="reason_missing")
    return append_threshold(
        version=version,
        value=value,
        method=method,
        reason=reason.strip(),
        actor=actor,
        parameters=parameters,
        evidence=evidence,
    )


@transaction.atomic
def append_threshold(
    *,
    version: ModelVersion,
    value: float,
    method: str,
    reason: str,
    actor: Actor,
    parameters: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
) -> Threshold:
    """The revision itself, whoever may have decided it: `set_threshold` for people, a training run for its first."""
    if not math.isfinite(value):
        raise UserError("A threshold must be a finite number.", code="threshold_not_finite")
    ModelVersion.objects.select_for_update().get(pk=version.pk)
    last = version.thresholds.order_by("-revision").first()
    threshold = Threshold.objects.create(
        model_version=version,
        revision=last.revision + 1 if last else 1,
        value=value,
        method=method,
        parameters=parameters or {},
        evidence=evidence or {},
        reason=reason,
        author_id=_actor_id(actor),
    )
    audit(
        kind="threshold.set",
        subject=version,
        actor=actor,
        before=last and {"revision": last.revision, "value": last.value},
        after={"revision": threshold.revision, "value": value, "method": method, "reason": reason},
    )
    return threshold


@transaction.atomic
def request_deployment(
    *, version: ModelVersion, device: str, actor: Actor, runtime: str = "", precision: str = ""
) -> Deployment:
    """Ask for a version to be loaded. It serves its category once a worker holds it (`activate`).

    `runtime` and `precision`: as the settings say, where they are not given. Raises `Forbidden`.
    """
    require(actor, Right.DEPLOY)
    deployment = Deployment.objects.create(
        category=version.category,
        model_version=version,
        device_requested=device,
        runtime=runtime or settings.RUNTIME,
        precision=precision or settings.PRECISION,
        requested_by_id=_actor_id(actor),
    )
    audit(
        kind="deployment.requested",
        subject=deployment,
        actor=actor,
        after={"model_version": version.pk, "category": version.category.name, **deployment.how},
    )
    return deployment


@transaction.atomic
def activate(*, deployment: Deployment, device: str, worker: str, choice: Mapping[str, Any] | None = None) -> bool:
    """A worker holds the model: it replaces what served the category. False when nobody waits for it any more.

    `choice`: the precision that the worker runs it in and why, see `modelzoo.detectors.engines.selection.Scorer`.
    """
    chosen = dict(choice or {})
    Category.objects.select_for_update().get(pk=deployment.category_id)
    now = timezone.now()
    before = Deployment.objects.filter(category_id=deployment.category_id, status=Deployment.Status.ACTIVE).first()
    if before:
        before.status, before.ended_at = Deployment.Status.REPLACED, now
        before.save(update_fields=["status", "ended_at"])
    claimed = Deployment.objects.filter(pk=deployment.pk, status=Deployment.Status.LOADING).update(
        status=Deployment.Status.ACTIVE,
        device=device,
        precision_chosen=chosen.get("precision", ""),
        choice=chosen,
        worker=worker,
        activated_at=now,
    )
    if not claimed:
        transaction.set_rollback(True)
        return False
    audit(
        kind="deployment.activated",
        subject=deployment,
        actor=deployment.requested_by,
        before=before and {"deployment": before.pk, "model_version": before.model_version_id},
        after={"model_version": deployment.model_version_id, "device": device, "worker": worker, "choice": chosen},
    )
    return True


@transaction.atomic
def fail_deployment(*, deployment: Deployment, code: str, error: str) -> None:
    """Loading did not work or was not waited for. What served the category goes on serving it."""
    changed = Deployment.objects.filter(pk=deployment.pk, status=Deployment.Status.LOADING).update(
        status=Deployment.Status.FAILED, error_code=code, error=error, ended_at=timezone.now()
    )
    if changed:
        audit(
            kind="deployment.failed",
            subject=deployment,
            actor=deployment.requested_by,
            after={"code": code, "error": error},
        )
