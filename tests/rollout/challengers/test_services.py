"""Challengers: every live image of production once, nothing of production changed, whatever dies on the way."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.models import Inspection, InspectionRequest
from inspection.reviews.services import record_review, undo_reviews
from modelzoo.lifecycle.selectors import Gates, gate_results
from modelzoo.lifecycle.services import set_promotion_gates
from modelzoo.loading import scoring
from modelzoo.models import Deployment, ModelVersion
from modelzoo.selectors import NoModelLoaded
from modelzoo.services import append_threshold, archive_version, request_promotion
from mvtec_site.tasks import sweep
from records.audit.chain.audited_rows import verify_all
from records.models import Asset, AuditEvent
from rollout.challengers import selectors, services, worker
from rollout.challengers.audited_rows import SCORED
from rollout.models import Challenger, ChallengerResult, ChallengerSlice, DisagreementMark
from tests.chain import attest_people
from tests.conftest import person
from tests.inspection.judging.test_services import inspect
from tests.rollout.live import live, start, strict, work
from tests.triggers import without_triggers
from tests.versions import another, serve

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


@pytest.fixture
def candidate(version: ModelVersion) -> ModelVersion:
    return strict(version)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody calls the worker: a test does the work itself."""
    monkeypatch.setattr(services.CHALLENGERS.__class__, "publish", lambda self, pk: True)


def gate(version: ModelVersion) -> Any:
    [result] = [one for one in gate_results(version) if one.name == "min_challenger_images"]
    return result


# ---------------------------------------------------------------- scoring
def test_every_live_image_of_production_is_scored_once(candidate: ModelVersion, version: ModelVersion, quiet: None):
    live(1, begin=50)  # before the start
    challenger = start(candidate)
    records = live(5)
    inspect(version, seed=60)  # by hand, without a deployment
    before = list(Inspection.objects.order_by("pk").values())
    done = work(challenger)
    assert (done.status, done.seen, done.scored, done.failed, done.discarded) == ("running", 5, 5, 0, 0)
    assert done.claim is None
    assert {result.inspection_id for result in done.results.all()} == {record.pk for record in records}
    assert list(Inspection.objects.order_by("pk").values()) == before
    for result in done.results.select_related("inspection"):
        record = result.inspection
        assert result.score == pytest.approx(record.score, rel=1e-4), "the same model under another number"
        assert (result.outcome, result.threshold_value) == ("defective", 1e-6)
        assert result.disagrees == (record.outcome == "good")
        assert record.score is not None
        assert result.score is not None
        places = [result.score / (result.score + 1e-6), record.score / (record.score + record.threshold_value)]
        assert result.distance == pytest.approx(abs(places[0] - places[1]))
    assert done.disagreements == sum(record.outcome == "good" for record in records)
    events = AuditEvent.objects.count()
    assert work(challenger).scored == 5
    assert AuditEvent.objects.count() == events, "nothing new leaves nothing"
    live(2, begin=10)
    assert (work(challenger).scored, challenger.slices.count()) == (7, 2)


def test_the_sweep_calls_for_it(candidate: ModelVersion):
    challenger = start(candidate)
    live(2)
    sweep()
    challenger.refresh_from_db()
    assert (challenger.scored, challenger.status) == (2, "running")


def test_an_image_of_the_line_goes_first(candidate: ModelVersion, quiet: None, monkeypatch: pytest.MonkeyPatch):
    challenger = start(candidate)
    records = live(6)
    request = records[0].request
    waits = {"status": "queued", "deadline": timezone.now() + timedelta(minutes=1)}
    InspectionRequest.objects.filter(pk=request.pk).update(**waits)
    assert work(challenger).scored == 0
    InspectionRequest.objects.filter(pk=request.pk).update(status="done")
    answers = iter([False, True])
    with monkeypatch.context() as patch:
        patch.setattr(worker, "_image_waits", lambda: next(answers))
        assert work(challenger).scored == 4, "what was scored before the image came is kept"
    assert (work(challenger).scored, challenger.seen) == (6, 6)


