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
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from PIL import Image

from inspection.models import BatchRun, Inspection, InspectionRequest, Review
from inspection.reviews.services import record_review, undo_reviews
from jobs import broker
from modelzoo.loading.scoring import ImageScore
from modelzoo.models import Category, ModelVersion
from modelzoo.services import (
    append_threshold,
    ensure_category,
    fail_deployment,
    register_version,
    request_deployment,
    set_threshold,
)
from mvtec_site.client_shapes import current_schema
from records.models import Asset
from retention.models import RetentionPolicy, RetentionRun
from tests import parts
from tests.conftest import person
from tests.inspection.judging.test_services import inspect
from tests.mvtec_site.test_api import upload
from tests.retention.test_services import stored
from tests.tasks import run_now
from tests.training.datasets.test_api import packed
from tests.versions import another, serve
from training.models import Dataset, Evaluation, TrainingRun
from tuning.models import RescoringRun

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
# which have them.
UNPROVED = {
    "IssuedTokenOutput.revoked_at has no value",
    "IssuedTokenOutput.last_used_at has no value",
    "DatasetOfReviewsOutput.duplicates has no value",
    "DatasetOfReviewsOutput.layout has no value",
    "ImportedDatasetOutput.duplicates is not null",
    "ImportedDatasetOutput.layout is not null",
    "BatchItemOutput.ignored_outlines has no value",
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
    reviews_and_tuning(api, version)
    retention(api)
    nobody_works(api, version, monkeypatch)
    nobody_asked_for_it(api)
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
    api("what_if", query={"model_version": version.pk, "cost_false_reject": "1", "cost_escape": "50"})


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
    many = another(version)
    many.held_out_scores = [1 + index / 100 for index in range(100)]
    many.learning_curve = [[10, 1.4], [20, 1.2], [100, 1.1]]
    many.save(update_fields=["held_out_scores", "learning_curve"])
    append_threshold(
        version=many, value=1.9, method="conformal", parameters={"false_reject_rate": 0.1}, reason="test", actor=None
    )
    api("model_version_metrics", many.pk)
    many.held_out_scores = []
    many.save(update_fields=["held_out_scores"])
    api("model_version_metrics", many.pk)
    made = api("set_threshold", model_version=version.pk, value=21.5, reason="test", evidence={"lot": "L1"})
    api("threshold", made["id"])
    api("set_threshold", model_version=version.pk, method="percentile", parameters={"percentile": 90}, reason="rule")
    api("thresholds")
    for other in (bare(), version):
        api("model_version", other.pk)
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
    api("review", judged["not_comparable"], verdict="good")
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
