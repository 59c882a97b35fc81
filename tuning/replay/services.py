"""Writes: replaying stored verdicts, and what came of it into the audit chain.

A replay recomputes a sample of records from the image and the artifact, each checked by its hash, the way that it was
scored then: runtime, precision and input checks. It is work of low priority: a worker of the queue for long work
starts a process of its own for it, which gives way to everything else and takes the models with it when it ends.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from common.version import code_version
from inspection.models import Inspection
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from modelzoo.loading import scoring
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import check_artifact
from modelzoo.models import ModelVersion
from records.audit.chain.hashes import GENESIS
from records.audit.services import Actor, audit, lock_audit_chain
from records.models import AuditEvent
from tuning.models import ReplayRun
from tuning.replay.comparison import deviation, tolerance_of
from tuning.replay.selectors import Way, by_way, draw

log = logging.getLogger(__name__)
# Between two signs of life a model is loaded.
REPLAYS = JobKind(ReplayRun, "tuning.tasks.supervise_replay", min_lease_seconds=120)
MAX_SAMPLE = 5000
_BATCH = 4
_LISTED = 50  # findings that are kept; their number is kept whatever it is
_AUDITED = 10
_Status = ReplayRun.Status


@dataclass(frozen=True)
class Finding:
    """What was not as recorded. `what`: score, verdict, image, artifact or model; `subject`: the id of whose."""

    what: str
    subject: str
    sentence: str


@dataclass
class Tally:
    """How far a replay is, and what it came to so far."""

    equal: int = 0
    differing: int = 0
    not_recomputed: int = 0
    largest_deviation: float = 0.0
    largest_tolerance: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.equal + self.differing + self.not_recomputed

    def columns(self) -> dict[str, Any]:
        return {
            "done": self.done,
            "equal": self.equal,
            "differing": self.differing,
            "not_recomputed": self.not_recomputed,
            "largest_deviation": self.largest_deviation,
            "largest_tolerance": self.largest_tolerance,
            "findings": [asdict(finding) for finding in self.findings[:_LISTED]],
        }


# ---------------------------------------------------------------- asking for one
@transaction.atomic
def request_replay(*, sample: int, actor: Actor, call_worker: bool = True) -> ReplayRun:
    """Draw records, by the end of the audit chain as it is now, so that nobody chose them; write down which.

    Raises `Forbidden`, `UserError` for a sample that there is not, and `Conflict` while another one is under way.
    """
    require(actor, Right.AUDIT)
    if not 1 <= sample <= MAX_SAMPLE:
        raise UserError(f"A replay takes 1 to {MAX_SAMPLE} records. Nothing was started.", code="invalid")
    lock_audit_chain()  # of two who ask at once, one gets a replay
    if REPLAYS.open().exists():
        raise Conflict("A replay is running. Nothing was started. Wait until it has ended.", code="replay_running")
    last = AuditEvent.objects.order_by("-sequence").values_list("hash", flat=True).first()
    seed = last or GENESIS
    records = draw(seed, sample)
    run = ReplayRun.objects.create(
        sample=sample,
        seed=seed,
        records=[str(pk) for pk in records],
        lease_expires_at=REPLAYS.lease(),
        requested_by_id=actor.pk if actor else None,
    )
    audit(
        kind="replay.requested",
        subject=run,
        actor=actor,
        after={"sample": sample, "seed": seed, "records": len(records)},
    )
    if call_worker:
        REPLAYS.publish_on_commit(run.pk)
    return run


def request_nightly_replay() -> ReplayRun | None:
    """The scheduler's: none where REPLAY_SAMPLE is 0, there is no record yet, or one is under way."""
    if not settings.REPLAY_SAMPLE or not Inspection.objects.exists() or REPLAYS.open().exists():
        return None
    return request_replay(sample=settings.REPLAY_SAMPLE, actor=None)


# ---------------------------------------------------------------- working on it
def work_on_replay(*, run_id: int) -> bool:
    """Recompute the records of a replay, in this process. False where it is not to be had: over, or somebody's.

    One that was left behind is begun anew: it takes seconds, and nothing of it is written before its end.
    """
    claim = REPLAYS.take(run_id, started_at=timezone.now(), attempt=F("attempt") + 1, **Tally().columns())
    if claim is None:
        return False
    run = claim.rows().get()
    try:
        if run.attempt > settings.MAX_ATTEMPTS:
            raise UserError(f"The process that replays was stopped {run.attempt - 1} times. See the worker's log.")
        tally = Tally()
        for way, records in by_way([uuid.UUID(pk) for pk in run.records]):
            _replay_group(way, records, tally, claim)
    except ClaimLost:
        log.warning("Replay %s was taken over by another worker.", run_id)
        return False
    except UserError as error:
        _end(claim, status=_Status.FAILED, error=error.detail)
    else:
        _end(claim, status=_Status.FINISHED, **tally.columns())
    return True


