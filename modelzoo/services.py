"""Writes: registering versions, threshold revisions, deployments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from common.errors import Conflict, UserError
from common.names import ascii_name, normalised
from common.rights import Right, require
from jobs import broker
from modelzoo.audited_rows import expected_threshold, size_rule_values
from modelzoo.detectors.preprocessing.input_rules import ACTIONS, CHECKS, TOLERANCES, InputRules
from modelzoo.evaluation.region_sizes import SizeRule
from modelzoo.lifecycle.selectors import refuse_unless_releasable
from modelzoo.models import Category, Deployment, InputCheckSettings, ModelVersion, Threshold
from modelzoo.selectors import (
    active_canaries,
    deployment_in_force,
    input_rules,
    rollback_target,
    threshold_by_rule,
)
from modelzoo.signatures.selectors import Act, Signature, check_signature, with_signature
from records.audit.services import Actor, attest_rows, audit


def actor_id(actor: Actor) -> int | None:
    return actor.pk if actor is not None else None


def check_category_name(*, name: str, given_name: str) -> None:
    """Raises `Conflict` where `given_name` and what another kind of part was called have one short name, `name`.

    Two kinds of parts never become one in silence; whoever gives the short name itself means the category that has it.
    """
    if given_name == name:
        return
    category, older = Category.objects.filter(name=name).first(), ascii_name(given_name)
    if category is None and older != name and Category.objects.filter(name=older).exists():
        raise Conflict(
            f"{given_name!r} is called {name} now. An earlier release would have called it {older}, and there is "
            f"a category {older}. Nothing was changed. If it is the same category, name it {older}; else name it "
            f"{name}.",
            code="name_taken",
        )
    if category and category.given_name and normalised(category.given_name) != normalised(given_name):
        raise Conflict(
            f"{given_name!r} and {category.given_name!r} would both be called {name}. Nothing was changed. If "
            f"they are the same category, name it {name}; else choose another name.",
            code="name_taken",
        )


@transaction.atomic
def ensure_category(*, name: str, given_name: str = "") -> Category:
    """The category of that short name, made where there is none. `given_name`: what a person called it.

    Raises `Conflict` as `check_category_name` does.
    """
    check_category_name(name=name, given_name=given_name or name)
    category, is_new = Category.objects.get_or_create(name=name, defaults={"given_name": (given_name or name)[:300]})
    if is_new:
        attest_rows(rows=[category])
    return category


@transaction.atomic
def set_input_checks(*, category: Category, rules: InputRules, reason: str, actor: Actor) -> InputCheckSettings:
    """Set what is checked of a picture before it is judged; in force for the next image, on every worker.

    Raises `Forbidden`, and `UserError` for a missing reason, an action that there is not or a tolerance out of range.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A change of the input checks")
    for check in CHECKS:
        if getattr(rules, check) not in ACTIONS:
            raise UserError(f"{check} must be one of {', '.join(ACTIONS)}. Nothing was changed.", code="invalid")
    for name, (low, high) in TOLERANCES.items():
        value = getattr(rules, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise UserError(f"{name} lies between {low:g} and {high:g}. Nothing was changed.", code="invalid")
    before = input_rules(category.pk)
    row = InputCheckSettings.objects.create(
        category=category, reason=reason[:500], author_id=actor_id(actor), **asdict(rules)
    )
    audit(
        kind="input_checks.set",
        subject=category,
        actor=actor,
        before=asdict(before),
        after=asdict(rules) | {"category": category.name, "reason": reason[:500]},
        attests=[row],
        changes_subject=False,
    )
    return row


@transaction.atomic
def register_version(*, category: Category, actor: Actor, **fields: Any) -> ModelVersion:
    """A new candidate with the next free number of its category. `fields` are those of `ModelVersion`."""
    lock_category(category.pk)  # two trainings that end together number one by one
    last = ModelVersion.objects.filter(category=category).aggregate(last=Max("number"))["last"] or 0
    version = ModelVersion.objects.create(category=category, number=last + 1, created_by_id=actor_id(actor), **fields)
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
    signature: Signature | None = None,
    size_rule: SizeRule | None = None,
) -> Threshold:
    """Set the threshold of a version: a new revision, in force for the next image, on every worker.

    The size rule stays as it is; `size_rule`: that of a revision that is set again.

    Raises `Forbidden`, `SignatureRequired` where the category requires one, and `UserError` for a number that is not
    finite or a missing reason. Verdicts of the past keep the revision that they were made with.
    """
    require(actor, Right.TUNE)
    check_signature(Act.THRESHOLD, [version.category_id], signature=signature, actor=actor)
    return append_threshold(
        version=version,
        value=value,
        method=method,
        reason=required_reason(reason, "A threshold"),
        actor=actor,
        parameters=parameters,
        evidence=evidence,
        signature=signature,
        size_rule=size_rule,
    )


