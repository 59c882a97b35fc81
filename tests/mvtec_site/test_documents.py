"""Every document that the API answers, held strictly against its schema.

No member is missing, none is undeclared, each is of its type. What may be null is null once, and once it is not.
"""

from __future__ import annotations

import io
import json
import re
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from PIL import Image

from edge.deliveries.queue import begin, busy_lanes, finish, next_in
from edge.models import Connection, ConnectionStatus, EdgeNode, NodeAnchor
from edge.passages.services import Report, report_passages
from inspection.models import BatchRun, Inspection, InspectionRequest, PartRequest, Review
from inspection.part_layouts.services import ViewPlan, set_layout
from inspection.reviews.services import record_review, undo_reviews
from jobs import broker
from jobs.outbox import Refused
from modelzoo.lifecycle.services import approve_version
from modelzoo.loading.scoring import ImageScore
from modelzoo.models import Category, Deployment, ModelVersion
from modelzoo.scales.services import withdraw_calibration
from modelzoo.services import (
    append_threshold,
    ensure_category,
    fail_deployment,
    register_version,
    request_deployment,
    set_threshold,
)
from monitoring.alarms.services import open_alarm
from monitoring.models import Alarm, DoubtfulPeriod, ReferencePart
from mvtec_site.client_shapes import current_schema
from quality.measurement_system.selectors import find_study
from quality.models import Containment, MeasurementStudy
from quality.promises.services import compare_due_promise
from quality.random_audit.services import set_plan
from quality.review_queue.services import set_budget
from records.audit.services import make_checkpoint
from records.models import Asset, AuditVerification
from reports.models import ReportMessage, ReportSchedule
from reports.schedules.services import issue_due_reports
from reports.statements.scope import parse_scope
from reports.statements.services import issue_statement
from retention.models import RetentionPolicy, RetentionRun
from rollout.challengers import selectors
from rollout.challengers.services import CHALLENGERS, mark_disagreement
from rollout.models import Challenger
from tests import parts
from tests.boards import photograph
from tests.conftest import person
from tests.inspection.judging.test_services import inspect
from tests.monitoring.streams import checked, drifted, not_comparable
from tests.mvtec_site.test_api import upload
from tests.quality.audited import close, judged
from tests.quality.measurement_system.test_studies import judge_all, parts_of
from tests.retention.test_services import stored
from tests.rollout.live import live, strict
from tests.tasks import run_now
from tests.training.datasets.test_api import packed
from tests.tuning.retraining.test_retraining import new_good, trained
from tests.versions import another, serve
from training.models import Dataset, Evaluation, TrainingRun
from tuning.models import ComparedImage, Comparison, ReplayRun, RescoringRun, Retraining
from tuning.retraining.figures import Verdicts, compare

_FORMATS: dict[str, Callable[[Any], object]] = {"date-time": datetime.fromisoformat, "uuid": uuid.UUID}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


class Api:
    """Calls operations by their names, and holds each answer against the schema."""

    def __init__(self, client: Client) -> None:
        self.client = client
        schema = current_schema()
        self.components: dict[str, Any] = schema["components"]["schemas"]
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, methods in schema["paths"].items()
            for method, operation in methods.items()
        }
        self.workers = True
        self.called: set[str] = set()
        self.seen: defaultdict[str, set[str]] = defaultdict(set)
        """For each member of a component: whether it was null and whether it was something else."""

    def __call__(self, name: str, /, *where: object, query: Any = None, files: Any = None, **body: Any) -> Any:
        method, path, operation = self.operations[name]
        values = iter(where)
        address = re.sub(r"{\w+}", lambda _: str(next(values)), path)
        if method == "get":
            response = self.client.get(address, query)
        elif files is not None:
            response = self.client.post(address, body | files)
        else:
            response = self.client.generic(method.upper(), address, json.dumps(body), content_type="application/json")
        assert response.status_code < 300, (name, response.status_code, response.content)
        declared = operation["responses"][str(response.status_code)]
        shape = declared["content"]["application/json"]["schema"]
        document = json.loads(response.getvalue())
        self.check(shape, document, name)
        self.called.add(name)
        return document

    def documents(self) -> set[str]:
        """The operations that answer one."""
        return {
            name
            for name, (_, _, operation) in self.operations.items()
            if any("application/json" in answer.get("content", {}) for answer in operation["responses"].values())
        }

    def check(self, shape: dict[str, Any], value: Any, place: str) -> None:
        if "$ref" in shape:
            self._check_component(shape["$ref"].rpartition("/")[2], value, place)
        elif value is None and (shape.get("nullable") or not shape.keys() & {"type", "enum", "allOf", "oneOf"}):
            return
        elif variants := shape.get("allOf") or shape.get("oneOf"):
            self.check(variants[0], value, place)
        else:
            self._check_plain(shape, value, place)

    def _check_component(self, name: str, value: Any, place: str) -> None:
        shape = self.components[name]
        if variants := shape.get("oneOf"):
            names = [one["$ref"].rpartition("/")[2] for one in variants]
            fitting = [one for one in names if value.keys() >= set(self.components[one]["required"])]
            assert fitting, f"{place}: {value!r} is none of {names}"
            self._check_component(fitting[0], value, place)
            return
        if "properties" not in shape:
            self._check_plain(shape, value, place)
            return
        assert isinstance(value, dict), f"{place}: {value!r} is no {name}"
        properties = shape["properties"]
        assert value.keys() <= properties.keys(), f"{place}: not in {name}: {value.keys() - properties.keys()}"
        missing = set(shape.get("required", ())) - value.keys()
        assert not missing, f"{place}: missing of {name}: {missing}"
        for member, one in value.items():
            self.seen[_member(name, member)].add("null" if one is None else "a value")
            self.check(properties[member], one, f"{place}.{member}")

    def _check_plain(self, shape: dict[str, Any], value: Any, place: str) -> None:
        if "enum" in shape:
            assert value in shape["enum"], f"{place}: {value!r} is none of {shape['enum']}"
        if "type" not in shape:
            return
        expected = _TYPES[shape["type"]]
        assert isinstance(value, expected), f"{place}: {value!r} is no {shape['type']}"
        assert isinstance(value, bool) == (shape["type"] == "boolean"), f"{place}: {value!r} is no {shape['type']}"
        if read := _FORMATS.get(shape.get("format", "")):
            read(value)  # raises ValueError
        for index, one in enumerate(value if isinstance(value, list) else ()):
            self.check(shape["items"], one, f"{place}[{index}]")
        for key, one in value.items() if isinstance(value, dict) else ():
            self.check(shape["additionalProperties"], one, f"{place}.{key}")

    def unproved(self) -> set[str]:
        """Members of answers that never had a value, or were never the null that they may be."""
        left = set()
        for name, shape in self.components.items():
            if "properties" not in shape or name.endswith("Request") or name == "ProblemOutput":
                continue
            for member, one in shape["properties"].items():
                # All pages of lists are of one making: what one of them shows holds for the others.
                seen = self.seen[_member(name, member)]
                if "a value" not in seen:
                    left.add(f"{name}.{member} has no value")
                if one.get("nullable") and "null" not in seen:
                    left.add(f"{name}.{member} is not null")
        return left


