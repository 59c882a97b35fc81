"""Writes: the life of a training run from request to version."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from common.errors import Conflict, NotFound, UserError
from common.rights import Right, require
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from modelzoo import services
from modelzoo.detectors.registry import ALGORITHMS
from modelzoo.models import ModelVersion, Threshold
from records.audit.services import Actor, audit
from records.models import Asset
from training.datasets.selectors import images_of, training_asset_ids
from training.models import Dataset, DatasetImage, Evaluation, TrainingRun
from training.runs.ignore_masks.services import check_fits
from training.runs.options import complete_options, threshold_rule

_LOG_CHARACTERS = 100_000
# Detectors with a `partial_fit`.
EXTENDABLE = tuple(name for name, algorithm in ALGORITHMS.items() if algorithm.is_extendable)
TRAINING_RUNS = JobKind(TrainingRun, "training.tasks.supervise")


# ---------------------------------------------------------------- the life of a training run
@transaction.atomic
def request_run(
    *,
    dataset: Dataset,
    algorithm: str,
    options: dict[str, Any],
    calibration: dict[str, Any],
    seed: int,
    actor: Actor,
    ignore_mask: Asset | None = None,
    ignore_mask_version: ModelVersion | None = None,
) -> TrainingRun:
    """Write a run down. It is worked on by whoever claims it: `queue_run` also calls a worker.

    `calibration` is {"method": "percentile", "percentile": 90} or {"method": "conformal", "false_reject_rate": 0.1}.
    `ignore_mask`: what is not judged (`ignore_masks.services`), painted on the mean image of `ignore_mask_version`, or
    without one on the images of the data set. Raises `Forbidden`, and `UserError` where the mask does not fit.
    """
    require(actor, Right.TRAIN)
    if ignore_mask is not None:
        check_fits(ignore_mask, dataset=dataset, version=ignore_mask_version)
    elif ignore_mask_version is not None:
        raise UserError("ignore_mask_version goes with ignore_mask. Nothing was started.", code="invalid")
    run = TrainingRun.objects.create(
        dataset=dataset,
        algorithm=algorithm,
        options=options,
        calibration=calibration,
        seed=seed,
        ignore_mask=ignore_mask,
        ignore_mask_version=ignore_mask_version,
        requested_by_id=actor.pk if actor else None,
        # A command that trains in its own process claims within moments; the sweep leaves it that long.
        lease_expires_at=TRAINING_RUNS.lease(),
    )
    audit(
        kind="training_run.requested",
        subject=run,
        actor=actor,
        after={
            "dataset": str(dataset),
            "algorithm": algorithm,
            "options": options,
            "seed": seed,
            **_mask_in_audit(run),
        },
    )
    return run


def _mask_in_audit(run: TrainingRun) -> dict[str, Any]:
    """What an audit event says of the mask; nothing where everything is judged."""
    if run.ignore_mask is None:
        return {}
    return {"ignore_mask": run.ignore_mask.sha256, "ignore_mask_version": run.ignore_mask_version_id}


@transaction.atomic
def request_extension(*, version: ModelVersion, dataset: Dataset, actor: Actor) -> TrainingRun:
    """Write a run down that lets a version learn from the good training images of a data set; it becomes a new version.

    What the version is made of stays: options, seed, the rule of the threshold. Raises `Forbidden`, and `Conflict`
    where the detector cannot learn more, the data set is of another category, or there is nothing new in it.
    """
    require(actor, Right.TRAIN)
    if version.algorithm not in EXTENDABLE:
        raise Conflict(
            f"{version} cannot be extended with more images; {', '.join(EXTENDABLE)} can. Nothing was changed. "
            "Train a new model on a data set with all images.",
            code="not_extendable",
        )
    if dataset.category_id != version.category_id:
        raise Conflict(
            f"{dataset} is of category {dataset.category.name}, but {version} judges {version.category.name}. "
            "Nothing was changed.",
            code="other_category",
        )
    asset_ids = training_asset_ids(version)
    if not any(image.asset_id not in asset_ids for image in images_of(dataset, DatasetImage.Split.TRAIN)):
        raise Conflict(
            f"{dataset} has no new good training image for {version}. Nothing was changed.",
            code="nothing_to_learn",
        )
    source_run = TrainingRun.objects.select_related("ignore_mask").filter(model_version=version).first()
    run = TrainingRun.objects.create(
        dataset=dataset,
        base_version=version,
        algorithm=version.algorithm,
        options={name: value for name, value in version.config.items() if name != "seed"} | {"device": settings.DEVICE},
        calibration=source_run.calibration if source_run else threshold_rule(),
        seed=version.seed,
        # The base has it in its artifact: what it does not judge, what comes of it does not either.
        ignore_mask=source_run.ignore_mask if source_run else None,
        ignore_mask_version=source_run.ignore_mask_version if source_run else None,
        requested_by_id=actor.pk if actor else None,
        lease_expires_at=TRAINING_RUNS.lease(),
    )
    audit(
        kind="training_run.requested",
        subject=run,
        actor=actor,
        after={
            "dataset": str(dataset),
            "algorithm": run.algorithm,
            "base_version": version.pk,
            **_mask_in_audit(run),
        },
    )
    return run


@transaction.atomic
def queue_run(
    *,
    dataset: Dataset,
    algorithm: str,
    options: Mapping[str, Any],
    calibration: dict[str, Any],
    seed: int,
    actor: Actor,
    ignore_mask: Asset | None = None,
    ignore_mask_version: ModelVersion | None = None,
) -> TrainingRun:
    """Write a run down for a worker, who is called once it is committed. `options`: those that are not as usual.

    Raises `Forbidden`, and `UserError` for an algorithm, an option or a value that there is not.
    """
    run = request_run(
        dataset=dataset,
        algorithm=algorithm,
        options=complete_options(algorithm=algorithm, values=options, seed=seed),
        calibration=calibration,
        seed=seed,
        actor=actor,
        ignore_mask=ignore_mask,
        ignore_mask_version=ignore_mask_version,
    )
    TRAINING_RUNS.publish_on_commit(run.pk)
    return run


@transaction.atomic
def queue_extension(*, version: ModelVersion, dataset: Dataset, actor: Actor) -> TrainingRun:
    """As `request_extension`, for a worker, who is called once it is committed."""
    run = request_extension(version=version, dataset=dataset, actor=actor)
    TRAINING_RUNS.publish_on_commit(run.pk)
    return run


def claim_run(*, run_id: int, worker: str) -> Claim[TrainingRun] | None:
    """Take a run that waits, or begin one anew whose lease ran out. None when it is not to be had."""
    claim = TRAINING_RUNS.take(
        run_id,
        Q(attempt__lt=settings.MAX_ATTEMPTS, cancel_requested=False),
        attempt=F("attempt") + 1,
        worker=worker,
        started_at=timezone.now(),
        progress=0.0,
        message="starting",
    )
    if claim:
        discard_artifacts(run_id=run_id)
    return claim


def renew(
    *, claim: Claim[TrainingRun], progress: float, message: str, history: list[Any] | None = None, lines: str = ""
) -> bool:
    """Prolong the lease and tell how far the run is. Returns whether a cancellation was asked for.

    Raises `ClaimLost` when the run is somebody else's by now.
    """
    changes: dict[str, Any] = {"progress": min(1.0, max(0.0, progress)), "message": message[:300]}
    if history is not None:
        changes["history"] = history
    with transaction.atomic():
        run = claim.rows().select_for_update().only("log", "log_start", "cancel_requested").first()
        if run is None:
            raise ClaimLost
        if lines:
            whole = run.log + lines
            changes["log"] = whole[-_LOG_CHARACTERS:]
            changes["log_start"] = run.log_start + len(whole) - len(changes["log"])
        claim.renew(**changes)
    return run.cancel_requested


def has_live_claim(*, claim: Claim[TrainingRun]) -> bool:
    """Whether a claim is in force and its holder has given a sign of life within the lease."""
    return claim.rows().filter(lease_expires_at__gt=timezone.now()).exists()


def is_cancelled(*, claim: Claim[TrainingRun]) -> bool:
    """Whether the holder of a claim was asked to stop."""
    return claim.rows().filter(cancel_requested=True).exists()


@transaction.atomic
def finish_run(
    *,
    claim: Claim[TrainingRun],
    version_fields: dict[str, Any],
    threshold: float,
    threshold_method: str,
    threshold_parameters: dict[str, Any],
    metrics: dict[str, Any] | None,
    history: list[Any],
    selection: dict[str, Any],
    versions: dict[str, str],
) -> ModelVersion:
    """Version, threshold, evaluation and the end of the run in one transaction, if the claim still holds."""
    run = claim.rows().select_for_update(of=("self",)).select_related("dataset__category", "requested_by").first()
    if run is None:
        raise ClaimLost
    version = services.register_version(
        category=run.dataset.category,
        actor=run.requested_by,
        dataset_name=run.dataset.name,
        dataset_snapshot=run.dataset.snapshot,
        seed=run.seed,
        versions=versions,
        metrics=metrics or {},
        **version_fields,
    )
    first = services.append_threshold(
        version=version,
        value=threshold,
        method=threshold_method,
        parameters=threshold_parameters,
        reason="first threshold, set by the training run",
        actor=run.requested_by,
    )
    if metrics:
        record_evaluation(
            version=version, dataset=run.dataset, threshold=first, metrics=metrics, actor=run.requested_by
        )
    claim.end(
        status=TrainingRun.Status.SUCCEEDED,
        model_version=version,
        progress=1.0,
        message="done",
        history=history,
        selection=selection,
        versions=versions,
    )
    audit(
        kind="training_run.succeeded",
        subject=run,
        actor=run.requested_by,
        after={"model_version": version.pk, "attempt": run.attempt},
    )
    return version


@transaction.atomic
def end_run(
    *, run_id: int, status: str, code: str = "", error: str = "", claim: Claim[TrainingRun] | None = None
) -> bool:
    """Close a run as failed or cancelled. With a claim only its holder can; without, anybody may end an open run."""
    fields = {"status": status, "error_code": code, "error": error, "message": (error or status)[:300]}
    if not (claim.end(**fields) if claim else TRAINING_RUNS.end(run_id, **fields)):
        return False
    run = TrainingRun.objects.select_related("requested_by").get(pk=run_id)
    audit(
        kind=f"training_run.{status}",
        subject=run,
        actor=run.requested_by,
        after={"code": code, "error": error[:500], "attempt": run.attempt},
    )
    transaction.on_commit(lambda: discard_artifacts(run_id=run_id))
    return True


def release_run(*, claim: Claim[TrainingRun]) -> None:
    """Give a run back unfinished (the worker is told to stop): the sweep hands it to the next one."""
    claim.release(
        status=TrainingRun.Status.QUEUED,
        lease_expires_at=timezone.now(),
        attempt=F("attempt") - 1,  # nothing went wrong with it
        message="given back by a worker that was stopped",
    )


@transaction.atomic
def cancel_run(*, run_id: int, actor: Actor) -> TrainingRun:
    """Ask a run to stop. A queued one ends at once, a running one at its next step."""
    require(actor, Right.TRAIN)
    run = TrainingRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no training run {run_id}.", code="training_run_not_found")
    if not run.is_open:
        raise Conflict(f"Training run {run_id} has already {run.status}.", code="training_run_is_over")
    if not run.cancel_requested:
        run.cancel_requested = True
        run.save(update_fields=["cancel_requested"])
        audit(kind="training_run.cancel_requested", subject=run, actor=actor)
    if run.status == TrainingRun.Status.QUEUED:
        end_run(run_id=run_id, status=TrainingRun.Status.CANCELLED)
        run.refresh_from_db()
    return run


def discard_artifacts(*, run_id: int) -> None:
    """Remove what earlier attempts of a run left in MODEL_PATH and no version owns."""
    root = Path(settings.MODEL_PATH)
    # A killed process leaves the folder under its temporary, hidden name.
    for folder in [*root.glob(f"*/run-{run_id}-*"), *root.glob(f"*/.run-{run_id}-*")]:
        if not ModelVersion.objects.filter(artifact=str(folder.relative_to(root))).exists():
            shutil.rmtree(folder, ignore_errors=True)


def sweep_runs() -> None:
    """Publish again what is queued or orphaned, and close what cannot be helped."""
    for run in TRAINING_RUNS.stale().order_by("pk"):
        if run.cancel_requested:
            end_run(run_id=run.pk, status=TrainingRun.Status.CANCELLED)
        elif run.attempt >= settings.MAX_ATTEMPTS:
            end_run(
                run_id=run.pk,
                status=TrainingRun.Status.FAILED,
                code="worker_died",
                error=f"The training service stopped {run.attempt} times during this run. See the log.",
            )
        else:
            TRAINING_RUNS.publish_again(run.pk)


@transaction.atomic
def note_reproduction(*, run: TrainingRun, outcome: Mapping[str, Any], actor: Actor) -> None:
    """Say in the log what training again came to. Raises `Forbidden`."""
    require(actor, Right.TRAIN)
    audit(kind="training_run.reproduced", subject=run, actor=actor, after=dict(outcome))


# ---------------------------------------------------------------- evaluations
@transaction.atomic
def record_evaluation(
    *, version: ModelVersion, dataset: Dataset, threshold: Threshold, metrics: dict[str, Any], actor: Actor
) -> Evaluation:
    evaluation = Evaluation.objects.create(
        model_version=version,
        dataset=dataset,
        threshold=threshold,
        metrics=metrics | {"duplicates_left_out": dataset.duplicates_left_out},
        created_by_id=actor.pk if actor else None,
    )
    audit(
        kind="evaluation.recorded",
        subject=evaluation,
        actor=actor,
        after={"model_version": version.pk, "dataset": str(dataset), "auroc": metrics["image"]["auroc"]},
    )
    return evaluation