def decide_threshold(
    *,
    version: ModelVersion,
    value: float | None,
    method: str,
    parameters: dict[str, Any],
    evidence: dict[str, Any],
    reason: str,
    actor: Actor,
    signature: Signature | None = None,
) -> Threshold:
    """As `set_threshold`. Without a value, the method computes it from the version's held-out scores.

    Raises `UserError` besides, where the method cannot do that, and for a rule's parameter that is no number.
    """
    require(actor, Right.TUNE)
    for name in sorted({"percentile", "false_reject_rate"} & parameters.keys()):
        if isinstance(parameters[name], bool) or not isinstance(parameters[name], int | float):
            raise UserError(f"The parameter {name} must be a number. Nothing was changed.", code="invalid_parameters")
    if value is None:
        value, rule_evidence = threshold_by_rule(version=version, method=method, parameters=parameters)
        evidence = evidence | rule_evidence
    return set_threshold(
        version=version,
        value=value,
        method=method,
        parameters=parameters,
        evidence=evidence,
        reason=reason,
        actor=actor,
        signature=signature,
    )


def _check_threshold(threshold: float) -> None:
    if not math.isfinite(threshold):
        raise UserError("A threshold must be a finite number.", code="threshold_not_finite")
    if threshold <= 0:
        raise UserError(
            f"A threshold of {threshold:g} rejects every part: scores are never below 0. Nothing was changed. "
            "Choose one above 0.",
            code="threshold_not_positive",
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
    signature: Signature | None = None,
    size_rule: SizeRule | None = None,
) -> Threshold:
    """The revision itself, whoever may have decided it: `set_threshold` for people, a training run for its first.

    `size_rule` None: as in the revision before.
    """
    _check_threshold(value)
    ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    last = version.thresholds.order_by("-revision").first()
    rule = (last.size_rule if last else SizeRule()) if size_rule is None else size_rule
    threshold = Threshold.objects.create(
        model_version=version,
        revision=last.revision + 1 if last else 1,
        value=value,
        method=method,
        parameters=parameters or {},
        evidence=evidence or {},
        min_region_mm2=rule.min_area_mm2,
        severity_grades=[grade.as_dict() for grade in rule.grades] or None,
        reason=reason,
        author_id=actor_id(actor),
    )
    audit(
        kind="threshold.set",
        subject=version,
        actor=actor,
        before=last and {"revision": last.revision, "value": last.value, **size_rule_values(last)},
        after=with_signature(expected_threshold(threshold), signature),
        changes_subject=False,
    )
    return threshold


# ---------------------------------------------------------------- what serves a category
def lock_category(category_id: int) -> Category:
    """The category, and in it one change of what serves it at a time.

    Without touching its key, so that records which name it are written meanwhile (here and for a version's row).
    """
    return Category.objects.select_for_update(no_key=True).get(pk=category_id)


def required_reason(reason: str, what: str) -> str:
    """What is kept of a reason. Raises `UserError` where there is none."""
    if not reason.strip():
        raise UserError(
            f"{what} needs a reason. Nothing was changed. Enter one: it is kept in the audit log.",
            code="reason_missing",
        )
    return reason.strip()


