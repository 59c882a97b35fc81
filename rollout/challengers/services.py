"""Writes: challengers are started and stopped by people, who mark the disagreements that they looked at."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import IntegrityError, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.csv_tables import find_dialect
from jobs.engine import JobKind
from modelzoo.models import ModelVersion
from modelzoo.selectors import deployment_in_force
from modelzoo.services import actor_id, lock_category, required_reason
from records.audit.services import Actor, attest_rows, audit
from rollout.challengers.audited_rows import MARKED, expected_mark
from rollout.challengers.documents import csv_pieces
from rollout.models import Challenger, ChallengerResult, DisagreementMark

CHALLENGERS = JobKind(Challenger, "rollout.tasks.work_on_challenger")
MAX_COMMENT_LENGTH = 500
_CHALLENGER_STAGES = (ModelVersion.Stage.CANDIDATE, ModelVersion.Stage.APPROVED)


@transaction.atomic
def start_challenger(
    *, version: ModelVersion, reason: str, actor: Actor, share: float = 1.0, max_images: int | None = None
) -> Challenger:
    """Let a version score what production judges from now on. It decides nothing.

    `share`: of the live images. `max_images`: after so many it is finished.

    Raises `Forbidden`, `NoModelLoaded` where nothing is in production, `Conflict` for a version that is in production
    or archived and where another challenger of the category is running, and `UserError`.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A challenger")
    if not 0 < share <= 1:
        raise UserError("The share of the images lies above 0 and up to 1. Nothing was started.", code="invalid")
    if max_images is not None and not 1 <= max_images <= 10**9:
        raise UserError("A challenger ends after 1 image or more. Nothing was started.", code="invalid")
    category = lock_category(version.category_id)
    version.refresh_from_db(fields=["stage"])
    if version.stage not in _CHALLENGER_STAGES:
        raise Conflict(
            f"{version} is {'in production' if version.stage == ModelVersion.Stage.PRODUCTION else 'archived'}. "
            "Nothing was started. A challenger is a candidate or an approved version.",
            code="not_a_challenger",
        )
    production = deployment_in_force(category.name).model_version
    running = CHALLENGERS.open().filter(category=category).select_related("model_version__category").first()
    if running is not None:
        raise Conflict(
            f"{running.model_version} is the challenger of {category.name} already. Nothing was started. Stop it "
            "first.",
            code="challenger_running",
        )
    challenger = Challenger(
        category=category,
        model_version=version,
        production=production,
        share=share,
        max_images=max_images,
        reason=reason[:500],
        requested_by_id=actor_id(actor),
        lease_expires_at=CHALLENGERS.lease(),
    )
    event = audit(
        kind="challenger.started",
        subject=challenger,
        actor=actor,
        after={
            "category": category.name,
            "model_version": version.pk,
            "production": production.pk,
            "share": share,
            "max_images": max_images,
            "reason": challenger.reason,
        },
    )
    challenger.reached_sequence = event.sequence
    challenger.save(force_insert=True)
    attest_rows(rows=[challenger])
    CHALLENGERS.publish_on_commit(challenger.pk)
    return challenger


@transaction.atomic
def stop_challenger(*, challenger: Challenger, reason: str, actor: Actor) -> Challenger:
    """End it now. Results that are written stay; a worker that is at it writes nothing more.

    Raises `Forbidden`, `UserError` for a missing reason, and `Conflict` where it is over.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "Stopping a challenger")
    if not CHALLENGERS.end(challenger.pk, status=Challenger.Status.STOPPED, end_reason=reason[:500]):
        raise Conflict("This challenger is over already. Nothing was changed.", code="challenger_over")
    challenger.refresh_from_db()
    audit_end(challenger, actor=actor)
    return challenger


def audit_end(challenger: Challenger, *, actor: Actor) -> None:
    audit(
        kind=f"challenger.{challenger.status}",
        subject=challenger,
        actor=actor,
        after={
            "category": challenger.category.name,
            "model_version": challenger.model_version_id,
            "production": challenger.production_id,
            "seen": challenger.seen,
            "scored": challenger.scored,
            "disagreements": challenger.disagreements,
            "failed": challenger.failed,
            "discarded": challenger.discarded,
            "reason": challenger.end_reason,
        },
    )


@transaction.atomic
def mark_disagreement(*, result: ChallengerResult, actor: Actor, comment: str = "") -> DisagreementMark:
    """Say that one looked at a disagreement, where a review of the record would say too much.

    Raises `Forbidden`, `UserError` for a comment that is too long, and `Conflict` where both agree or somebody looked.
    """
    require(actor, Right.REVIEW)
    comment = comment.strip()
    if len(comment) > MAX_COMMENT_LENGTH or "\0" in comment:
        raise UserError(
            f"A comment has at most {MAX_COMMENT_LENGTH} characters of text. Nothing was saved.", code="invalid"
        )
    if not result.disagrees:
        raise Conflict("Both versions agree about this image. Nothing was saved.", code="no_disagreement")
    try:
        with transaction.atomic():
            mark = DisagreementMark.objects.create(
                result=result, comment=comment, author_id=actor_id(actor), created_at=timezone.now()
            )
    except IntegrityError as error:
        raise Conflict("Somebody looked at this image already. Nothing was saved.", code="already_marked") from error
    audit(kind=MARKED, subject=mark, actor=actor, after=expected_mark(mark))
    return mark


@transaction.atomic
def export_csv(*, challenger: Challenger, actor: Actor) -> Iterator[bytes]:
    """All results as a table. That it was taken out is in the audit log before its first line leaves."""
    require(actor, Right.EXPORT)
    audit(
        kind="challenger.exported",
        subject=challenger,
        actor=actor,
        after={"model_version": challenger.model_version_id, "results": challenger.scored + challenger.failed},
        changes_subject=False,
    )
    return (piece.encode() for piece in csv_pieces(challenger, find_dialect("")))
