"""Writes: a threshold that somebody decided on after looking at what it would have done."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from common.errors import Conflict
from common.rights import Right, require
from modelzoo.models import ModelVersion, Threshold
from modelzoo.selectors import threshold_in_force
from modelzoo.services import set_threshold
from modelzoo.signatures.selectors import Signature
from records.audit.services import Actor


@transaction.atomic
def apply_threshold(
    *,
    version: ModelVersion,
    value: float,
    instead_of: int,
    reason: str,
    actor: Actor,
    method: str = Threshold.Method.MANUAL,
    parameters: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
    signature: Signature | None = None,
) -> Threshold:
    """As `set_threshold`, in place of the revision that was looked at.

    Raises `Conflict` besides, where another one is in force by now.
    """
    require(actor, Right.TUNE)
    _check_in_force(version, instead_of)
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


@transaction.atomic
def undo_threshold(
    *, version: ModelVersion, revision: int, reason: str, actor: Actor, signature: Signature | None = None
) -> Threshold:
    """The value and size rule before this revision again, as a new revision: the history keeps both.

    Raises `Forbidden`, `Conflict` where the revision is not in force or is the first, `UserError` without a reason.
    """
    require(actor, Right.TUNE)
    _check_in_force(version, revision)
    before = version.thresholds.filter(revision__lt=revision).order_by("-revision").first()
    if before is None:
        raise Conflict(
            "This is the first revision, so there is none to return to. It stays active.", code="nothing_to_undo"
        )
    return set_threshold(
        version=version,
        value=before.value,
        method=before.method,
        parameters=before.parameters,
        evidence={"undoes_revision": revision, "repeats_revision": before.revision},
        reason=reason,
        actor=actor,
        signature=signature,
        size_rule=before.size_rule,
    )


def _check_in_force(version: ModelVersion, revision: int) -> None:
    """Lock the version's thresholds, and see that this revision is in force."""
    ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    in_force = threshold_in_force(version.pk)
    if in_force.revision != revision:
        raise Conflict(
            f"Revision {in_force.revision} ({in_force.value:.5g}) was set since you opened this page, with "
            f"the reason “{in_force.reason}”. Nothing was changed. Check the metrics against the new "
            "revision, then decide again.",
            code="threshold_changed",
        )