@transaction.atomic
def set_default_category(*, category: Category | None, reason: str, actor: Actor) -> None:
    """Say which category is used for images without a category while several are in production; None: they are refused.

    Raises `Forbidden`, `UserError` for a missing reason, and `NoModelLoaded` for a category that nothing judges.
    """
    require(actor, Right.DEPLOY)
    reason = required_reason(reason, "A default category")
    if category is not None:
        deployment_in_force(category.name)
    # One change at a time: whoever comes second sees what the first one set.
    rows = list(Category.objects.select_for_update(no_key=True).order_by("pk"))
    before = next((row for row in rows if row.is_default), None)
    changed = category or before
    if changed is None or before == category:
        return
    Category.objects.filter(is_default=True).update(is_default=False)
    if category is not None:
        Category.objects.filter(pk=category.pk).update(is_default=True)
    audit(
        kind="category.default_set",
        subject=changed,
        actor=actor,
        before={"category": before.name if before else None},
        after={"category": category.name if category else None, "reason": reason},
        attests=[row for row in (before, category) if row is not None],
    )


@transaction.atomic
def request_deployment(
    *,
    version: ModelVersion,
    actor: Actor,
    device: str = "",
    runtime: str = "",
    precision: str = "",
    kind: str = Deployment.Kind.LOAD,
    station: str = "",
    reason: str = "",
    threshold: float | None = None,
    threshold_reason: str = "",
    signature: Signature | None = None,
) -> Deployment:
    """Ask for a version to be loaded. It serves its category once a worker holds it (`activate`).

    Of several that are asked for, the last one wins, whichever is loaded first. `device`, `runtime` and `precision`:
    as the settings say, where they are not given. `threshold` becomes the version's next revision in the moment when it
    is put in force, for a reason of its own: no image meets the version with the one before. Raises `Forbidden`,
    `Conflict` for a version that is not approved where it has to be, or that a promotion gate refuses (a rollback, and
    what is in production, always may), `UserError` for a threshold that is not finite or has no reason, and
    `SignatureRequired` where the category requires one: for what goes into production, and for a threshold, which is
    then set and signed by itself.
    """
    require(actor, Right.DEPLOY)
    if threshold is not None:
        require(actor, Right.TUNE)
        check_signature(Act.THRESHOLD, [version.category_id], signature=None, actor=actor)
        threshold_reason = required_reason(threshold_reason, "A threshold")
        _check_threshold(threshold)
    lock_category(version.category_id)  # so that the order of the ids is the order of the requests
    in_production = ModelVersion.objects.filter(pk=version.pk, stage=ModelVersion.Stage.PRODUCTION).exists()
    if kind == Deployment.Kind.ROLLBACK:
        check_signature(Act.ROLLBACK, [version.category_id], signature=signature, actor=actor)
    elif not in_production:
        check_signature(Act.PROMOTION, [version.category_id], signature=signature, actor=actor)
        refuse_unless_releasable(version)
    deployment = Deployment.objects.create(
        category=version.category,
        model_version=version,
        kind=kind,
        station=station,
        reason=reason,
        threshold_value=threshold,
        threshold_reason=threshold_reason if threshold is not None else "",
        device_requested=device or settings.DEVICE,
        runtime=runtime or settings.RUNTIME,
        precision=precision or settings.PRECISION,
        requested_by_id=actor_id(actor),
    )
    audit(
        kind="deployment.requested",
        subject=deployment,
        actor=actor,
        after=with_signature(
            {
                "model_version": version.pk,
                "artifact_sha256": version.artifact_sha256,
                "category": version.category.name,
                "kind": kind,
                **({"station": station} if station else {}),
                "reason": reason,
                **({"threshold": threshold, "threshold_reason": threshold_reason} if threshold is not None else {}),
                **deployment.runtime_options,
            },
            signature,
        ),
    )
    return deployment


