"""Every method of the client against the application: it says what the API takes and gives."""

from __future__ import annotations

import json
import types
import zipfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from inspection.models import Inspection
from modelzoo.models import ModelVersion
from mvtec_client import ApiProblem, Client, TookTooLong, shapes
from records.models import Asset
from tests import parts
from tests.clients.conftest import Connect

METHODS = {
    "agreement": "agreement",
    "archive_model_version": "archive",
    "audit_checkpoint": "audit_checkpoint",
    "audit_checkpoints": "audit_checkpoints",
    "audit_event": "audit_event",
    "audit_events": "audit_events",
    "audit_export": "export_audit",
    "batch": "find_batch",
    "batch_report": "batch_report",
    "batch_test": "batch",
    "batches": "batches",
    "cancel_batch": "cancel_batch",
    "cancel_rescoring": "cancel_rescoring",
    "cancel_training_run": "cancel_training",
    "categories": "categories",
    "create_batch": "batch",
    "create_rescoring": "rescore",
    "dataset": "dataset",
    "default_category": "default_category",
    "dataset_from_reviews": "dataset_from_reviews",
    "dataset_image": "dataset_image",
    "dataset_images": "dataset_images",
    "dataset_mask": "dataset_mask",
    "datasets": "datasets",
    "deploy": "deploy",
    "deployment": "deployment",
    "deployments": "deployments",
    "export_inspections": "export_inspections",
    "extend_model_version": "extend",
    "ignore_mask": "ignore_mask",
    "import_datasets": "upload_dataset",
    "inspect_again": "inspect_again",
    "inspection": "inspection",
    "inspection_reviews": "reviews_of",
    "inspections": "inspections",
    "inspections_image_retrieve": "picture",
    "inspections_map_retrieve": "picture",
    "inspections_overlay_retrieve": "picture",
    "inspections_picture_retrieve": "picture",
    "inspections_thumbnail_retrieve": "picture",
    "issue_token": "issue_token",
    "load_model": "load_model",
    "make_audit_checkpoint": "make_audit_checkpoint",
    "me": "me",
    "model_version": "model_version",
    "model_version_artifact": "download_artifact",
    "model_version_ignore_mask": "version_ignore_mask",
    "model_version_mean_image": "mean_image",
    "model_version_metrics": "metrics",
    "model_versions": "model_versions",
    "one_review": "find_review",
    "promote_model_version": "promote",
    "request": "request",
    "rescoring": "rescoring",
    "rescoring_results": "rescoring_results",
    "rescorings": "rescorings",
    "retention_policies": "retention_policies",
    "retention_policy": "retention_policy",
    "retention_run": "retention_run",
    "retention_runs": "retention_runs",
    "review": "review",
    "reviews": "reviews",
    "revoke_token": "revoke_token",
    "roll_back_category": "rollback",
    "input_checks": "input_checks",
    "set_input_checks": "set_input_checks",
    "set_default_category": "set_default_category",
    "set_retention_policy": "set_retention_policy",
    "set_threshold": "set_threshold",
    "start_retention_run": "start_retention_run",
    "start_training_run": "start_training",
    "store_ignore_mask": "store_ignore_mask",
    "status": "status",
    "test_image": "inspect",
    "threshold": "threshold",
    "thresholds": "thresholds",
    "token": "token",
    "tokens": "tokens",
    "training_run": "training_run",
    "training_run_log": "training_log",
    "training_runs": "training_runs",
    "what_if": "what_if",
}


