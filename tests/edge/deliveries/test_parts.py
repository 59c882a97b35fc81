"""A part of several views at the line: one verdict of the part, none of its views."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from django.utils import timezone

from edge.connections import selectors
from edge.connections.services import create_connection
from edge.deliveries.documents import message_of
from edge.deliveries.services import write_overdue_verdicts
from edge.models import Delivery, ExpectedVerdict
from inspection.judging.services import inspect_again
from inspection.models import Inspection, InspectionRequest, PartInspection, PartLayout, PartRequest
from inspection.part_layouts.services import ViewPlan, set_layout
from inspection.parts.completion import sweep_parts
from inspection.parts.services import inspect_part, inspect_view
from jobs.errors import NoWorker
from modelzoo.models import Category
from tests.edge.line import deliveries, webhook
from tests.environment import ROOT
from tests.inspection.parts.conftest import VIEWS, image, submission

VERDICT = json.loads((ROOT / "docs" / "schemas" / "verdict-1.json").read_text())
pytestmark = pytest.mark.django_db


@pytest.fixture
def layout(version: Any, deployment: Any) -> PartLayout:
    views = [ViewPlan(name, version.category, "camera left" if name == "left" else "") for name in VIEWS]
    return set_layout(name="housing", views=views, time_limit_seconds=60, reason="three cameras", actor=None)


def message(delivery: Delivery) -> dict[str, Any]:
    target = selectors.target_of(selectors.find_connection(delivery.lane.connection_id))
    document = dict(message_of(delivery, target, now=timezone.now()).document)
    jsonschema.validate(document | {"attempt": 1}, VERDICT)
    return document


def end_time_of(part: PartRequest) -> None:
    past = timezone.now() - timedelta(minutes=5)
    PartRequest.objects.filter(pk=part.pk).update(opened_at=past, closes_at=past + timedelta(seconds=60))
    sweep_parts()


def test_a_good_view_of_a_defective_part_is_never_said_to_be_good(layout: PartLayout, worker: None) -> None:
    connection = webhook()
    inspect_view(submission=submission("P1", station="east", lot="7"), image=image("top"))
    inspect_view(submission=submission("P1", station="east"), image=image("left", 8))
    assert not Delivery.objects.exists()
    inspect_view(submission=submission("P1", station="east"), image=image("right", 9, defective=True))
    [delivery] = deliveries(connection)
    said = message(delivery)
    assert (said["verdict"], said["station"], said["lot"], said["inspection_id"]) == ("defective", "east", "7", None)
    assert said["part"]["part_id"] == "P1"
    assert [(view["view"], view["state"]) for view in said["part"]["views"]] == [
        ("top", "good"),
        ("left", "good"),
        ("right", "defective"),
    ]
    assert said["page_url"] == f"/parts/{delivery.part_id}/"


def test_a_part_that_lacks_a_view_is_not_comparable(layout: PartLayout, worker: None) -> None:
    connection = webhook(line_time_ms=60_000)
    part, _ = inspect_view(submission=submission("P1"), image=image("top"))
    end_time_of(part)
    [delivery] = deliveries(connection)
    assert message(delivery)["outcome"] == "not_comparable"
    # The line's time began when the part's was over, here some minutes ago.
    part.refresh_from_db()
    assert delivery.requested_at == part.closes_at
    assert message(delivery)["verdict"] == "no_verdict"


def test_a_part_is_sent_to_whoever_wants_one_of_its_categories(layout: PartLayout, worker: None) -> None:
    disc = webhook("disc", category=Category.objects.get(name="disc"))
    ring = webhook("ring", category=Category.objects.create(name="ring"))
    left = webhook("left", station="camera left")
    inspect_part(submission=submission("P1", station="east"), images=[image(name) for name in VIEWS])
    assert [row.event for row in deliveries(disc)] == ["verdict"]
    assert not deliveries(ring)
    assert not deliveries(left)  # the station of a view is not that of the part


def test_a_part_that_is_sent_twice_is_said_once(layout: PartLayout, worker: None) -> None:
    connection = webhook()
    for _ in range(2):
        inspect_part(submission=submission("P1"), images=[image(name) for name in VIEWS])
    assert [row.sequence for row in deliveries(connection)] == [1]


def test_the_line_waits_from_the_last_view_on(layout: PartLayout, settings: Any) -> None:
    """With all views there and no record in the line's time: "no verdict", once, of the part."""
    settings.ANSWER_TIMEOUT = 0.01
    connection = webhook(line_time_ms=1000)
    for name in VIEWS[:2]:
        with pytest.raises(NoWorker):
            inspect_view(submission=submission("P1", station="east"), image=image(name))
    assert not ExpectedVerdict.objects.exists()
    with pytest.raises(NoWorker):
        inspect_view(submission=submission("P1", station="east"), image=image(VIEWS[2]))
    [expected] = ExpectedVerdict.objects.all()
    assert expected.part_request == PartRequest.objects.get()
    assert not Delivery.objects.exists()  # views that no worker judged say nothing, and may come again
    ExpectedVerdict.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert write_overdue_verdicts() == 1
    [delivery] = deliveries(connection)
    said = message(delivery)
    assert (said["verdict"], said["reason"], said["outcome"]) == ("no_verdict", "line_time_over", None)
    assert said["part"] == {"id": str(expected.part_request_id), "part_id": "P1", "layout": "housing", "views": []}


