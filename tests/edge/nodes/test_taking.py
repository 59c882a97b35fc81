"""A record of a node at its centre: taken once, only as its audit chain reports it, and only from a node."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from edge.centre.content import package_of
from edge.models import EdgeNode, ForwardedRecord
from edge.nodes.services import change_node, renew_token
from edge.nodes.verification import verify_node
from edge.nodes.wire import event_values, row_text
from inspection.models import Inspection
from modelzoo.models import ModelVersion, Threshold
from modelzoo.services import set_threshold
from records.audit.chain.audited_rows import verify_all
from records.audit.chain.hashes import hash_of
from records.models import AuditEvent, canonical
from tests import parts
from tests.chain import attest_people
from tests.edge.line import inspected
from tests.edge.nodes.conftest import Node

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


def last_refusal() -> dict[str, Any]:
    event = AuditEvent.objects.filter(kind="edge_node.refused").order_by("-sequence")[0]
    return dict(json.loads(event.after))


def test_a_record_becomes_a_record_of_the_centre(node: Node, record: Inspection) -> None:
    answer = node.forward_inspection(record)
    assert answer.status_code == 201, answer.content
    said = answer.json()
    assert (said["record_id"], said["repeated"]) == (str(record.pk), False)
    here = Inspection.objects.get(pk=said["inspection_id"])
    assert here.pk != record.pk
    same = (
        *(
            "asset_id",
            "map_id",
            "model_version_id",
            "category_id",
            "threshold_id",
            "threshold_value",
            "outcome",
            "score",
        ),
        *("p_value", "map_maximum", "regions", "region_count", "largest_region_px", "image_statistics", "timings"),
        *("filename", "station", "lot", "part_number", "serial_number", "device", "code_version", "created_at"),
    )
    assert {name: getattr(here, name) for name in same} == {name: getattr(record, name) for name in same}
    assert all(isinstance(region["x"], int) for region in here.regions or [])
    assert (here.source, here.deployment, here.operator) == ("node", None, None)
    assert here.worker.startswith("east: ")
    event = AuditEvent.objects.get(kind="inspection.recorded", object_id=str(here.pk))
    its_own = AuditEvent.objects.get(kind="inspection.recorded", object_id=str(record.pk))
    after = json.loads(event.after)
    assert event.actor_name == "node-east"
    assert (after["node"], after["node_record"]) == ("east", str(record.pk))
    assert after["node_row"] == json.loads(its_own.after)["row"]
    assert (after["node_sequence"], after["node_event"]) == (its_own.sequence, its_own.hash)
    attest_people()
    assert verify_all(records=True, files=True).sentence == ""


def test_what_is_not_comparable_is_taken_too(node: Node, deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Inspection.objects.create(
        request=_done_request(inspected(3, station="east")),
        asset=Inspection.objects.latest("created_at").asset,
        model_version=deployment.model_version,
        category=deployment.category,
        threshold=(threshold := Threshold.objects.latest("pk")),
        threshold_value=threshold.value,
        outcome="not_comparable",
        reason="several_parts",
        explanation="There are two parts.",
        filename="3.png",
        source="api",
        station="east",
        timings={},
        device="cpu",
        worker="w",
        code_version="1",
        created_at=timezone.now(),
    )
    _report(record)
    answer = node.forward_inspection(record)
    assert answer.status_code == 201, answer.content
    assert Inspection.objects.get(pk=answer.json()["inspection_id"]).reason == "several_parts"


def _done_request(before: Inspection) -> Any:
    request = before.request
    request.pk, request.idempotency_key = None, None
    request._state.adding = True
    import uuid

    request.pk = uuid.uuid4()
    request.save(force_insert=True)
    return request


def _report(record: Inspection) -> None:
    from django.db import transaction

    from inspection.audited_rows import expected_inspection
    from records.audit.services import audit

    with transaction.atomic():
        fresh = Inspection.objects.get(pk=record.pk)
        audit(kind="inspection.recorded", subject=fresh, actor=None, after=expected_inspection(fresh))


def test_a_repeat_is_answered_with_the_same_record(node: Node, record: Inspection) -> None:
    first, again = node.forward_inspection(record), node.forward_inspection(record)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"repeated": True}
    assert ForwardedRecord.objects.count() == 1
    assert Inspection.objects.count() == 2
    assert not AuditEvent.objects.filter(kind="edge_node.refused").exists()


def changed(record: Inspection, **columns: Any) -> dict[str, Any]:
    """The document of a record that somebody changed together with its event, so that each of them fits the other."""
    package = package_of(record)
    row = json.loads(row_text(record)) | columns
    text = canonical(row)
    event = package.document["event"]
    after = json.loads(event[8]) | {"row": hashlib.sha256(text.encode()).hexdigest()}
    return package.document | {"row": text, "event": [*event[:8], canonical(after), *event[9:]]}


def test_what_differs_from_the_first_is_refused_and_told(node: Node, record: Inspection) -> None:
    first, package = node.forward_inspection(record), package_of(record)
    assert first.status_code == 201
    answer = node.forward(changed(record, lot="8"), package.image, package.map)
    assert (answer.status_code, answer.json()["code"]) == (409, "node_record_differs")
    assert last_refusal()["record"] == str(record.pk)
    assert Inspection.objects.get(pk=first.json()["inspection_id"]).lot == "7"
    assert ForwardedRecord.objects.count() == 1


@pytest.mark.parametrize("what", ["row", "image", "map", "event", "no map", "verdict"])
def test_what_its_chain_does_not_report_is_refused_and_told(node: Node, record: Inspection, what: str) -> None:
    package = package_of(record)
    document, image, anomaly_map = dict(package.document), package.image, package.map
    assert anomaly_map
    if what == "row":
        document["row"] = document["row"].replace('"lot":"7"', '"lot":"8"')
    if what == "image":
        image = image[:-1] + bytes([image[-1] ^ 1])
    if what == "map":
        anomaly_map = anomaly_map[:-1] + bytes([anomaly_map[-1] ^ 1])
    if what == "event":
        document["event"] = [*document["event"][:6], "00000000-0000-0000-0000-000000000000", *document["event"][7:]]
    if what == "no map":
        anomaly_map = None
    if what == "verdict":  # chain and row agree, and both say what cannot be
        document = changed(record, outcome="good")
    answer = node.forward(document, image, anomaly_map)
    assert (answer.status_code, answer.json()["code"]) == (422, "node_record_invalid")
    assert last_refusal()["code"] == "node_record_invalid"
    assert not ForwardedRecord.objects.exists()
    assert Inspection.objects.count() == 1
    node.node.refresh_from_db()
    assert node.node.refusal_code == "node_record_invalid"


@pytest.mark.parametrize(
    "record_text",
    ["", "nothing", "[]", "{}", '{"schema": "node-record/2"}', '{"record_id": NaN}', "[" * 100_000],
)
def test_garbage_is_refused(node: Node, record_text: str) -> None:
    answer = node.forward(record_text, parts.png(1), None)
    assert answer.status_code in (400, 422), answer.content
    assert not ForwardedRecord.objects.exists()


@pytest.mark.parametrize(
    "event", [[], [1], ["1"] * 15, [0, *[""] * 14], [1, "no time", None, *[""] * 12], [2**70, *[""] * 14], {}, None]
)
def test_an_event_that_is_none_is_refused(node: Node, record: Inspection, event: Any) -> None:
    answer = node.forward_inspection(record, event=event)
    assert answer.status_code in (400, 422), answer.content
    assert node.anchor([event]).status_code == 400


def test_what_the_centre_does_not_know_yet_stays_on_the_node(node: Node, record: Inspection) -> None:
    def code(**changes: Any) -> str:
        answer = node.forward_inspection(record, **changes)
        assert answer.status_code == 409
        node.node.refresh_from_db()
        assert node.node.refusal_code == answer.json()["code"]
        return str(answer.json()["code"])

    assert code(artifact_sha256="0" * 64) == "node_model_unknown"
    assert code(category="ring") == "node_model_unknown"
    assert code(min_region_mm2=2.0) == "node_threshold_unknown"
    assert code(severity_grades=[{"name": "bad"}]) == "node_threshold_unknown"
    assert code(mm_per_px=0.5) == "node_calibration_unknown"
    change_node(node=node.node, station="west", actor=None)
    assert code() == "node_station_differs"
    change_node(node=node.node, station="", actor=None)
    assert not AuditEvent.objects.filter(kind="edge_node.refused").exists(), "it may come yet"
    assert node.forward_inspection(record).status_code == 201


def test_no_threshold_is_put_in_force_for_a_record(node: Node, record: Inspection, version: ModelVersion) -> None:
    set_threshold(version=version, value=record.threshold_value * 2, method="manual", reason="test", actor=None)
    answer = node.forward_inspection(record)
    assert Inspection.objects.get(pk=answer.json()["inspection_id"]).threshold == record.threshold
    assert Threshold.objects.count() == 2


def test_a_record_of_the_future_waits(node: Node, record: Inspection) -> None:
    package = package_of(record)
    later = (timezone.now() + timedelta(hours=1)).isoformat(timespec="microseconds")
    answer = node.forward(changed(record, created_at=later), package.image, package.map)
    assert (answer.status_code, answer.json()["code"]) == (409, "node_clock_ahead")


def test_only_an_enabled_node_is_let_in(node: Node, record: Inspection, user: User) -> None:
    other = Client()
    assert other.post("/api/edge-nodes/self/records").status_code == 401
    wrong = Client(headers={"Authorization": "Bearer mvt_wrong"})
    assert wrong.post("/api/edge-nodes/self/records").status_code == 401
    other.force_login(user)
    assert other.post("/api/edge-nodes/self/records").status_code == 403
    change_node(node=node.node, is_enabled=False, actor=None)
    answer = node.forward_inspection(record)
    assert (answer.status_code, answer.json()["code"]) == (403, "node_disabled")
    assert node.contact().json()["code"] == "node_disabled"
    change_node(node=node.node, is_enabled=True, actor=None)
    assert node.contact(waiting=3).status_code == 200
    token = renew_token(node=node.node, actor=None)
    assert node.contact().status_code == 401
    assert Node(node.node, token).contact().status_code == 200


def test_the_token_of_a_node_opens_nothing_else(node: Node, record: Inspection) -> None:
    for path in ("inspections", "status", "model-versions", "edge-nodes", "connections", "tokens", "audit-events"):
        assert node.client.get(f"/api/{path}").status_code in (403, 404), path
    image = {"image": (parts.png(1))}
    assert node.client.post("/api/test_image", image).status_code == 403
    assert node.client.post("/api/load_model", {}, content_type="application/json").status_code == 403
    assert node.client.get("/").status_code == 302


def test_a_node_with_the_token_of_another_one_is_told(node: Node) -> None:
    answer = node.client.post("/api/edge-nodes/self/contact", {"node": "west"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "node_name_differs")


# ---------------------------------------------------------------- anchors
def chain(first: int = 1) -> list[list[Any]]:
    return [event_values(event) for event in AuditEvent.objects.filter(sequence__gte=first).order_by("sequence")]


def test_the_chain_is_anchored_in_the_one_here(node: Node, record: Inspection) -> None:
    events = chain()
    answer = node.anchor(events[:3])
    assert answer.status_code == 200, answer.content
    assert answer.json()["head"] == AuditEvent.objects.get(sequence=3).hash
    assert node.anchor(events[:3]).json() == answer.json(), "a repeat"
    receipt = node.anchor(events[3:]).json()
    event = AuditEvent.objects.get(sequence=receipt["centre_event"])
    assert event.kind == "edge_node.anchored"
    assert json.loads(event.after)["head"] == receipt["head"]
    assert node.contact().json()["sequence"] == len(events)
    node.forward_inspection(record)
    report = verify_node(node.node)
    assert (report.records, report.pending, report.anchors, report.faults) == (1, 0, 2, [])
    attest_people()
    assert verify_all(records=True).sentence == ""


def test_a_chain_that_does_not_go_on_is_refused_and_told(node: Node, record: Inspection) -> None:
    events = chain()
    assert node.anchor(events[:3]).status_code == 200
    other = [*events[3]]
    other[3] = "somebody else"
    rewritten = [*events[4]]
    rewritten[12] = hash_of(other)
    for attempt in (events[4:], events[1:3][::-1], [other, events[4]], [events[1], other]):
        answer = node.anchor(attempt)
        assert (answer.status_code, answer.json()["code"]) == (409, "node_chain_differs"), attempt
        assert last_refusal()["code"] == "node_chain_differs"
    assert node.contact().json()["sequence"] == 3
    # An event that its record did not come with: found from either side.
    node.forward_inspection(record)
    its_own = AuditEvent.objects.get(kind="inspection.recorded", object_id=str(record.pk)).sequence
    forged = chain(4)[: its_own - 3]
    forged[-1][3] = "somebody else"
    assert node.anchor(forged).json()["code"] == "node_chain_differs"


def test_a_record_whose_event_was_anchored_as_another_one_is_refused(node: Node, record: Inspection) -> None:
    assert node.anchor(chain()).status_code == 200
    package = package_of(record)
    answer = node.forward(changed(record, lot="8"), package.image, package.map)
    assert (answer.status_code, answer.json()["code"]) == (409, "node_chain_differs")
    assert not ForwardedRecord.objects.exists()


def test_nodes_are_listed_with_how_they_are(node: Node, record: Inspection, signed_in: Client) -> None:
    node.contact(waiting=2, oldest_waiting_at=timezone.now().isoformat())
    node.forward_inspection(record)
    [listed] = signed_in.get("/api/edge-nodes").json()["results"]
    assert (listed["name"], listed["waiting"], listed["records"]) == ("east", 2, 1)
    assert signed_in.post("/api/edge-nodes", {"name": "x"}, content_type="application/json").status_code == 403


def test_an_administrator_makes_and_changes_nodes(administrator: User, db: None) -> None:
    client = Client()
    client.force_login(administrator)
    made = client.post("/api/edge-nodes", {"name": "west"}, content_type="application/json")
    assert made.status_code == 201
    key = made.json()["node_id"]
    assert Node(EdgeNode.objects.get(pk=key), made.json()["token"]).contact().status_code == 200
    taken = client.post("/api/edge-nodes", {"name": "west"}, content_type="application/json")
    assert taken.json()["code"] == "edge_node_name_taken"
    changed_ = client.patch(f"/api/edge-nodes/{key}", {"enabled": False}, content_type="application/json")
    assert changed_.json()["enabled"] is False
    other = client.post(f"/api/edge-nodes/{key}/token", {}, content_type="application/json")
    assert other.json()["token"] != made.json()["token"]
    kinds = set(AuditEvent.objects.filter(kind__startswith="edge_node").values_list("kind", flat=True))
    assert kinds == {"edge_node.created", "edge_node.disabled", "edge_node.token_renewed"}
