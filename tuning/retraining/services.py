"""Writes: training again with the reviewed images, and comparing two versions on the same images, in slices."""

from __future__ import annotations

import hashlib
import logging
import math
import uuid

from django.conf import settings
from django.db import transaction

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.reviews.reviewed_data import extended_dataset
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from modelzoo.loading import scoring
from modelzoo.models import Category, ModelVersion
from modelzoo.selectors import input_rules, threshold_in_force
from modelzoo.services import actor_id, lock_category
from records.audit.services import Actor, audit
from training.models import Dataset, TrainingRun
from training.runs.options import threshold_rule
from training.runs.services import TRAINING_RUNS, request_run
from tuning.models import ComparedImage, Comparison, Retraining
from tuning.retraining import selectors
from tuning.retraining.audited_rows import FINISHED, expected_comparison
from tuning.retraining.figures import Verdicts, compare

log = logging.getLogger(__name__)
COMPARISONS = JobKind(Comparison, "tuning.tasks.work_on_comparison", min_lease_seconds=120)  # two models are loaded
_SLICE_SECONDS = 2.0  # single images pass at least this often
_SLICE = 8  # images
_Status = Comparison.Status


# ---------------------------------------------------------------- training again
@transaction.atomic
def retrain(*, category: Category, actor: Actor) -> Retraining:
    """Train with production's configuration on production's images and what was reviewed since; one act.

    When the run has made a version, `compare_due_retraining` compares it with production.

    Raises `Forbidden`, and `Conflict` where none is in production, its data set is not here, nothing new was reviewed
    as good, or the last retraining goes on.
    """
    require(actor, Right.TRAIN)
    lock_category(category.pk)
    production = selectors.production_version(category)
    if selectors.open_retraining(category):
        raise Conflict(
            f"{category.name} is being trained again already. Nothing was started. Wait until that run has ended.",
            code="retraining_open",
        )
    run = TrainingRun.objects.select_related("ignore_mask").filter(model_version=production).first()
    if run is not None and run.base_version_id:
        raise Conflict(
            f"{production} extends another version, so that no single data set has all that it learnt. Nothing was "
            "started. Extend it with a data set of reviewed images.",
            code="production_was_extended",
        )
    extended = extended_dataset(base=selectors.dataset_of(production), actor=actor)
    # What was chosen by `auto` stays chosen: another detector would be another question.
    chosen = {name: value for name, value in production.config.items() if name != "seed"}
    options = run.options if run and run.algorithm == production.algorithm else chosen | {"device": settings.DEVICE}
    again = request_run(
        dataset=extended.dataset,
        algorithm=production.algorithm,
        options=options,
        calibration=run.calibration if run else threshold_rule(),
        seed=production.seed,
        actor=actor,
        ignore_mask=run.ignore_mask if run else None,
        ignore_mask_version=run.ignore_mask_version if run else None,
    )
    retraining = Retraining.objects.create(
        run=again,
        production=production,
        added_good=extended.training,
        added_test_good=extended.test_good,
        added_defective=extended.test_defective,
    )
    audit(
        kind="retraining.requested",
        subject=again,
        actor=actor,
        after={
            "category": category.name,
            "production": production.pk,
            "dataset": str(extended.dataset),
            "added_good": retraining.added_good,
            "added_test_good": retraining.added_test_good,
            "added_defective": retraining.added_defective,
        },
        attests=[retraining],
    )
    TRAINING_RUNS.publish_on_commit(again.pk)
    return retraining


def compare_due_retraining() -> Comparison | None:
    """Ask for the comparison of a retraining whose run has made a version. One at a time, for the sweep."""
    retraining = selectors.due_retrainings().select_related("run__model_version", "run__requested_by").first()
    if retraining is None:
        return None
    candidate = retraining.run.model_version
    assert candidate is not None, "a run that succeeded has one"
    try:
        return request_comparison(candidate=candidate, production=retraining.production, actor=None)
    except UserError as error:  # no image is left: it is not tried again
        log.warning("%s is not compared with production: %s", candidate, error.detail)
        Retraining.objects.filter(pk=retraining.pk).update(not_compared=error.detail[:500])
        return None