def test_the_record_ends_the_waiting(layout: PartLayout, worker: None) -> None:
    connection = webhook(line_time_ms=60_000)
    inspect_part(submission=submission("P1"), images=[image(name) for name in VIEWS])
    assert not ExpectedVerdict.objects.exists()
    [delivery] = deliveries(connection)
    last = InspectionRequest.objects.order_by("created_at").last()
    assert last is not None
    assert (delivery.requested_at, delivery.event) == (last.created_at, "verdict")


def test_a_view_that_is_judged_again_after_its_part_says_nothing(
    layout: PartLayout, monkeypatch: pytest.MonkeyPatch, worker: None, settings: Any
) -> None:
    """`Try again` of one view whose part is closed must not look like the verdict of a part."""
    connection = webhook()
    inspect_view(submission=submission("P1"), image=image("top"))
    inspect_view(submission=submission("P1"), image=image("left", 8))
    settings.ANSWER_TIMEOUT = 0.01
    with monkeypatch.context() as patched:
        patched.setattr("jobs.broker.publish", lambda *_, **__: None)
        with pytest.raises(NoWorker):
            inspect_view(submission=submission("P1"), image=image("right", 9))
    settings.ANSWER_TIMEOUT = 30
    ended = InspectionRequest.objects.get(status="expired")
    end_time_of(PartRequest.objects.get())
    assert PartInspection.objects.get().outcome == "not_comparable"
    inspect_again(request_id=ended.pk, source="api", actor=None)
    assert InspectionRequest.objects.filter(status="done").count() == 3
    assert [message(row)["outcome"] for row in deliveries(connection)] == ["not_comparable"]


def test_a_view_that_is_judged_again_in_time_is_a_view(
    layout: PartLayout, monkeypatch: pytest.MonkeyPatch, worker: None, settings: Any
) -> None:
    connection = webhook(line_time_ms=60_000)
    inspect_view(submission=submission("P1"), image=image("top"))
    inspect_view(submission=submission("P1"), image=image("left", 8))
    settings.ANSWER_TIMEOUT = 0.01
    with monkeypatch.context() as patched:
        patched.setattr("jobs.broker.publish", lambda *_, **__: None)
        with pytest.raises(NoWorker):
            inspect_view(submission=submission("P1"), image=image("right", 9))
    settings.ANSWER_TIMEOUT = 30
    inspect_again(request_id=InspectionRequest.objects.get(status="expired").pk, source="api", actor=None)
    assert [message(row)["verdict"] for row in deliveries(connection)] == ["good"]


def test_a_node_forwards_the_record_of_each_view(layout: PartLayout, worker: None) -> None:
    """The centre keeps records; it is not the line."""
    centre = create_connection(
        name="centre",
        kind="centre",
        settings={"url": "https://centre.example/", "node_name": "east"},
        secrets={"token": "of sixteen characters"},
        actor=None,
    )
    inspect_part(submission=submission("P1"), images=[image(name) for name in VIEWS])
    forwarded = deliveries(centre)
    assert len(forwarded) == 3
    assert {row.inspection_id for row in forwarded} == set(Inspection.objects.values_list("pk", flat=True))
    assert not any(row.part_id for row in forwarded)