def fits(value: Any, shape: Any, path: str = "") -> None:
    """A value has the members that a type names, and no others; each of its own type."""
    origin, arguments = get_origin(shape), get_args(shape)
    if shape is Any:
        return
    if is_typeddict(shape):
        assert isinstance(value, dict), path
        hints = get_type_hints(shape, include_extras=True)
        optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired} | (
            set() if shape.__total__ else set(hints)
        )
        assert set(value) <= set(hints), f"{path}: not known to {shape.__name__}: {set(value) - set(hints)}"
        assert set(hints) - set(value) <= optional, f"{path}: missing: {set(hints) - set(value) - optional}"
        for name, member in value.items():
            fits(member, hints[name], f"{path}.{name}")
    elif origin in (NotRequired, Required):
        fits(value, arguments[0], path)
    elif origin in (Union, types.UnionType):
        assert any(_fits(value, one) for one in arguments), f"{path}: {value!r} is none of {shape}"
    elif origin is Literal:
        assert value in arguments, f"{path}: {value!r}"
    elif origin is list:
        assert isinstance(value, list), path
        for index, one in enumerate(value):
            fits(one, arguments[0], f"{path}[{index}]")
    elif origin is dict:
        assert isinstance(value, dict), path
        for name, one in value.items():
            fits(one, arguments[1], f"{path}.{name}")
    elif shape is float:
        assert isinstance(value, int | float), f"{path}: {value!r}"
    else:
        assert isinstance(value, shape), f"{path}: {value!r} is no {shape}"


def _fits(value: Any, shape: Any) -> bool:
    try:
        fits(value, shape)
    except AssertionError:
        return False
    return True


def each(rows: Iterable[Any], shape: Any) -> list[Any]:
    found = list(rows)
    fits(found, list[shape])
    return found


def test_every_operation_has_a_method() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    operations = {
        operation["operationId"]
        for path in schema["paths"].values()
        for method, operation in path.items()
        if method in ("get", "post", "delete", "put", "patch")
    }
    assert operations == set(METHODS)
    assert [name for name in METHODS.values() if not callable(getattr(Client, name, None))] == []


@pytest.fixture
def client(connect: Connect, user: User) -> Client:
    return connect(user)


