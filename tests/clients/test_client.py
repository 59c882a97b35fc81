"""Every method of the client against the application: it says what the API takes and gives."""

from __future__ import annotations

import hashlib
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
from modelzoo.services import set_threshold
from mvtec_client import ApiProblem, Client, TookTooLong, shapes
from quality.containment.services import CONTAINMENTS
from quality.measurement_system.selectors import find_study
from records.models import Asset
from rollout.challengers.services import CHALLENGERS
from tests import parts
from tests.clients.conftest import Connect
from tests.conftest import person
from tests.monitoring.streams import drifted
from tests.quality.audited import close, judged
from tests.quality.measurement_system.test_studies import judge_all, parts_of
from tests.rollout.live import strict
from tests.tuning.retraining.test_retraining import new_good
from tests.versions import another
from training.datasets.imports import import_path

METHODS = {
    "acknowledge_alarm": "acknowledge_alarm",
    "add_reference_part": "add_reference_part",
    "agreement": "agreement",
    "alarm": "alarm",
    "alarms": "alarms",
    "approve_model_version": "approve",
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
    "comment_alarm": "comment_alarm",
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
    "drift_monitor": "drift_monitor",
    "drift_monitors": "drift_monitors",
    "deployment": "deployment",
    "deployments": "deployments",
    "export_inspections": "export_inspections",
    "export_parts": "export_parts",
    "inspect_part": "inspect_part",
    "inspect_view": "inspect_view",
    "part": "part",
    "part_layout": "part_layout",
    "part_layouts": "part_layouts",
    "parts": "parts",
    "retire_part_layout": "retire_part_layout",
    "set_part_layout": "set_part_layout",
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
    "model_version_card": "model_card",
    "model_version_ignore_mask": "version_ignore_mask",
    "model_version_mean_image": "mean_image",
    "model_version_metrics": "metrics",
    "model_versions": "model_versions",
    "one_review": "find_review",
    "promote_model_version": "promote",
    "reference_part": "reference_part",
    "reference_parts": "reference_parts",
    "request": "request",
    "rescoring": "rescoring",
    "rescoring_results": "rescoring_results",
    "rescorings": "rescorings",
    "resolve_alarm": "resolve_alarm",
    "restart_drift_monitor": "restart_drift_monitor",
    "retire_reference_part": "retire_reference_part",
    "station_states": "station_states",
    "retention_policies": "retention_policies",
    "retention_policy": "retention_policy",
    "retention_run": "retention_run",
    "retention_runs": "retention_runs",
    "review": "review",
    "reviews": "reviews",
    "revoke_token": "revoke_token",
    "roll_back_category": "rollback",
    "audited_shift": "audited_shift",
    "audited_shift_export": "export_audited_shift",
    "audited_shifts": "audited_shifts",
    "blind_reviews": "blind_reviews",
    "blind_reviews_image_retrieve": "blind_review_image",
    "random_audit": "random_audit",
    "review_blind": "review_blind",
    "sampling_plan": "sampling_plan",
    "sampling_plans": "sampling_plans",
    "set_sampling_plan": "set_sampling_plan",
    "retrain": "retrain",
    "start_comparison": "start_comparison",
    "comparisons": "comparisons",
    "comparison": "comparison",
    "comparison_images": "comparison_images",
    "review_queue": "review_queue",
    "next_review": "next_review",
    "decide_review": "decide_review",
    "review_budget": "review_budget",
    "set_review_budget": "set_review_budget",
    "change_connection": "change_connection",
    "connection": "connection",
    "connection_kinds": "connection_kinds",
    "connections": "connections",
    "create_connection": "create_connection",
    "deliveries": "deliveries",
    "end_connection_secrets": "end_connection_secrets",
    "resend_dead_letters": "resend_dead_letters",
    "resend_delivery": "resend_delivery",
    "set_connection_secret": "set_connection_secret",
    "change_edge_node": "change_edge_node",
    "create_edge_node": "create_edge_node",
    "edge_node": "edge_node",
    "edge_nodes": "edge_nodes",
    "renew_edge_node_token": "renew_edge_node_token",
    "canaries": "canaries",
    "canary": "canary",
    "end_canary": "end_canary",
    "start_canary": "start_canary",
    "challenger": "challenger",
    "challenger_csv": "download_challenger",
    "challenger_disagreements": "challenger_disagreements",
    "challenger_results": "challenger_results",
    "challengers": "challengers",
    "mark_disagreement": "mark_disagreement",
    "start_challenger": "start_challenger",
    "stop_challenger": "stop_challenger",
    "containment": "containment",
    "containment_csv": "download_containment",
    "containment_parts": "containment_parts",
    "containment_pdf": "download_containment",
    "containments": "containments",
    "report": "report",
    "report_csv": "download_report",
    "report_pdf": "download_report",
    "issue_report": "issue_report",
    "issued_report": "issued_report",
    "issued_report_csv": "download_issued_report",
    "issued_report_json": "download_issued_report",
    "issued_report_pdf": "download_issued_report",
    "issued_reports": "issued_reports",
    "report_passages": "report_passages",
    "passage_counters": "passage_counters",
    "passages": "passages",
    "statement": "statement",
    "issue_statement": "issue_statement",
    "issued_statement": "issued_statement",
    "issued_statements": "issued_statements",
    "statement_json": "download_statement",
    "statement_pdf": "download_statement",
    "report_schedule": "report_schedule",
    "report_schedules": "report_schedules",
    "add_report_schedule": "set_report_schedule",
    "change_report_schedule": "set_report_schedule",
    "end_report_schedule": "end_report_schedule",
    "threshold_promise": "threshold_promise",
    "threshold_promises": "threshold_promises",
    "start_containment": "start_containment",
    "calibrate_station": "calibrate",
    "calibrations": "calibrations",
    "input_checks": "input_checks",
    "size_rule": "size_rule",
    "set_size_rule": "set_size_rule",
    "store_calibration_picture": "store_calibration_picture",
    "model_version_release": "release",
    "promotion_gates": "promotion_gates",
    "set_promotion_gates": "set_promotion_gates",
    "signature_rules": "signature_rules",
    "set_signature_rules": "set_signature_rules",
    "measurement_studies": "measurement_studies",
    "measurement_study": "measurement_study",
    "start_measurement_study": "start_measurement_study",
    "measurement_study_task": "measurement_study_task",
    "measurement_study_image": "measurement_study_image",
    "answer_measurement_study": "answer_measurement_study",
    "measurement_study_pdf": "download_measurement_study",
    "withdraw_approval_of_model_version": "withdraw_approval",
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


def test_a_part_of_several_views(client: Client, version: ModelVersion, deployment: Any, tmp_path: Path) -> None:
    views = [{"name": "top", "category": "disc"}, {"name": "left", "category": "disc", "station": "camera 2"}]
    made = client.set_part_layout("housing", views, time_limit_seconds=60, reason="two cameras")
    fits(made, shapes.PartLayout)
    assert each(client.part_layouts(), shapes.PartLayout) == [client.part_layout("housing")]
    images = {"top": parts.png(1), "left": parts.png(2, defective=True)}
    whole = client.inspect_part("housing", images, part_id="P1", lot="L1")
    assert (whole["outcome"], whole["lot"]) == ("defective", "L1")
    fits(whole, shapes.Part)
    assert client.inspect_part("housing", images, part_id="P1", lot="L1")["id"] == whole["id"]
    assert client.inspect_part("housing", images)["id"] != whole["id"]
    begun = client.inspect_view("housing", "P2", "top", parts.png(1))
    assert begun["outcome"] is None
    assert each(client.parts(status="open"), shapes.Part) == [begun]
    assert client.inspect_view("housing", "P2", "left", parts.png(3))["outcome"] == "good"
    assert client.part(begun["id"])["status"] == "closed"
    assert [part["part_id"] for part in client.parts(outcome="good", page_size=1)] == ["P2"]
    assert len(client.export_parts(tmp_path / "parts.csv", lot="L1").read_text().splitlines()) == 2
    with pytest.raises(ApiProblem) as problem:
        client.inspect_view("housing", "P2", "left", parts.png(4))
    assert problem.value.code == "view_sent_already"
    assert client.retire_part_layout("housing", reason="over")["in_use"] is False


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
    fits(client.model_card(row["id"]), shapes.ModelCard)
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


def test_a_version_is_approved_and_passes_gates(
    connect: Connect, client: Client, administrator: User, version: ModelVersion
) -> None:
    assert client.release(version.pk) == {
        "model_version": version.pk,
        "stage": "candidate",
        "approval": None,
        "gates": [],
        "passed": True,
    }
    gates = client.set_promotion_gates("disc", reason="contract", min_lamp_tolerance=0.05, verify_artifact=True)
    fits(gates, shapes.PromotionGates)
    assert client.promotion_gates("disc") == gates
    approved = client.approve(version.pk, reason="line trial")
    fits(approved, shapes.Release)
    assert (approved["stage"], approved["passed"]) == ("approved", False)
    assert [(gate["name"], gate["passed"]) for gate in approved["gates"]] == [
        ("min_lamp_tolerance", False),
        ("verify_artifact", True),
    ]
    with pytest.raises(ApiProblem) as problem:
        client.promote(version.pk, reason="x")
    assert (problem.value.status, problem.value.code) == (409, "gate_refused")
    assert client.withdraw_approval(version.pk, reason="wrong lamp")["approval"] is None
    User.objects.filter(username="olga").update(first_name="Olga", last_name="Meier")
    rules = connect(administrator).set_signature_rules("disc", reason="SOP 12", approval=True)
    fits(rules, shapes.SignatureRules)
    assert client.signature_rules("disc") == rules
    with pytest.raises(ApiProblem) as problem:
        client.approve(version.pk, reason="line trial")
    assert (problem.value.status, problem.value.code) == (422, "signature_required")
    signed = client.approve(
        version.pk, reason="line trial", signature={"password": "a-long-password", "meaning": "approved"}
    )
    assert signed["approval"]
    assert signed["approval"]["signature"]
    assert signed["approval"]["signature"]["printed_name"] == "Olga Meier"


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


def test_random_audits(connect: Connect, client: Client, operator: User, version: ModelVersion) -> None:
    plan = client.set_sampling_plan("disc", 50, shift_starts=["06:00", "18:00"], controls=1, reason="agreed")
    fits(plan, shapes.SamplingPlan)
    assert client.sampling_plan(plan["id"]) == plan
    assert each(client.sampling_plans(category="disc", in_force=True), shapes.SamplingPlan) == [plan]
    client.load_model(version.pk, device="cpu")
    for seed in range(5000, 5004):
        client.inspect(parts.png(seed))
    close(version.category)
    [shift] = each(client.audited_shifts(category="disc"), shapes.AuditedShift)
    otto = connect(operator)
    [part, _] = each(otto.blind_reviews(), shapes.BlindPart)
    assert otto.blind_review_image(part["part_id"]).startswith(b"\x89PNG")
    said = otto.review_blind(part["part_id"], "defective", defect_type="scratch")
    fits(said, shapes.BlindDecision)
    assert (said["outcome"], said["verdict"]) == ("good", "defective")
    one = client.audited_shift(shift["shift_id"])
    fits(one, shapes.AuditedShiftFigures)
    assert (one["figures"]["defective"], one["figures"]["open"]) == (1, 1)
    figures = client.random_audit(category="disc", model_version=version.pk)
    fits(figures, shapes.AuditFigures)
    assert figures["escape_rate"] == 1.0
    fits(client.export_audited_shift(shift["shift_id"]), shapes.RandomAuditExport)


def test_the_review_queue(client: Client, version: ModelVersion) -> None:
    client.load_model(version.pk, device="cpu")
    budget = client.set_review_budget("disc", 3, shift_starts=["06:00", "18:00"], reason="agreed")
    fits(budget, shapes.ReviewBudget)
    assert client.review_budget("disc") == budget
    judged(version, good=2)
    queue = client.review_queue("disc")
    fits(queue, shapes.ReviewQueue)
    answer = client.next_review("disc")
    fits(answer, shapes.NextCard)
    assert answer["card"]
    assert answer["card"]["inspection_id"] == queue["records"][0]["inspection_id"]
    made = client.decide_review(answer["card"]["card_id"], "defective", defect_type="scratch")
    fits(made, shapes.QueueDecision)
    assert made["overruled"]
    assert client.review_queue("disc")["progress"]["done"] == 1


def test_comparisons_with_production(client: Client, version: ModelVersion, dataset_folder: Path) -> None:
    [imported] = import_path(dataset_folder, actor=None, name="disc")
    dataset = imported.dataset
    ModelVersion.objects.filter(pk=version.pk).update(dataset_name=dataset.name, dataset_snapshot=dataset.snapshot)
    version.refresh_from_db()
    client.load_model(version.pk, device="cpu")
    new_good(version, person("rosa", "operator"), split="train")
    fits(client.retrain("disc"), shapes.Retraining)
    candidate = another(version)
    set_threshold(version=candidate, value=1e-6, method="manual", reason="all is rejected", actor=None)
    made = client.start_comparison(candidate.pk)
    fits(made, shapes.Comparison)
    one = client.comparison(made["comparison_id"])
    fits(one, shapes.Comparison)
    assert one["status"] == "finished"
    assert each(client.comparisons(model_version=candidate.pk), shapes.Comparison) == [one]
    assert len(each(client.comparison_images(made["comparison_id"]), shapes.ComparedImage)) == 5


def test_measurement_studies(client: Client, operator: User, user: User, version: ModelVersion) -> None:
    parts_of(version)
    made = client.start_measurement_study("disc", ["olga", "otto"], parts=20, trials=2, reason="line 2")
    fits(made, shapes.WholeMeasurementStudy)
    key = made["study_id"]
    task = client.measurement_study_task(key)
    fits(task, shapes.StudyTask)
    assert task["task"] == 0
    assert client.answer_measurement_study(key, 0, "good")["left"] == 39
    with pytest.raises(ApiProblem):
        client.measurement_study_image(key)  # the image of a made-up record is nowhere
    for who in (user, operator):
        judge_all(find_study(key), who)
    fits(client.measurement_study(key), shapes.WholeMeasurementStudy)
    assert client.download_measurement_study(key).startswith(b"%PDF")
    assert len(each(client.measurement_studies(), shapes.MeasurementStudy)) == 1


def test_promises(client: Client, version: ModelVersion) -> None:
    judged(version, good=3, defective=1)
    evidence = {"per_day": {"inspections": 4, "rejected": 1}, "rates_estimated": None}
    made = set_threshold(
        version=version, value=1.0, method="manual", evidence=evidence, reason="on its page", actor=None
    )
    [promise] = each(client.threshold_promises(), shapes.Promise)
    one = client.threshold_promise(made.pk)  # a little later: what came is as of now
    fits(one, shapes.Promise)
    assert one["threshold"] == promise["threshold"] == made.pk


def test_connections(client: Client, version: ModelVersion) -> None:
    client.load_model(version.pk, device="cpu")
    fits(client.connection_kinds(), shapes.Kinds)
    made = client.create_connection(
        name="MES",
        kind="webhook",
        settings={"url": "https://mes.example/"},
        secrets={"signing_secret": "a secret of sixteen characters"},
        line_time_ms=1500,
    )
    fits(made, shapes.FullConnection)
    key = made["connection_id"]
    assert client.change_connection(key, station="east")["settings"]["url"] == "https://mes.example/"
    fits(client.set_connection_secret(key, "signing_secret", "another one of sixteen"), shapes.FullConnection)
    assert client.end_connection_secrets(key, "signing_secret")["ended"] == 1
    client.inspect(parts.png(5000), station="east")
    [waiting] = each(client.deliveries(key, status="waiting"), shapes.Delivery)
    with pytest.raises(ApiProblem):
        client.resend_delivery(waiting["delivery_id"])
    assert client.resend_dead_letters(key)["resent"] == 0
    assert client.connection(key)["waiting"] == 1
    assert len(each(client.connections(), shapes.Connection)) == 1


def test_edge_nodes(connect: Connect, administrator: User) -> None:
    client = connect(administrator)
    made = client.create_edge_node("east", station="east")
    fits(made, shapes.NodeWithToken)
    key = made["node_id"]
    assert client.change_edge_node(key, enabled=False)["enabled"] is False
    assert client.renew_edge_node_token(key)["token"] != made["token"]
    fits(client.edge_node(key), shapes.Node)
    assert len(each(client.edge_nodes(), shapes.Node)) == 1


def test_what_passed(client: Client, version: ModelVersion) -> None:
    client.load_model(version.pk, device="cpu")
    client.inspect(parts.png(5000), station="east", serial_number="S1")
    passed = [{"counter": 1, "serial_number": "S1"}, {"counter": 3, "serial_number": "S3"}]
    reported = client.report_passages(passed, station="east", counter_last=9)
    fits(reported, shapes.Passages)
    assert reported["unreported"] == 1
    [counter] = each(client.passage_counters(station="east"), shapes.PassageCounter)
    assert [row["counter"] for row in each(client.passages(counter["counter_id"]), shapes.Passage)] == [3, 1]
    now = client.statement(basis="counter", counter_id=counter["counter_id"], first="1", last="3")
    fits(now, shapes.Statement)
    assert [row["kind"] for row in now["exceptions"]["rows"]] == ["missing", "unreported"]
    issued = client.issue_statement(station="east", first="S1", last="S3")
    fits(issued, shapes.IssuedStatement)
    assert client.issued_statement(issued["statement_id"]) == issued
    assert each(client.issued_statements(), shapes.IssuedStatement) == [issued]
    assert client.download_statement(issued["statement_id"]).startswith(b"%PDF")
    assert json.loads(client.download_statement(issued["statement_id"], "json"))["exceptions"]["parts"] == 2


def test_canaries(client: Client, version: ModelVersion) -> None:
    candidate = strict(version)
    client.load_model(version.pk, device="cpu")
    started = client.start_canary(candidate.pk, "east", reason="trial of May")
    fits(started, shapes.FullCanary)
    assert client.inspect(parts.png(5000), station="east")["model_version"] == candidate.pk
    assert client.inspect(parts.png(5000), station="west")["model_version"] == version.pk
    assert client.status()["canaries"][0]["station"] == "east"
    assert client.canary(started["canary_id"])["of_canary"]["defective"] == 1
    assert len(each(client.canaries(category="disc", active=True), shapes.Canary)) == 1
    assert client.end_canary(started["canary_id"], reason="rejects all")["active"] is False
    assert client.inspect(parts.png(5000), station="east")["model_version"] == version.pk


def test_challengers(client: Client, version: ModelVersion) -> None:
    candidate = strict(version)
    client.load_model(version.pk, device="cpu")
    started = client.start_challenger(candidate.pk, reason="trained with reviews", max_images=10)
    fits(started, shapes.FullChallenger)
    client.inspect(parts.png(5000))
    CHALLENGERS.publish(started["challenger_id"])
    assert client.challenger(started["challenger_id"])["scored"] == 1
    [row] = each(client.challengers(category="disc"), shapes.Challenger)
    assert row["disagreements"] == 1
    [result] = each(client.challenger_results(started["challenger_id"]), shapes.ChallengerResult)
    assert list(client.challenger_disagreements(started["challenger_id"], looked_at=False)) == [result]
    marked = client.mark_disagreement(result["id"], comment="dust")
    assert marked["mark"]
    assert marked["mark"]["comment"] == "dust"
    assert list(client.challenger_disagreements(started["challenger_id"], looked_at=False)) == []
    lines = client.download_challenger(started["challenger_id"]).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert result["inspection_id"] in lines[1]
    assert client.stop_challenger(started["challenger_id"], reason="enough")["end_reason"] == "enough"


def test_containments(client: Client, version: ModelVersion) -> None:
    client.load_model(version.pk, device="cpu")
    escape = client.inspect(parts.png(5000))["inspection_id"]
    client.inspect(parts.png(5001))
    client.review(escape, "defective")
    asked = client.start_containment(escape, reason="complaint 7", min_likeness=0.0, model_version=version.pk)
    fits(asked, shapes.Containment)
    for _ in range(3):  # the worker of a test does what is published when it is published
        CONTAINMENTS.publish(asked["containment_id"])
    done = client.wait_for_containment(asked["containment_id"])
    assert (done["status"], done["listed"]) == ("finished", 1)
    assert len(each(client.containments(), shapes.Containment)) == 1
    assert len(each(client.containment_parts(asked["containment_id"]), shapes.ContainedPart)) == 1
    assert client.download_containment(asked["containment_id"], "pdf").startswith(b"%PDF")
    csv = client.download_containment(asked["containment_id"])
    assert hashlib.sha256(csv).hexdigest() == done["list_sha256"]


def test_reports(client: Client, version: ModelVersion) -> None:
    client.load_model(version.pk, device="cpu")
    client.inspect(parts.png(5000), lot="L7")
    report = client.report(kind="lot", lot="L7")
    fits(report, shapes.Report)
    assert report["counts"]["records"] == 1
    assert client.download_report(category="disc").startswith(b"%PDF")
    assert b"lot L7" in client.download_report("csv", kind="lot", lot="L7")
    issued = client.issue_report(kind="lot", lot="L7")
    fits(issued, shapes.IssuedReport)
    assert client.issued_report(issued["report_id"]) == issued
    assert each(client.issued_reports(), shapes.IssuedReport) == [issued]
    first = client.download_issued_report(issued["report_id"])
    client.inspect(parts.png(5001), lot="L7")
    assert client.download_issued_report(issued["report_id"]) == first
    made = client.set_report_schedule("shift", ["quality@factory.example"], category="disc")
    fits(made, shapes.ReportSchedule)
    changed = client.set_report_schedule("day", ["a@b.example"], schedule_id=made["id"])
    assert client.report_schedule(made["id"]) == changed
    assert each(client.report_schedules(), shapes.ReportSchedule) == [changed]
    client.end_report_schedule(made["id"])
    assert each(client.report_schedules(), shapes.ReportSchedule) == []


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


def test_alarms_and_control_charts(client: Client, version: ModelVersion) -> None:
    alarm = drifted(version)
    [monitor] = each(client.drift_monitors(category="disc"), shapes.DriftMonitor)
    assert monitor["alarm"] == alarm.pk
    fits(client.drift_monitor(monitor["id"]), shapes.WholeDriftMonitor)
    assert len(each(client.alarms(status="unresolved"), shapes.Alarm)) == 1
    fits(client.acknowledge_alarm(alarm.pk), shapes.WholeAlarm)
    fits(client.comment_alarm(alarm.pk, "lamp 2 is dark"), shapes.WholeAlarm)
    fits(client.resolve_alarm(alarm.pk, "lamp replaced"), shapes.WholeAlarm)
    assert client.alarm(alarm.pk)["status"] == "resolved"
    fits(client.restart_drift_monitor(monitor["id"], "new lamp"), shapes.WholeDriftMonitor)
    part = client.add_reference_part("disc", "G-1", "good", note="measured by the lab", highest_score=3.0)
    fits(part, shapes.WholeReferencePart)
    assert len(each(client.reference_parts(category="disc"), shapes.ReferencePart)) == 1
    fits(client.station_states(), shapes.StationStates)
    assert client.station_states()["stations"][0]["state"] == "unproven"
    fits(client.retire_reference_part(part["id"], "worn"), shapes.WholeReferencePart)
    assert client.reference_part(part["id"])["retired_at"]


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
