"""Writes: verifying the whole audit log, as a job that a worker does and whose result stays.

Who may ask for it is asked by the caller: this app knows no rights.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from common.errors import UserError
from common.paths import without_server_paths
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from records.audit.chain.audited_rows import verify_all, vouching_events
from records.audit.chain.hashes import GENESIS, ChainReport
from records.audit.chain.named_files import verify_files
from records.audit.chain.outside import checkpoints_outside
from records.audit.services import Actor, audit, lock_audit_chain
from records.models import AuditEvent, AuditVerification

log = logging.getLogger(__name__)
# Between two signs of life a whole chunk of the log is read.
VERIFICATIONS = JobKind(AuditVerification, "records.tasks.verify", min_lease_seconds=30)
_MAX_FAULTS = 20  # that many are named in the event
_Status = AuditVerification.Status


@transaction.atomic
def request_verification(*, actor: Actor) -> tuple[AuditVerification, bool]:
    """Have a worker verify everything; the one that is under way, and False, where there is one."""
    lock_audit_chain()  # two who ask at once get one verification
    under_way = VERIFICATIONS.open().first()
    if under_way:
        return under_way, False
    verification = AuditVerification.objects.create(
        total=AuditEvent.objects.count() + vouching_events(),
        lease_expires_at=VERIFICATIONS.lease(),
        requested_by_id=actor.pk if actor else None,
    )
    audit(kind="audit.verification_requested", subject=verification, actor=actor)
    VERIFICATIONS.publish_on_commit(verification.pk)
    return verification, True


def sweep_verifications() -> None:
    """Call a worker again for verifications that nobody gave a sign of life for. They are begun anew, so they wait."""
    VERIFICATIONS.stale().update(claim=None, status=_Status.QUEUED)
    VERIFICATIONS.sweep()


def work_on_verification(*, verification_id: int) -> bool:
    """Read the whole log and write down what was found. False where it is not to be had: over, or others work on it."""
    claim = VERIFICATIONS.take(verification_id, started_at=timezone.now(), done=0)
    if claim is None:
        return False
    try:
        report = verify_all(elsewhere=checkpoints_outside(), progress=_Progress(claim))
    except ClaimLost:
        log.warning("Verification %s was taken over by another worker.", verification_id)
        return False
    except (UserError, OSError, DatabaseError) as error:
        sentence = (
            error.detail
            if isinstance(error, UserError)
            else without_server_paths(f"The log could not be read ({error}).")
        )
        _end(claim, status=_Status.FAILED, error=sentence)
    else:
        _end(claim, status=_Status.FINISHED, report=report)
    return True


class _Progress:
    """Writes down how far it is and renews the lease, at most once a second."""

    def __init__(self, claim: Claim[AuditVerification]) -> None:
        self._claim = claim
        self._done = 0
        self._next = timezone.now()

    def __call__(self, more: int) -> None:
        self._done += more
        if timezone.now() < self._next:
            return
        self._claim.renew(done=self._done)
        self._next = timezone.now() + timedelta(seconds=1)


@transaction.atomic
def _end(claim: Claim[AuditVerification], *, status: str, report: ChainReport | None = None, error: str = "") -> None:
    fields = {}
    if report:
        fields = {
            "events": report.events,
            "checkpoints": report.checkpoints,
            "records": report.records,
            "head": report.head,
            "broken_at": report.broken_at,
            "fault": report.sentence,
            "notices": " ".join(report.notices),
        }
    if not claim.end(status=status, error=error, **fields):
        return
    verification = AuditVerification.objects.select_related("requested_by").get(pk=claim.pk)
    if report:
        after = {
            "events": report.events,
            "head": report.head,
            "checkpoints": report.checkpoints,
            "records": report.records,
            "broken_at": report.broken_at,
            "sentence": report.sentence,
        }
        audit(kind="audit.verified", subject=verification, actor=verification.requested_by, after=after)
    else:
        audit(
            kind="audit.verification_failed",
            subject=verification,
            actor=verification.requested_by,
            after={"error": error},
        )


def verify_sampled_files() -> None:
    """The scheduler's: some files, drawn by the newest hash of the chain, with what was found as an event."""
    if not settings.AUDIT_FILES_SAMPLE:
        return
    seed = AuditEvent.objects.order_by("-sequence").values_list("hash", flat=True).first() or GENESIS
    count, faults = verify_files(sample=settings.AUDIT_FILES_SAMPLE, seed=seed)
    for fault in faults:
        log.error("A file is not what the records say: %s.", fault)
    with transaction.atomic():
        audit(
            kind="files.verified",
            subject=("files", ""),
            actor=None,
            after={"sample": settings.AUDIT_FILES_SAMPLE, "seed": seed, "files": count, "faults": faults[:_MAX_FAULTS]},
        )
