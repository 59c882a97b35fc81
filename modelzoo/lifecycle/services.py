"""Writes: approving a version, withdrawing it, and the promotion gates of a category."""

from __future__ import annotations

import math
from dataclasses import asdict

from django.conf import settings
from django.db import transaction

from common.errors import Conflict, NotFound, UserError
from common.rights import Forbidden, Right, require
from modelzoo.lifecycle.models import Approval, PromotionGates
from modelzoo.lifecycle.selectors import Gates, approval_in_force, gates_in_force
from modelzoo.models import Category, ModelVersion
from modelzoo.services import actor_id, lock_category, refuse_for_canary, required_reason, set_stage
from modelzoo.signatures.selectors import Act, Signature, check_signature, with_signature
from records.audit.services import Actor, audit

MAX_CHALLENGER_IMAGES = 1_000_000
_SHARES = ("min_recall", "max_false_reject_rate", "min_lamp_tolerance", "max_error_increase")


@transaction.atomic
def approve_version(
    *, version: ModelVersion, reason: str, actor: Actor, signature: Signature | None = None
) -> Approval:
    """Vouch for a version: a candidate is approved then, one that is archived may be promoted again.

    Raises `Forbidden`, also for the person who had it trained where REQUIRE_APPROVAL is on, `Conflict` where it is
    approved already, `UserError` for a missing reason, and `SignatureRequired` where the category requires one.
    """
    require(actor, Right.DEPLOY)
    check_signature(Act.APPROVAL, [version.category_id], signature=signature, actor=actor)
    reason = required_reason(reason, "An approval")
    lock_category(version.category_id)
    version.refresh_from_db(fields=["stage"])
    if approval_in_force(version.pk):
        raise Conflict(f"{version} is already approved. Nothing was changed.", code="already_approved")
    if settings.REQUIRE_APPROVAL:
        if actor is None:
            raise Forbidden("An approval needs a person who signs in. Nothing was changed.")
        if actor.pk == version.created_by_id:
            raise Forbidden(
                f"{version} was trained by you. Nothing was changed. Somebody else has to approve it "
                "(REQUIRE_APPROVAL)."
            )
    approval = _decide(version, approved=True, reason=reason, actor=actor, signature=signature)
    if version.stage == ModelVersion.Stage.CANDIDATE:
        set_stage(version, ModelVersion.Stage.APPROVED, reason=reason, actor=actor)
    return approval


@transaction.atomic
def withdraw_approval(
    *, version: ModelVersion, reason: str, actor: Actor, signature: Signature | None = None
) -> Approval:
    """Take an approval back; what was approved is a candidate again.

    Raises `Forbidden`, `Conflict` where it is not approved, in production or a canary, `UserError` for a missing
    reason, and `SignatureRequired` where the category requires one.
    """
    require(actor, Right.DEPLOY)
    check_signature(Act.APPROVAL, [version.category_id], signature=signature, actor=actor)
    reason = required_reason(reason, "Withdrawing an approval")
    lock_category(version.category_id)
    version.refresh_from_db(fields=["stage"])
    if version.stage == ModelVersion.Stage.PRODUCTION:
        raise Conflict(
            f"{version} is in production. Nothing was changed. Roll back or promote another version first.",
            code="in_production",
        )
    if approval_in_force(version.pk) is None:
        raise Conflict(f"{version} is not approved. Nothing was changed.", code="not_approved")
    refuse_for_canary(version)
    approval = _decide(version, approved=False, reason=reason, actor=actor, signature=signature)
    if version.stage == ModelVersion.Stage.APPROVED:
        set_stage(version, ModelVersion.Stage.CANDIDATE, reason=reason, actor=actor)
    return approval


def _decide(
    version: ModelVersion, *, approved: bool, reason: str, actor: Actor, signature: Signature | None
) -> Approval:
    approval = Approval.objects.create(
        model_version=version, approved=approved, reason=reason[:500], author_id=actor_id(actor)
    )
    audit(
        kind="approval.given" if approved else "approval.withdrawn",
        subject=version,
        actor=actor,
        after=with_signature(
            {"approval": approval.pk, "reason": approval.reason, "artifact_sha256": version.artifact_sha256}, signature
        ),
        attests=[approval],
        changes_subject=False,
    )
    return approval


@transaction.atomic
def set_promotion_gates(*, category: Category, gates: Gates, reason: str, actor: Actor) -> PromotionGates:
    """Set what a version of a category must show before it may go into production. What is in production stays there.

    Raises `Forbidden`, `NotFound` for a data set that the category does not have, and `UserError` for a missing reason,
    a share or a number of images that is none, or figures without a reference set.
    """
    require(actor, Right.DEPLOY)
    reason = required_reason(reason, "A change of the promotion gates")
    for name in _SHARES:
        value = getattr(gates, name)
        if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
            raise UserError(f"{name} lies between 0 and 1. Nothing was changed.", code="invalid")
    least = gates.min_challenger_images
    if least is not None and not 1 <= least <= MAX_CHALLENGER_IMAGES:
        raise UserError(
            f"A challenger scores 1 to {MAX_CHALLENGER_IMAGES:,} live images. Nothing was changed.", code="invalid"
        )
    if not gates.dataset_name and (gates.min_recall is not None or gates.max_false_reject_rate is not None):
        raise UserError(
            "Recall and false-reject rate need a reference set. Nothing was changed. Name a data set of this category.",
            code="reference_set_missing",
        )
    # Data sets belong to an app that builds on this one: reached by name, not imported.
    if gates.dataset_name and not category.datasets.filter(name=gates.dataset_name).exists():
        raise NotFound(
            f"There is no data set {gates.dataset_name[:100]!r} of {category.name}. Nothing was changed.",
            code="dataset_not_found",
        )
    lock_category(category.pk)
    before = gates_in_force(category.pk)
    row = PromotionGates.objects.create(
        category=category, reason=reason[:500], author_id=actor_id(actor), **asdict(gates)
    )
    audit(
        kind="promotion_gates.set",
        subject=category,
        actor=actor,
        before=asdict(before),
        after=asdict(gates) | {"category": category.name, "reason": row.reason},
        attests=[row],
        changes_subject=False,
    )
    return row
