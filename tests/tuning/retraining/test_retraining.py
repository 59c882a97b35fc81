"""Training again with what was reviewed, the comparison with production, and the gate that asks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from common.errors import Conflict
from common.rights import Forbidden
from inspection.reviews.reviewed_data import share_of
from inspection.reviews.services import record_review
from modelzoo import services as modelzoo
from modelzoo.lifecycle.selectors import Gates, gate_results
from modelzoo.lifecycle.services import set_promotion_gates
from modelzoo.models import ModelVersion
from modelzoo.services import set_threshold
from records.audit.chain.audited_rows import verify_all
from records.audit.services import attest_rows
from records.models import AuditEvent
from tests import parts
from tests.chain import attest_people
from tests.inspection.judging.test_services import inspect
from tests.inspection.reviews.test_reviewed_data import carry_out, reviewed
from tests.versions import another, serve
from training.datasets.imports import import_path
from training.datasets.selectors import training_asset_ids
from training.models import Dataset, TrainingRun
from tuning.models import ComparedImage, Comparison, Retraining
from tuning.retraining import selectors, services

pytestmark = pytest.mark.django_db


@pytest.fixture
def production(version: ModelVersion, dataset_folder: Path, user: User) -> ModelVersion:
    """In production, trained on a data set that is here."""
    [result] = import_path(dataset_folder, actor=user, name="disc")
    version.dataset_name, version.dataset_snapshot = result.dataset.name, result.dataset.snapshot
    version.save(update_fields=["dataset_name", "dataset_snapshot"])
    serve(version)
    version.refresh_from_db()
    return version


def new_good(version: ModelVersion, actor: User, *, split: str, count: int = 1, start: int = 100) -> list[Any]:
    """So many reviewed good parts that a data set would have in this split."""
    records: list[Any] = []
    seed = start
    while len(records) < count:
        record = inspect(version, seed=seed)
        seed += 1
        if (share_of(record.asset.sha256) < 0.2) == (split == "test"):
            record_review(inspection=record, verdict="good", actor=actor)
            records.append(record)
    return records


def trained(retraining: Retraining) -> ModelVersion:
    """The run as if it had been worked on."""
    candidate = another(retraining.production)
    dataset = retraining.run.dataset
    candidate.dataset_name, candidate.dataset_snapshot = dataset.name, dataset.snapshot
    candidate.save(update_fields=["dataset_name", "dataset_snapshot"])
    TrainingRun.objects.filter(pk=retraining.run_id).update(
        status="succeeded", model_version=candidate, finished_at=timezone.now(), lease_expires_at=None
    )
    with transaction.atomic():
        attest_rows(rows=[TrainingRun.objects.get(pk=retraining.run_id)])
        attest_rows(rows=[candidate])
    return candidate


def finished(comparison: Comparison) -> Comparison:
    services.work_on_comparison(comparison_id=comparison.pk)
    comparison.refresh_from_db()
    assert comparison.status == "finished", comparison.error
    return comparison


def test_the_data_set_is_extended_and_a_run_started(production: ModelVersion, user: User, operator: User):
    learnt = new_good(production, operator, split="train", count=3)
    held_back = new_good(production, operator, split="test", start=400)
    defect = reviewed(production, operator, parts.png(1, defective=True), "defective", defect_type="dent")
    base = selectors.dataset_of(production)
    with pytest.raises(Forbidden):
        services.retrain(category=production.category, actor=operator)
    made = services.retrain(category=production.category, actor=user)
    assert (made.added_good, made.added_test_good, made.added_defective) == (3, 1, 1)
    dataset = made.run.dataset
    assert (dataset.name, dataset.category) == (base.name, base.category)
    splits = dict(dataset.images.values_list("asset", "split"))
    assert {splits[record.asset_id] for record in learnt} == {"train"}
    assert {splits[record.asset_id] for record in [*held_back, defect]} == {"test"}
    assert set(base.images.values_list("path", flat=True)) <= set(dataset.images.values_list("path", flat=True))
    assert dataset.images.count() == base.images.count() + 5
    run = made.run
    assert (run.algorithm, run.seed, run.status) == (production.algorithm, production.seed, "queued")
    assert {name: run.options[name] for name in ("backbone", "image_size")} == {
        name: production.config[name] for name in ("backbone", "image_size")
    }
    assert AuditEvent.objects.filter(kind="retraining.requested").count() == 1
    with pytest.raises(Conflict, match="trained again already"):
        services.retrain(category=production.category, actor=user)


def test_what_the_last_word_calls_a_defect_is_learnt_no_more(production: ModelVersion, user: User, operator: User):
    base = selectors.dataset_of(production)
    learnt = base.images.filter(split="train").first()
    assert learnt
    record = reviewed(production, operator, learnt.asset.read(), "defective", defect_type="scratch")
    assert record.asset_id == learnt.asset_id
    new_good(production, operator, split="train")
    made = services.retrain(category=production.category, actor=user)
    image = made.run.dataset.images.get(asset=learnt.asset)
    assert (image.split, image.is_defective, image.defect_type) == ("test", True, "scratch")
    candidate = trained(made)
    same = selectors.same_images(candidate, production, made.run.dataset)
    assert learnt.asset_id not in {one.asset_id for one in same.images}, "production has learnt it"
    assert same.left_out == {"learnt by production": 1, "learnt by the candidate": 1}


def test_why_nothing_is_trained(production: ModelVersion, user: User, operator: User):
    with pytest.raises(Conflict, match="No good part"):
        services.retrain(category=production.category, actor=user)
    reviewed(production, operator, parts.png(1, defective=True), "defective")
    with pytest.raises(Conflict, match="No good part"):
        services.retrain(category=production.category, actor=user)
    new_good(production, operator, split="train")
    Dataset.objects.filter(name="disc").update(name="other")
    with pytest.raises(Conflict, match="is not here"):
        services.retrain(category=production.category, actor=user)
    assert not TrainingRun.objects.exists()
    assert not Retraining.objects.exists()


def test_the_new_version_is_compared_on_images_that_neither_learnt(
    production: ModelVersion, user: User, operator: User
):
    new_good(production, operator, split="train", count=2)
    made = services.retrain(category=production.category, actor=user)
    assert services.compare_due_retraining() is None, "the run has not ended"
    candidate = trained(made)
    later = new_good(production, operator, split="train", start=700)
    comparison = services.compare_due_retraining()
    assert comparison
    assert services.compare_due_retraining() is None, "once"
    images = ComparedImage.objects.filter(comparison=comparison)
    assets = set(images.values_list("asset", flat=True))
    assert not assets & (training_asset_ids(candidate) | training_asset_ids(production))
    assert set(images.filter(source="review").values_list("inspection", flat=True)) == {one.pk for one in later}
    assert images.filter(source="test_set").count() == 8
    assert comparison.left_out == {"learnt by the candidate": 2}
    finished(comparison)
    figures = comparison.figures
    assert (figures["images"], figures["good"], figures["defective"]) == (9, 5, 4)
    assert figures["production"]["auroc"] == figures["candidate"]["auroc"] == 1.0
    assert comparison.error_rate_difference == 0.0, "it is the same model"
    assert figures["mcnemar_p_value"] == 1.0
    assert not selectors.differing(comparison).exists()
    attest_people()
    assert verify_all().sentence == ""
    event = AuditEvent.objects.get(kind="comparison.finished")
    assert json.loads(event.after)["images_sha256"] == comparison.images_sha256
    Comparison.objects.filter(pk=comparison.pk).update(error_rate_difference=-0.5)
    assert verify_all().sentence != ""


def test_where_they_differ(production: ModelVersion, user: User, signed_in: Client):
    candidate = another(production)
    set_threshold(version=candidate, value=1e-6, method="manual", reason="all is rejected", actor=None)
    comparison = finished(services.request_comparison(candidate=candidate, actor=user))
    figures = comparison.figures
    assert figures["candidate"]["false_reject_rate"] == 1.0
    assert comparison.error_rate_difference == pytest.approx(figures["only_production_right"] / 8)
    rows = list(selectors.differing(comparison))
    assert len(rows) == figures["only_production_right"] + figures["only_candidate_right"]
    assert not any(row.is_defective for row in rows)
    page = signed_in.get(f"/models/comparisons/{comparison.pk}/")
    assert page.status_code == 200
    text = " ".join(page.content.decode().split())
    assert "Images with different verdicts" in text
    assert f"{len(rows)} images" in text
    assert "wrong verdicts" in signed_in.get(f"/models/{candidate.pk}/").content.decode()
    listed = signed_in.get(f"/api/comparisons/{comparison.pk}/images").json()["results"]
    assert [row["sha256"] for row in listed] == [row.asset.sha256 for row in rows]


def test_a_comparison_that_cannot_be(production: ModelVersion, user: User, operator: User):
    with pytest.raises(Conflict, match="in production itself"):
        services.request_comparison(candidate=production, actor=user)
    candidate = another(production)
    with pytest.raises(Forbidden):
        services.request_comparison(candidate=candidate, actor=operator)
    Dataset.objects.get(name="disc").images.filter(split="test").delete()
    with pytest.raises(Conflict, match="no image"):
        services.request_comparison(candidate=candidate, actor=user)
    assert not Comparison.objects.exists()


def test_a_model_that_cannot_be_loaded_fails_the_comparison(production: ModelVersion, user: User):
    candidate = another(production)
    comparison = services.request_comparison(candidate=candidate, actor=user)
    (candidate.artifact_path / "manifest.json").write_text("{}")
    services.work_on_comparison(comparison_id=comparison.pk)
    comparison.refresh_from_db()
    assert comparison.status == "failed"
    assert comparison.error
    assert AuditEvent.objects.filter(kind="comparison.failed").count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        Comparison.objects.filter(pk=comparison.pk).update(error_rate_difference=0.1)


def test_the_gate_asks_for_a_comparison_at_the_active_thresholds(production: ModelVersion, user: User):
    gates = Gates(max_error_increase=0.1)
    set_promotion_gates(category=production.category, gates=gates, reason="agreed", actor=user)
    candidate = another(production)
    with pytest.raises(Conflict, match="not compared with v1 at the active thresholds"):
        modelzoo.request_promotion(version=candidate, reason="better", actor=user)
    finished(services.request_comparison(candidate=candidate, actor=user))
    [result] = gate_results(candidate)
    assert (result.passed, result.measured) == (True, "0 % fewer than v1 on 8 images")
    set_threshold(version=candidate, value=1e-6, method="manual", reason="all is rejected", actor=None)
    [result] = gate_results(candidate)
    assert not result.passed, "what was compared was another threshold"
    finished(services.request_comparison(candidate=candidate, actor=user))
    with pytest.raises(Conflict, match="more than v1 on 8 images, required at most 10 % of the images more"):
        modelzoo.request_promotion(version=candidate, reason="better", actor=user)
    [result] = gate_results(production)
    assert result.passed


def test_one_click_on_the_page_of_the_version(production: ModelVersion, signed_in: Client, operator: User):
    page = signed_in.get(f"/models/{production.pk}/").content.decode()
    assert "Train again with the reviewed images" in page
    refused = signed_in.post(f"/models/{production.pk}/retrain")
    assert refused.status_code == 409
    new_good(production, operator, split="train")
    answer = signed_in.post(f"/models/{production.pk}/retrain", follow=True)
    assert answer.redirect_chain[0][0] == f"/training/{TrainingRun.objects.get().pk}/"
    assert "It learns 1 reviewed good parts more" in answer.content.decode()
    candidate = trained(Retraining.objects.get())
    assert "Not compared with production" in signed_in.get(f"/models/{candidate.pk}/").content.decode()
    started = signed_in.post(f"/models/{candidate.pk}/compare")
    assert started.status_code == 302
    assert "0 of 8" in " ".join(signed_in.get(started["Location"]).content.decode().split())
    assert signed_in.get("/models/comparisons/00000000-0000-0000-0000-000000000000/").status_code == 404


def test_the_api(production: ModelVersion, signed_in: Client, operator: User):
    new_good(production, operator, split="train")
    other = Client()
    other.force_login(operator)
    assert other.post("/api/categories/disc/retrain").status_code == 403
    made = signed_in.post("/api/categories/disc/retrain")
    assert (made.status_code, made.json()["added_good"]) == (202, 1)
    assert signed_in.post("/api/categories/disc/retrain").json()["code"] == "retraining_open"
    assert signed_in.post("/api/categories/nothing/retrain").status_code == 404
    candidate = another(production)
    body = json.dumps({"model_version": str(candidate.pk)})
    started = signed_in.post("/api/comparisons", body, content_type="application/json")
    assert started.status_code == 202
    one = signed_in.get(started["Location"]).json()
    assert (one["status"], one["figures"], one["progress"]) == ("queued", None, 0.0)
    listed = signed_in.get("/api/comparisons", {"model_version": candidate.pk}).json()["results"]
    assert listed == [one]
    assert signed_in.get("/api/comparisons", {"model_version": production.pk}).json()["results"] == []


@pytest.mark.usefixtures("lease_renewed_at_the_end")
def test_from_reviews_to_a_compared_version(production: ModelVersion, user: User, operator: User):
    """Nothing is stood in for: the run trains, and both versions score."""
    new_good(production, operator, split="train", count=2)
    made = services.retrain(category=production.category, actor=user)
    candidate = carry_out(made.run)
    assert candidate.config == production.config
    assert len(candidate.held_out_scores) == 14
    comparison = services.compare_due_retraining()
    assert comparison
    figures = finished(comparison).figures
    assert figures["images"] == 8
    assert figures["candidate"]["auroc"] == 1.0
    assert figures["candidate"]["threshold"] == candidate.thresholds.get().value