def test_a_part_is_judged_and_asked_for_later(client: Client, version: ModelVersion, tmp_path: Path) -> None:
    fits(client.status(), shapes.Status)
    with pytest.raises(ApiProblem) as problem:
        client.inspect(parts.png(1))
    assert problem.value.code == "no_model_loaded"
    fits(client.load_model(version.pk, device="cpu"), shapes.LoadedModel)
    good = client.inspect(parts.png(5000), lot="L1", station="press 4")
    bad = client.inspect(parts.png(5001, defective=True), lot="L1", anomaly_map="full", idempotency_key="one")
    assert (good["outcome"], bad["is_defective"], good["station"]) == ("good", True, "press 4")
    for record in (good, bad):
        fits(record, shapes.Inspection)
    again = client.inspect(parts.png(5001, defective=True), lot="L1", anomaly_map="none", idempotency_key="one")
    assert again["inspection_id"] == bad["inspection_id"]
    request = Inspection.objects.get(pk=good["inspection_id"]).request_id
    assert client.request(str(request))["inspection_id"] == good["inspection_id"]
    fits(client.request(str(request)), shapes.Request)
    assert client.inspect_again(str(request))["inspection_id"] == good["inspection_id"], "it has its record"
    with pytest.raises(ApiProblem) as problem:
        client.inspect(parts.png(5000), idempotency_key="one")
    assert problem.value.code == "idempotency_key_reused"
    fits(client.inspection(bad["inspection_id"]), shapes.Inspection)
    assert client.picture(bad["inspection_id"]) == parts.png(5001, defective=True)
    for which in ("thumbnail", "map", "overlay"):
        assert client.picture(bad["inspection_id"], which)

    rows = each(client.inspections(lot="L1", page_size=1), shapes.InspectionRow)
    assert [row["inspection_id"] for row in rows] == [bad["inspection_id"], good["inspection_id"]]
    yesterday, tomorrow = (timezone.now() + timedelta(days=days) for days in (-1, 1))
    assert len(list(client.inspections(since=yesterday, until=tomorrow.date(), reviewed=False))) == 2
    assert [row["outcome"] for row in client.inspections(outcome=["defective"], score_min=0.0)] == ["defective"]
    with pytest.raises(ApiProblem) as problem:
        list(client.inspections(station="x" * 200))
    assert (problem.value.code, problem.value.extra["parameter"]) == ("invalid_filter", "station")
    for form in ("csv", "jsonl", "xlsx"):
        assert client.export_inspections(tmp_path / f"a.{form}", format=form, lot="L1").stat().st_size
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["lot"] for line in lines] == ["L1", "L1"]

    fits(client.review(good["inspection_id"], "defective", defect_type="scratch", comment="look"), shapes.Review)
    fits(
        client.review(bad["inspection_id"], "defective", regions=[{"x": 1, "y": 1, "width": 9, "height": 9}]),
        shapes.Review,
    )
    with pytest.raises(ApiProblem) as problem:
        client.review(good["inspection_id"], "good", expected_reviews=0)
    assert problem.value.code == "review_outdated"
    [said] = each(client.reviews_of(good["inspection_id"]), shapes.Review)
    assert client.find_review(said["review_id"]) == said
    assert each(client.reviews(agrees="no", verdict="defective", since=yesterday), shapes.Review) == [said]
    fits(client.agreement(lot="L1"), shapes.Agreement)
    reviewed = each(client.inspections(overruled=True), shapes.InspectionRow)
    assert [row["inspection_id"] for row in reviewed] == [good["inspection_id"]]
    fits(client.inspection(good["inspection_id"]), shapes.Inspection)

    answer = client.what_if(good["score"], model_version=version.pk, compare=True, bins=10, presets=True, lot="L1")
    fits(answer, shapes.WhatIf)
    assert answer["total"] == 2
    run = client.rescore(version.pk, reason="the same again", filters={"lot": "L1", "reviewed": True}, device="cpu")
    fits(run, shapes.Rescoring)
    done = client.wait_for_rescoring(run["rescoring_id"], timeout=0.0)
    fits(done, shapes.RescoringDetail)
    assert (done["status"], done["done"], done["changed"]) == ("finished", 2, 0)
    assert len(each(client.rescorings(), shapes.Rescoring)) == 1
    assert len(each(client.rescoring_results(run["rescoring_id"], changed=False), shapes.Rescored)) == 2
    with pytest.raises(ApiProblem):
        client.cancel_rescoring(run["rescoring_id"])

    made = client.dataset_from_reviews("seen", "disc", filters={"lot": "L1"}, test_share=1.0)
    fits(made, shapes.DatasetOfReviews)
    assert made["created"] is True


def test_batches(client: Client, version: ModelVersion, tmp_path: Path) -> None:
    client.load_model(version.pk, device="cpu")
    packed = tmp_path / "two.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(2):
            archive.writestr(f"{number}.png", parts.png(number))
    first = client.batch([parts.png(1), ("bad.png", b"nothing")], lot="B", idempotency_key="once")
    second = client.batch(archive=packed)
    for batch in (first, second):
        fits(batch, shapes.Batch)
    again = client.batch([parts.png(1), ("bad.png", b"nothing")], lot="B", idempotency_key="once")
    assert again["batch_id"] == first["batch_id"]
    seen: list[float] = []
    done = client.wait_for_batch(first["batch_id"], progress=lambda batch: seen.append(batch["progress"]))
    assert (done["status"], done["done"], done["failed"], seen) == ("finished", 1, 1, [1.0])
    assert done["results"][1]["code"] == "not_an_image"
    assert client.find_batch(first["batch_id"], results=False)["results"] == []
    rows = each(client.batches(status="finished", category="disc"), shapes.BatchRow)
    assert {row["batch_id"] for row in rows} == {first["batch_id"], second["batch_id"]}
    with pytest.raises(ApiProblem):
        client.cancel_batch(first["batch_id"])
    for form in ("csv", "json", "html"):
        assert client.batch_report(tmp_path / f"r.{form}", first["batch_id"], format=form).stat().st_size
    with pytest.raises(ApiProblem) as problem:
        client.batch(dataset="nothing")
    assert problem.value.code == "dataset_not_found"