# ---------------------------------------------------------------- comparing
@transaction.atomic
def request_comparison(*, candidate: ModelVersion, actor: Actor, production: ModelVersion | None = None) -> Comparison:
    """Freeze on which images and at which thresholds two versions are compared, and call a worker.

    `production`: that of the candidate's category where it is not given. The images are the test images of the newest
    snapshot of the candidate's data set, and what was reviewed; none of which either has learnt.

    Raises `Forbidden`, and `Conflict` where there is nothing to compare with or on.
    """
    require(actor, Right.TUNE)
    production = production or selectors.production_version(candidate.category)
    if production.pk == candidate.pk:
        raise Conflict(f"{candidate} is in production itself. Nothing was started.", code="in_production")
    dataset = _newest_snapshot(candidate)
    same = selectors.same_images(candidate, production, dataset)
    if not same.images:
        raise Conflict(
            f"There is no image that neither {candidate} nor {production} has learnt. Nothing was started. Review "
            "more parts, or import test images.",
            code="no_images_to_compare",
        )
    comparison = Comparison.objects.create(
        candidate=candidate,
        production=production,
        candidate_threshold=threshold_in_force(candidate.pk),
        production_threshold=threshold_in_force(production.pk),
        dataset=dataset,
        total=len(same.images),
        left_out=same.left_out,
        images_sha256=same.sha256,
        requested_by_id=actor_id(actor),
        lease_expires_at=COMPARISONS.lease(),
    )
    for image in same.images:
        image.comparison = comparison
    ComparedImage.objects.bulk_create(same.images, batch_size=500)
    audit(
        kind="comparison.requested",
        subject=comparison,
        actor=actor,
        after={
            "candidate": candidate.pk,
            "production": production.pk,
            "dataset": str(dataset),
            "images": comparison.total,
            "images_sha256": comparison.images_sha256,
            "left_out": comparison.left_out,
        },
    )
    COMPARISONS.publish_on_commit(comparison.pk)
    return comparison


def _newest_snapshot(candidate: ModelVersion) -> Dataset:
    rows = Dataset.objects.select_related("category").filter(category=candidate.category)
    dataset = rows.filter(name=candidate.dataset_name).order_by("-id").first()
    return dataset or selectors.dataset_of(candidate)


def work_on_comparison(*, comparison_id: uuid.UUID) -> None:
    """Score some slices, then hand the rest on; in the worker."""
    claim = COMPARISONS.take(comparison_id)
    if claim is None:
        return
    try:
        if claim.in_slices(lambda: _score_slice(claim), seconds=_SLICE_SECONDS):
            _finish(claim)
    except ClaimLost:
        log.warning("Comparison %s was taken over by another worker.", comparison_id)
    except UserError as error:  # a model cannot be loaded, or an image is gone
        _fail(claim, error)
    COMPARISONS.notify(comparison_id)


def _score_slice(claim: Claim[Comparison]) -> bool:
    """Score the next images with both versions. False: none are left."""
    comparison = selectors.find_comparison(claim.pk)
    waiting = ComparedImage.objects.filter(comparison=comparison, is_scored=False).select_related("asset")
    images = list(waiting.order_by("id")[:_SLICE])
    if not images:
        return False
    files = [image.asset.read() for image in images]
    production, candidate = (_scores(version, files) for version in (comparison.production, comparison.candidate))
    for image, of_production, of_candidate in zip(images, production, candidate, strict=True):
        image.is_scored, image.production_score, image.candidate_score = True, of_production, of_candidate
    with transaction.atomic():
        claim.renew(done=comparison.done + len(images))
        ComparedImage.objects.bulk_update(images, ["is_scored", "production_score", "candidate_score"])
    return True


def _scores(version: ModelVersion, files: list[bytes]) -> list[float | None]:
    """As an evaluation scores: float32, by torch; None where the line would not compare the picture."""
    loaded = scoring.load_model(version, runtime="torch", precision="fp32")
    results = scoring.score(scoring.with_rules(loaded, input_rules(version.category_id)), files)
    return [
        result.score if isinstance(result, scoring.ImageScore) and math.isfinite(result.score) else None
        for result in results
    ]


@transaction.atomic
def _finish(claim: Claim[Comparison]) -> None:
    """Keep the figures, if the claim still holds."""
    comparison = selectors.find_comparison(claim.pk)
    results = selectors.results_of(comparison)
    figures = compare(
        [is_defective for _, is_defective, _, _ in results],
        Verdicts([score for _, _, score, _ in results], comparison.production_threshold.value),
        Verdicts([score for _, _, _, score in results], comparison.candidate_threshold.value),
    )
    lines = "".join(f"{sha256} {is_defective} {one!r} {other!r}\n" for sha256, is_defective, one, other in results)
    figures["results_sha256"] = hashlib.sha256(lines.encode()).hexdigest()
    difference = figures["candidate"]["error_rate"] - figures["production"]["error_rate"]
    if claim.end(status=_Status.FINISHED, figures=figures, error_rate_difference=difference):
        ended = selectors.find_comparison(claim.pk)
        audit(kind=FINISHED, subject=ended, actor=ended.requested_by, after=expected_comparison(ended))


@transaction.atomic
def _fail(claim: Claim[Comparison], error: UserError) -> None:
    if claim.end(status=_Status.FAILED, error_code=error.code, error=error.detail):
        comparison = selectors.find_comparison(claim.pk)
        audit(
            kind="comparison.failed",
            subject=comparison,
            actor=comparison.requested_by,
            after={"candidate": comparison.candidate_id, "code": error.code, "error": error.detail},
        )