def _member(component: str, member: str) -> str:
    return f"{'Page' if component.endswith('PageOutput') else component}.{member}"


@pytest.fixture
def api(db: None, worker: None, monkeypatch: pytest.MonkeyPatch) -> Api:
    """For somebody who may do anything. What is published is done at once where workers are there; nobody trains."""
    client = Client()
    client.force_login(person("ada", "admin", "engineer"))
    made = Api(client)

    def publish(task: str, *ids: object) -> bool:
        return made.workers and not task.startswith("training.") and run_now(task, *ids)

    monkeypatch.setattr(broker, "publish", publish)
    return made


# What cannot be: a token that is issued at this moment was neither revoked nor used; a data set of reviewed images was
# read from no folder, and one that was imported always was. The outlines in a batch's items are those of the records,
# which have them. Image statistics are missing only in records that are older than they are, and authenticators in
# events that are. When a token was used last, and what workers hold in memory, comes by way of the broker, which is not
# here.
UNPROVED = {
    "IssuedTokenOutput.revoked_at has no value",
    "IssuedTokenOutput.last_used_at has no value",
    "DatasetOfReviewsOutput.duplicates has no value",
    "DatasetOfReviewsOutput.layout has no value",
    "ImportedDatasetOutput.duplicates is not null",
    "ImportedDatasetOutput.layout is not null",
    "BatchItemOutput.ignored_outlines has no value",
    *(
        f"BatchItemOutput.{name} has no value"
        for name in (
            "calibration",
            "mm_per_px",
            "largest_region_mm2",
            "min_region_mm2",
            "ignored_region_count",
            "severity",
        )
    ),
    "BatchItemOutput.image_statistics is not null",
    "InspectionOutput.image_statistics is not null",
    *(f"HashedEventOutput.{name} is not null" for name in ("attests", "authenticator", "key_id")),
    "TokenOutput.last_used_at has no value",
    *(
        f"WarmModelOutput.{name} has no value"
        for name in ("device", "model_version", "name", "precision", "runtime", "size_bytes", "used_at")
    ),
    *(f"WorkerMemoryOutput.{name} has no value" for name in ("budget_bytes", "evictions", "models", "size_bytes")),
}


