"""`/api/parts`: a part in one call and view by view, as its sender and as who reads it sees it."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inspection.models import Inspection, PartInspection, PartLayout, PartRequest
from inspection.parts.completion import sweep_parts
from inspection.reviews.services import record_review
from records.models import AuditEvent
from tests import parts
from tests.inspection.parts.conftest import image, submission
from tests.inspection.parts.test_services import inspect_part, let_time_pass

pytestmark = pytest.mark.django_db


def file(name: str, seed: int = 7, *, defective: bool = False, data: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, parts.png(seed, defective=defective) if data is None else data)


def post(client: Client, **fields: Any) -> Any:
    return client.post("/api/parts", {"layout": "housing", **fields})


def post_view(client: Client, view: str, seed: int, **fields: Any) -> Any:
    body = {"layout": "housing", "part_id": "P1", "view": view, "image": file("a.png", seed), **fields}
    return client.post("/api/parts/views", body)


# ---------------------------------------------------------------- sending
def test_one_call_with_a_file_for_each_view(layout: PartLayout, worker: None, signed_in: Client) -> None:
    answer = post(
        signed_in,
        part_id="P1",
        lot="L1",
        serial_number="S1",
        station="line 3",
        top=file("a.png"),
        left=file("b.png", 8, defective=True),
        right=file("c.png", 9),
    )
    part = answer.json()
    assert answer.status_code == 200, part
    assert (part["part_id"], part["layout"], part["layout_revision"]) == ("P1", "housing", 1)
    assert (part["status"], part["outcome"], part["standing_outcome"]) == ("closed", "defective", "defective")
    assert part["explanation"] == "Defective: left."
    assert [(view["view"], view["state"]) for view in part["views"]] == [
        ("top", "good"),
        ("left", "defective"),
        ("right", "good"),
    ]
    assert part["missing"] == []
    assert (part["lot"], part["serial_number"], part["station"], part["operator"]) == ("L1", "S1", "line 3", "olga")
    left = part["views"][1]
    assert signed_in.get(left["inspection_url"]).json()["score"] == left["score"]
    assert signed_in.get(answer["Location"]).json() == part
    assert signed_in.get(part["page_url"]).status_code == 200
    assert signed_in.get(part["certificate_url"])["Content-Type"] == "application/pdf"


def test_the_same_call_again_is_answered_again(layout: PartLayout, worker: None, signed_in: Client) -> None:
    def send() -> Any:
        files = {"top": file("a.png"), "left": file("b.png", 8), "right": file("c.png", 9)}
        return signed_in.post("/api/parts", {"layout": "housing", **files}, headers={"Idempotency-Key": "k1"})

    first, again = send(), send()
    assert "Idempotent-Replay" not in first
    assert again["Idempotent-Replay"] == "true"
    assert again.json() == first.json()
    assert PartInspection.objects.count() == 1


def test_views_one_by_one(layout: PartLayout, worker: None, signed_in: Client) -> None:
    first = post_view(signed_in, "right", 7).json()
    assert (first["status"], first["outcome"], first["missing"]) == ("open", None, ["top", "left"])
    assert [view["state"] for view in first["views"]] == ["missing", "missing", "good"]
    assert post_view(signed_in, "right", 7)["Idempotent-Replay"] == "true"
    assert post_view(signed_in, "right", 8).json()["code"] == "view_sent_already"
    assert signed_in.get("/api/parts?status=open").json()["results"] == [first]
    post_view(signed_in, "top", 8)
    last = post_view(signed_in, "left", 9).json()
    assert (last["status"], last["outcome"]) == ("closed", "good")
    assert signed_in.get("/api/parts?status=open").json()["results"] == []


def test_a_refused_view_is_a_problem_of_its_call_and_stands_in_the_part(
    layout: PartLayout, worker: None, signed_in: Client
) -> None:
    answer = post_view(signed_in, "top", 7, image=file("a.png", data=b"no image"))
    assert (answer.status_code, answer.json()["code"]) == (415, "not_an_image")
    part = signed_in.get(f"/api/parts/{answer.json()['part']}").json()
    assert [view["state"] for view in part["views"]] == ["refused", "missing", "missing"]
    whole = post(signed_in, part_id="P2", top=file("a.png", data=b""), left=file("b.png", 8), right=file("c.png", 9))
    assert whole.json()["outcome"] == "not_comparable"
    assert whole.json()["views"][0]["code"] == "empty_file"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, "no_image"),
        ({"bottom": file("a.png")}, 409, "unknown_view"),
        ({"layout": "other", "top": file("a.png")}, 404, "part_layout_not_found"),
        ({"layout": "", "top": file("a.png")}, 400, "invalid"),
        ({"part_id": "x" * 101, "top": file("a.png")}, 400, "invalid"),
        ({"colour": "red", "top": file("a.png")}, 400, "unknown_field"),
        ({"top": [file("a.png"), file("b.png")]}, 400, "invalid"),
    ],
)
def test_what_is_wrong_begins_no_part(
    layout: PartLayout, worker: None, signed_in: Client, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = post(signed_in, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert not PartRequest.objects.exists()


def test_no_model_begins_no_part(version: Any, user: User, worker: None, signed_in: Client) -> None:
    from inspection.part_layouts.services import ViewPlan, set_layout

    set_layout(
        name="housing",
        views=[ViewPlan("top", version.category)],
        time_limit_seconds=5,
        reason="before its model",
        actor=user,
    )
    answer = post(signed_in, top=file("a.png"))
    assert answer.json()["code"] == "no_model_loaded"
    assert not PartRequest.objects.exists()


def test_who_may_send_and_who_may_read(
    layout: PartLayout, worker: None, auditor: User, operator: User, signed_in: Client
) -> None:
    client = Client()
    client.force_login(auditor)
    assert post(client, top=file("a.png")).status_code == 403
    client.force_login(operator)
    assert post(client, part_id="P1", top=file("a.png")).status_code == 200
    assert Client().get("/api/parts").status_code == 401


# ---------------------------------------------------------------- reading
@pytest.fixture
def three(layout: PartLayout, worker: None, user: User) -> None:
    """A good, a defective and an incomplete part."""
    good = [image("top"), image("left", 8), image("right", 9)]
    inspect_part(submission=submission("P1", actor=user, lot="L1", serial_number="S1"), images=good)
    bad = [image("top"), image("left", 8, defective=True), image("right", 9)]
    inspect_part(submission=submission("P2", actor=user, lot="L2", station="line 3"), images=bad)
    inspect_part(submission=submission("P3", actor=user, lot="L2"), images=[image("top")])
    let_time_pass("P3")
    sweep_parts()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["P3", "P2", "P1"]),
        ("outcome=good", ["P1"]),
        ("outcome=not_comparable", ["P3"]),
        ("lot=L2", ["P3", "P2"]),
        ("lot=L2&outcome=defective", ["P2"]),
        ("serial_number=S1", ["P1"]),
        ("part_id=P2", ["P2"]),
        ("station=line+3", ["P2"]),
        ("layout=housing", ["P3", "P2", "P1"]),
        ("layout=other", []),
    ],
)
def test_parts_by_filter(three: None, signed_in: Client, query: str, expected: list[str]) -> None:
    answer = signed_in.get(f"/api/parts?{query}").json()
    assert [part["part_id"] for part in answer["results"]] == expected
    page = signed_in.get(f"/parts/?{query}")
    assert [part.record.part_id for part in page.context["parts"]] == expected
    table = b"".join(signed_in.get(f"/api/parts/export?{query}&dialect=plain").streaming_content).decode()  # type: ignore[attr-defined]
    assert [row["part_id"] for row in csv.DictReader(io.StringIO(table))] == expected


def test_a_list_goes_on_after_a_page(three: None, signed_in: Client) -> None:
    first = signed_in.get("/api/parts?limit=2").json()
    rest = signed_in.get(first["next"]).json()
    assert [part["part_id"] for page in (first, rest) for part in page["results"]] == ["P3", "P2", "P1"]


@pytest.mark.parametrize(
    "query", ["outcome=bad", "status=lost", "colour=red", "status=open&lot=L1", "cursor=x", "limit=0"]
)
def test_wrong_filters_are_told(layout: PartLayout, signed_in: Client, query: str) -> None:
    assert signed_in.get(f"/api/parts?{query}").status_code == 400


def test_there_is_no_such_part(layout: PartLayout, signed_in: Client) -> None:
    answer = signed_in.get("/api/parts/00000000-0000-4000-8000-000000000000")
    assert (answer.status_code, answer.json()["code"]) == (404, "part_not_found")


def test_the_table_of_parts(three: None, signed_in: Client, user: User) -> None:
    left = Inspection.objects.get(part_view__part__part_id="P2", part_view__view__name="left")
    record_review(inspection=left, verdict="good", actor=user)
    answer = signed_in.get("/api/parts/export?dialect=plain")
    table = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(row["outcome"], row["standing_outcome"]) for row in rows] == [
        ("not_comparable", "not_comparable"),
        ("defective", "good"),
        ("good", "good"),
    ]
    assert rows[0]["views"] == "top: good; left: missing; right: missing"
    assert rows[0]["inspections"].count("-") == 4 + 2
    assert AuditEvent.objects.get(kind="parts.exported").after == '{"dialect":"plain","filters":{},"parts":3}'
    assert signed_in.get("/api/parts/export?outcome=bad").json()["code"] == "invalid_filter"


def test_an_open_part_has_no_certificate(layout: PartLayout, worker: None, signed_in: Client) -> None:
    part = post_view(signed_in, "top", 7).json()
    assert part["certificate_url"] is None
    assert signed_in.get(f"/parts/{part['id']}/certificate.pdf").status_code == 409