def test_only_a_share_is_scored(candidate: ModelVersion, quiet: None):
    challenger = start(candidate, share=0.5)
    records = live(8)
    work(challenger)
    sampled = {record.pk for record in records if worker.is_sampled(record.pk, 0.5)}
    assert {result.inspection_id for result in challenger.results.all()} == sampled
    assert (challenger.seen, challenger.scored) == (8, len(sampled))
    ids = [uuid.uuid4() for _ in range(4000)]
    assert sum(worker.is_sampled(one, 0.2) for one in ids) == pytest.approx(800, abs=120)
    assert all(worker.is_sampled(one, 1.0) for one in ids)


def test_it_is_finished_after_so_many_images(candidate: ModelVersion, quiet: None):
    challenger = start(candidate, max_images=3)
    live(5)
    done = work(challenger)
    assert (done.status, done.scored, done.end_reason) == ("finished", 3, "It scored 3 images.")
    assert AuditEvent.objects.filter(kind="challenger.finished").count() == 1


def test_removed_images_are_counted_and_left_out(candidate: ModelVersion, quiet: None):
    challenger = start(candidate)
    records = live(3)
    Asset.objects.filter(pk=records[1].asset_id).update(discarded_at=timezone.now())
    done = work(challenger)
    assert (done.seen, done.scored, done.discarded, done.failed) == (3, 2, 1, 0)


def test_an_image_that_cannot_be_scored_is_that_images_fault(
    candidate: ModelVersion, quiet: None, monkeypatch: pytest.MonkeyPatch
):
    challenger = start(candidate)
    live(3)
    real, poison = scoring.score, Inspection.objects.order_by("created_at").first()
    assert poison
    data = poison.asset.read()

    def fail_on_poison(model: Any, images: Any) -> Any:
        if data in images:
            raise RuntimeError("poison")
        return real(model, images)

    monkeypatch.setattr(scoring, "score", fail_on_poison)
    done = work(challenger)
    assert (done.scored, done.failed) == (2, 1)
    assert done.results.get(inspection=poison).error_code == "scoring_failed"
    assert not done.results.get(inspection=poison).disagrees


# ---------------------------------------------------------------- dead and slow workers
def test_what_a_killed_worker_had_begun_is_scored_by_the_next(
    candidate: ModelVersion, quiet: None, monkeypatch: pytest.MonkeyPatch, settings: Any
):
    challenger = start(candidate)
    records = live(4)

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    for _ in range(settings.MAX_ATTEMPTS):
        with monkeypatch.context() as patch:
            patch.setattr(worker, "score_records", die)
            with pytest.raises(Killed):
                work(challenger)
        challenger.refresh_from_db()
        assert challenger.claim is not None
        work(challenger)  # nobody else takes it before the lease is over
        assert (challenger.scored, challenger.begun) == (0, 4)
        Challenger.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    done = work(challenger)
    assert (done.scored, done.failed, done.seen) == (3, 1, 4), "the one that killed workers, and the rest"
    assert done.results.get(error_code="worker_died").inspection_id == records[0].pk
    attest_people()
    assert verify_all().reason == ""


def test_a_worker_that_lost_its_claim_writes_nothing(
    candidate: ModelVersion, quiet: None, monkeypatch: pytest.MonkeyPatch
):
    challenger = start(candidate)
    live(2)
    real = worker.score_records

    def stop_meanwhile(*words: Any, **fields: Any) -> Any:
        services.stop_challenger(challenger=challenger, reason="enough", actor=None)
        return real(*words, **fields)

    monkeypatch.setattr(worker, "score_records", stop_meanwhile)
    done = work(challenger)
    assert (done.status, done.scored, done.end_reason) == ("stopped", 0, "enough")
    assert not ChallengerResult.objects.exists()


def test_a_model_that_cannot_be_loaded_ends_it(candidate: ModelVersion, quiet: None):
    challenger = start(candidate)
    live(1)
    (candidate.artifact_path / "model.safetensors").unlink()
    done = work(challenger)
    assert done.status == "failed"
    assert "cannot be loaded" in done.end_reason


