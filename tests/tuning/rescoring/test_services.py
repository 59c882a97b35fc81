"""Scoring the past again: every record once, whatever dies on the way; the records stay what they are."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from scipy.stats import spearmanr

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.history.filters import Filters
from inspection.judging.services import PartContext, Submission, inspect_here
from inspection.models import Inspection
from inspection.reviews.services import record_review
from jobs import broker
from modelzoo.loading import scoring
from modelzoo.models import Category, ModelVersion
from modelzoo.services import set_threshold
from mvtec_site.tasks import sweep
from records.audit.selectors import verify_chain
from records.models import Asset, AuditEvent
from tests import parts
from tests.conftest import person
from tuning.models import Rescored, RescoringRun
from tuning.rescoring import documents, selectors, services
from tuning.rescoring.services import cancel_rescoring, request_rescoring, work_on_rescoring

pytestmark = pytest.mark.django_db


@pytest.fixture
def past(version: ModelVersion) -> list[Inspection]:
    """Six records, every other part defective, judged by a model with scores of another scale than its successor."""
    return [
        inspect_here(
            data=parts.png(seed, defective=seed % 2 == 1),
            submission=Submission(
                filename=f"{seed}.png",
                source="command",
                actor=None,
                part=PartContext(station="east" if seed < 4 else "west"),
            ),
            version=version,
        )
        for seed in range(6)
    ]


@pytest.fixture
def successor(version: ModelVersion, past: list[Inspection]) -> ModelVersion:
    """The same model under another number, with a threshold that calls all parts good but the worst one."""
    fields = {
        name: getattr(version, name)
        for name in (
            "category",
            "algorithm",
            "artifact",
            "config",
            "dataset_name",
            "dataset_snapshot",
            "seed",
            "versions",
            "held_out_scores",
        )
    }
    made = ModelVersion.objects.create(number=2, artifact_sha256="1" * 64, artifact_bytes=1, **fields)
    highest = sorted(record.score or 0.0 for record in past)[-2:]
    set_threshold(version=made, value=sum(highest) / 2, method="manual", reason="test", actor=None)
    return made


@pytest.fixture(autouse=True)
def _same_artifact(monkeypatch: pytest.MonkeyPatch, version: ModelVersion) -> None:
    """The successor has the artifact of the version; only one row may have its hash."""
    real = scoring.load_model

    def load_model(asked: ModelVersion, *words: Any, **runtime_options: Any) -> scoring.LoadedModel:
        if asked.artifact_sha256 == "1" * 64:
            asked.artifact_sha256 = version.artifact_sha256
        return real(asked, *words, **runtime_options)

    monkeypatch.setattr(scoring, "load_model", load_model)


def asked_for(version: ModelVersion, filters: Filters | None = None, **words: Any) -> RescoringRun:
    return request_rescoring(version=version, filters=filters or Filters(), reason="test", actor=None, **words)


def work(run: RescoringRun, times: int = 30) -> RescoringRun:
    for _ in range(times):
        work_on_rescoring(run_id=run.pk, worker="test")
        run.refresh_from_db()
        if not run.is_open:
            break
    return run


def died(run: RescoringRun) -> None:
    """As if the worker had been killed and its lease had run out."""
    RescoringRun.objects.filter(pk=run.pk).update(
        status="running", claim=uuid.uuid4(), lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


def kinds(run: RescoringRun) -> list[str]:
    events = AuditEvent.objects.filter(object_id=str(run.pk)).order_by("sequence")
    return list(events.values_list("kind", flat=True))


# ---------------------------------------------------------------- from the request to the end
def test_every_record_is_scored_once_and_stays_what_it_is(successor: ModelVersion, past: list[Inspection]) -> None:
    before = list(Inspection.objects.order_by("pk").values())
    run = work(asked_for(successor))
    assert (run.status, run.total, run.done, run.failed) == ("finished", 6, 6, 0)
    assert list(Inspection.objects.order_by("pk").values()) == before
    threshold = successor.thresholds.get().value
    by_record = {result.inspection_id: result for result in run.results.all()}
    assert set(by_record) == {record.pk for record in past}
    for record in past:
        result = by_record[record.pk]
        assert result.score == pytest.approx(record.score, rel=1e-4)
        assert result.outcome == ("defective" if (result.score or 0) > threshold else "good")
        assert result.p_value == pytest.approx(record.p_value)
    assert run.changed == sum(by_record[record.pk].outcome != record.outcome for record in past) == 2
    assert kinds(run) == ["rescoring.requested", "rescoring.finished"]
    told = json.loads(AuditEvent.objects.get(kind="rescoring.finished").after)
    assert told == {"model_version": run.model_version_id, "records": 6, "done": 6, "failed": 0, "changed": 2}
    assert verify_chain().broken_at is None


def test_the_summary_holds_the_old_against_the_new(successor: ModelVersion, past: list[Inspection], user: User) -> None:
    run = work(asked_for(successor))
    by_record = {result.inspection_id: result for result in run.results.all()}
    truths = {}
    for record, verdict in zip(past[:4], ("good", "good", "defective", "defective"), strict=True):
        record_review(inspection=record, verdict=verdict, actor=user)
        truths[record.pk] = verdict
    summary = documents.rescoring_summary(run)
    pairs = Counter((record.outcome, by_record[record.pk].outcome) for record in past)
    assert {(row["recorded"], row["rescored"]): row["count"] for row in summary["verdicts"] if row["count"]} == pairs
    right = [(truths[r.pk] == r.outcome, truths[r.pk] == by_record[r.pk].outcome) for r in past if r.pk in truths]
    assert summary["reviewed"] == {
        "total": 4,
        "right_before": sum(before for before, _ in right),
        "right_after": sum(after for _, after in right),
        "became_right": right.count((False, True)),
        "became_wrong": right.count((True, False)),
    }
    scores = [(record.score, by_record[record.pk].score) for record in past]
    assert summary["rank_correlation"] == pytest.approx(spearmanr(*zip(*scores, strict=True)).statistic)
    assert summary["failures"] == []
    changed = selectors.rescored(run, changed=True)
    assert {result.inspection_id for result in changed} == {
        record.pk for record in past if by_record[record.pk].outcome != record.outcome
    }
    assert selectors.rescored(run, changed=False).count() == 6 - run.changed


def test_the_threshold_is_the_one_in_force_at_the_request(successor: ModelVersion) -> None:
    run = asked_for(successor)
    set_threshold(version=successor, value=1e9, method="manual", reason="later", actor=None)
    work(run)
    assert run.threshold.revision == 1
    assert run.results.filter(outcome="defective").count() == 1


def test_only_what_the_filters_mean_and_nothing_that_came_later(
    successor: ModelVersion, version: ModelVersion, past: list[Inspection]
) -> None:
    run = asked_for(successor, Filters(station="east"))
    assert run.total == 4
    later = inspect_here(
        data=parts.png(9),
        submission=Submission(filename="9.png", source="command", actor=None, part=PartContext("east")),
        version=version,
    )
    work(run)
    assert (run.done, run.total) == (4, 4)
    assert {result.inspection_id for result in run.results.all()} == {record.pk for record in past[:4]}
    assert not Rescored.objects.filter(inspection=later).exists()
    assert Filters.from_dict(run.filters).until is not None


def test_what_is_refused(successor: ModelVersion, operator: User, auditor: User) -> None:
    for somebody in (operator, auditor):
        with pytest.raises(Forbidden):
            request_rescoring(version=successor, filters=Filters(), reason="test", actor=somebody)
    with pytest.raises(UserError, match="reason"):
        request_rescoring(version=successor, filters=Filters(), reason="  ", actor=None)
    with pytest.raises(UserError, match="nothing to re-score"):
        asked_for(successor, Filters(station="nowhere"))
    with pytest.raises(UserError, match="was trained on disc"):
        asked_for(successor, Filters(category=Category.objects.create(name="cube")))
    assert not RescoringRun.objects.exists()


# ---------------------------------------------------------------- slices, claims, lost workers
def test_it_is_worked_on_in_slices(successor: ModelVersion, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BATCH_SIZE = 2
    monkeypatch.setattr(services, "_SLICE_SECONDS", 0.0)
    published: list[object] = []
    monkeypatch.setattr(broker, "publish", lambda task, *ids: published.extend(ids))
    run = asked_for(successor)
    seen = []
    for _ in range(4):
        work_on_rescoring(run_id=run.pk, worker="test")
        run.refresh_from_db()
        seen.append((run.done, run.status))
    assert seen == [(2, "running"), (4, "running"), (6, "running"), (6, "finished")]
    assert published == [run.pk] * 3, "handed on after each slice, so that others pass in between"


def test_a_run_in_work_is_not_taken_by_a_second_worker(successor: ModelVersion) -> None:
    run = asked_for(successor)
    RescoringRun.objects.filter(pk=run.pk).update(
        status="running", claim=uuid.uuid4(), lease_expires_at=timezone.now() + timedelta(seconds=60)
    )
    work_on_rescoring(run_id=run.pk, worker="second")
    assert not Rescored.objects.exists()


def test_killed_between_slices_it_goes_on_where_it_was(
    successor: ModelVersion, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.BATCH_SIZE = 4
    monkeypatch.setattr(services, "_SLICE_SECONDS", 0.0)
    run = asked_for(successor)
    work_on_rescoring(run_id=run.pk, worker="first")
    died(run)
    work(run)
    assert (run.status, run.done) == ("finished", 6)
    assert run.results.count() == 6


def test_a_worker_that_lost_its_claim_writes_nothing(successor: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    run = asked_for(successor)
    real = scoring.score
    taken: list[bool] = []

    def slow(held: scoring.LoadedModel, images: Any) -> Any:
        results = real(held, images)
        if not taken:
            taken.append(True)
            died(run)
            work_on_rescoring(run_id=run.pk, worker="second")
        return results

    monkeypatch.setattr(scoring, "score", slow)
    work_on_rescoring(run_id=run.pk, worker="first")
    run.refresh_from_db()
    assert (run.status, run.done, run.worker) == ("finished", 6, "second")
    assert run.results.count() == 6


def test_a_slice_is_written_whole_or_not_at_all(successor: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the results were written and before the transaction ended: neither they nor the place are there."""
    run = asked_for(successor)
    real = RescoringRun.save

    def killed(self: RescoringRun, **options: Any) -> None:
        if "reached_id" in (options.get("update_fields") or ()):
            raise SystemExit
        real(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RescoringRun, "save", killed)
        with pytest.raises(SystemExit):
            work_on_rescoring(run_id=run.pk, worker="first")
    run.refresh_from_db()
    assert (run.done, run.reached_id, run.results.count()) == (0, None, 0)
    died(run)
    work(run)
    assert (run.status, run.done, run.results.count()) == ("finished", 6, 6)