def test_data_sets_and_training(client: Client, version: ModelVersion, dataset_folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "disc.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(dataset_folder.rglob("*.png")):
            archive.write(path, Path("disc") / path.relative_to(dataset_folder))
    [preview] = client.preview_dataset(packed, name="disc", layout="mvtec-ad", keep_duplicates=True)
    [imported] = client.upload_dataset(packed, name="disc")
    assert imported["snapshot"] == preview["snapshot"]
    fits(imported, shapes.ImportedDataset)
    assert [again["created"] for again in client.upload_dataset(packed, name="disc")] == [False]
    number = imported["id"]
    assert [row["id"] for row in each(client.datasets(category="disc"), shapes.Dataset)] == [number]
    fits(client.dataset(number), shapes.FullDataset)
    images = each(client.dataset_images(number, split="test", is_defective=True), shapes.DatasetImage)
    assert len(images) == 4
    assert client.dataset_image(images[0]["id"]).startswith(b"\x89PNG")
    assert client.dataset_mask(images[0]["id"]).startswith(b"\x89PNG")
    fits(next(client.categories()), shapes.Category)

    rule = {"method": "percentile", "percentile": 95}
    run = client.start_training("disc", "padim", options={"image_size": 64}, seed=3, calibration=rule)
    fits(run, shapes.FullTrainingRun)
    each(client.training_runs(dataset="disc", status="queued"), shapes.TrainingRun)
    assert client.training_log(run["id"])[1] >= 0
    with pytest.raises(TookTooLong):
        client.wait_for_training(run["id"], timeout=0.0)
    fits(client.cancel_training(run["id"]), shapes.FullTrainingRun)
    assert client.wait_for_training(run["id"])["status"] == "cancelled"
    extended = client.extend(version.pk, number)
    fits(extended, shapes.FullTrainingRun)
    assert client.training_run(extended["id"])["base_version"] == version.pk


def test_versions_thresholds_deployments(client: Client, version: ModelVersion, tmp_path: Path) -> None:
    [row] = each(client.model_versions(category="disc", algorithm="padim", stage="candidate"), shapes.ModelVersion)
    fits(client.model_version(row["id"]), shapes.FullModelVersion)
    fits(client.metrics(row["id"]), shapes.Metrics)
    assert zipfile.ZipFile(client.download_artifact(tmp_path / "a.zip", row["id"])).namelist()
    made = client.set_threshold(row["id"], 21.5, reason="test", evidence={"lot": "L1"})
    fits(made, shapes.Threshold)
    computed = client.set_threshold(row["id"], method="percentile", parameters={"percentile": 90}, reason="rule")
    assert client.threshold(made["id"])["in_force"] is False
    assert client.threshold(computed["id"])["in_force"] is True
    assert len(each(client.thresholds(model_version=row["id"]), shapes.Threshold)) == 3
    promoted = client.promote(row["id"], reason="best so far", device="cpu")
    fits(promoted, shapes.Deployment)
    assert client.deployment(promoted["id"]) == promoted
    loaded = client.deploy(row["id"], threshold=30.0, threshold_reason="line 2", device="cpu")
    fits(loaded, shapes.Deployment)
    assert loaded["status"] == "active"
    assert len(each(client.deployments(category="disc", status="active"), shapes.Deployment)) == 1
    assert client.model_version(row["id"])["stage"] == "production"
    fits(client.set_default_category("disc", reason="makes discs only"), shapes.DefaultCategory)
    assert client.default_category() == {"category": "disc"}
    assert client.set_default_category(None, reason="no more") == {"category": None}
    for act in (lambda: client.archive(row["id"], reason="x"), lambda: client.rollback("disc", reason="x")):
        with pytest.raises(ApiProblem) as problem:
            act()
        assert problem.value.status == 409


def test_a_candidate_is_put_aside(client: Client, version: ModelVersion) -> None:
    put = client.archive(version.pk, reason="not good enough")
    fits(put, shapes.FullModelVersion)
    assert put["stage"] == "archived"


def test_people_and_audit(
    connect: Connect, client: Client, auditor: User, administrator: User, version: ModelVersion, tmp_path: Path
) -> None:
    fits(client.me(), shapes.Me)
    [own] = each(client.tokens(), shapes.Token)
    ada = connect(administrator)
    issued = ada.issue_token("station 4", ["inspect"], expires_in_days=365)
    fits(issued, shapes.IssuedToken)
    assert ada.token(issued["id"])["valid"] is True
    ada.revoke_token(issued["id"])
    assert ada.token(issued["id"])["valid"] is False
    assert own["id"] in {row["id"] for row in ada.tokens(user="*")}

    client.set_threshold(version.pk, 5.0, reason="look")
    audrey = connect(auditor)
    [event] = each(audrey.audit_events(kind="threshold.set", actor="olga"), shapes.AuditEvent)
    fits(audrey.audit_event(event["sequence"]), shapes.AuditEventDetail)
    everything = len(list(audrey.audit_events(page_size=2)))
    assert len(audrey.export_audit(tmp_path / "a.jsonl").read_text().splitlines()) == everything + 1
    sealed = ada.make_audit_checkpoint()
    fits(sealed, shapes.Checkpoint)
    assert each(audrey.audit_checkpoints(), shapes.Checkpoint) == [audrey.audit_checkpoint(sealed["sequence"])]
    with pytest.raises(ApiProblem) as problem:
        list(client.audit_events())
    assert problem.value.status == 404


def test_retention(connect: Connect, client: Client, administrator: User, version: ModelVersion) -> None:
    client.load_model(version.pk, device="cpu")
    record = client.inspect(parts.png(5000))
    ada = connect(administrator)
    policy = ada.set_retention_policy("disc", good_after_days=30, good_keep_every=0, reason="storage")
    fits(policy, shapes.RetentionPolicy)
    assert ada.retention_policy(policy["id"]) == policy
    assert each(ada.retention_policies(category="disc", in_force=True), shapes.RetentionPolicy) == [policy]
    with pytest.raises(ApiProblem) as problem:
        ada.start_retention_run("disc", dry_run=False)
    assert problem.value.code == "dry_run_missing"
    for dry_run in (True, False):
        asked = ada.start_retention_run("disc", dry_run=dry_run)
        fits(asked, shapes.RetentionRun)
        assert ada.wait_for_retention(asked["id"])["status"] == "finished"
    assert len(each(ada.retention_runs(category="disc", dry_run=False), shapes.RetentionRun)) == 1
    assert list(ada.retention_runs(sha256=record["image_sha256"])) == []
    Asset.objects.filter(sha256=record["image_sha256"]).update(discarded_at=timezone.now())
    with pytest.raises(ApiProblem) as problem:
        client.picture(record["inspection_id"])
    assert (problem.value.status, problem.value.code) == (410, "image_discarded")
    assert problem.value.extra["sha256"] == record["image_sha256"]


def test_a_token_for_inspecting_does_no_more(connect: Connect, user: User, deployment: Any) -> None:
    line = connect(user, "inspect")
    assert line.inspect(parts.png(1))["outcome"] == "good"
    with pytest.raises(ApiProblem) as problem:
        list(line.inspections())
    assert (problem.value.status, problem.value.code) == (403, "permission_denied")


def test_what_is_checked_of_pictures_is_read_and_set(client: Client, version: ModelVersion) -> None:
    before = client.input_checks("disc")
    fits(before, shapes.InputChecks)
    after = client.set_input_checks("disc", reason="two cameras", size="off", aspect_percent=7.5)
    fits(after, shapes.InputChecks)
    assert (before["size"], after["size"], after["aspect"], after["aspect_percent"]) == ("refuse", "off", "refuse", 7.5)