@transaction.atomic
def request_promotion(
    *,
    version: ModelVersion,
    reason: str,
    actor: Actor,
    device: str = "",
    runtime: str = "",
    precision: str = "",
    signature: Signature | None = None,
) -> Deployment:
    """Ask for a version to become the one in production of its category.

    Raises as `request_deployment`, `Conflict` too where it is in production already, and `UserError` for a missing
    reason.
    """
    require(actor, Right.DEPLOY)
    reason = required_reason(reason, "A promotion")
    lock_category(version.category_id)
    version.refresh_from_db(fields=["stage"])
    if version.stage == ModelVersion.Stage.PRODUCTION:
        raise Conflict(
            f"{version} is already in production. Nothing was changed. To run it another way, load it with the "
            "device, runtime or precision that you want.",
            code="already_in_production",
        )
    return request_deployment(
        version=version,
        actor=actor,
        kind=Deployment.Kind.PROMOTION,
        reason=reason,
        device=device,
        runtime=runtime,
        precision=precision,
        signature=signature,
    )


@transaction.atomic
def request_rollback(
    *, category: Category, reason: str, actor: Actor, signature: Signature | None = None
) -> Deployment:
    """Ask for the version that served a category before the present one, run the way it was run then.

    Raises `Forbidden`, `NoModelLoaded`, `Conflict` where none served before, `UserError` for a missing reason, and
    `SignatureRequired` where the category requires one.
    """
    require(actor, Right.DEPLOY)
    reason = required_reason(reason, "A rollback")
    lock_category(category.pk)
    before = rollback_target(category)
    return request_deployment(
        version=before.model_version,
        actor=actor,
        kind=Deployment.Kind.ROLLBACK,
        reason=reason,
        device=before.device_requested,
        runtime=before.runtime,
        precision=before.precision,
        signature=signature,
    )


@transaction.atomic
def request_canary(
    *,
    version: ModelVersion,
    station: str,
    reason: str,
    actor: Actor,
    device: str = "",
    runtime: str = "",
    precision: str = "",
    signature: Signature | None = None,
) -> Deployment:
    """Ask for a version to judge the images of one station, once a worker holds it; all others go to production.

    Approval, promotion gates and the signature of a promotion apply. The canaries of a category are of one version, so
    that no worker has to hold more than two for it.

    Raises `Forbidden`, `NoModelLoaded` where nothing is in production, `Conflict` as
    `request_deployment`, for a version that is in production or archived, and where another one is the canary, and
    `UserError` for a missing reason or station.
    """
    require(actor, Right.DEPLOY)
    reason = required_reason(reason, "A canary")
    station = station.strip()
    if not 1 <= len(station) <= 100 or "\0" in station:
        raise UserError(
            "A canary needs the name of a station, up to 100 characters. Nothing was changed.", code="invalid"
        )
    category = lock_category(version.category_id)
    version.refresh_from_db(fields=["stage"])
    deployment_in_force(category.name)
    if version.stage == ModelVersion.Stage.PRODUCTION:
        raise Conflict(
            f"{version} is in production: it judges that station already. Nothing was changed.",
            code="already_in_production",
        )
    if version.stage == ModelVersion.Stage.ARCHIVED:
        raise Conflict(
            f"{version} is archived. Nothing was changed. A canary is a candidate or an approved version.",
            code="version_archived",
        )
    for canary in active_canaries(category_id=category.pk):
        if canary.model_version_id != version.pk or canary.station == station:
            raise Conflict(
                f"{canary.model_version} is the canary of station {canary.station}. Nothing was changed. End that "
                "one first.",
                code="canary_exists",
            )
    return request_deployment(
        version=version,
        actor=actor,
        kind=Deployment.Kind.CANARY,
        station=station,
        reason=reason,
        device=device,
        runtime=runtime,
        precision=precision,
        signature=signature,
    )