def test_an_image_that_kills_workers_is_given_up_alone(
    successor: ModelVersion, past: list[Inspection], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, deaths, poison = scoring.score, [], parts.png(2)

    def deadly(held: scoring.LoadedModel, images: Any) -> Any:
        if poison in images:
            deaths.append(len(images))
            raise SystemExit
        return real(held, images)

    monkeypatch.setattr(scoring, "score", deadly)
    run = asked_for(successor)
    for _ in range(20):
        try:
            work_on_rescoring(run_id=run.pk, worker="test")
        except SystemExit:
            died(run)
    run.refresh_from_db()
    assert (run.status, run.done, run.failed) == ("finished", 5, 1)
    assert deaths == [6, 1, 1, 1], "with its neighbours once, then alone, as often as MAX_ATTEMPTS says"
    assert run.results.get(inspection=past[2]).error_code == "worker_died"


def test_the_sweep_calls_for_stale_runs_only(successor: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, stale = asked_for(successor), asked_for(successor)
    RescoringRun.objects.filter(pk=stale.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    called: list[tuple[str, object]] = []
    monkeypatch.setattr(broker, "publish", lambda task, *ids: called.append((task, *ids)))
    sweep()
    assert called == [("tuning.tasks.work_on_rescoring", stale.pk)]
    sweep()
    assert len(called) == 1, "published again at once"
    assert fresh.pk != stale.pk


# ---------------------------------------------------------------- what does not work out
def test_discarded_and_unreadable_images_fail_alone(successor: ModelVersion, past: list[Inspection]) -> None:
    Asset.objects.filter(pk=past[1].asset_id).update(discarded_at=timezone.now())
    past[3].asset.file.storage.delete(str(past[3].asset.file.name))
    run = work(asked_for(successor))
    assert (run.status, run.done, run.failed) == ("finished", 4, 2)
    assert run.results.get(inspection=past[1]).error_code == "image_discarded"
    assert run.results.get(inspection=past[3]).error_code == "image_unreadable"
    assert documents.rescoring_summary(run)["failures"] == [
        {"code": "image_discarded", "count": 1},
        {"code": "image_unreadable", "count": 1},
    ]


def test_an_image_that_fails_to_be_scored_fails_alone(
    successor: ModelVersion, past: list[Inspection], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, poison = scoring.score, parts.png(2)

    def fail_on_poison(held: scoring.LoadedModel, images: Any) -> Any:
        if poison in images:
            raise RuntimeError("poison")
        return real(held, images)

    monkeypatch.setattr(scoring, "score", fail_on_poison)
    run = work(asked_for(successor))
    assert (run.done, run.failed) == (5, 1)
    assert run.results.get(inspection=past[2]).error_code == "scoring_failed"


def test_what_cannot_be_compared_has_no_score_and_says_why(
    successor: ModelVersion, version: ModelVersion, blank: bytes, user: User
) -> None:
    odd = inspect_here(
        data=blank,
        submission=Submission(filename="blank.png", source="command", actor=None),
        version=version,
    )
    record_review(inspection=odd, verdict="good", actor=user)
    run = work(asked_for(successor))
    result = run.results.get(inspection=odd)
    assert (result.outcome, result.score, result.reason) == ("not_comparable", None, "no_part_found")
    assert (run.done, run.failed, run.changed) == (7, 0, 2)
    assert documents.rescoring_summary(run)["reviewed"]["right_after"] == 0


def test_a_model_that_cannot_be_loaded_ends_the_run_with_the_reason(
    successor: ModelVersion, version: ModelVersion
) -> None:
    (version.artifact_path / "manifest.json").unlink()
    scoring.unload_models()
    run = work(asked_for(successor))
    assert (run.status, run.error_code, run.done) == ("failed", "model_unusable", 0)
    assert "cannot be loaded" in run.error
    assert kinds(run) == ["rescoring.requested", "rescoring.failed"]


def test_the_precision_of_the_first_worker_is_kept(
    successor: ModelVersion, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.BATCH_SIZE = 3
    asked: list[str] = []
    real = scoring.load_model

    def load_model(version: ModelVersion, *words: Any, **runtime_options: Any) -> scoring.LoadedModel:
        asked.append(runtime_options["precision"])
        return real(version, *words, **runtime_options)

    monkeypatch.setattr(scoring, "load_model", load_model)
    run = asked_for(successor, runtime_options={"precision": "auto", "device": "", "runtime": "torch"})
    RescoringRun.objects.filter(pk=run.pk).update(precision_chosen="fp32")
    work(run)
    assert (run.status, run.precision, run.precision_chosen) == ("finished", "auto", "fp32")
    held = real(successor, device="cpu", runtime="torch", precision="auto")
    assert asked == (["auto"] if held.scorer.choice["precision"] == "fp32" else ["auto", "fp32"]) * 2


def test_a_run_of_before_goes_on_in_the_runtime_that_it_asked_for(
    successor: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a precision that was chosen, but no runtime, since only the precision was."""
    asked: list[dict[str, Any]] = []

    def load_model(version: ModelVersion, **runtime_options: Any) -> SimpleNamespace:
        asked.append(runtime_options)
        return SimpleNamespace(scorer=SimpleNamespace(choice={"runtime": "torch", "precision": "bf16"}))

    monkeypatch.setattr(scoring, "load_model", load_model)
    run = asked_for(successor, runtime_options={"precision": "auto", "device": "cpu", "runtime": "torch"})
    run.precision_chosen = "fp32"
    services._load_model(run)
    assert [(one["runtime"], one["precision"]) for one in asked] == [("torch", "auto"), ("torch", "fp32")]


# ---------------------------------------------------------------- cancelling
def test_cancelling_keeps_what_there_is(
    successor: ModelVersion, user: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.BATCH_SIZE = 2
    monkeypatch.setattr(services, "_SLICE_SECONDS", 0.0)
    run = asked_for(successor)
    work_on_rescoring(run_id=run.pk, worker="test")
    cancelled = cancel_rescoring(run=run, actor=user)
    assert (cancelled.status, cancelled.done) == ("cancelled", 2)
    work_on_rescoring(run_id=run.pk, worker="test")
    assert run.results.count() == 2
    event = AuditEvent.objects.get(kind="rescoring.cancelled")
    assert (event.actor_name, json.loads(event.after)["done"]) == ("olga", 2)
    with pytest.raises(Conflict, match="already cancelled"):
        cancel_rescoring(run=run, actor=user)


def test_cancelled_while_a_slice_is_scored(
    successor: ModelVersion, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked_for(successor)
    real = scoring.score

    def cancel_meanwhile(held: scoring.LoadedModel, images: Any) -> Any:
        results = real(held, images)
        cancel_rescoring(run=run, actor=user)
        return results

    monkeypatch.setattr(scoring, "score", cancel_meanwhile)
    work_on_rescoring(run_id=run.pk, worker="test")
    run.refresh_from_db()
    assert (run.status, run.done, run.results.count()) == ("cancelled", 0, 0)


def test_an_operator_may_not_cancel(successor: ModelVersion) -> None:
    run = asked_for(successor)
    with pytest.raises(Forbidden):
        cancel_rescoring(run=run, actor=person("oskar", "operator"))


# ---------------------------------------------------------------- what the database holds
@pytest.mark.parametrize("statement", ["UPDATE tuning_rescored SET score = 0", "DELETE FROM tuning_rescored"])
def test_results_cannot_be_changed(successor: ModelVersion, statement: str) -> None:
    work(asked_for(successor))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


CONTRADICTIONS: list[tuple[str, dict[str, Any]]] = [
    ("does not follow from the score", {"outcome": "good", "score": 1e6}),
    ("does not follow from the score", {"outcome": "defective", "score": 1e-6}),
    ("rescored_or_says_why_not", {"outcome": "good"}),
    ("rescored_or_says_why_not", {"outcome": ""}),
    ("rescored_or_says_why_not", {"outcome": "fine", "score": 1e-6}),
    ("rescored_or_says_why_not", {"outcome": "not_comparable"}),
    ("rescored_or_says_why_not", {"outcome": "good", "score": 1e-6, "error_code": "x"}),
    ("rescored_p_value_is_a_probability", {"outcome": "good", "score": 1e-6, "p_value": 0.0}),
    ("rescored_once_in_a_run", {"outcome": "good", "score": 1e-6}),
]


def test_results_that_contradict_themselves_are_refused(successor: ModelVersion, past: list[Inspection]) -> None:
    run = asked_for(successor)
    Rescored.objects.create(run=run, inspection=past[0], outcome="good", score=1e-6)
    for constraint, fields in CONTRADICTIONS:
        inspection = past[0] if constraint == "rescored_once_in_a_run" else past[1]
        # On SQLite a trigger is asked before the constraint: no row takes the place of another one.
        name = "a row with this key is there" if "once" in constraint and connection.vendor == "sqlite" else constraint
        with pytest.raises(DatabaseError, match=name), transaction.atomic():
            Rescored.objects.create(run=run, inspection=inspection, **fields)


def test_runs_that_contradict_themselves_are_refused(successor: ModelVersion, version: ModelVersion) -> None:
    run = asked_for(successor)
    contradictions: list[tuple[str, dict[str, Any]]] = [
        ("rescoring_status_is_known|ended_rescoring_has_an_end", {"status": "lost"}),
        ("ended_rescoring_has_an_end", {"status": "finished"}),
        ("ended_rescoring_has_an_end", {"finished_at": timezone.now()}),
        ("failed_rescoring_says_why", {"status": "failed", "finished_at": timezone.now()}),
        ("failed_rescoring_says_why", {"error_code": "x"}),
        ("rescoring_has_a_reason", {"reason": ""}),
        ("rescoring_changed_are_done", {"changed": 1}),
        ("rescoring_place_is_whole", {"reached_at": timezone.now()}),
        ("rescoring_correlation_is_one", {"rank_correlation": 1.5}),
    ]
    for constraint, fields in contradictions:
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            RescoringRun.objects.filter(pk=run.pk).update(**fields)
    run.pk, run.threshold = uuid.uuid4(), version.thresholds.get()
    with pytest.raises(DatabaseError, match="another model version"), transaction.atomic():
        run.save(force_insert=True)
