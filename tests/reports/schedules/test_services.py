"""Schedules: each window issued once, sent to each recipient, tried again, and what failed is seen."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from jobs import outbox
from modelzoo.models import ModelVersion
from records.models import AuditEvent
from reports.content.scope import regular_scope
from reports.issued.services import make_files, write_report
from reports.models import IssuedReport, ReportMessage, ReportSchedule
from reports.schedules import services, worker
from reports.tasks import run_schedules
from tests.inspection.judging.test_services import inspect

pytestmark = pytest.mark.django_db


def scheduled(user: User, **fields: Any) -> ReportSchedule:
    values: dict[str, Any] = {"kind": "day", "recipients": ["a@b.example", "c@d.example"], "actor": user, **fields}
    return services.set_schedule(**values)


def end_of(schedule: ReportSchedule) -> datetime:
    return regular_scope(schedule.kind, schedule.next_from, schedule.category).until


def again() -> None:
    ReportMessage.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    worker.send_due_reports()


def test_each_window_is_issued_once_when_it_is_over(version: ModelVersion, user: User) -> None:
    inspect(version)
    schedule = scheduled(user, category=version.category)
    end = end_of(schedule)
    assert services.issue_due_reports() == []
    assert services.issue_due_reports(now=end) == [], "what belongs to it may still come"
    [report] = services.issue_due_reports(now=end + timedelta(minutes=2))
    assert (report.since, report.until, report.category) == (schedule.next_from, end, version.category)
    assert services.issue_due_reports(now=end + timedelta(minutes=3)) == []
    schedule.refresh_from_db()
    assert schedule.next_from == end
    assert report.messages.count() == 2
    assert AuditEvent.objects.get(kind="report.issued").actor is None


def test_missed_windows_come_one_after_the_other(version: ModelVersion, user: User) -> None:
    schedule = scheduled(user)
    later = end_of(schedule) + timedelta(days=2, hours=1)
    found = [services.issue_due_reports(now=later) for _ in range(4)]
    assert [len(reports) for reports in found] == [1, 1, 1, 0]
    windows = [(reports[0].since, reports[0].until) for reports in found[:3]]
    assert all(before[1] == after[0] for before, after in pairwise(windows))


def test_two_schedulers_make_one_report(version: ModelVersion, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one makes its files, another one takes the window; and the database refuses a second one by itself."""
    schedule = scheduled(user)
    after = end_of(schedule) + timedelta(minutes=2)

    def make(scope: Any) -> Any:
        monkeypatch.setattr(services, "make_files", make_files)
        services.issue_due_reports(now=after)
        return make_files(scope)

    monkeypatch.setattr(services, "make_files", make)
    assert services.issue_due_reports(now=after) == []
    report = IssuedReport.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        write_report(scope=report.scope, files=make_files(report.scope), actor=None, schedule=schedule)