# ---------------------------------------------------------------- how it ends
def test_it_ends_when_another_version_goes_into_production(candidate: ModelVersion, version: ModelVersion, quiet: None):
    challenger = start(candidate)
    live(2)
    serve(another(version))
    live(1, begin=20)
    done = work(challenger)
    assert (done.status, done.end_reason) == ("finished", "Another version went into production.")
    assert done.scored == 2, "all that the former one judged, and nothing of the new one"


def test_it_ends_when_it_is_promoted_or_archived(candidate: ModelVersion, version: ModelVersion, quiet: None):
    challenger = start(candidate)
    serve(candidate)
    assert work(challenger).end_reason == "The challenger was promoted."
    serve(version)
    other = another(version)
    second = start(other)
    archive_version(version=other, reason="worse", actor=None)
    assert work(second).end_reason == "The challenger was archived."


def test_stopping(candidate: ModelVersion, quiet: None, operator: User, user: User):
    challenger = start(candidate)
    with pytest.raises(Forbidden):
        services.stop_challenger(challenger=challenger, reason="x", actor=operator)
    with pytest.raises(UserError, match="reason"):
        services.stop_challenger(challenger=challenger, reason=" ", actor=user)
    services.stop_challenger(challenger=challenger, reason="enough", actor=user)
    with pytest.raises(Conflict, match="over already"):
        services.stop_challenger(challenger=challenger, reason="again", actor=user)
    assert work(challenger).scored == 0
    assert start(candidate).pk != challenger.pk, "another one may be started"


def test_what_cannot_be_started(candidate: ModelVersion, version: ModelVersion, quiet: None, operator: User):
    with pytest.raises(Forbidden):
        services.start_challenger(version=candidate, reason="x", actor=operator)
    with pytest.raises(UserError, match="reason"):
        services.start_challenger(version=candidate, reason=" ", actor=None)
    with pytest.raises(Conflict, match="in production"):
        start(version)
    for wrong in ({"share": 0.0}, {"share": 1.5}, {"max_images": 0}):
        with pytest.raises(UserError, match="Nothing was started"):
            start(candidate, **wrong)
    other = another(version)
    archive_version(version=other, reason="worse", actor=None)
    with pytest.raises(Conflict, match="archived"):
        start(other)
    with pytest.raises(NoModelLoaded):
        start(another(version, category="cube"))
    started = start(candidate)
    with pytest.raises(Conflict, match="already"):
        start(candidate)
    assert Challenger.objects.get() == started
    with pytest.raises(IntegrityError), transaction.atomic():
        Challenger.objects.create(
            category=started.category,
            model_version=candidate,
            production=version,
            reason="past the service",
            reached_sequence=1,
        )


# ---------------------------------------------------------------- proof
def test_results_are_append_only_and_attested(candidate: ModelVersion, quiet: None, user: User):
    challenger = start(candidate)
    live(3)
    work(challenger)
    services.mark_disagreement(result=challenger.results.filter(disagrees=True)[0], actor=user, comment="dust")
    attest_people()
    assert verify_all().reason == ""
    event = json.loads(AuditEvent.objects.get(kind=SCORED).after)
    assert (event["results"], event["seen"], event["discarded"]) == (3, 3, 0)
    for table in (ChallengerResult, ChallengerSlice, DisagreementMark):
        with pytest.raises(DatabaseError), transaction.atomic():
            table.objects.all().delete()
    with without_triggers("rollout_challengerresult"):
        ChallengerResult.objects.filter(pk=challenger.results.all()[0].pk).update(score=123.0)
    attest_people()
    report = verify_all()
    assert report.broken_at == AuditEvent.objects.get(kind=SCORED).sequence
    assert "results_sha256" in report.reason