def test_every_document_is_as_the_schema_says(
    api: Api, version: ModelVersion, blank: bytes, dataset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people_and_their_tokens(api)
    nothing_yet(api, version)
    data_sets_and_training(api, version, dataset_folder)
    versions_and_deployments(api, version)
    inspections(api, version, blank)
    batches(api, blank)
    parts_of_several_views(api, blank)
    reviews_and_tuning(api, version)
    challengers(api, version)
    quality(api, version)
    connections(api)
    edge_nodes(api)
    passages(api)
    retraining(api, version)
    promises(api, version)
    monitoring(api, version)
    reports(api, version)
    retention(api)
    nobody_works(api, version, monkeypatch)
    nobody_asked_for_it(api)
    measurement_studies(api, version)
    audit(api)
    assert api.called == api.documents()
    assert sorted(api.unproved() - UNPROVED) == []
    assert api.unproved() >= UNPROVED


def people_and_their_tokens(api: Api) -> None:
    api("me")
    issued = api("issue_token", name="line 4", scopes=["inspect"], expires_in_days=30)
    endless = api("issue_token", name="line 5", scopes=["inspect", "read"])
    for token in (issued, endless):
        with_token = Client(headers={"Authorization": f"Bearer {token['key']}"})
        api.check({"$ref": "#/components/schemas/MeOutput"}, with_token.get("/api/me").json(), "me")
    api("issue_token", name="never used", scopes=["inspect"])
    api.client.delete(f"/api/tokens/{issued['id']}")
    api("token", issued["id"])
    api("tokens")
    page = api("tokens", query={"limit": "1"})
    assert api.client.get(page["next"]).json()["previous"]
    api.check({"$ref": "#/components/schemas/TokenPageOutput"}, api.client.get(page["next"]).json(), "tokens")


def nothing_yet(api: Api, version: ModelVersion) -> None:
    api("status")
    api("default_category")
    api("categories")
    api("input_checks", "disc")
    api("promotion_gates", "disc")
    api("what_if", query={"model_version": version.pk, "cost_false_reject": "1", "cost_escape": "50"})
    api("report")


def data_sets_and_training(api: Api, version: ModelVersion, folder: Path) -> None:
    (folder / "train/good/broken.png").write_bytes(b"nothing")
    (folder / "test/good/copy.png").write_bytes(next((folder / "train/good").glob("0*.png")).read_bytes())
    archive = SimpleUploadedFile("parts.zip", packed(folder, inside="disc"))
    [made] = api("import_datasets", files={"archive": archive})
    archive.seek(0)
    api("import_datasets", files={"archive": archive}, dry_run=True)
    api("datasets")
    api("dataset", made["id"])
    api("dataset_images", made["id"])
    Dataset.objects.update(created_by=None)
    archive.seek(0)
    api("import_datasets", files={"archive": archive})
    now = timezone.now()
    training = {"dataset": "disc", "algorithm": "padim"}
    for end in (
        {"status": "succeeded", "worker": "w", "started_at": now, "model_version": version, "versions": {"torch": "2"}},
        {"status": "failed", "error_code": "disk_full", "error": "No space.", "history": [{"epoch": 1, "loss": 0.5}]},
    ):
        run = api("start_training_run", **training)["id"]
        TrainingRun.objects.filter(pk=run).update(finished_at=now, **end)
        api("training_run", run)
    TrainingRun.objects.filter(pk=run).update(selection={"winner": {"name": "padim"}})
    api("training_run", run)
    mask = Image.new("1", (parts.SIDE, parts.SIDE))
    mask.paste(1, (0, 0, 40, 40))
    stored_mask = api("store_ignore_mask", files={"mask": upload(parts.encode(mask), "mask.png")})["sha256"]
    api("start_training_run", **training, ignore_mask=stored_mask, ignore_mask_version=version.pk)
    api("cancel_training_run", api("start_training_run", **training)["id"])
    extended = api("extend_model_version", version.pk, dataset=str(made["id"]))["id"]
    TrainingRun.objects.filter(pk=extended).update(status="succeeded", model_version=(longer := another(version)))
    api("model_version", longer.pk)
    for drawn in ({"sha256": stored_mask, "drawn_on_version": version.pk}, {"sha256": None, "drawn_on_version": None}):
        longer.preprocessing["ignore_mask"] = {"share": 0.2, "agreement": 1.0, **drawn}
        longer.save(update_fields=["preprocessing"])
        api("model_version", longer.pk)
    api("training_runs")


def versions_and_deployments(api: Api, version: ModelVersion) -> None:
    api("model_version_metrics", version.pk)
    api("model_version_card", version.pk)
    call_command("evaluate", model_version=str(version.pk), robustness=True, json=True, stdout=io.StringIO())
    api("model_version_metrics", version.pk)
    measured = Evaluation.objects.get(metrics__robustness__isnull=False)
    robustness = measured.metrics["robustness"]
    for change in (None, 0.5):
        for row in (robustness["baseline"], *robustness["disturbances"]):
            row |= {"change_median": change, "change_p95": change}
        measured.pk = None
        measured.save(force_insert=True)
        api("model_version_metrics", version.pk)
        api("model_version_card", version.pk)
    many = another(version)
    many.held_out_scores = [1 + index / 100 for index in range(100)]
    many.learning_curve = [[10, 1.4], [20, 1.2], [100, 1.1]]
    many.metrics = measured.metrics
    many.save(update_fields=["held_out_scores", "learning_curve", "metrics"])
    api("model_version_card", many.pk)
    append_threshold(
        version=many, value=1.9, method="conformal", parameters={"false_reject_rate": 0.1}, reason="test", actor=None
    )
    api("model_version_metrics", many.pk)
    many.held_out_scores = []
    imported = {
        "category": "disc",
        "number": 3,
        "id": 9,
        "created_at": many.created_at.isoformat(),
        "created_by": "ina",
    }
    imported |= {"threshold_revision": 2, "key_id": "0" * 16, "fingerprint": "0" * 64, "package_sha256": "1" * 64}
    for before in (None, imported):
        many.origin = imported | {"data": {}, "robustness": None, "before": before}
        many.save(update_fields=["held_out_scores", "origin"])
        api("model_version", many.pk)
        api("model_version_card", many.pk)
    api("model_version_metrics", many.pk)
    made = api("set_threshold", model_version=version.pk, value=21.5, reason="test", evidence={"lot": "L1"})
    api("threshold", made["id"])
    api("set_threshold", model_version=version.pk, method="percentile", parameters={"percentile": 90}, reason="rule")
    api("thresholds")
    for other in (bare(), version):
        api("model_version", other.pk)
        api("model_version_card", other.pk)
        api("model_version_metrics", other.pk)
    api("model_versions")
    api("promote_model_version", version.pk, reason="best", device="cpu")
    api("load_model", model_version=str(version.pk), device="cpu")
    value = version.thresholds.get(revision=1).value
    deployed = api("deploy", model_version=version.pk, threshold=value, threshold_reason="line 2", device="cpu")
    api("deployment", deployed["id"])
    api("promote_model_version", another(version).pk, reason="better", device="cpu")
    api("roll_back_category", "disc", reason="worse after all")
    api("archive_model_version", another(version).pk, reason="never used")
    api("set_default_category", category="disc", reason="discs only")
    api("default_category")
    fail_deployment(deployment=request_deployment(version=version, actor=None), code="oom", error="No memory.")
    api("deployments")
    api("categories")
    api("status")
    api("set_input_checks", "disc", aspect="warn", likeness="off", reason="two cameras")
    sizes(api, version)
    candidate = another(version)
    api("set_promotion_gates", "disc", min_lamp_tolerance=0.05, verify_artifact=True, reason="contract")
    api("set_promotion_gates", "disc", max_error_increase=0.01, reason="not worse")
    api("approve_model_version", candidate.pk, reason="line trial")
    api("model_version_release", candidate.pk)
    api("withdraw_approval_of_model_version", candidate.pk, reason="wrong lamp")
    api("signature_rules", "disc")
    api("set_signature_rules", "disc", approval=True, threshold=True, reason="SOP 12")
    User.objects.filter(username="ada").update(first_name="Ada", last_name="Lind")
    secret = {"username": "ada", "password": "a-long-password", "meaning": "approved"}
    api("approve_model_version", candidate.pk, reason="signed", signature=secret)
    api("set_threshold", model_version=candidate.pk, value=21.5, reason="signed", signature=secret)
    api("thresholds")
    api("withdraw_approval_of_model_version", candidate.pk, reason="signed too", signature=secret)
    api("set_signature_rules", "disc", approval=False, threshold=False, reason="over")
    approve_version(version=candidate, reason="from the command line", actor=None)
    api("model_version_release", candidate.pk)
    figures = {"dataset_name": "disc", "min_recall": 0.9, "max_false_reject_rate": 0.05, "min_challenger_images": 9}
    api("set_promotion_gates", "disc", **figures, reason="contract")
    nothing: dict[str, Any] = dict.fromkeys(
        ("min_recall", "max_false_reject_rate", "min_lamp_tolerance", "min_challenger_images", "max_error_increase")
    )
    api("set_promotion_gates", "disc", **nothing, verify_artifact=False, reason="over")
    api("promote_model_version", candidate.pk, reason="signed", device="cpu", signature=secret)
    api("roll_back_category", "disc", reason="back", signature=secret)
    api("deployments")


def sizes(api: Api, version: ModelVersion) -> None:
    """A station that is calibrated in both ways, a size rule, and the end of both."""
    length = {"method": "known_length", "points": [[5, 5], [85, 5]], "length_mm": 8, "station": "east"}
    stored = api("store_calibration_picture", files={"image": upload(parts.png(1), "gauge.png")})["sha256"]
    api("calibrate_station", "disc", **length, picture=stored, reason="gauge")
    board = {"method": "checkerboard", "columns": 7, "rows": 5, "square_mm": 8, "station": "board"}
    pixels = Image.fromarray(photograph(square_px=40, size=(500, 400), columns=7, rows=5))
    stored = api("store_calibration_picture", files={"image": upload(parts.encode(pixels), "board.png")})["sha256"]
    api("calibrate_station", "disc", **board, picture=stored, reason="lens")
    api("set_size_rule", version.pk, min_area_mm2=0.01, grades=[{"name": "minor"}], reason="agreed")
    api("size_rule", version.pk)
    api("thresholds")
    for defective in (True, False):
        api("inspection", inspect(version, defective=defective, station="east").pk)
    api("set_size_rule", version.pk, reason="over")
    api("calibrate_station", "disc", method="withdrawn", station="board", reason="moved")
    withdraw_calibration(category=version.category, station="east", reason="camera moved", actor=None)
    api("calibrations", "disc")


def bare() -> ModelVersion:
    """One without a backbone, of another category; put in force by nobody."""
    made = register_version(
        category=ensure_category(name="ring"),
        actor=User.objects.get(username="ada"),
        algorithm="autoencoder",
        artifact="ring/run-1-1",
        artifact_sha256="1" * 64,
        artifact_bytes=1,
        config={},
        metrics={"image": {"auroc": 0.9}},
        dataset_name="ring",
        dataset_snapshot="1" * 64,
        seed=0,
        versions={},
        held_out_scores=[1.0, 2.0],
    )
    set_threshold(version=made, value=2.0, method="manual", reason="test", actor=None)
    serve(made)
    return made


def inspections(api: Api, version: ModelVersion, blank: bytes) -> None:
    fields = {"category": "disc", "lot": "L1"}
    good = api("test_image", files={"image": upload(parts.png(5000)), "anomaly_map": "url", **fields})
    api("test_image", files={"image": upload(parts.png(5001, defective=True)), **fields})
    api("test_image", files={"image": upload(blank), **fields})
    with pytest.MonkeyPatch.context() as patch:  # as a version with a mask would
        patch.setattr(ImageScore, "ignored_outlines", lambda score: [[[0, 0], [9, 0], [9, 9]]])
        api("test_image", files={"image": upload(parts.png(5004)), **fields})
    stretched = parts.part(5002)[0].resize((768, 96))
    odd = api("test_image", files={"image": upload(parts.encode(stretched)), "anomaly_map": "none", **fields})
    assert odd["warnings"]
    inspect(version, seed=5003)
    api("inspections")
    api("inspection", good["inspection_id"])
    ended = InspectionRequest.objects.get(inspection=good["inspection_id"])
    again = InspectionRequest.objects.create(
        asset=ended.asset, model_version=version, filename="a.png", source="api", status="failed", error_code="x"
    )
    InspectionRequest.objects.create(
        model_version=version, filename="b.png", source="api", status="failed", error_code="not_an_image"
    )
    api("request", again.pk)
    api("inspect_again", again.pk)
    for request in InspectionRequest.objects.all():
        api("request", request.pk)


def parts_of_several_views(api: Api, blank: bytes) -> None:
    views = [{"name": "top", "category": "disc", "station": "camera 1"}, {"name": "left", "category": "disc"}]
    api("set_part_layout", "housing", views=views, time_limit_seconds=60, reason="two cameras")
    set_layout(
        name="by-command",
        views=[ViewPlan("top", Category.objects.get(name="disc"))],
        time_limit_seconds=9,
        reason="by command",
        actor=None,
    )
    api("part_layouts")
    api("part_layout", "housing")
    about = {"layout": "housing", "lot": "L7", "station": "press 4", "part_number": "PN", "serial_number": "SN"}
    images = {"top": upload(parts.png(61)), "left": upload(parts.png(62, defective=True))}
    whole = api("inspect_part", files={**about, "part_id": "P1", **images})
    left = whole["views"][1]["inspection_id"]
    api("review", left, verdict="defective", defect_type="scratch")
    api("part", whole["id"])
    refused = api("inspect_part", files={**about, "part_id": "P2", "top": upload(b"junk"), "left": upload(blank)})
    api("part", refused["id"])
    begun = api("inspect_view", files={**about, "part_id": "P3", "view": "top", "image": upload(parts.png(63))})
    api("parts", query={"status": "open"})
    PartRequest.objects.filter(pk=begun["id"]).update(operator=None)
    api("part", begun["id"])
    api("parts")
    page = api("parts", query={"limit": "1"})
    assert api.client.get(page["next"]).json()["previous"]
    api("retire_part_layout", "housing", reason="over")
    api("report")


def batches(api: Api, blank: bytes) -> None:
    images = [upload(parts.png(1)), upload(blank, "b.png"), upload(b"junk", "c.png"), upload(parts.png(2))]
    done = api("create_batch", files={"images": images, "category": "disc"})
    api("batch_test", files={"images": [upload(parts.png(3))], "category": "disc", "wait": "5"})
    api(
        "review",
        InspectionRequest.objects.filter(batch=done["batch_id"], status="done")[0].inspection.pk,
        verdict="good",
    )
    api("request", InspectionRequest.objects.filter(batch=done["batch_id"])[0].pk)
    api("batch", done["batch_id"])
    api("batch_report", done["batch_id"], query={"format": "json"})


def reviews_and_tuning(api: Api, version: ModelVersion) -> None:
    judged = {row["outcome"]: row["inspection_id"] for row in api("inspections", query={"lot": "L1"})["results"]}
    said = api("review", judged["good"], verdict="defective", defect_type="scratch", comment="look")
    region = {"x": 1, "y": 1, "width": 9, "height": 9}
    api("review", judged["defective"], verdict="defective", regions=[region])
    secret = {"username": "ada", "password": "a-long-password", "meaning": "reviewed"}
    api("review", judged["not_comparable"], verdict="good", signature=secret)
    ada, otto = User.objects.get(username="ada"), person("otto", "operator")
    record_review(inspection=Inspection.objects.get(pk=judged["defective"]), actor=otto, verdict="defective")
    api("agreement")
    api("agreement", query={"lot": "nothing"})
    record_review(inspection=Inspection.objects.get(pk=judged["not_comparable"]), actor=otto, verdict="good")
    api("agreement")
    api("inspection", judged["good"])
    api("inspection_reviews", judged["good"])
    api("one_review", said["review_id"])
    undo_reviews(reviews=[Review.objects.get(pk=said["review_id"])], actor=ada)
    api("reviews")
    api("inspections")
    for _ in range(2):
        api("dataset_from_reviews", name="seen", category="disc", test_share=1.0)
        Dataset.objects.update(created_by=None)
    options = {"compare": "yes", "bins": "20", "presets": "yes", "cost_false_reject": "1", "cost_escape": "50"}
    api("what_if", query={"model_version": version.pk, "threshold": "20", **options})
    api("what_if", query={"model_version": version.pk})
    Asset.objects.filter(inspections=judged["good"]).update(discarded_at=timezone.now())
    run = api("create_rescoring", model_version=str(version.pk), reason="the same again", device="cpu")
    api("rescoring", run["rescoring_id"])
    api("rescoring_results", run["rescoring_id"])
    api("rescorings")


def review_queue(api: Api, version: ModelVersion) -> None:
    api("review_budget", "disc")
    serve(version)
    set_plan(category=version.category, percent=Decimal(100), shift_starts=["06:00"], reason="all", actor=None)
    close(version.category)
    judged(version, good=1)
    close(version.category)
    judged(version, good=3)
    api("review_queue", "disc")
    api("set_review_budget", "disc", per_shift=2, shift_starts=["06:00"], reason="agreed")
    decisions = iter(["unclear", "skipped", "good"])
    while card := api("next_review", "disc")["card"]:
        api("decide_review", card["card_id"], decision=next(decisions, "skipped"))
    set_budget(category=version.category, per_shift=3, shift_starts=["06:00"], reason="by command", actor=None)
    api("review_budget", "disc")


def challengers(api: Api, version: ModelVersion) -> None:
    candidate = strict(version)
    serve(version)
    started = api("start_challenger", model_version=candidate.pk, reason="trained with reviews")
    unreadable, *records = live(4, begin=900, station="lab")
    unreadable.asset.file.delete(save=False)
    CHALLENGERS.publish(started["challenger_id"])
    found = [Challenger.objects.get(pk=started["challenger_id"])]
    assert (found[0].scored, found[0].failed) == (3, 1)
    rows = list(selectors.results(found[0], disagreements=True))
    api("mark_disagreement", rows[0].pk, comment="dust")
    mark_disagreement(result=rows[1], actor=None)
    record_review(inspection=records[0], actor=person("dora", "operator"), verdict="good")
    api("challenger_results", started["challenger_id"])
    api("challenger_disagreements", started["challenger_id"])
    api("challenger", started["challenger_id"])
    canary = api("start_canary", model_version=candidate.pk, station="east", reason="trial")
    live(1, begin=910, station="west")
    live(1, begin=911, station="east")
    api("canary", canary["canary_id"])
    api("status")
    api("deployments")
    api("canaries")
    Deployment.objects.filter(pk=canary["canary_id"]).update(requested_by=None)
    api("canaries")
    api("canary", canary["canary_id"])
    api("end_canary", canary["canary_id"], reason="enough")
    api("canaries")
    api("stop_challenger", started["challenger_id"], reason="enough")
    api("start_challenger", model_version=candidate.pk, reason="the next ten", max_images=10)
    Challenger.objects.filter(max_images=10).update(requested_by=None)
    api("challenger", Challenger.objects.get(max_images=10).pk)
    api("challengers")


def connections(api: Api) -> None:
    api("connection_kinds")
    secret = {"signing_secret": "a secret of sixteen characters"}
    asked = {"name": "MES", "kind": "webhook", "settings": {"url": "https://mes.example/"}, "secrets": secret}
    made = api("create_connection", **asked, category="disc", line_time_ms=1500)
    key = made["connection_id"]
    api("connections")
    api("change_connection", key, category=None, line_time_ms=None)
    api("set_connection_secret", key, name="signing_secret", value="another one of sixteen")
    api("connection", key)
    api("end_connection_secrets", key, name="signing_secret")
    live(1, begin=940, station="east")
    api("connection", key)
    [lane] = busy_lanes(key)
    for error in (None, Refused("gone")):
        live(1, begin=941, station="east")
        first = next_in(lane)[0]
        begin(first)
        finish(first, error)
    moment = timezone.now()
    ConnectionStatus.objects.create(
        connection_id=key, state="open", since=moment, seen_at=moment, error="503", error_at=moment
    )
    Connection.objects.filter(pk=key).update(created_by=None)
    api("connection", key)
    api("connections")
    api("deliveries", key)
    [letter] = api("deliveries", key, query={"status": "failed"})["results"]
    api("resend_delivery", letter["delivery_id"])
    api("resend_dead_letters", key)
    api("change_connection", key, enabled=False)


def edge_nodes(api: Api) -> None:
    made = api("create_edge_node", name="east", station="east")
    key = made["node_id"]
    api("edge_nodes")
    moment = timezone.now()
    node = EdgeNode.objects.get(pk=key)
    anchor = NodeAnchor.objects.create(
        node=node, first=1, sequence=1, head="0" * 64, hashes="0" * 64, created_at=moment
    )
    EdgeNode.objects.filter(pk=key).update(
        last_contact_at=moment,
        waiting=2,
        oldest_waiting_at=moment,
        refusal_code="conflict",
        refused_at=moment,
        created_by=None,
    )
    assert api("edge_node", key)["anchored_event"] == anchor.sequence
    api("renew_edge_node_token", key)
    api("edge_nodes")
    api("change_edge_node", key, enabled=False)
    node.refresh_from_db()
    EdgeNode.objects.filter(pk=key).update(created_by=node.user)
    api("renew_edge_node_token", key)


def passages(api: Api) -> None:
    """Reported by somebody with and without a counter, and over a connection; what is stated of them."""
    connection = Connection.objects.latest("pk")
    over_it = report_passages(station="press", reports=[Report(1), Report(4)], connection=connection)
    api("report_passages", station="east", passages=[{"serial_number": "S1"}])
    known = api("report_passages", station="oven", counter_last=9, passages=[{"counter": 1, "serial_number": "S7"}])
    api("report_passages", station="oven", counter_last=9, passages=[{"counter": 4, "serial_number": "S3"}])
    api("report_passages", station="oven", counter_last=9, passages=[{"counter": 2, "serial_number": "S9"}])
    for counter in api("passage_counters")["results"]:
        api("passages", counter["counter_id"])
    live(3, begin=950, station="oven", serial_number="S7")
    by_count = {"basis": "counter", "counter_id": known["counter_id"]}
    window = {"since": f"{timezone.now() - timedelta(days=2):%Y-%m-%d}", "until": "2999-01-01"}
    api("statement", query=by_count | window)
    api("statement", query={"basis": "counter", "counter_id": over_it.counter_id, "first": "1", "last": "4"})
    live(1, begin=953, station="west", serial_number="S8")
    live(1, begin=954, station="oven", serial_number="S9")
    first = Inspection.objects.filter(station="oven").latest("pk")
    like = {name: getattr(first.request, name) for name in ("asset", "model_version", "deployment")}
    of_part = {"filename": "x.png", "source": "api", "station": "oven", "serial_number": "S5"}
    InspectionRequest.objects.create(**like, **of_part, status="failed", error_code="broken")
    InspectionRequest.objects.create(**like, **of_part, deadline=timezone.now())
    asked = {"station": "oven", "first": "S5", "last": "S8"}
    api("statement", query=asked)
    api("statement", query=asked | {"station": "nowhere"})
    issued = api("issue_statement", **asked)
    issue_statement(scope=parse_scope(asked), actor=None)
    api("issued_statement", issued["statement_id"])
    api("statement_json", issued["statement_id"])
    api("issued_statements")


def retraining(api: Api, version: ModelVersion) -> None:
    dataset = Dataset.objects.filter(category=version.category, images__is_defective=True, images__split="test")[0]
    ModelVersion.objects.filter(pk=version.pk).update(dataset_name=dataset.name, dataset_snapshot=dataset.snapshot)
    version.refresh_from_db()
    assert version.stage == "production"
    new_good(version, person("rosa", "operator"), split="train", start=3000)
    api("retrain", "disc")
    candidate = trained(Retraining.objects.get())
    new_good(version, person("ruth", "operator"), split="train", start=4000)
    set_threshold(version=candidate, value=1e-6, method="manual", reason="all is rejected", actor=None)
    made = api("start_comparison", model_version=str(candidate.pk))
    assert api("comparison", made["comparison_id"])["figures"]
    [*_, last] = ComparedImage.objects.filter(comparison=made["comparison_id"], is_defective=False)
    ComparedImage.objects.filter(pk=last.pk).update(candidate_score=None)
    api("comparison_images", made["comparison_id"])
    ComparedImage.objects.filter(comparison=made["comparison_id"], is_defective=False).update(production_score=None)
    ComparedImage.objects.filter(pk=last.pk).update(candidate_score=0.0)
    api("comparison_images", made["comparison_id"])
    for is_defective in (False, True):  # of the others no rate
        figures = compare([is_defective], Verdicts([1.0], 2.0), Verdicts([3.0], 2.0)) | {"results_sha256": "0" * 64}
        Comparison.objects.filter(pk=made["comparison_id"]).update(figures=figures, requested_by=None)
        api("comparison", made["comparison_id"])
    api.workers = False
    api("start_comparison", model_version=str(candidate.pk))
    api.workers = True
    api("comparisons")


def quality(api: Api, version: ModelVersion) -> None:
    plan = {"category": "disc", "shift_starts": ["06:00"], "reason": "test"}
    made = api("set_sampling_plan", percent=50, controls=1, **plan)
    set_plan(category=version.category, percent=Decimal(0), shift_starts=["06:00"], reason="by command", actor=None)
    api("sampling_plans")
    api("sampling_plan", made["id"])
    judged(version, good=6, defective=1)
    shift = close(version.category)
    close(version.category)
    api("random_audit", query={"category": "disc"})
    queue = api("blind_reviews")["results"]
    assert len(queue) == 4
    for part, verdict in zip(queue, ("good", "defective", "doubtful", "good"), strict=True):
        api("review_blind", part["part_id"], verdict=verdict)
    for row in api("audited_shifts")["results"]:
        api("audited_shift", row["shift_id"])
    api("random_audit", query={"threshold": "987654"})
    api("random_audit")
    api("audited_shift_export", shift.pk)
    close(version.category)
    review_queue(api, version)
    escape, _, other = (inspect(version, seed=seed) for seed in (7000, 7001, 7002))
    assert other.map
    Asset.objects.filter(pk=other.map.pk).update(discarded_at=timezone.now())
    record_review(inspection=escape, actor=person("rick", "operator"), verdict="defective")
    asked = {"inspection_id": str(escape.pk), "reason": "complaint", "min_likeness": 0}
    for more in ({"model_version": version.pk}, {}):
        done = api("start_containment", **asked, **more)
        assert api("containment", done["containment_id"])["status"] == "finished"
        api("containment_parts", done["containment_id"])
        bound = {"station": "4", "since": timezone.now().isoformat(), "reference_parts": ["GOLD"]}
        Containment.objects.update(requested_by=None, bounds=[bound])
    api.workers = False
    api("start_containment", **asked)
    api.workers = True
    api("containments")


def reports(api: Api, version: ModelVersion) -> None:
    now = timezone.now()
    period = {"kind": "period", "since": f"{now - timedelta(days=360):%Y-%m-%d}"}
    period["until"] = f"{now + timedelta(days=3):%Y-%m-%d}"
    alarm = Alarm.objects.filter(category=version.category).latest("pk")
    part = ReferencePart.objects.filter(category=version.category).latest("pk")
    ReferencePart.objects.filter(pk=part.pk).update(created_at=now - timedelta(days=2), retired_at=None)
    times = {"begins_at": now - timedelta(hours=2), "ends_at": now - timedelta(hours=1)}
    for station, more in (("8", {}), ("9", times)):
        DoubtfulPeriod.objects.create(part=part, category=version.category, station=station, alarm=alarm, **more)
    ended = {"status": "resolved", "cause": "lamp", "resolved_at": now}
    opened: dict[str, Any] = {
        "kind": "drift",
        "category": version.category,
        "sentence": "Out of control.",
        "details": {},
    }
    by_somebody, by_the_system = (open_alarm(station=station, **opened) for station in ("8", "9"))
    Alarm.objects.filter(pk=by_somebody.pk).update(resolved_by=User.objects.get(username="ada"), **ended)
    Alarm.objects.filter(pk=by_the_system.pk).update(**ended)
    api("report", query=period)
    ReplayRun.objects.create(status="finished", finished_at=now, sample=1, seed="0" * 64, records=[])
    AuditVerification.objects.create(status="finished", finished_at=now, total=3, events=3)
    make_checkpoint(actor=None)
    record = Inspection.objects.filter(score__isnull=False, standing__isnull=True).order_by("-score")[0]
    record_review(inspection=record, verdict="defective", defect_type="dent", actor=User.objects.get(username="ada"))
    api("report", query=period | {"category": "disc"})
    issued = api("issue_report", **period)
    recipients = ["quality@factory.example"]
    made = api("add_report_schedule", kind="shift", category="disc", recipients=recipients)
    api("add_report_schedule", kind="day", recipients=recipients)
    ReportSchedule.objects.filter(kind="day").update(author=None)
    api("change_report_schedule", made["id"], kind="week", category="disc", recipients=recipients)
    ReportSchedule.objects.filter(pk=made["id"]).update(next_from=now - timedelta(days=15))
    [by_schedule] = issue_due_reports()
    ReportMessage.objects.create(report=by_schedule, target="a@b.example", status="sent", sent_at=now, due_at=now)
    api("issued_report", issued["report_id"])
    api("issued_report_json", issued["report_id"])
    api("issued_reports")
    api("report_schedule", made["id"])
    api("report_schedules")


def measurement_studies(api: Api, version: ModelVersion) -> None:
    """One by the reviews, judged to its end, and one that waits for an expert."""
    parts_of(version)
    people = [User.objects.get(username="ada"), person("emma", "operator")]
    body = {"category": "disc", "appraisers": ["ada", "emma"], "parts": 20, "trials": 2, "reason": "line 2"}
    made = api("start_measurement_study", **body)
    task = api("measurement_study_task", made["study_id"])
    api("answer_measurement_study", made["study_id"], task=task["task"], verdict="good")
    for who in people:
        judge_all(find_study(made["study_id"]), who)
    api("measurement_study_task", made["study_id"])
    api("measurement_study", made["study_id"])
    text = MeasurementStudy.objects.get(pk=made["study_id"]).results
    for name in ("kappa", "share"):  # of nothing, or where all said the same
        text = re.sub(rf'"{name}":-?[0-9.]+(e-[0-9]+)?', f'"{name}":null', text)
    text = re.sub(r'"(kappa_)?interval":\[[^]]*\]', r'"\1interval":null', text)
    MeasurementStudy.objects.update(author=None, results=text)
    api("measurement_study", made["study_id"])
    person("emil", "engineer")
    api("start_measurement_study", **body, expert="emil")
    api("measurement_studies")


def monitoring(api: Api, version: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(image_statistics={"brightness": [170.0, 171.0] * 20})
    first = drifted(version)
    open_alarm(kind="drift", category=version.category, station="", sentence="more of it", details={})
    api("drift_monitors")
    api("drift_monitor", first.details["monitor"])
    api("alarms")
    api("comment_alarm", first.pk, text="lamp 2 is dark")
    api("acknowledge_alarm", first.pk)
    api("resolve_alarm", first.pk, cause="lamp replaced")
    api("alarm", first.pk)
    open_alarm(kind="drift", category=version.category, station="4", sentence="x", details={})
    api("alarms")
    api("restart_drift_monitor", first.details["monitor"], reason="new lamp")
    part = {"category": "disc", "note": "measured by the lab"}
    golden = api(
        "add_reference_part", serial_number="G-1", expected="good", lowest_score=0.1, highest_score=9.9, **part
    )
    api("add_reference_part", serial_number="B-1", expected="defective", **part)
    ReferencePart.objects.filter(serial_number="B-1").update(author=None)
    checked(version, "G-1", "B-1")
    api("reference_part", golden["id"])
    api("reference_part", ReferencePart.objects.get(serial_number="B-1").pk)
    not_comparable(version, "B-1")
    api("reference_part", ReferencePart.objects.get(serial_number="B-1").pk)
    api("station_states")
    api("retire_reference_part", golden["id"], reason="worn")
    api("reference_parts")
    api("drift_monitors")


def promises(api: Api, version: ModelVersion) -> None:
    figures = {"inspections": 10.0, "rejected": 1.0, "false_rejects": 0.5, "escapes": 0.2}
    rates = {"false_reject_rate": 0.05, "escape_rate": 0.1}
    for evidence in ({"per_day": figures, "rates_estimated": rates}, {"per_day": figures, "rates_estimated": None}):
        made = set_threshold(
            version=version, value=20.0, method="manual", evidence=evidence, reason="on its page", actor=None
        )
        inspect(version, seed=made.revision)
        compare_due_promise(now=timezone.now() + timedelta(days=400))
        api("threshold_promise", made.pk)
    set_threshold(version=version, value=20.0, method="manual", evidence=evidence, reason="once more", actor=None)
    api("threshold_promises")


def retention(api: Api) -> None:
    policy = api("set_retention_policy", category="disc", good_after_days=30, good_keep_every=0, reason="storage")
    api("set_retention_policy", category="disc", maps_after_days=10, defective_after_days=20, reason="storage")
    api("retention_policy", policy["id"])
    api("retention_policies")
    stored(b"nobody's", days=5000)
    for category in ("disc", None):
        run = api("start_retention_run", category=category, dry_run=True)
        api("retention_run", run["id"])
    api("retention_runs")


def nobody_works(api: Api, version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits, and what was called off before it began."""
    api.workers = False
    batch = api("create_batch", files={"images": [upload(parts.png(4))], "category": "disc"})
    run = api("create_rescoring", model_version=str(version.pk), reason="once more", device="cpu")
    api("start_retention_run", category="disc", dry_run=True)
    request_deployment(version=version, actor=None)
    api("batch_report", batch["batch_id"], query={"format": "json"})
    for name in ("batches", "rescorings", "retention_runs", "deployments"):
        api(name)
    api("rescoring", run["rescoring_id"])
    api("cancel_batch", batch["batch_id"])
    api("cancel_rescoring", run["rescoring_id"])
    monkeypatch.setattr(broker, "live_workers", dict)
    monkeypatch.setattr(broker, "last_sign", lambda of: timezone.now())
    api("status")


def nobody_asked_for_it(api: Api) -> None:
    """What commands leave behind."""
    for model, who in (
        (TrainingRun, "requested_by"),
        (BatchRun, "requested_by"),
        (RescoringRun, "requested_by"),
        (RetentionRun, "requested_by"),
    ):
        model.objects.update(**{who: None})
    category = Category.objects.get(name="ring")
    RetentionPolicy.objects.create(category=category, revision=1, reason="by command")
    identities = {
        "training_run": "id",
        "batch": "batch_id",
        "rescoring": "rescoring_id",
        "retention_run": "id",
        "retention_policy": "id",
        "dataset": "id",
    }
    lists = ("training_runs", "batches", "rescorings", "retention_runs", "retention_policies", "datasets")
    for (one, identity), rows in zip(identities.items(), lists, strict=True):
        for row in api(rows)["results"]:
            api(one, row[identity])
            if one == "batch":
                api("batch_report", row[identity], query={"format": "json"})


def audit(api: Api) -> None:
    for event in api("audit_events", query={"limit": "500"})["results"]:
        api("audit_event", event["sequence"])
    sealed = api("make_audit_checkpoint")
    api("audit_checkpoint", sealed["sequence"])
    api("audit_checkpoints")