def _replay_group(way: Way, records: Sequence[Inspection], tally: Tally, claim: Claim[ReplayRun]) -> None:
    version = ModelVersion.objects.select_related("category").get(pk=way.model_version)
    try:
        check_artifact(version)
        model = scoring.load_model(version, way.device, runtime=way.runtime, precision=way.precision)
    except ArtifactFault as error:
        _give_up(records, Finding("artifact", str(version.pk), f"The artifact of {version}: {error}"), tally)
    except UserError as error:
        _give_up(records, Finding("model", str(version.pk), error.detail), tally)
    else:
        model = scoring.with_rules(model, way.input_rules)
        for first in range(0, len(records), _BATCH):
            _replay_batch(way, model, records[first : first + _BATCH], tally)
            claim.renew(**tally.columns())
    claim.renew(**tally.columns())


def _give_up(records: Sequence[Inspection], finding: Finding, tally: Tally) -> None:
    tally.not_recomputed += len(records)
    tally.findings.append(finding)


def _replay_batch(way: Way, model: scoring.LoadedModel, records: Sequence[Inspection], tally: Tally) -> None:
    images: list[tuple[Inspection, bytes]] = []
    for record in records:
        try:
            data = record.asset.read()
        except (UserError, OSError) as error:
            sentence = f"The image {record.asset.sha256[:12]} of inspection {record.pk} cannot be read ({error})."
            _give_up([record], Finding("image", str(record.pk), sentence), tally)
            continue
        if hashlib.sha256(data).hexdigest() != record.asset.sha256:
            sentence = f"The image {record.asset.sha256[:12]} of inspection {record.pk} was changed: its hash differs."
            _give_up([record], Finding("image", str(record.pk), sentence), tally)
            continue
        images.append((record, data))
    if not images:
        return
    try:
        results = scoring.score(model, [data for _, data in images])
    except Exception as error:
        log.exception("The model of version %s fails.", way.model_version)
        sentence = f"Inspection {images[0][0].pk} and {len(images) - 1} more: scoring failed ({type(error).__name__})."
        _give_up([record for record, _ in images], Finding("model", str(way.model_version), sentence), tally)
        return
    for (record, _), result in zip(images, results, strict=True):
        _compare(way, record, result, tally)


def _compare(
    way: Way, record: Inspection, result: scoring.ImageScore | scoring.IncomparableImage, tally: Tally
) -> None:
    finding = _difference(way, record, result, tally)
    if finding is None:
        tally.equal += 1
    else:
        tally.differing += 1
        tally.findings.append(finding)


def _difference(
    way: Way, record: Inspection, result: scoring.ImageScore | scoring.IncomparableImage, tally: Tally
) -> Finding | None:
    """What is not as recorded, if anything."""
    subject = str(record.pk)
    if isinstance(result, scoring.IncomparableImage) or record.score is None:
        now = result.reason if isinstance(result, scoring.IncomparableImage) else f"score {result.score:.7g}"
        recorded = record.reason if record.score is None else f"score {record.score:.7g}"
        if now == recorded:
            return None
        return Finding("verdict", subject, f"Inspection {subject} is recorded as {recorded}, and recomputed as {now}.")
    share, tolerance = deviation(record.score, result.score), _tolerance(way, record)
    if share > tolerance:
        return Finding(
            "score",
            subject,
            f"The score of inspection {subject} is recorded as {record.score:.7g}, and recomputed as "
            f"{result.score:.7g}: they differ by {share:.2g} of the larger one, more than {tolerance:g} "
            f"({way.runtime} {way.precision}, code {record.code_version} then, {code_version()} now).",
        )
    tally.largest_deviation = max(tally.largest_deviation, share)
    tally.largest_tolerance = max(tally.largest_tolerance, tolerance)
    verdict = Inspection.Outcome.of(
        record.score,
        record.threshold_value,
        largest_region_px=record.largest_region_px,
        min_region_px=record.min_region_px,
    )
    if record.threshold_value != record.threshold.value or record.outcome != verdict:
        return Finding(
            "verdict",
            subject,
            f"Inspection {subject} is recorded as {record.outcome} at the threshold {record.threshold_value:.7g}, "
            f"which does not follow from its score {record.score:.7g}, its regions and the threshold in force then, "
            f"{record.threshold.value:.7g}.",
        )
    return None


def _tolerance(way: Way, record: Inspection) -> float:
    """By where and with which code the record was scored: the name of a worker ends with that of its machine."""
    here = record.worker.rpartition("@")[2] == platform.node() and record.code_version == code_version()
    return tolerance_of(way.precision, same_machine=here)


@transaction.atomic
def _end(claim: Claim[ReplayRun], *, status: str, **fields: Any) -> None:
    """Close a replay, if the claim still holds, and write what came of it into the chain."""
    if not claim.end(status=status, **fields):
        return
    run = ReplayRun.objects.select_related("requested_by").get(pk=claim.pk)
    if run.findings:
        log.error("Replay %s found %s.", run.pk, run.findings)
    audit(
        kind=f"replay.{run.status}",
        subject=run,
        actor=run.requested_by,
        after={
            "seed": run.seed,
            "records": len(run.records),
            "equal": run.equal,
            "differing": run.differing,
            "not_recomputed": run.not_recomputed,
            "largest_deviation": run.largest_deviation,
            "largest_tolerance": run.largest_tolerance,
            "findings": [finding["sentence"] for finding in run.findings[:_AUDITED]],
            "code": code_version(),
            **({"error": run.error} if run.error else {}),
        },
    )
