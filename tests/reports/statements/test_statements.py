"""Statements of inspection: what they say, that they say no more than is known, issued for good."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils.translation import override

from common.rights import Forbidden
from edge.passages.services import Report, report_passages
from records.audit.chain.audited_rows import verify_records
from records.models import AuditEvent
from reports.models import IssuedStatement
from reports.statements.scope import parse_scope
from reports.statements.services import issue_statement
from tests.chain import attest_people
from tests.edge.line import inspected
from tests.triggers import without_triggers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]
SERIALS = {"station": "east", "first": "S01", "last": "S04"}


def three_of_four() -> None:
    for number in (1, 2, 4):
        inspected(number, station="east", serial_number=f"S0{number}", defective=number == 2)


def send(client: Client, path: str, body: Any) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def test_a_sequence_that_somebody_entered(signed_in: Client):
    three_of_four()
    said = signed_in.get("/api/statement", SERIALS).json()
    assert said["statement"] == (
        "Of the serial numbers between S01 and S04, as they were entered, none passed uninspected at station east, "
        "except what is named under Exceptions (1)."
    )
    assert said["exceptions"]["rows"] == [
        {"kind": "missing", "first": "S03", "last": "S03", "count": 1, "since": None, "until": None}
    ]
    assert "was not counted by the line" in said["reservations"][0]
    assert said["counts"] | {"good": 2, "defective": 1, "inspected": 3, "missing": 1, "passed": 4} == said["counts"]
    [model] = said["models"]
    assert (model["revision"], model["records"]) == (1, 3)
    assert said["audit"]["sequence"] == AuditEvent.objects.count()
    inspected(3, station="east", serial_number="S03")
    assert signed_in.get("/api/statement", SERIALS).json()["statement"].endswith("uninspected at station east.")
    assert not IssuedStatement.objects.exists()


def counted(user: User, *values: int) -> int:
    """Passages of the last minutes, a second apart, with the serial number of their count."""
    begin = datetime.now(UTC) - timedelta(minutes=5)
    reports = [Report(value, f"S0{value}", begin + timedelta(seconds=value)) for value in values]
    return report_passages(station="east", reports=reports, actor=user).counter_id


def test_what_the_line_counted_and_what_it_was_not_heard_of(signed_in: Client, user: User):
    three_of_four()
    counter = counted(user, 1, 2, 4)
    asked: dict[str, Any] = {"basis": "counter", "counter_id": counter, "first": "1", "last": "4"}
    said = signed_in.get("/api/statement", asked).json()
    assert said["statement"].startswith("Nothing passed uninspected at station east between 1 and 4, except")
    assert [(row["kind"], row["first"], row["count"]) for row in said["exceptions"]["rows"]] == [("unreported", "3", 1)]
    assert said["counts"]["passed"] == 3
    assert "reports of olga" in said["reservations"][0]
    now = datetime.now(UTC)
    window = {"since": (now - timedelta(hours=1)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}
    asked = {"basis": "counter", "counter_id": counter, **window}
    said = signed_in.get("/api/statement", asked).json()
    kinds = [row["kind"] for row in said["exceptions"]["rows"]]
    assert kinds == ["unreported", "not_covered", "not_covered"]
    assert said["counts"]["times_not_covered"] == 2
    assert datetime.fromisoformat(said["until"]) <= datetime.now(UTC)  # what is to come has not passed


def test_an_issued_statement_stays_as_it_is(signed_in: Client, user: User):
    three_of_four()
    made = send(signed_in, "/api/issued-statements", SERIALS)
    assert made.status_code == 201, made.content
    address = made.headers["Location"]
    before = {form: signed_in.get(f"{address}/{form}").content for form in ("json", "pdf")}
    assert before["pdf"].startswith(b"%PDF")
    event = AuditEvent.objects.get(kind="statement.issued")
    after = json.loads(event.after)
    assert {form: hashlib.sha256(data).hexdigest() for form, data in before.items()} == {
        form: after[f"{form}_sha256"] for form in before
    }
    assert (after["exceptions"], json.loads(before["json"])["made_by"]) == (1, "olga")
    inspected(3, station="east", serial_number="S03")
    assert {form: signed_in.get(f"{address}/{form}").content for form in before} == before
    [listed] = signed_in.get("/api/issued-statements").json()["results"]
    assert listed == signed_in.get(address).json() == made.json()
    attest_people()
    assert verify_records()[1] is None
    for change in (lambda: IssuedStatement.objects.update(station="7"), lambda: IssuedStatement.objects.get().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    with without_triggers("reports_issuedstatement"):
        text = IssuedStatement.objects.get().document.replace("except", "and so")
        IssuedStatement.objects.update(document=text)
    assert verify_records()[1] is not None


def test_it_is_english_whoever_issues_it(user: User):
    three_of_four()
    scope = parse_scope(SERIALS)
    made = []
    for language in ("en", "de"):
        with override(language):
            made.append(json.loads(issue_statement(scope=scope, actor=user).document))
    for name in ("made_at", "audit"):
        assert made[0].pop(name) != made[1].pop(name)
    assert made[0] == made[1]


def test_who_may(user: User, operator: User, auditor: User):
    three_of_four()
    assert issue_statement(scope=parse_scope(SERIALS), actor=auditor).issued_by == auditor
    with pytest.raises(Forbidden):
        issue_statement(scope=parse_scope(SERIALS), actor=operator)
    client = Client()
    client.force_login(operator)
    assert client.get("/api/statement", SERIALS).status_code == 200
    assert send(client, "/api/issued-statements", SERIALS).status_code == 403
    assert client.post("/reports/statements/issue", SERIALS).status_code == 403
    page = client.get("/reports/statements/", SERIALS)
    assert b"/reports/statements/issue" not in page.content
    assert IssuedStatement.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": "S2", "last": "S1"},
        {"first": "S1"},
        {"first": "S", "last": "T"},
        {"first": "S1", "last": "S2", "since": "2026-01-01"},
        {"first": "S1\0", "last": "S2"},
        {"first": "S1", "last": "S2", "station": "x\0"},
        {"first": "S0000000", "last": "S9999999"},
        {"basis": "counter"},
        {"basis": "counter", "counter_id": "one"},
        {"basis": "counter", "counter_id": "99"},
        {"basis": "guess", "first": "S1", "last": "S2"},
        {"first": "S1", "last": "S2", "nothing": "1"},
    ],
)
def test_what_cannot_be_stated_is_told(signed_in: Client, wrong: dict[str, str]):
    answer = signed_in.get("/api/statement", wrong)
    assert answer.status_code in (400, 404), answer.content
    if "nothing" not in wrong:
        assert send(signed_in, "/api/issued-statements", wrong).status_code in (400, 404)
        page = signed_in.get("/reports/statements/", wrong)
        assert page.status_code in (400, 404)
        assert signed_in.post("/reports/statements/issue", wrong).status_code in (400, 404)
    assert not IssuedStatement.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"since": "yesterday", "until": "2026-01-02"},
        {"since": "2026-01-02", "until": "2026-01-01"},
        {"since": "2020-01-01", "until": "2026-01-01"},
        {"since": "0001-01-01", "until": "0001-01-02"},
        {"first": "1", "last": "9"},
        {"first": "1", "last": "2", "since": "2026-01-01"},
        {"first": "-1", "last": "2"},
        {"first": "1" * 30, "last": "2"},
        {"first": "1", "last": "2", "station": "west"},
        {"first": "1", "last": "2", "delay_ms": "-1"},
        {"first": "1", "last": "2", "tolerance_ms": "x"},
    ],
)
def test_what_a_counter_cannot_answer_is_told(signed_in: Client, user: User, wrong: dict[str, str]):
    asked = {"basis": "counter", "counter_id": str(counted(user, 1, 2)), **wrong}
    assert signed_in.get("/api/statement", asked).status_code in (400, 404)
    assert signed_in.get("/reports/statements/", asked).status_code in (400, 404)


def test_what_cannot_be_named_whole_is_not_issued(signed_in: Client, user: User, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edge.gaps.comparison.MAX_RANGES", 1)
    for number in (2, 4):
        inspected(number, station="east", serial_number=f"S0{number}")
    asked = SERIALS | {"last": "S06"}
    said = signed_in.get("/api/statement", asked).json()
    assert (said["is_complete"], said["exceptions"]["total"]) == (False, 3)
    answer = send(signed_in, "/api/issued-statements", asked)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_exceptions")
    assert b"/reports/statements/issue" not in signed_in.get("/reports/statements/", asked).content


def test_the_pages(signed_in: Client, user: User):
    three_of_four()
    empty = signed_in.get("/reports/statements/").content.decode()
    assert "No statement was issued yet." in empty
    page = signed_in.get("/reports/statements/", SERIALS).content.decode()
    assert "except what is named under Exceptions (1)" in page
    done = signed_in.post("/reports/statements/issue", SERIALS)
    issued = signed_in.get(done["Location"]).content.decode()
    event = AuditEvent.objects.get(kind="statement.issued")
    for words in ("S03", "no record", event.hash, "nothing in it changes any more", "was not counted by the line"):
        assert words in issued
    assert "S01 to S04" in signed_in.get("/reports/statements/").content.decode()
    counter = counted(user, 1, 2, 4)
    report_passages(station="east", reports=[Report(2, "S99")], actor=user)
    asked = {"basis": "counter", "counter_id": str(counter), "first": "1", "last": "2"}
    page = signed_in.get("/reports/statements/", asked).content.decode()
    assert "the counter began anew" in page
    assert "after 4, before 2" in page


def test_parts_without_serial_numbers_say_how_they_were_compared(signed_in: Client, user: User):
    record = inspected(1, station="east")
    reports = [Report(7, "", record.created_at + timedelta(milliseconds=20)), Report(8)]
    counter = report_passages(station="east", reports=reports, actor=user).counter_id
    asked: dict[str, Any] = {"basis": "counter", "counter_id": counter, "first": "7", "last": "8", "delay_ms": 20}
    said = signed_in.get("/api/statement", asked | {"tolerance_ms": 1}).json()
    assert said["by_time"]
    assert "at least as many parts as named have no record" in said["reservations"][1]
    assert [(row["kind"], row["first"]) for row in said["exceptions"]["rows"]] == [("missing", "8")]


def test_the_api_of_passages(signed_in: Client, auditor: User):
    body = {"station": "east", "passages": [{"counter": 1}, {"counter": 4, "serial_number": "S4"}]}
    done = send(signed_in, "/api/passages", body)
    assert done.status_code == 200, done.content
    assert done.json() | {"written": 2, "unreported": 2, "resets": 0} == done.json()
    [counter] = signed_in.get("/api/passage-counters?station=east").json()["results"]
    assert (counter["counter"], counter["source"]) == (4, "reports of olga")
    assert signed_in.get("/api/passage-counters?station=west").json()["results"] == []
    found = signed_in.get(f"/api/passage-counters/{counter['counter_id']}/passages").json()["results"]
    assert [(row["counter"], row["serial_number"]) for row in found] == [(4, "S4"), (1, "")]
    refused: tuple[dict[str, Any], ...] = (
        {},
        {"passages": []},
        {"passages": [{}]},
        {"passages": [{"counter": -1}]},
        {"passages": [{"counter": 1.5}]},
        {"passages": [{"counter": 1, "passed_at": "soon"}]},
        {"passages": [{"counter": 1, "passed_at": "2999-01-01T00:00:00Z"}]},
        {"passages": [{"counter": 1, "colour": "red"}]},
        {"passages": [{"counter": 1}], "counter_last": 5, "counter_first": 6},
        {"passages": [{"counter": 9}], "counter_last": 5},
        {"passages": [{"counter": 1}], "station": "x" * 101},
    )
    for wrong in refused:
        answer = send(signed_in, "/api/passages", wrong)
        assert answer.status_code == 400, (wrong, answer.content)
    assert signed_in.get("/api/passage-counters/99/passages").status_code == 404
    client = Client()
    client.force_login(auditor)
    assert send(client, "/api/passages", body).status_code == 403
