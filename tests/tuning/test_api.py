"""What-if and rescoring as programs meet them: shapes, codes, and nothing that a bad request could break."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from inspection.judging.services import PartContext, Submission, inspect_here
from inspection.models import Inspection
from jobs import broker
from modelzoo.models import ModelVersion
from modelzoo.services import set_threshold
from records.models import AuditEvent
from tests import parts
from tests.scores import Part, stored
from tests.tasks import run_now
from tuning.api import serializers
from tuning.models import RescoringRun

pytestmark = pytest.mark.django_db


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document = dict(response.json())
    assert (document["status"], document["code"]) == (status, code)
    return document


def conforms(shape: Any, document: Any) -> None:
    """The answer has exactly the members that the schema promises, all the way down."""
    if document is None:
        assert shape.allow_null, shape.field_name
    elif hasattr(shape, "child") and hasattr(shape.child, "fields"):
        for item in document:
            conforms(shape.child, item)
    elif hasattr(shape, "fields"):
        assert set(document) == set(shape.fields), shape
        for name, field in shape.fields.items():
            conforms(field, document[name])
    else:
        shape.run_validation(document)


@pytest.fixture
def judged(version: ModelVersion) -> ModelVersion:
    set_threshold(version=version, value=5.0, method="manual", reason="test", actor=None)
    stored(
        version,
        [
            Part(3.0, "good"),
            Part(4.0),
            Part(4.5, "defective", "dent"),
            Part(5.5, "good"),
            Part(7.0, "defective", "scratch"),
            Part(None),
        ],
    )
    return version


# ---------------------------------------------------------------- what if
def test_what_if(signed_in: Client, judged: ModelVersion) -> None:
    response = signed_in.get("/api/what-if", {"threshold": "4.2"})
    assert response.status_code == 200, response.content
    document = response.json()
    conforms(serializers.WhatIfOutput(), document)
    assert document["model_version"] == judged.pk
    assert document["asked"]["verdicts"] == {"good": 2, "defective": 3, "not_comparable": 1}
    assert document["asked"]["changes"] == {"to_defective": 1, "to_good": 0}
    assert document["asked"]["reviewed"]["confusion"] == {"tp": 2, "fp": 1, "tn": 1, "fn": 0}
    assert [row["score"] for row in document["borderline"]["above"]] == [4.5, 5.5, 7.0]
    assert (document["in_force"], document["curve"], document["presets"]) == (None, None, None)


def test_what_if_with_everything(signed_in: Client, judged: ModelVersion) -> None:
    asked: dict[str, str | int] = {
        "model_version": judged.pk,
        "compare": "yes",
        "bins": "20",
        "curve_from": "2",
        "curve_to": "8",
        "presets": "true",
        "cost_false_reject": "1",
        "cost_escape": "50.5",
        "percentile": "95",
        "false_reject_rate": "0.2",
        "threshold_revision": "2",
    }
    response = signed_in.get("/api/what-if/", asked)
    assert response.status_code == 200, response.content
    document = response.json()
    conforms(serializers.WhatIfOutput(), document)
    assert document["in_force"] == document["asked"]
    assert document["curve"]["thresholds"][0] <= 2
    assert [row["method"] for row in document["presets"]] == ["percentile", "conformal", "best_f1", "cost"]
    assert document["filters"] == {"model_version": judged.pk, "threshold_revision": 2}


NO_NUMBERS = ["NaN", "inf", "-inf", "1e308", "ten", "\0", "1" * 400, "4,5"]
REFUSED: list[tuple[dict[str, str], str]] = [
    *(
        ({name: value, "bins": "5"}, "invalid")
        for name in ("threshold", "curve_from", "percentile")
        for value in NO_NUMBERS
    ),
    *(({"cost_escape": value, "cost_false_reject": "1"}, "invalid") for value in NO_NUMBERS),
    *(({"false_reject_rate": value}, "invalid") for value in (*NO_NUMBERS, "0", "1")),
    ({"threshold": ""}, "invalid"),
    ({"bins": "-1"}, "invalid"),
    ({"bins": "501"}, "invalid"),
    ({"bins": "9" * 30}, "invalid"),
    ({"compare": "perhaps"}, "invalid"),
    ({"cost_escape": "1"}, "invalid"),
    ({"cost_escape": "-1", "cost_false_reject": "1"}, "invalid"),
    ({"percentile": "100.1"}, "invalid"),
    ({"bins": "5", "curve_from": "9", "curve_to": "1"}, "invalid"),
    ({"model_version": "0"}, "invalid_filter"),
    ({"model_version": "9" * 30}, "invalid_filter"),
    ({"colour": "red"}, "invalid_filter"),
    ({"since": "yesterday"}, "invalid_filter"),
    ({"station": "a\0b"}, "invalid_filter"),
    ({"station": ""}, "invalid_filter"),
    ({"station": "nowhere"}, "no_records"),
]


def test_what_if_refuses(signed_in: Client, judged: ModelVersion) -> None:
    for asked, code in REFUSED:
        problem(signed_in.get("/api/what-if", asked), 400, code)


def test_several_models_are_named(signed_in: Client, judged: ModelVersion) -> None:
    fields = {
        name: getattr(judged, name)
        for name in ("category", "algorithm", "config", "dataset_name", "dataset_snapshot", "seed", "versions")
    }
    other = ModelVersion.objects.create(
        number=2, artifact="x", artifact_sha256="1" * 64, artifact_bytes=1, held_out_scores=[], **fields
    )
    set_threshold(version=other, value=1.0, method="manual", reason="test", actor=None)
    stored(other, [Part(2.0)])
    document = problem(signed_in.get("/api/what-if"), 400, "several_models")
    assert document["model_versions"] == [judged.pk, other.pk]
    assert signed_in.get("/api/what-if", {"model_version": other.pk}).status_code == 200


# ---------------------------------------------------------------- scoring the past again
@pytest.fixture
def past(version: ModelVersion) -> list[Inspection]:
    return [
        inspect_here(
            data=parts.png(seed, defective=seed == 1),
            submission=Submission(
                filename=f"{seed}.png", source="command", actor=None, part=PartContext(station="east")
            ),
            version=version,
        )
        for seed in range(3)
    ]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker inside this process: what would be sent to the broker is done at once."""

    monkeypatch.setattr(broker, "publish", run_now)
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())


