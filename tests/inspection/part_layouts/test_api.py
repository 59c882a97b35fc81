"""`/api/part-layouts`: revisions that people set, each in the audit chain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from inspection.models import LayoutView, PartLayout
from records.audit.chain.audited_rows import verify_all
from records.models import AuditEvent
from tests.chain import attest_people

pytestmark = pytest.mark.django_db
BODY: dict[str, Any] = {
    "time_limit_seconds": 10,
    "views": [{"name": "top", "category": "disc", "station": "camera 1"}, {"name": "left", "category": "disc"}],
    "reason": "two cameras",
}


def put(client: Client, body: dict[str, Any], name: str = "housing") -> Any:
    return client.put(f"/api/part-layouts/{name}", json.dumps(body), content_type="application/json")


def test_a_layout_is_set_changed_and_retired(version: Any, signed_in: Client, user: User) -> None:
    first = put(signed_in, BODY)
    assert (first.status_code, first["Location"]) == (201, "/api/part-layouts/housing")
    assert first.json() | {"created_at": ""} == {
        "name": "housing",
        "revision": 1,
        "url": "/api/part-layouts/housing",
        "time_limit_seconds": 10,
        "in_use": True,
        "views": [
            {"name": "top", "category": "disc", "station": "camera 1"},
            {"name": "left", "category": "disc", "station": ""},
        ],
        "reason": "two cameras",
        "author": "olga",
        "created_at": "",
    }
    second = put(signed_in, BODY | {"views": BODY["views"][:1], "reason": "one camera"})
    assert (second.status_code, second.json()["revision"]) == (200, 2)
    assert [row["revision"] for row in signed_in.get("/api/part-layouts").json()["results"]] == [2]
    event = AuditEvent.objects.filter(kind="part_layout.set").latest("sequence")
    assert len(json.loads(event.before)["views"]) == 2
    assert json.loads(event.after)["views"] == [{"name": "top", "category": "disc", "station": "camera 1"}]
    retired = signed_in.post(
        "/api/part-layouts/housing/retire", {"reason": "over"}, content_type="application/json"
    ).json()
    assert (retired["in_use"], retired["revision"], len(retired["views"])) == (False, 3, 1)
    assert signed_in.get("/api/part-layouts").json()["results"] == []
    again = signed_in.post("/api/part-layouts/housing/retire", {"reason": "over"}, content_type="application/json")
    assert again.json()["code"] == "part_layout_retired"
    assert put(signed_in, BODY).json()["in_use"] is True
    assert (PartLayout.objects.count(), LayoutView.objects.count()) == (4, 6)
    attest_people()
    assert verify_all().reason == ""


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"views": []}, "invalid"),
        ({"views": [{"name": "top", "category": "none"}]}, "category_not_found"),
        ({"views": [{"name": "top", "category": "disc"}] * 2}, "invalid"),
        ({"views": [{"name": "a/b", "category": "disc"}]}, "invalid"),
        ({"views": [{"name": "top"}]}, "invalid"),
        ({"time_limit_seconds": 0}, "invalid"),
        ({"time_limit_seconds": 86401}, "invalid"),
        ({"reason": " "}, "invalid"),
        ({"colour": "red"}, "unknown_field"),
    ],
)
def test_what_is_no_layout_is_refused(version: Any, signed_in: Client, changed: dict[str, Any], code: str) -> None:
    assert put(signed_in, BODY | changed).json()["code"] == code
    assert not PartLayout.objects.exists()


def test_operators_read_layouts_and_set_none(version: Any, signed_in: Client, operator: User) -> None:
    put(signed_in, BODY)
    client = Client()
    client.force_login(operator)
    assert client.get("/api/part-layouts/housing").status_code == 200
    assert put(client, BODY).status_code == 403
    assert client.get("/api/part-layouts/other").json()["code"] == "part_layout_not_found"
