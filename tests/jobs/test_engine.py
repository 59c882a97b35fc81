"""Who may work on a job, and when: on verifications of the audit log, but nothing of them is done here."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from inspection.batches.worker import BATCHES
from jobs import broker
from jobs.engine import Claim, JobKind
from jobs.errors import ClaimLost
from jobs.heartbeat import Heartbeat
from jobs.models import LeasedJob
from records.audit.verification import VERIFICATIONS
from records.models import AuditVerification
from retention.services import RETENTION_RUNS
from tests.threads import at_once
from training.runs.services import TRAINING_RUNS
from tuning.rescoring.services import RESCORINGS

pytestmark = pytest.mark.django_db
KIND = JobKind(AuditVerification, "records.tasks.verify")
KINDS: list[JobKind[Any]] = [BATCHES, RESCORINGS, TRAINING_RUNS, RETENTION_RUNS, VERIFICATIONS]


def ask(**fields: Any) -> AuditVerification:
    return AuditVerification.objects.create(total=3, **{"lease_expires_at": KIND.lease()} | fields)


def taken(job: AuditVerification) -> Claim[AuditVerification]:
    claim = KIND.take(job.pk)
    assert claim
    return claim


def silence(job: AuditVerification) -> None:
    """Nobody gave a sign of life for longer than the lease."""
    AuditVerification.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    sent: list[tuple[object, ...]] = []

    def publish(task: str, *ids: object) -> bool:
        sent.append((task, *ids))
        return True

    monkeypatch.setattr(broker, "publish", publish)
    return sent


# ---------------------------------------------------------------- the kinds that there are
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.model.__name__)
def test_every_kind_has_its_task_and_its_rows(kind: JobKind[Any]) -> None:
    current_app.loader.import_default_modules()
    assert kind.task in current_app.tasks
    assert issubclass(kind.model, LeasedJob)
    assert kind.model(status="queued").is_open
    assert {"queued", "running"} < {value for value, _ in kind.model._meta.get_field("status").choices or ()}
    assert any(index.fields == ["lease_expires_at"] and index.condition for index in kind.model._meta.indexes)


# ---------------------------------------------------------------- taking
def test_a_job_that_waits_is_taken_once() -> None:
    job = ask()
    claim = taken(job)
    job.refresh_from_db()
    assert (job.status, job.claim) == ("running", claim.token)
    assert job.started_at
    assert job.lease_expires_at
    assert job.lease_expires_at > timezone.now()
    assert KIND.take(job.pk) is None, "a doubled message"
    assert KIND.take(job.pk + 1) is None, "there is none"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_a_job_at_once_one_has_it(shared_database: None) -> None:
    for _ in range(5):
        job = ask()
        answers = at_once(lambda: KIND.take(job.pk), lambda: KIND.take(job.pk))  # noqa: B023 - called at once
        [claim] = [answer for answer in answers if answer is not None]
        assert isinstance(claim, Claim), claim
        assert AuditVerification.objects.get(pk=job.pk).claim == claim.token


def test_a_job_that_is_over_is_not_taken() -> None:
    job = ask()
    assert taken(job).end(status="finished")
    silence(job)
    assert KIND.take(job.pk) is None


def test_conditions_and_what_is_written_with_the_claim() -> None:
    job = ask(done=2)
    assert KIND.take(job.pk, Q(done=0)) is None
    assert KIND.take(job.pk, Q(done=2), done=1)
    job.refresh_from_db()
    assert (job.done, job.status) == (1, "running")


def test_work_that_goes_on_began_once_and_work_that_begins_anew_says_so() -> None:
    job = ask()
    taken(job).release()
    began = AuditVerification.objects.get(pk=job.pk).started_at
    taken(job).release()
    assert AuditVerification.objects.get(pk=job.pk).started_at == began
    later = timezone.now() + timedelta(hours=1)
    assert KIND.take(job.pk, started_at=later)
    assert AuditVerification.objects.get(pk=job.pk).started_at == later


# ---------------------------------------------------------------- holding
def test_a_sign_of_life_prolongs_the_lease_and_says_how_far_it_is() -> None:
    job = ask()
    claim = taken(job)
    silence(job)
    claim.renew(done=2)
    job.refresh_from_db()
    assert job.done == 2
    assert job.lease_expires_at
    assert job.lease_expires_at > timezone.now()
    assert KIND.take(job.pk) is None


def test_a_lease_lasts_as_long_as_the_kind_needs(settings: Any) -> None:
    settings.LEASE_SECONDS = 5
    slow = JobKind(AuditVerification, KIND.task, min_lease_seconds=600)
    assert KIND.lease() < timezone.now() + timedelta(seconds=6)
    assert slow.lease() > timezone.now() + timedelta(seconds=500)


def test_whoever_lost_the_claim_writes_nothing() -> None:
    job = ask()
    first = taken(job)
    silence(job)
    second = taken(job)
    with pytest.raises(ClaimLost):
        first.renew(done=3)
    first.release()
    assert not first.end(status="finished")
    assert not first.rows().exists()
    job.refresh_from_db()
    assert (job.status, job.claim, job.done) == ("running", second.token, 0)
    second.renew()


def test_a_job_that_is_given_back_is_taken_before_its_lease_runs_out() -> None:
    job = ask()
    claim = taken(job)
    claim.release(status="queued", done=1)
    job.refresh_from_db()
    assert (job.status, job.claim, job.done) == ("queued", None, 1)
    with pytest.raises(ClaimLost):
        claim.renew()
    assert KIND.take(job.pk)


# ---------------------------------------------------------------- slices
def test_work_is_handed_on_after_its_time(published: list[tuple[object, ...]]) -> None:
    job, steps = ask(), iter([True, True, False])
    claim = taken(job)
    assert claim.in_slices(lambda: next(steps), seconds=0) is False
    assert published == [("records.tasks.verify", job.pk)]
    claim = taken(job)
    assert claim.in_slices(lambda: next(steps), seconds=None) is True
    assert claim.rows().exists(), "whoever did the work ends it"
    assert len(published) == 1


def test_work_that_was_taken_away_is_not_given_back(published: list[tuple[object, ...]]) -> None:
    job = ask()
    claim = taken(job)

    def step() -> bool:
        AuditVerification.objects.filter(pk=job.pk).update(claim=other)
        return True

    other = uuid.uuid4()
    claim.in_slices(step, seconds=0)
    assert AuditVerification.objects.get(pk=job.pk).claim == other


# ---------------------------------------------------------------- a heartbeat
@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_prolongs_the_lease_while_the_work_goes_on(shared_database: None, settings: Any) -> None:
    job = ask()
    claim = taken(job)
    silence(job)
    settings.LEASE_SECONDS = 60
    prolonged = threading.Event()

    def beat() -> None:
        claim.renew(done=1)
        prolonged.set()

    with Heartbeat(claim, beat) as heartbeat:
        assert prolonged.wait(60)
        assert KIND.take(job.pk) is None
        assert not heartbeat.is_lost


def test_a_heartbeat_hears_that_the_claim_was_lost(settings: Any) -> None:
    settings.LEASE_SECONDS = 0.01
    claim = taken(ask())
    beats: list[Exception] = []
    heard = threading.Event()

    def beat() -> None:
        if len(beats) < 2:
            beats.append(OperationalError("the database is locked"))  # costs a beat and no more
            raise beats[-1]
        heard.set()
        raise ClaimLost

    with Heartbeat(claim, beat) as heartbeat:
        assert heard.wait(60)
    assert heartbeat.is_lost
    assert len(beats) == 2


def test_the_last_sign_of_life_is_given_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heartbeat, "_keep", lambda self: None)  # no second connection sees this transaction
    job = ask()
    claim = taken(job)
    silence(job)
    with Heartbeat(claim):
        assert KIND.stale().exists()
    assert not KIND.stale().exists()
    taken_away = uuid.uuid4()
    AuditVerification.objects.filter(pk=job.pk).update(claim=taken_away)
    with Heartbeat(claim) as heartbeat:
        assert not heartbeat.is_lost
    assert heartbeat.is_lost


# ---------------------------------------------------------------- the end
def test_the_holder_ends_a_job() -> None:
    job = ask()
    assert taken(job).end(status="finished", events=7)
    job.refresh_from_db()
    assert (job.status, job.claim, job.lease_expires_at, job.events) == ("finished", None, None, 7)
    assert job.finished_at
    assert not job.is_open


def test_a_job_that_is_called_off_is_lost_to_its_holder() -> None:
    job = ask()
    claim = taken(job)
    assert KIND.end(job.pk, status="failed", error="called off")
    assert not KIND.end(job.pk, status="failed", error="again"), "it is over"
    assert not claim.end(status="finished")
    with pytest.raises(ClaimLost):
        claim.renew()
    job.refresh_from_db()
    assert (job.status, job.error) == ("failed", "called off")


def test_waiting_for_the_end_reads_the_job_again() -> None:
    job = ask()
    claim = taken(job)
    assert KIND.wait(job, timeout=0) is False
    assert job.status == "running"
    claim.end(status="finished", done=3)
    assert KIND.wait(job, timeout=0, fields=["status"]) is True
    assert (job.status, job.done) == ("finished", 0)
    assert KIND.wait(job, timeout=0) is True
    assert job.done == 3


# ---------------------------------------------------------------- calling workers
def test_a_worker_is_called_once_the_row_is_there(
    published: list[tuple[object, ...]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        with transaction.atomic():
            job = ask()
            KIND.publish_on_commit(job.pk)
        with transaction.atomic():
            KIND.publish_on_commit(0)
            transaction.set_rollback(True)
        assert not published
    assert published == [("records.tasks.verify", job.pk)]


def test_stale_is_what_is_open_and_gave_no_sign_of_life() -> None:
    waiting, working, over, _fresh = ask(), ask(), ask(), ask()
    taken(working)
    taken(over).end(status="finished")
    for job in (waiting, working, over):
        silence(job)
    assert set(KIND.stale()) == {waiting, working}


def test_the_sweep_calls_for_what_waits_once_a_lease(published: list[tuple[object, ...]]) -> None:
    first, second, _fresh = ask(), ask(), ask()
    silence(second)
    silence(first)
    KIND.sweep()
    assert published == [("records.tasks.verify", first.pk), ("records.tasks.verify", second.pk)], "oldest first"
    KIND.sweep()
    assert len(published) == 2
    silence(first)
    KIND.sweep()
    assert len(published) == 3


def test_the_sweep_calls_for_what_a_dead_worker_held_until_it_is_taken(published: list[tuple[object, ...]]) -> None:
    job = ask()
    dead = taken(job)
    silence(job)
    KIND.sweep()
    KIND.sweep()
    assert published == [("records.tasks.verify", job.pk)] * 2
    assert AuditVerification.objects.get(pk=job.pk).claim == dead.token, "the sweep takes nothing away"
    assert taken(job).token != dead.token
    KIND.sweep()
    assert len(published) == 2
