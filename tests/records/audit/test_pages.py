"""The audit history: who may see it, what it says, how it is narrowed down, and that it notices."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.services import issue_token
from common.numbers import score_text
from inspection.models import Inspection
from inspection.reviews.services import record_review, undo_reviews
from jobs import broker
from modelzoo.models import ModelVersion
from modelzoo.services import activate, request_deployment, set_threshold
from records.audit import selectors
from records.audit.services import audit, make_checkpoint
from records.audit.verification import request_verification, sweep_verifications, work_on_verification
from records.keys import short_key
from records.models import AuditEvent, AuditVerification
from tests.chain import attest_people
from tests.inspection.judging.test_services import inspect
from tests.triggers import without_any_triggers
from tests.versions import another

pytestmark = pytest.mark.django_db


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def audrey(auditor: User) -> Client:
    return client_of(auditor)


def happen(count: int = 1, **said: Any) -> None:
    for index in range(count):
        with transaction.atomic():
            audit(
                **{"kind": "test.done", "subject": ("thing", str(index)), "actor": None, "after": {"n": index}, **said}
            )


@pytest.mark.parametrize("path", ["/audit/", "/audit/verify", "/audit/1/"])
def test_only_those_who_may_know_that_it_is_there(
    path: str, user: User, operator: User, auditor: User, administrator: User
) -> None:
    happen()
    for someone, status in ((user, 404), (operator, 404), (auditor, 200), (administrator, 200)):
        assert client_of(someone).get(path).status_code == status, someone
    assert "/audit/" not in client_of(operator).get("/settings/").content.decode()
    assert 'href="/audit/"' in client_of(auditor).get("/settings/").content.decode()


def test_an_event_says_who_what_when_and_where_and_what_changed(audrey: Client, user: User) -> None:
    happen(kind="thing.set", actor=user, before={"limit": 3, "note": "<b>old</b>"}, after={"limit": 4, "note": "new"})
    page = audrey.get("/audit/").content.decode()
    assert "thing.set" in page
    assert f">{timezone.localtime(AuditEvent.objects.get(sequence=1).at):%Y-%m-%d %H:%M:%S}</span>" in page
    assert "olga" in page
    assert "<del>limit: 3</del>" in page
    assert "<ins>limit: 4</ins>" in page
    assert "&lt;b&gt;old&lt;/b&gt;" in page
    assert "<b>old</b>" not in page
    one = audrey.get(reverse("audit-event", args=[1])).content.decode()
    event = AuditEvent.objects.get(sequence=1)
    assert event.hash in one
    assert "(verified)" in one
    assert audrey.get("/audit/999999/").status_code == 404


def test_a_change_that_rounding_would_hide_is_shown(audrey: Client) -> None:
    happen(before={"value": 0.12345612, "note": "a"}, after={"value": 0.12345634, "note": "b"})
    page = audrey.get("/audit/").content.decode()
    assert "<del>value: 0.12345612</del>" in page
    assert "<ins>value: 0.12345634</ins>" in page


def test_a_long_event_is_whole_on_its_own_page(audrey: Client) -> None:
    happen(after={f"field{index}": "x" * 400 for index in range(9)})
    listed, one = audrey.get("/audit/").content.decode(), audrey.get("/audit/1/").content.decode()
    assert "4 more" in listed
    assert "x" * 400 not in listed
    assert "field8" not in listed
    assert "field8" in one
    assert "x" * 400 in one


def test_objects_are_linked_to_their_pages(audrey: Client, version: ModelVersion, deployment: Any) -> None:
    record: Inspection = inspect(version)
    page = audrey.get("/audit/", {"kind": "inspection.recorded"}).content.decode()
    assert reverse("inspection", args=[record.pk]) in page
    assert f">inspection {short_key(record.pk)}</a>" in page
    named, threshold = f"{version.category.name} v{version.number}", record.threshold
    assert record.score is not None
    score, value = score_text(record.score, threshold.value), score_text(threshold.value)
    assert f"had {record.filename} judged by {named}: " in page
    assert f"(score {score}, threshold {value})" in page
    assert f"model_version: {version.pk} = {named}" in page
    [event] = AuditEvent.objects.filter(kind="inspection.recorded")
    one = audrey.get(reverse("audit-event", args=[event.sequence])).content.decode()
    assert f"inspection.inspection {record.pk}" in one
    assert f"threshold: {threshold.pk} = {value} (revision 1 of {named})" in one, "an id is no revision"
    assert f"model_version: {version.pk} = {named}" in one
    of_version = {"object_type": "modelzoo.modelversion", "object_id": str(version.pk)}
    assert f"Object: {version.pk} ({named})" in " ".join(audrey.get("/audit/", of_version).content.decode().split())
    assert f"score: {record.score!r}" in one, "on its own page to the last digit"


def test_what_a_version_took_the_place_of_is_called_by_its_name(audrey: Client, deployment: Any, user: User) -> None:
    before = deployment.model_version
    other = another(before)
    following = request_deployment(version=other, actor=user)
    assert activate(deployment=following, device="cpu", worker="test")
    event = AuditEvent.objects.filter(kind="deployment.activated").latest("sequence")
    page = audrey.get(reverse("audit-event", args=[event.sequence])).content.decode()
    named = [f"{version.category.name} v{version.number}" for version in (other, before)]
    assert f"activated {named[0]} instead of {named[1]}" in page


def test_the_history_of_an_inspection_includes_its_reviews(audrey: Client, version: ModelVersion, user: User) -> None:
    record, other = inspect(version), inspect(version)
    review = record_review(inspection=record, verdict="defective", actor=user)
    undo_reviews(reviews=[review], actor=user)
    record_review(inspection=other, verdict="good", actor=user)
    address = {"object_type": "inspection.inspection", "object_id": str(record.pk)}
    page = audrey.get("/audit/", address).content.decode()
    kinds = ["review.recorded", "review.recorded", "inspection.recorded"]
    assert [row.event.kind for row in audrey.get("/audit/", address).context["rows"]] == kinds
    assert f"undid the review of {record.filename}\n" in page
    assert page.count(f'href="{reverse("inspection", args=[record.pk])}"') == 3
    assert page.count(f'aria-label="All events of inspection {short_key(record.pk)}"') == 3
    listed = audrey.get("/api/audit-events", address).json()["results"]
    assert [event["kind"] for event in listed] == kinds
    only = audrey.get("/audit/", {"object_type": "inspection.review", "object_id": str(review.pk)})
    assert [row.event.object_id for row in only.context["rows"]] == [str(review.pk)]
    none = audrey.get("/audit/", address | {"object_id": "no id"})
    assert none.context["rows"] == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"actor": "olga"}, ["b.done"]),
        ({"kind": "a.done"}, ["a.done"]),
        ({"object_type": "thing", "object_id": "0"}, ["b.done", "a.done"]),
        ({"object_type": "other"}, []),
        ({"source": "system"}, ["b.done", "a.done"]),
        ({"source": "web"}, []),
        ({"since": timezone.localdate().isoformat()}, ["b.done", "a.done"]),
        ({"until": (timezone.localdate() - timedelta(days=1)).isoformat()}, []),
        ({"until": timezone.localdate().isoformat(), "kind": "b.done"}, ["b.done"]),
        ({"nonsense": "x"}, ["b.done", "a.done"]),
    ],
)
def test_filters_are_state_of_the_address(
    audrey: Client, user: User, filters: dict[str, str], found: list[str]
) -> None:
    happen(kind="a.done")
    happen(kind="b.done", actor=user)
    response = audrey.get("/audit/", filters)
    assert response.status_code == 200
    assert [row.event.kind for row in response.context["rows"]] == found
    if not found:
        assert "No event matches these filters" in response.content.decode()


@pytest.mark.parametrize(("name", "day"), [("since", "0001-01-01"), ("until", "9999-12-31")])
def test_a_day_out_of_reach_is_said_of_its_field(audrey: Client, settings: Any, name: str, day: str) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    response = audrey.get("/audit/", {name: day})
    assert response.status_code == 400
    assert list(response.context["form"].errors) == [name]


@pytest.mark.parametrize(
    "filters",
    [
        {"since": "yesterday"},
        {"until": "9999-12-31"},
        {"object_id": "7"},
        {"actor": "a\0b"},
        {"kind": "x" * 1000},
        {"cursor": "nonsense"},
        {"limit": "0"},
    ],
)
def test_what_is_no_filter_is_said_and_nothing_is_looked_up(audrey: Client, filters: dict[str, str]) -> None:
    happen()
    response = audrey.get("/audit/", filters)
    assert response.status_code == 400
    assert "rows" not in response.context
    assert 'role="alert"' in response.content.decode()


def test_pages_follow_each_other(audrey: Client) -> None:
    happen(7)
    first = audrey.get("/audit/", {"limit": 3})
    second = audrey.get(first.context["page"].next)
    assert [row.event.sequence for row in first.context["rows"]] == [7, 6, 5]
    assert [row.event.sequence for row in second.context["rows"]] == [4, 3, 2]
    back = audrey.get(second.context["page"].previous)
    assert [row.event.sequence for row in back.context["rows"]] == [7, 6, 5]


def test_the_export_is_of_what_is_shown(audrey: Client) -> None:
    happen(kind="a.done")
    happen(kind="b.done")
    today = timezone.localdate().isoformat()
    link = audrey.get("/audit/", {"kind": "a.done", "since": today, "until": today}).context["export"]
    lines = audrey.get(link).getvalue().decode().splitlines()
    assert [json.loads(line)["kind"] for line in lines if "kind" in json.loads(line)] == ["a.done"]


def test_the_chain_is_shown_and_the_newest_events_are_verified(audrey: Client, administrator: User) -> None:
    assert "<h2>No event yet" not in audrey.get("/audit/verify").content.decode()
    happen(3)
    make_checkpoint(actor=administrator)
    happen(2)
    page = audrey.get("/audit/").content.decode()
    assert AuditEvent.objects.get(sequence=6).hash[:12] in page
    assert "Its signature is valid" in page
    assert "2 events since" in page
    verified = audrey.get("/audit/verify").content.decode()
    assert "6 events verified, no fault found" in verified
    assert "1 signed checkpoint matches" in verified
    partial = audrey.get("/audit/verify", headers={"HX-Request": "true"}).content.decode()
    assert partial.strip().startswith('<div id="verified"')


def test_what_was_tampered_with_is_found_and_said(audrey: Client, administrator: User) -> None:
    happen(5)
    make_checkpoint(actor=administrator)
    with without_any_triggers():
        AuditEvent.objects.filter(sequence=4).update(actor_name="mallory")
    assert "broken at event 4" in audrey.get("/audit/verify").content.decode()
    assert "was changed after it was written" in audrey.get("/audit/4/").content.decode()
    with without_any_triggers():
        AuditEvent.objects.filter(sequence__gte=4).delete()
    assert "newest events were removed" in audrey.get("/audit/verify").content.decode()
    assert "The last checkpoint is not valid" in audrey.get("/audit/").content.decode()


def test_only_the_newest_are_verified_at_once(auditor: User) -> None:
    happen(8)
    with without_any_triggers():
        AuditEvent.objects.filter(sequence=2).update(actor_name="mallory")
    assert selectors.verify_latest(5).broken_at is None
    assert selectors.verify_latest(5).events == 5
    assert selectors.verify_latest(8).broken_at == 2


def test_values_to_choose_from_are_found_step_by_step(user: User) -> None:
    assert selectors.values_of("kind") == []
    happen(3, kind="b.done")
    happen(2, kind="a.done", actor=user)
    assert selectors.values_of("kind") == ["a.done", "b.done"]
    assert selectors.values_of("actor_name") == ["olga", "system"]
    with pytest.raises(ValueError, match="hash"):
        selectors.values_of("hash")


def test_the_number_of_queries_does_not_grow(audrey: Client, user: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert audrey.get("/audit/").status_code == 200
        return len(seen)

    happen(2)
    few = queries()
    happen(30, actor=user)
    issue_token(user=user, name="x", actor=user)
    assert queries() == few <= 14


# ---------------------------------------------------------------- sentences
def test_an_event_is_a_sentence_with_its_values_one_click_away(
    audrey: Client, user: User, version: ModelVersion
) -> None:
    set_threshold(version=version, value=16.764999389648438, method="manual", reason="two escapes", actor=user)
    page = audrey.get("/audit/", {"kind": "threshold.set"}).content.decode()
    listed = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    before = version.thresholds.get(revision=1).value
    name = f"{version.category.name} v{version.number}"
    assert f"olga set the threshold of {name} from {score_text(before)} to 16.76: two escapes" in listed
    assert "16.764999389648438" not in listed
    assert "<ins>value: 16.765</ins>" in page
    one = audrey.get(reverse("audit-event", args=[AuditEvent.objects.get(kind="threshold.set", actor=user).pk]))
    assert "value: 16.764999389648438" in one.content.decode()


def test_what_is_unknown_is_said_plainly(audrey: Client) -> None:
    happen(kind="kettle.boiled_over")
    assert "kettle boiled over: thing 0" in audrey.get("/audit/").content.decode()


# ---------------------------------------------------------------- verifying all of it
def test_verifying_all_of_it_is_a_job_with_progress_and_a_result_that_stays(
    audrey: Client, auditor: User, version: ModelVersion, deployment: Any
) -> None:
    record = inspect(version)
    attest_people()
    asked = audrey.post("/audit/verifications")
    [job] = AuditVerification.objects.all()
    assert asked["location"] == f"/audit/verifications/{job.pk}/"
    assert audrey.post("/audit/verifications")["location"] == asked["location"], "one at a time"
    page = audrey.get(asked["location"]).content.decode()
    assert "Waiting" in page
    assert 'hx-trigger="every 2s"' in page
    assert work_on_verification(verification_id=job.pk)
    assert not work_on_verification(verification_id=job.pk), "it is over"
    job.refresh_from_db()
    assert (job.status, job.fault, job.broken_at) == ("finished", "", None)
    assert job.events >= AuditEvent.objects.get(kind="audit.verification_requested").sequence
    assert (job.records or 0) > 2, "the inspection, the first threshold, and what events attest"
    part = audrey.get(asked["location"], headers={"HX-Request": "true"}).content.decode()
    assert "no fault found" in part
    assert "every 2s" not in part
    assert "no fault" in audrey.get("/audit/").content.decode()
    assert AuditEvent.objects.get(kind="audit.verified").actor == auditor
    with without_any_triggers():
        Inspection.objects.filter(pk=record.pk).update(serial_number="other")
    again, made = request_verification(actor=auditor)
    assert made
    work_on_verification(verification_id=again.pk)
    found = audrey.get(f"/audit/verifications/{again.pk}/").content.decode()
    assert "does not match its record" in found


def test_a_verification_that_was_left_behind_is_begun_anew(auditor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(3)
    attest_people()
    job, _ = request_verification(actor=auditor)
    long_ago = timezone.now() - timedelta(hours=1)
    AuditVerification.objects.filter(pk=job.pk).update(
        status="running", claim=uuid.uuid4(), lease_expires_at=long_ago, done=2
    )
    called: list[tuple[Any, ...]] = []
    monkeypatch.setattr(broker, "publish", lambda task, *ids: called.append(ids))
    sweep_verifications()
    sweep_verifications()
    assert called == [(job.pk,)], "once, until its lease runs out again"
    assert work_on_verification(verification_id=job.pk)
    assert AuditVerification.objects.get(pk=job.pk).fault == ""


def test_a_verification_that_lost_its_claim_writes_nothing(auditor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(3)
    job, _ = request_verification(actor=auditor)
    walk = selectors.walk

    def taken_over(*args: Any, **options: Any) -> Any:
        AuditVerification.objects.filter(pk=job.pk).update(claim=uuid.uuid4())
        return walk(*args, **options)

    monkeypatch.setattr(selectors, "walk", taken_over)
    assert not work_on_verification(verification_id=job.pk)
    assert AuditVerification.objects.get(pk=job.pk).status == "running"
    assert not AuditEvent.objects.filter(kind="audit.verified").exists()


@pytest.mark.parametrize("path", ["/audit/verifications/1/", "/audit/verifications/99999999999999999999/"])
def test_a_verification_that_is_not_there_is_404(audrey: Client, path: str) -> None:
    assert audrey.get(path).status_code == 404


def test_only_auditors_verify(user: User, operator: User) -> None:
    for someone in (user, operator):
        assert client_of(someone).post("/audit/verifications").status_code == 404
    assert not AuditVerification.objects.exists()
