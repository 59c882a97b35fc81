"""Writes: evaluations that are asked for, and what came of them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from common.errors import Conflict, UserError
from common.rights import Right, require
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from modelzoo.models import ModelVersion, Threshold
from records.audit.services import Actor, audit
from training.models import Dataset, Evaluation, EvaluationRun
from training.runs.services import record_evaluation

# Until the first sign of life a process starts and a model is loaded.
EVALUATIONS = JobKind(EvaluationRun, "training.tasks.supervise_evaluation", min_lease_seconds=120)


@transaction.atomic
def request_evaluation(*, version: ModelVersion, dataset: Dataset, robustness: bool, actor: Actor) -> EvaluationRun:
    """Ask for the figures of a version on a data set, at the threshold that is active when it is worked on.

    Raises `Forbidden`, `Conflict` for a data set of another category, and `UserError` for one without test images.
    """
    require(actor, Right.TRAIN)
    if dataset.category_id != version.category_id:
        raise Conflict(
            f"{dataset} is of category {dataset.category.name}, but {version} judges {version.category.name}. "
            "Nothing was changed.",
            code="other_category",
        )
    if not dataset.images.filter(split="test").exists():
        raise UserError(f"{dataset} has no test images. Nothing was started.", code="no_test_images")
    run = EvaluationRun.objects.create(
        model_version=version,
        dataset=dataset,
        robustness=robustness,
        requested_by_id=actor.pk if actor else None,
        lease_expires_at=EVALUATIONS.lease(),
    )
    audit(
        kind="evaluation.requested",
        subject=run,
        actor=actor,
        after={"model_version": version.pk, "dataset": str(dataset), "robustness": robustness},
    )
    EVALUATIONS.publish_on_commit(run.pk)
    return run


def claim_evaluation(*, run_id: int) -> Claim[EvaluationRun] | None:
    """Take one that waits, or whose worker died; None where it is not to be had, or was tried often enough."""
    claim = EVALUATIONS.take(run_id, attempt=F("attempt") + 1)
    if claim is None:
        return None
    attempts = claim.rows().values_list("attempt", flat=True).first() or 0
    if attempts > settings.MAX_ATTEMPTS:
        fail_evaluation(claim=claim, error=f"The process ended {settings.MAX_ATTEMPTS} times during this evaluation.")
        return None
    return claim


@transaction.atomic
def finish_evaluation(*, claim: Claim[EvaluationRun], threshold: Threshold, metrics: dict[str, Any]) -> Evaluation:
    """The figures and the end of the job in one transaction. Raises `ClaimLost`."""
    relations = ("model_version__category", "dataset", "requested_by")
    run = claim.rows().select_for_update(of=("self",)).select_related(*relations).first()
    if run is None:
        raise ClaimLost
    evaluation = record_evaluation(
        version=run.model_version, dataset=run.dataset, threshold=threshold, metrics=metrics, actor=run.requested_by
    )
    claim.end(status=EvaluationRun.Status.FINISHED, evaluation=evaluation, progress=1.0)
    return evaluation


@transaction.atomic
def fail_evaluation(*, claim: Claim[EvaluationRun], error: str) -> None:
    if claim.end(status=EvaluationRun.Status.FAILED, error=error):
        run = EvaluationRun.objects.select_related("requested_by").get(pk=claim.pk)
        after = {"model_version": run.model_version_id, "error": error[:500]}
        audit(kind="evaluation.failed", subject=run, actor=run.requested_by, after=after)