@transaction.atomic
def end_canary(*, canary: Deployment, reason: str, actor: Actor) -> Deployment:
    """Give a station back to production, from its next image on, on every worker.

    Raises `Forbidden`, `Conflict` where it judges nothing any more, and `UserError` for a missing reason.
    """
    require(actor, Right.DEPLOY)
    reason = required_reason(reason, "Ending a canary")
    lock_category(canary.category_id)
    canary.refresh_from_db(fields=["status"])
    if not canary.station or canary.status != Deployment.Status.ACTIVE:
        raise Conflict("This canary judges nothing any more. Nothing was changed.", code="canary_over")
    _end_canary(canary, reason=reason, actor=actor)
    return canary


def _end_canary(canary: Deployment, *, reason: str, actor: Actor) -> None:
    canary.status, canary.ended_at = Deployment.Status.REPLACED, timezone.now()
    canary.save(update_fields=["status", "ended_at"])
    audit(
        kind="canary.ended",
        subject=canary,
        actor=actor,
        after={
            "category": canary.category.name,
            "station": canary.station,
            "model_version": canary.model_version_id,
            "reason": reason,
        },
    )


@transaction.atomic
def archive_version(*, version: ModelVersion, reason: str, actor: Actor) -> ModelVersion:
    """Put a candidate aside: `latest` no longer means it. It can still be promoted by its id.

    Raises `Forbidden`, `Conflict` for a version in production, archived or a canary, and `UserError` for a missing
    reason.
    """
    require(actor, Right.DEPLOY)
    reason = required_reason(reason, "Archiving")
    lock_category(version.category_id)
    version.refresh_from_db(fields=["stage"])
    if version.stage == ModelVersion.Stage.PRODUCTION:
        raise Conflict(
            f"{version} is in production, and {version.category.name} would have no model. Nothing was changed. "
            f"Promote another version or roll back: this archives {version}.",
            code="in_production",
        )
    if version.stage == ModelVersion.Stage.ARCHIVED:
        raise Conflict(f"{version} is already archived. Nothing was changed.", code="already_archived")
    refuse_for_canary(version)
    set_stage(version, ModelVersion.Stage.ARCHIVED, reason=reason, actor=actor)
    return version


def refuse_for_canary(version: ModelVersion) -> None:
    """Raises `Conflict` for a version that judges the images of a station."""
    for canary in active_canaries(version_id=version.pk):
        raise Conflict(
            f"{version} is the canary of station {canary.station}. Nothing was changed. End the canary first.",
            code="is_canary",
        )


def set_stage(version: ModelVersion, stage: str, *, reason: str, actor: Actor, **extra: Any) -> None:
    before, version.stage = version.stage, stage
    version.save(update_fields=["stage"])
    audit(
        kind=f"model_version.{'promoted' if stage == ModelVersion.Stage.PRODUCTION else stage}",
        subject=version,
        actor=actor,
        before={"stage": before},
        after={"stage": stage, "reason": reason, **extra},
    )