# ---------------------------------------------------------------- disagreements
def test_a_review_or_a_mark_looks_at_a_disagreement(candidate: ModelVersion, quiet: None, user: User, operator: User):
    challenger = start(candidate)
    live(3)
    work(challenger)
    rows = list(selectors.results(challenger, disagreements=True).order_by(*selectors.DISAGREEMENT_ORDER))
    assert [row.distance for row in rows] == sorted((row.distance for row in rows), reverse=True)
    assert selectors.open_disagreements(challenger) == len(rows) == 3
    review = record_review(inspection=rows[0].inspection, verdict="good", actor=operator)
    mark = services.mark_disagreement(result=rows[1], actor=operator, comment=" dust ")
    assert (mark.author, mark.comment) == (operator, "dust")
    assert [row.pk for row in selectors.results(challenger, disagreements=True, looked_at=False)] == [rows[2].pk]
    assert {row.pk for row in selectors.results(challenger, looked_at=True)} == {rows[0].pk, rows[1].pk}
    undo_reviews(reviews=[review], actor=operator)
    assert selectors.open_disagreements(challenger) == 2
    with pytest.raises(Conflict, match="already"):
        services.mark_disagreement(result=rows[1], actor=user)
    with pytest.raises(Forbidden):
        services.mark_disagreement(result=rows[2], actor=person("audrey", "auditor"))
    with pytest.raises(UserError, match="at most 500"):
        services.mark_disagreement(result=rows[2], actor=user, comment="x" * 501)
    live(1, begin=30, defective=True)
    work(challenger)
    agreed = challenger.results.get(disagrees=False)
    with pytest.raises(Conflict, match="agree"):
        services.mark_disagreement(result=agreed, actor=user)


def test_both_versions_beside_each_other(candidate: ModelVersion, quiet: None):
    challenger = start(candidate)
    live(3)
    live(2, begin=40, defective=True)
    work(challenger)
    agreement = selectors.agreement_of(challenger)
    assert agreement.table["good"] == {"good": 0, "defective": 3, "not_comparable": 0}
    assert agreement.table["defective"] == {"good": 0, "defective": 2, "not_comparable": 0}
    assert (agreement.total, agreement.agreeing) == (5, 2)
    assert (agreement.production.defect_share, agreement.challenger.defect_share) == (0.4, 1.0)
    assert agreement.challenger.interval
    assert agreement.challenger.interval[0] == pytest.approx(0.025 ** (1 / 5))  # Clopper and Pearson, all of five


# ---------------------------------------------------------------- the gate
def test_promotion_opens_when_enough_was_seen_and_looked_at(
    candidate: ModelVersion, version: ModelVersion, quiet: None, user: User
):
    set_promotion_gates(category=version.category, gates=Gates(min_challenger_images=3), reason="agreed", actor=user)
    assert gate(candidate).measured == "no live image beside v1 at the active threshold"
    challenger = start(candidate)
    live(2)
    work(challenger)
    assert (
        gate(candidate).measured
        == "2 live images at the active threshold (1 missing), 2 of 2 disagreements not looked at"
    )
    live(1, begin=5)
    work(challenger)
    with pytest.raises(Conflict, match="Live challenger: 3 live images at the active threshold, 3 of 3") as refused:
        request_promotion(version=candidate, reason="better", actor=user)
    assert refused.value.code == "gate_refused"
    assert not Deployment.objects.filter(model_version=candidate).exists()
    for result in challenger.results.all():
        services.mark_disagreement(result=result, actor=user)
    assert gate(candidate).passed
    append_threshold(version=candidate, value=2e-6, method="manual", reason="another decision", actor=None)
    assert not gate(candidate).passed, "what was seen at another threshold counts for nothing"
    live(3, begin=10)
    work(challenger)
    for result in selectors.results(challenger, disagreements=True, looked_at=False):
        services.mark_disagreement(result=result, actor=user)
    assert request_promotion(version=candidate, reason="better", actor=user).status == "loading"


def test_the_first_version_of_a_category_has_nothing_to_be_beside(version: ModelVersion, user: User):
    first = another(version, category="cube")
    set_promotion_gates(category=first.category, gates=Gates(min_challenger_images=3), reason="agreed", actor=user)
    assert gate(first).passed
    for wrong in (0, 10**7):
        with pytest.raises(UserError, match="live images"):
            set_promotion_gates(
                category=first.category, gates=Gates(min_challenger_images=wrong), reason="x", actor=user
            )
