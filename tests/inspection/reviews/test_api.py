"""Reviews over the API: given, listed, summed up, and made into data sets."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.services import issue_token
from inspection.judging import services
from inspection.models import Inspection, Review
from inspection.reviews.services import record_review
from jobs import broker
from modelzoo.models import ModelVersion
from modelzoo.services import ensure_category
from records.models import AuditEvent
from tests import parts
from training.models import Dataset, TrainingRun

pytestmark = pytest.mark.django_db
BOX = {"x": 40, "y": 30, "width": 24, "height": 12}
NOTHING = "00000000-0000-0000-0000-000000000000"


def inspect(version: ModelVersion, *, defective: bool = False, seed: int = 7) -> Inspection:
    return services.inspect_here(
        data=parts.png(seed, defective=defective),
        submission=services.Submission(filename="a.png", source="command", actor=None),
        version=version,
    )


def at(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document = response.json()
    assert document["code"] == code
    return dict(document)


# ---------------------------------------------------------------- one record
def test_a_review_is_given_and_told(version: ModelVersion, operator: User) -> None:
    record, client = inspect(version, defective=True), at(operator)
    path = f"/api/inspections/{record.pk}/reviews"
    made = post(
        client,
        path,
        {"verdict": "defective", "defect_type": "scratch", "comment": "deep", "regions": [BOX], "expected_reviews": 0},
    )
    assert made.status_code == 201, made.content
    document = made.json()
    assert (
        document.items()
        >= {
            "inspection_id": str(record.pk),
            "category": "disc",
            "outcome": "defective",
            "number": 1,
            "verdict": "defective",
            "agrees": True,
            "defect_type": "scratch",
            "comment": "deep",
            "reviewer": "otto",
        }.items()
    )
    assert document["regions"] == [BOX]
    assert client.get(made["Location"]).json() == document
    assert post(client, path + "/", {"verdict": "good"}).json()["agrees"] is False
    listed = client.get(path).json()
    assert [row["number"] for row in listed["results"]] == [2, 1]
    assert (listed["next"], listed["previous"]) == (None, None)
    assert client.get(f"/api/inspections/{record.pk}").json()["review"] == {
        "verdict": "good",
        "reviewer": "otto",
        "defect_type": "",
        "overruled": True,
        "contested": True,
        "reviews": 2,
    }
    events = AuditEvent.objects.filter(kind="review.recorded")
    assert {(event.actor_name, event.source) for event in events} == {("otto", "api")}


def test_who_looked_at_an_older_state_gets_a_conflict(version: ModelVersion, operator: User) -> None:
    record, client = inspect(version), at(operator)
    path = f"/api/inspections/{record.pk}/reviews"
    assert post(client, path, {"verdict": "good", "expected_reviews": 0}).status_code == 201
    found = problem(post(client, path, {"verdict": "good", "expected_reviews": 0}), 409, "review_outdated")
    assert found["reviews"] == 1
    assert post(client, path, {"verdict": "good", "expected_reviews": None}).status_code == 201


BAD: list[tuple[Any, str]] = [
    ({}, "invalid"),
    ([], "invalid"),
    ('"good"', "invalid"),
    ({"verdict": "fine"}, "invalid"),
    ({"verdict": None}, "invalid"),
    ({"verdict": ["good"]}, "invalid"),
    ({"verdict": "good", "comment": "x" * 2001}, "invalid"),
    ({"verdict": "good", "comment": "a\0b"}, "invalid"),
    ({"verdict": "good", "comment": {"a": 1}}, "invalid"),
    ({"verdict": "good", "defect_type": "dent"}, "invalid_review"),
    ({"verdict": "defective", "defect_type": "good"}, "invalid_review"),
    ({"verdict": "defective", "regions": [BOX] * 51}, "invalid"),
    ({"verdict": "defective", "regions": "all"}, "invalid"),
    ({"verdict": "defective", "regions": [{"x": 1}]}, "invalid"),
    ({"verdict": "defective", "regions": [BOX | {"x": 10**30}]}, "invalid"),
    ({"verdict": "defective", "regions": [BOX | {"x": 2**31 - 1}]}, "invalid_region"),
    ({"verdict": "defective", "regions": [BOX | {"x": "a"}]}, "invalid"),
    ({"verdict": "good", "expected_reviews": -1}, "invalid"),
    ({"verdict": "good", "expected_reviews": 2**70}, "invalid"),
    ({"verdict": "good", "expected_reviews": "none"}, "invalid"),
]


def test_what_makes_no_sense_is_refused(version: ModelVersion, operator: User) -> None:
    record, client = inspect(version, defective=True), at(operator)
    path = f"/api/inspections/{record.pk}/reviews"
    for body, code in BAD:
        assert problem(post(client, path, body), 400, code), body
    problem(client.post(path, '{"verdict": NaN}', content_type="application/json"), 400, "parse_error")
    problem(client.post(path, "{", content_type="application/json"), 400, "parse_error")
    problem(client.post(path, {"verdict": "good"}), 415, "unsupported_media_type")
    problem(client.delete(path), 405, "method_not_allowed")
    assert not Review.objects.exists()


def test_who_may_review_and_who_may_read(
    version: ModelVersion, operator: User, auditor: User, user: User, client: Client
) -> None:
    record = inspect(version)
    path = f"/api/inspections/{record.pk}/reviews"
    problem(post(at(auditor), path, {"verdict": "good"}), 403, "permission_denied")
    assert at(auditor).get(path).status_code == 200
    _, plain = issue_token(user=user, name="reader", actor=None, scopes=["read"])
    headers = {"Authorization": f"Bearer {plain}"}
    assert client.get("/api/reviews", headers=headers).status_code == 200
    refused = client.post(path, {"verdict": "good"}, content_type="application/json", headers=headers)
    problem(refused, 403, "permission_denied")
    problem(client.get(path), 401, "not_authenticated")
    for method in (at(operator).get, lambda path: post(at(operator), path, {"verdict": "good"})):
        problem(method(f"/api/inspections/{NOTHING}/reviews"), 404, "inspection_not_found")
    problem(at(operator).get("/api/reviews/999999"), 404, "review_not_found")
    problem(at(operator).get("/api/reviews/999999999999999999999"), 404, "not_found")
    assert not Review.objects.exists()


# ---------------------------------------------------------------- all reviews
def test_reviews_are_listed_and_filtered(version: ModelVersion, operator: User, user: User) -> None:
    good, bad, client = inspect(version), inspect(version, defective=True), at(operator)
    first = record_review(inspection=good, verdict="good", actor=operator)
    second = record_review(inspection=bad, verdict="good", actor=operator)
    third = record_review(inspection=bad, verdict="defective", actor=user)

    def found(query: str = "") -> list[int]:
        response = client.get(f"/api/reviews{query}")
        assert response.status_code == 200, response.content
        return [row["review_id"] for row in response.json()["results"]]

    assert found() == [third.pk, second.pk, first.pk]
    assert found("?reviewer=otto") == [second.pk, first.pk]
    assert found("?verdict=defective") == [third.pk]
    assert found("?agrees=no") == [second.pk]
    assert found("?agrees=yes&verdict=good") == [first.pk]
    assert found("?agrees=none") == []
    assert found("?category=disc&since=2020-01-01&until=2100-01-01") == [third.pk, second.pk, first.pk]
    assert found("?until=2020-01-01") == []
    assert found("?reviewer=") == [third.pk, second.pk, first.pk], "an empty field of a form asks for nothing"
    ensure_category(name="other")
    assert found("?category=other") == []
    page = client.get("/api/reviews?limit=2").json()
    assert len(page["results"]) == 2
    assert [row["review_id"] for row in client.get(page["next"]).json()["results"]] == [first.pk]
    for query in (
        "verdict=fine",
        "agrees=perhaps",
        "reviewer=nobody",
        "category=nothing",
        "since=yesterday",
        "until=2026-99-99",
        "lot=L1",
        "reviewer=a%00b",
    ):
        problem(client.get(f"/api/reviews?{query}"), 400, "invalid_filter")
    problem(client.get("/api/reviews?cursor=nonsense"), 400, "invalid_cursor")
    problem(client.get("/api/reviews?limit=0"), 400, "invalid")


def test_a_page_of_reviews_costs_the_same_for_many(
    version: ModelVersion, operator: User, django_assert_num_queries: Any
) -> None:
    record, client = inspect(version), at(operator)
    client.get("/api/reviews")
    for _ in range(2):
        record_review(inspection=record, verdict="good", actor=operator)
    with django_assert_num_queries(4):  # the session, the user, the roles, the reviews
        client.get("/api/reviews")
    for _ in range(8):
        record_review(inspection=record, verdict="good", actor=operator)
    with django_assert_num_queries(4):
        assert len(client.get("/api/reviews").json()["results"]) == 10


def test_agreement(version: ModelVersion, operator: User, user: User) -> None:
    good, bad, client = inspect(version), inspect(version, defective=True), at(operator)
    record_review(inspection=good, verdict="good", actor=operator)
    record_review(inspection=bad, verdict="defective", actor=operator, defect_type="dent")
    record_review(inspection=bad, verdict="good", actor=user)
    told = client.get("/api/reviews/agreement/").json()
    assert told["records"] == 2
    assert told["model"]["confusion"]["defective"] == {"good": 1, "defective": 0}
    assert told["model"]["false_rejects"]["rate"] == 1.0
    assert told["model"]["escapes"] == {"count": 0, "of": 1, "rate": 0.0, "interval": [0.0, pytest.approx(0.975)]}
    assert told["people"]["records"] == 1
    assert told["people"]["pairs"][0]["agreement"]["rate"] == 0.0
    asked = client.get(f"/api/reviews/agreement?model_version={version.pk}&since=2020-01-01&reviewer=otto").json()
    assert asked["filters"].keys() == {"model_version", "since", "reviewer"}
    assert asked["records"] == 1
    empty = client.get("/api/reviews/agreement?until=2020-01-01").json()
    assert empty["records"] == 0
    assert empty["model"]["agreement"] == {"count": 0, "of": 0, "rate": None, "interval": None}
    problem(client.get("/api/reviews/agreement?model_version=x"), 400, "invalid_filter")
    problem(client.get("/api/reviews/agreement?nonsense=1"), 400, "invalid_filter")


# ---------------------------------------------------------------- data sets, and learning from them
def test_a_data_set_is_made_of_reviewed_images(
    version: ModelVersion, operator: User, signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = inspect(version, defective=True)
    record_review(inspection=bad, verdict="defective", actor=operator, defect_type="scratch", regions=[BOX])
    for seed in (20, 21, 22):
        record_review(inspection=inspect(version, seed=seed), verdict="good", actor=operator)
    body = {"name": "Taught 1", "category": "disc", "filters": {"since": "2020-01-01"}, "test_share": 0}
    made = post(signed_in, "/api/datasets/from-reviews", body)
    assert made.status_code == 201, made.content
    document = made.json()
    assert (
        document.items()
        >= {
            "name": "taught-1",
            "category": "disc",
            "created": True,
            "train_images": 3,
            "test_images": 1,
            "defective_images": 1,
            "masks": 1,
            "skipped": [],
            "created_by": "olga",
        }.items()
    )
    assert document["made_from"]["test_share"] == 0
    assert signed_in.get(made["Location"]).json()["id"] == document["id"]
    again = post(signed_in, "/api/datasets/from-reviews/", body)
    assert (again.status_code, again.json()["created"], again.json()["id"]) == (200, False, document["id"])

    published: list[Any] = []
    monkeypatch.setattr(broker, "publish", lambda task, *words: published.append(words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.transaction.on_commit", lambda work: work())
        asked = post(signed_in, f"/api/model-versions/{version.pk}/extend", {"dataset": "taught-1"})
    assert asked.status_code == 202, asked.content
    run = TrainingRun.objects.get()
    assert published == [(run.pk,)]
    assert (asked.json()["id"], asked.json()["base_version"], asked.json()["status"]) == (run.pk, version.pk, "queued")
    assert signed_in.get(asked["Location"]).json()["id"] == run.pk
    assert run.requested_by is not None
    assert run.requested_by.username == "olga"


def test_data_sets_that_cannot_be_made(version: ModelVersion, operator: User, signed_in: Client) -> None:
    path, body = "/api/datasets/from-reviews", {"name": "x", "category": "disc"}
    problem(post(signed_in, path, body), 409, "no_reviewed_images")
    record_review(inspection=inspect(version), verdict="good", actor=operator)
    problem(post(at(operator), path, body), 403, "permission_denied")
    problem(signed_in.get(path), 405, "method_not_allowed")
    problem(post(signed_in, path, body | {"category": "nothing"}), 404, "category_not_found")
    changes: list[tuple[dict[str, Any], str]] = [
        ({"name": ""}, "invalid"),
        ({"name": "!!!"}, "invalid_name"),
        ({"name": "a\0"}, "invalid"),
        ({"category": "a\0"}, "invalid"),
        ({"test_share": 2}, "invalid"),
        ({"test_share": "much"}, "invalid"),
        ({"include_contested": "perhaps"}, "invalid"),
        ({"filters": []}, "invalid"),
        ({"filters": {"nonsense": 1}}, "invalid_filter"),
        ({"filters": {"since": {"a": 1}}}, "invalid_filter"),
        ({"filters": {"lot": "a\0"}}, "invalid"),
        ({"filters": {"model_version": 10**30}}, "invalid"),
    ]
    for change, code in changes:
        problem(post(signed_in, path, body | change), 400, code)
    assert not Dataset.objects.exists()


def test_versions_that_cannot_be_extended(version: ModelVersion, operator: User, signed_in: Client) -> None:
    path = f"/api/model-versions/{version.pk}/extend"
    problem(post(signed_in, path, {"dataset": "nothing"}), 404, "dataset_not_found")
    problem(post(signed_in, path, {}), 400, "invalid")
    problem(post(signed_in, "/api/model-versions/999999/extend", {"dataset": "x"}), 404, "model_version_not_found")
    problem(post(at(operator), path, {"dataset": "x"}), 403, "permission_denied")
    record_review(inspection=inspect(version, defective=True), verdict="defective", actor=operator)
    made = post(signed_in, "/api/datasets/from-reviews", {"name": "bad", "category": "disc"}).json()
    problem(post(signed_in, path, {"dataset": str(made["id"])}), 409, "nothing_to_learn")
    ModelVersion.objects.update(algorithm="autoencoder")
    problem(post(signed_in, path, {"dataset": "bad"}), 409, "not_extendable")
    assert not TrainingRun.objects.exists()