@transaction.atomic
def activate(*, deployment: Deployment, device: str, worker: str, choice: Mapping[str, Any] | None = None) -> bool:
    """A worker holds the model: it replaces what served the category, and the stages of both versions follow.

    A canary replaces nothing but the canary of its station. Another version in production ends all canaries of the
    category: they were compared with the one before, and a rollback means every station.

    False when nobody waits for it any more, or when one that was asked for later serves already: then it has failed as
    `superseded`. `choice`: the runtime and precision that the worker runs it in and why, see
    `modelzoo.detectors.engines.selection.Scorer`.
    """
    choice = dict(choice or {})
    lock_category(deployment.category_id)
    active = Deployment.objects.filter(category_id=deployment.category_id, status=Deployment.Status.ACTIVE)
    before = active.filter(station=deployment.station).first()
    if deployment.station and (why := _canary_obstacle(deployment)):
        fail_deployment(deployment=deployment, code="superseded", error=why)
        return False
    if before and before.pk > deployment.pk:
        fail_deployment(
            deployment=deployment,
            code="superseded",
            error=f"While {deployment.model_version} was being loaded, another version was requested and "
            f"activated (deployment {before.pk}); the last request wins. That version stays in production.",
        )
        return False
    now = timezone.now()
    if before:
        before.status, before.ended_at = Deployment.Status.REPLACED, now
        before.save(update_fields=["status", "ended_at"])
    claimed = Deployment.objects.filter(pk=deployment.pk, status=Deployment.Status.LOADING).update(
        status=Deployment.Status.ACTIVE,
        device=device,
        runtime_chosen=choice.get("runtime", ""),
        precision_chosen=choice.get("precision", ""),
        choice=choice,
        worker=worker,
        activated_at=now,
    )
    if not claimed:
        transaction.set_rollback(True)
        return False
    if not deployment.station:
        _update_stages(deployment)
        if before and before.model_version_id != deployment.model_version_id:
            for canary in active_canaries(category_id=deployment.category_id):
                _end_canary(
                    canary,
                    reason=f"{deployment.model_version} went into production ({deployment.get_kind_display().lower()})",
                    actor=deployment.requested_by,
                )
    audit(
        kind="deployment.activated",
        subject=deployment,
        actor=deployment.requested_by,
        before=before and {"deployment": before.pk, "model_version": before.model_version_id},
        after={
            "model_version": deployment.model_version_id,
            "kind": deployment.kind,
            **({"station": deployment.station} if deployment.station else {}),
            "reason": deployment.reason,
            "device": device,
            "worker": worker,
            "choice": choice,
        },
        attests=[before] if before else [],
    )
    return True


def _canary_obstacle(canary: Deployment) -> str:
    """Why a canary that is loaded by now is not wanted any more; empty: it is."""
    version = ModelVersion.objects.select_related("category").get(pk=canary.model_version_id)
    if version.stage in (ModelVersion.Stage.PRODUCTION, ModelVersion.Stage.ARCHIVED):
        return f"While {version} was being loaded, it became {version.stage}. The station stays with production."
    others = [one for one in active_canaries(category_id=canary.category_id) if one.model_version_id != version.pk]
    if others:
        return f"While {version} was being loaded, {others[0].model_version} became the canary. Nothing was changed."
    later = Deployment.objects.filter(
        category=canary.category_id, status=Deployment.Status.ACTIVE, station="", pk__gt=canary.pk
    ).first()
    if later:
        return (
            f"While {version} was being loaded, {later.model_version} went into production. The station stays with it."
        )
    return ""


def _update_stages(deployment: Deployment) -> None:
    """What else becomes true with a deployment: the stages of versions, and the threshold that came with it."""
    stage, actor = ModelVersion.Stage, deployment.requested_by
    reason = deployment.reason or f"deployment {deployment.pk}"
    version = ModelVersion.objects.select_related("category").get(pk=deployment.model_version_id)
    served = ModelVersion.objects.filter(category_id=deployment.category_id, stage=stage.PRODUCTION)
    extra: dict[str, Any] = {"kind": deployment.kind}
    for other in served.exclude(pk=version.pk):
        set_stage(other, stage.ARCHIVED, reason=reason, actor=actor)
        extra["instead_of"] = other.pk
    if version.stage != stage.PRODUCTION:
        set_stage(version, stage.PRODUCTION, reason=reason, actor=actor, **extra)
    if deployment.threshold_value is not None:
        append_threshold(
            version=version,
            value=deployment.threshold_value,
            method=Threshold.Method.MANUAL,
            reason=deployment.threshold_reason,
            actor=actor,
        )


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


def call_worker(*, deployment: Deployment) -> bool:
    """Have a worker load it, and do not wait for it. Without a broker it fails at once, as `no_worker`: returns False.

    By the name of its task, which stands in an app that builds on this one.
    """
    sent = broker.publish("inspection.tasks.load", deployment.pk)
    if not sent:
        fail_deployment(
            deployment=deployment,
            code="no_worker",
            error="The message broker does not answer, so the model was not loaded. The current model stays in "
            "production. Call support, then try again.",
        )
    return sent