def ask(client: Client, **body: Any) -> Any:
    return client.post("/api/rescorings", body, content_type="application/json")


def test_a_rescoring_from_the_request_to_its_results(
    signed_in: Client, version: ModelVersion, past: list[Inspection], worker: None
) -> None:
    response = ask(signed_in, model_version=version.pk, filters={"station": "east"}, reason="test", precision="fp32")
    assert response.status_code == 202, response.content
    created = response.json()
    conforms(serializers.RescoringOutput(), created)
    assert response["Location"] == created["url"]
    document = signed_in.get(created["url"]).json()
    conforms(serializers.RescoringDetailOutput(), document)
    assert (document["status"], document["done"], document["changed"], document["progress"]) == ("finished", 3, 0, 1.0)
    assert document["requested_by"] == "olga"
    assert (document["precision"], document["precision_chosen"]) == ("fp32", "fp32")
    assert document["summary"]["rank_correlation"] == pytest.approx(1.0)
    first = signed_in.get(created["results_url"], {"limit": 2}).json()
    rest = signed_in.get(first["next"]).json()
    rows = first["results"] + rest["results"]
    for row in rows:
        conforms(serializers.RescoredOutput(), row)
    assert [row["inspection_id"] for row in rows] == [str(record.pk) for record in reversed(past)]
    assert rest["next"] is None
    assert signed_in.get(created["results_url"] + "?changed=yes").json()["results"] == []
    assert len(signed_in.get(created["results_url"] + "/?changed=no").json()["results"]) == 3
    [listed] = signed_in.get("/api/rescorings/").json()["results"]
    assert listed == {name: value for name, value in document.items() if name != "summary"}
    event = AuditEvent.objects.get(kind="rescoring.requested")
    assert (event.actor_name, event.source) == ("olga", "api")


def test_cancelling(signed_in: Client, version: ModelVersion, past: list[Inspection]) -> None:
    url = ask(signed_in, model_version=version.pk, reason="test").json()["url"]
    response = signed_in.post(f"{url}/cancel")
    assert response.status_code == 200, response.content
    conforms(serializers.RescoringOutput(), response.json())
    assert response.json()["status"] == "cancelled"
    problem(signed_in.post(f"{url}/cancel"), 409, "rescoring_over")