def test_one_that_cannot_be_made_is_seen_and_keeps_no_other_from_it(
    version: ModelVersion, user: User, signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = scheduled(user, station="bad"), scheduled(user)

    def make(scope: Any) -> Any:
        if scope.station:
            raise RuntimeError("no")
        return make_files(scope)

    monkeypatch.setattr(services, "make_files", make)
    after = end_of(good) + timedelta(minutes=2)
    [report] = services.issue_due_reports(now=after)
    assert report.schedule == good
    bad.refresh_from_db()
    assert "RuntimeError" in bad.error
    assert "It is tried again." in signed_in.get("/reports/schedules/").content.decode()
    monkeypatch.setattr(services, "make_files", make_files)
    [report] = services.issue_due_reports(now=after)
    bad.refresh_from_db()
    assert (report.schedule, bad.error) == (bad, "")


# ---------------------------------------------------------------- by e-mail
def due(version: ModelVersion, user: User, **fields: Any) -> IssuedReport:
    schedule = scheduled(user, **fields)
    [report] = services.issue_due_reports(now=end_of(schedule) + timedelta(minutes=2))
    return report


def test_each_recipient_gets_the_issued_file(version: ModelVersion, user: User, settings: Any) -> None:
    settings.PUBLIC_URL = "https://inspection.example"
    inspect(version, defective=True)
    report = due(version, user)
    run_schedules()
    run_schedules()
    assert sorted(message.to[0] for message in mail.outbox) == ["a@b.example", "c@d.example"]
    [(name, data, kind)] = mail.outbox[0].attachments
    assert (name[:11], data, kind) == ("report-day-", bytes(report.pdf), "application/pdf")
    assert "Defective: 1, 100.0 %" in mail.outbox[0].body
    assert f"https://inspection.example/reports/issued/{report.pk}/" in mail.outbox[0].body
    assert mail.outbox[0].extra_headers["Message-ID"] != mail.outbox[1].extra_headers["Message-ID"]
    assert set(report.messages.values_list("status", flat=True)) == {"sent"}


def test_a_file_that_is_too_large_stays_here(
    version: ModelVersion, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_ATTACHMENT", 100)
    due(version, user, recipients=["a@b.example"])
    worker.send_due_reports()
    assert mail.outbox[0].attachments == []
    assert "too large for a message" in mail.outbox[0].body


def test_what_is_not_taken_is_tried_again_and_seen(
    version: ModelVersion, user: User, signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError("Connection refused")

    report = due(version, user, recipients=["a@b.example"])
    with monkeypatch.context() as patch:
        patch.setattr(mail.EmailMessage, "send", refuse)
        worker.send_due_reports()
        message = report.messages.get()
        assert (message.status, message.attempts) == ("waiting", 1)
        assert timedelta(seconds=20) < message.due_at - timezone.now() < timedelta(seconds=31)
        for page in ("/reports/schedules/", "/reports/issued/", f"/reports/issued/{report.pk}/"):
            assert "not taken 1 time (Connection refused)" in signed_in.get(page).content.decode()
        for _ in range(outbox.MAX_ATTEMPTS):
            again()
    message.refresh_from_db()
    assert (message.status, message.attempts) == ("failed", outbox.MAX_ATTEMPTS)
    assert "given up after 9 attempts" in signed_in.get("/reports/schedules/").content.decode()
    again()
    assert mail.outbox == []


# ---------------------------------------------------------------- what people set
def test_setting_changing_and_ending_are_audited(version: ModelVersion, user: User) -> None:
    schedule = scheduled(user)
    before = schedule.next_from
    ReportSchedule.objects.update(next_from=before - timedelta(days=1))
    schedule.refresh_from_db()
    changed = scheduled(user, schedule=schedule, recipients=["x@y.example"])
    assert changed.next_from == before - timedelta(days=1), "the row of its windows goes on"
    changed = scheduled(user, schedule=schedule, kind="month")
    assert changed.next_from.day == 1
    services.end_schedule(schedule=schedule, actor=user)
    kinds = AuditEvent.objects.filter(kind__startswith="report_schedule").order_by("sequence")
    assert list(kinds.values_list("kind", flat=True)) == [
        *["report_schedule.set"] * 3,
        "report_schedule.ended",
    ]
    with pytest.raises(Conflict, match="was ended"):
        services.end_schedule(schedule=schedule, actor=user)
    assert services.issue_due_reports(now=timezone.now() + timedelta(days=60)) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"recipients": []}, "1 to 20 recipients"),
        ({"recipients": [f"a{i}@b.example" for i in range(21)]}, "1 to 20 recipients"),
        ({"recipients": ["nobody"]}, "no e-mail address"),
        ({"recipients": ["a@b.example\nBcc: all@b.example"]}, "no e-mail address"),
        ({"kind": "lot"}, "A schedule is of"),
        ({"station": "x" * 101}, "at most 100"),
    ],
)
def test_what_is_no_schedule_is_refused(user: User, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        scheduled(user, **fields)
    assert not ReportSchedule.objects.exists()


def test_who_may_and_how_many(user: User, operator: User, auditor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for someone in (operator, auditor):
        with pytest.raises(Forbidden):
            scheduled(someone)
    monkeypatch.setattr(services, "MAX_SCHEDULES", 1)
    schedule = scheduled(user, recipients=[" a@b.example ", "a@b.example", ""])
    assert schedule.recipients == ["a@b.example"]
    with pytest.raises(Conflict, match="which is the most"):
        scheduled(user)
    scheduled(user, schedule=schedule, station="4")


# ---------------------------------------------------------------- pages
def test_a_schedule_from_its_page(version: ModelVersion, signed_in: Client, operator: User) -> None:
    wrong = signed_in.post("/reports/schedules/", {"kind": "shift", "recipients": "nobody"})
    assert wrong.status_code == 400
    assert "is no e-mail address" in wrong.content.decode()
    assert signed_in.post("/reports/schedules/", {"kind": "lot"}).status_code == 422
    fields = {"kind": "shift", "category": "disc", "station": "4", "recipients": "a@b.example; c@d.example"}
    assert signed_in.post("/reports/schedules/", fields).status_code == 302
    schedule = ReportSchedule.objects.get()
    assert (schedule.recipients, schedule.category) == (["a@b.example", "c@d.example"], version.category)
    shown = " ".join(signed_in.get("/reports/schedules/").content.decode().split())
    assert "shift report of disc, station 4" in shown
    page = f"/reports/schedules/{schedule.pk}/"
    assert 'value="a@b.example, c@d.example"' in signed_in.get(page).content.decode()
    assert signed_in.post(page, fields | {"recipients": "a@"}).status_code == 400
    assert signed_in.post(page, fields | {"station": ""}).status_code == 302
    other = Client()
    other.force_login(operator)
    assert "a@b.example" in other.get("/reports/schedules/").content.decode()
    assert other.post("/reports/schedules/", fields).status_code == 403
    assert other.get(page).status_code == 403
    assert other.post(f"{page}end").status_code == 403
    assert signed_in.post(f"{page}end").status_code == 302
    assert signed_in.get(page).status_code == 404
    assert "No schedule yet." in signed_in.get("/reports/schedules/").content.decode()
