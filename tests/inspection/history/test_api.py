"""The history over HTTP: who may, what is refused, what it costs in queries."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator

from inspection.benchmarks.synthetic import generate
from inspection.history.filters import FILTER_NAMES
from inspection.models import Inspection, InspectionRequest
from jobs import broker
from modelzoo.models import Deployment
from records.models import AuditEvent
from tests import parts
from tests.mvtec_site.test_api import problem
from tests.tasks import run_now

pytestmark = pytest.mark.django_db


@pytest.fixture
def records(db: None) -> list[Inspection]:
    generate(count=120, seed=3, tell=lambda _: None)
    return list(Inspection.objects.order_by("-created_at", "-id"))


def content(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# ---------------------------------------------------------------- pages
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_page_and_the_next(signed_in: Client, records: list[Inspection], slash: str) -> None:
    found: list[str] = []
    address = f"/api/inspections{slash}?limit=50"
    while address:
        response = signed_in.get(address)
        assert response.status_code == 200, response.content
        page = response.json()
        found += [row["inspection_id"] for row in page["results"]]
        address = page["next"]
    assert found == [str(record.pk) for record in records]


def test_a_row_is_the_record_without_what_is_long(signed_in: Client, records: list[Inspection]) -> None:
    [row] = signed_in.get("/api/inspections", {"serial_number": records[5].serial_number}).json()["results"]
    document = signed_in.get(f"/api/inspections/{records[5].pk}").json()
    assert document.keys() - row.keys() == {"regions", "ignored_outlines", "image_statistics", "timings"}
    assert row.keys() - document.keys() == {"source", "operator", "batch_id"}
    assert {name: row[name] for name in document.keys() & row.keys()} == {
        name: document[name] for name in document.keys() & row.keys()
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("colour=red", "invalid_filter"),
        ("since=never", "invalid_filter"),
        ("lot=a%00b", "invalid_filter"),
        ("lot=", "invalid_filter"),
        ("contested=", "invalid_filter"),
        ("station=a&station=b", "invalid_filter"),
        ("limit=0", "invalid"),
        ("limit=501", "invalid"),
        ("limit=many", "invalid"),
        ("cursor=abc", "invalid_cursor"),
        ("cursor=WzAsMV0", "invalid_cursor"),
        ("cursor=%00", "invalid_cursor"),
        ("cursor=" + "W" * 3000, "invalid_cursor"),
        ("cursor=WzAsIjk5OTktMTItMzFUMjM6NTk6NTktMTQ6MDAiLCJ4Il0", "invalid_cursor"),
    ],
)
def test_what_is_refused(signed_in: Client, query: str, code: str) -> None:
    problem(signed_in.get(f"/api/inspections?{query}"), 400, code)


def test_a_cursor_of_another_list_is_refused(signed_in: Client, records: list[Inspection]) -> None:
    page = signed_in.get("/api/inspections?limit=2&reviewed=no").json()
    cursor = page["next"].split("cursor=")[1].split("&")[0]
    assert signed_in.get(f"/api/inspections?cursor={cursor}").status_code == 200
    problem(signed_in.get(f"/api/model-versions?cursor={cursor}"), 400, "invalid_cursor")


def test_every_filter_is_in_the_schema() -> None:
    paths = SchemaGenerator().get_schema(public=True)["paths"]
    described = {
        path["get"]["operationId"]: path["get"].get("parameters", []) for path in paths.values() if "get" in path
    }
    for operation, others in (
        ("inspections", {"limit", "cursor", "order"}),
        ("export_inspections", {"format", "dialect"}),
    ):
        assert {parameter["name"] for parameter in described[operation]} == set(FILTER_NAMES) | others


# ---------------------------------------------------------------- exports
@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("jsonl", "application/x-ndjson"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ],
)
def test_an_export_is_a_file_with_a_name(
    signed_in: Client, records: list[Inspection], form: str, media_type: str
) -> None:
    response = signed_in.get("/api/inspections/export", {"format": form}, headers={"accept": "text/html"})
    assert response.status_code == 200
    assert response["Content-Type"] == media_type
    assert response["Content-Disposition"].endswith(f'.{form}"')
    assert response.streaming
    assert len(content(response)) > 1000


def test_an_export_is_filtered(signed_in: Client, records: list[Inspection]) -> None:
    response = signed_in.get("/api/inspections/export", {"outcome": ["good", "not_comparable"]})
    lines = list(csv.DictReader(io.StringIO(content(response).decode("utf-8-sig"))))
    assert {line["outcome"] for line in lines} <= {"good", "not_comparable"}
    assert 0 < len(lines) < len(records)


def test_an_export_in_the_dialect_of_a_spreadsheet(signed_in: Client, records: list[Inspection]) -> None:
    response = signed_in.get("/api/inspections/export", {"format": "csv", "dialect": "excel-de"})
    assert content(response).startswith("\ufeffinspection_id;created_at;".encode())
    problem(signed_in.get("/api/inspections/export", {"dialect": "nope"}), 400, "invalid")


def test_who_may_not_export(operator: User, auditor: User, client: Client) -> None:
    problem(client.get("/api/inspections/export"), 401, "not_authenticated")
    problem(client_of(operator).get("/api/inspections/export"), 403, "permission_denied")
    assert client_of(auditor).get("/api/inspections/export").status_code == 200
    events = AuditEvent.objects.filter(kind="inspections.exported")
    assert [event.actor_name for event in events] == ["audrey"]


def test_what_no_export_is(signed_in: Client) -> None:
    problem(signed_in.get("/api/inspections/export?format=pdf"), 400, "invalid")
    problem(signed_in.get("/api/inspections/export?limit=5"), 400, "invalid_filter")
    problem(signed_in.post("/api/inspections/export"), 405, "method_not_allowed")


# ---------------------------------------------------------------- what it costs
@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(broker, "publish", run_now)
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())


def post(client: Client, **headers: str) -> Any:
    image = SimpleUploadedFile("a.png", parts.png(1), "image/png")
    return client.post("/api/test_image", {"image": image, "anomaly_map": "none"}, headers=headers)


def test_a_key_over_http(signed_in: Client, deployment: Deployment, worker: None) -> None:
    first, again = (post(signed_in, **{"Idempotency-Key": "part 4711"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert (first.get("Idempotent-Replay"), again.get("Idempotent-Replay")) == (None, "true")
    other = SimpleUploadedFile("a.png", parts.png(2), "image/png")
    response = signed_in.post("/api/test_image", {"image": other}, headers={"Idempotency-Key": "part 4711"})
    problem(response, 422, "idempotency_key_reused")
    problem(post(signed_in, **{"Idempotency-Key": "x" * 201}), 400, "invalid_idempotency_key")
    assert InspectionRequest.objects.count() == Inspection.objects.count() == 1


# Signing in is two queries (session, user), what a person may do is one.
WHO = 3


@pytest.mark.parametrize(
    ("query", "queries"),
    [
        ("", 2),  # which records, and what is shown of them
        ("limit=5&outcome=good&lot=L&score_min=1", 1),  # none, so nothing to show
        ("reviewed=yes", 2),
        ("category=synthetic-screw&operator=synthetic-operator-01", 4),  # who and what is meant
    ],
)
def test_a_page_costs_the_same_however_long_it_is(
    signed_in: Client, records: list[Inspection], django_assert_num_queries: Any, query: str, queries: int
) -> None:
    with django_assert_num_queries(WHO + queries):
        assert signed_in.get(f"/api/inspections?{query}").status_code == 200


def test_a_record_is_one_query(signed_in: Client, records: list[Inspection], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(WHO + 1):
        signed_in.get(f"/api/inspections/{records[0].pk}")


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
def test_an_export_is_two_queries_a_chunk(
    signed_in: Client, records: list[Inspection], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    from inspection.history import selectors

    monkeypatch.setattr(selectors, "_CHUNK", 50)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = signed_in.get("/api/inspections/export", {"format": form})
        before = len(captured)
        content(response)
    assert len(captured) - before == 2 * 3
    selects = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    # + how many they are, the chain's end, and its lock
    assert len(selects) == WHO + 2 + 2 * 3 + (connection.vendor == "postgresql")


def test_an_image_costs_what_it_costs(signed_in: Client, deployment: Deployment, worker: None) -> None:
    """Gate, request, claim, record and event of an image that was never seen, judged in this very process."""
    assert post(signed_in).status_code == 200  # the model is held from here on
    image = SimpleUploadedFile("b.png", parts.png(2), "image/png")
    with CaptureQueriesContext(connection) as captured:
        assert signed_in.post("/api/test_image", {"image": image, "anomaly_map": "none"}).status_code == 200
    asked = [query["sql"] for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    # There the request and the chain's end are locked before anything is written, and the chain's end once more with
    # what goes to the line and with the event; its clock, which deadlines go by, is asked.
    more = 5 if connection.vendor == "postgresql" else 0
    # Seven of them: the input checks of the category, whether the request's deadline has passed, which connections wait
    # for the verdict, which get it, that none waits any more, and the calibration of millimetres, which is read before
    # the lock and in it as the threshold is.
    assert len(asked) == WHO + 26 + more, "\n".join(asked)


def test_a_repeated_image_costs_less(
    signed_in: Client, deployment: Deployment, worker: None, django_assert_num_queries: Any
) -> None:
    key = {"Idempotency-Key": "k"}
    assert post(signed_in, **key).status_code == 200
    # the request of this key, and the record
    with django_assert_num_queries(WHO + 2):
        assert post(signed_in, **key)["Idempotent-Replay"] == "true"