BODIES: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "invalid"),
    ({"reason": ""}, 400, "invalid"),
    ({"reason": " "}, 400, "invalid"),
    ({"reason": "a\0b"}, 400, "invalid"),
    ({"reason": "\ud800"}, 400, "unreadable_text"),
    ({"reason": "x" * 501}, 400, "invalid"),
    ({"reason": {"a": 1}}, 400, "invalid"),
    ({"model_version": 10**17}, 404, "model_version_not_found"),
    ({"model_version": 10**30}, 400, "invalid"),
    ({"model_version": "newest"}, 400, "invalid"),
    ({"model_version": None}, 400, "invalid"),
    ({"category": "\0"}, 400, "invalid"),
    ({"category": "cube"}, 400, "invalid"),
    ({"filters": []}, 400, "invalid"),
    ({"filters": "station"}, 400, "invalid"),
    ({"filters": {"colour": "red"}}, 400, "invalid_filter"),
    ({"filters": {"station": {"a": 1}}}, 400, "invalid_filter"),
    ({"filters": {"station": ["a", "b"]}}, 400, "invalid_filter"),
    ({"filters": {"since": 10**40}}, 400, "invalid"),
    ({"filters": {"\ud800": "red"}}, 400, "unreadable_text"),
    ({"filters": {"station": "\ud800"}}, 400, "unreadable_text"),
    ({"filters": {"score_min": 1e400}}, 400, "parse_error"),
    ({"filters": {"station": "nowhere"}}, 400, "no_records"),
    ({"device": "tpu"}, 400, "invalid"),
    ({"runtime": ["torch"]}, 400, "invalid"),
    ({"precision": 16}, 400, "invalid"),
]


def test_rescorings_that_are_refused(signed_in: Client, version: ModelVersion, past: list[Inspection]) -> None:
    for body, status, code in BODIES:
        given = body and {"model_version": version.pk, "reason": "test"} | body
        problem(ask(signed_in, **given), status, code)
    assert not RescoringRun.objects.exists()


def test_what_is_not_there(signed_in: Client) -> None:
    nobody = uuid.UUID(int=0)
    problem(signed_in.get(f"/api/rescorings/{nobody}"), 404, "rescoring_not_found")
    problem(signed_in.get(f"/api/rescorings/{nobody}/results"), 404, "rescoring_not_found")
    problem(signed_in.post(f"/api/rescorings/{nobody}/cancel"), 404, "rescoring_not_found")
    problem(signed_in.get("/api/rescorings/7"), 404, "not_found")
    problem(signed_in.get("/api/rescorings?cursor=nonsense"), 400, "invalid_cursor")
    problem(signed_in.post("/api/rescorings", "[1]", content_type="application/json"), 400, "invalid")
    problem(signed_in.post("/api/rescorings", {"a": 1}), 415, "unsupported_media_type")


def test_results_are_filtered_by_yes_or_no(signed_in: Client, version: ModelVersion, past: list[Inspection]) -> None:
    url = ask(signed_in, model_version=version.pk, reason="test").json()["results_url"]
    problem(signed_in.get(f"{url}?changed=perhaps"), 400, "invalid")


def test_who_may_read_may_not_start(version: ModelVersion, past: list[Inspection], auditor: User) -> None:
    client = Client()
    client.force_login(auditor)
    assert client.get("/api/rescorings").status_code == 200
    problem(ask(client, model_version=version.pk, reason="test"), 403, "permission_denied")


def test_the_administration_shows_runs_and_changes_nothing(
    admin_user: User, version: ModelVersion, past: list[Inspection], worker: None
) -> None:
    client = Client()
    client.force_login(admin_user)
    assert ask(client, model_version=version.pk, reason="test").status_code == 202
    for model in ("rescoringrun", "rescored"):
        assert client.get(f"/admin/tuning/{model}/").status_code == 200
        assert client.get(f"/admin/tuning/{model}/add/").status_code == 403
    run = RescoringRun.objects.get()
    page = f"/admin/tuning/rescoringrun/{run.pk}/change/"
    assert client.get(page).status_code == 200
    assert client.post(page, {"reason": "another"}).status_code == 403
