"""Issued reports: frozen, the same bytes for ever, vouched for by the audit chain."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from common.rights import Forbidden
from inspection.reviews.services import record_review
from modelzoo.models import ModelVersion
from records.audit.chain.audited_rows import verify_records
from records.backup.dump import columns_of, lines_of, load
from records.models import AuditEvent
from reports.content.scope import parse_scope
from reports.issued.models import MEDIA_TYPES
from reports.issued.services import issue_report, make_files
from reports.models import IssuedReport
from tests.chain import attest_people
from tests.inspection.judging.test_services import inspect
from tests.triggers import without_any_triggers

pytestmark = pytest.mark.django_db


def test_what_happens_later_changes_nothing(version: ModelVersion, user: User, signed_in: Client) -> None:
    record = inspect(version, defective=True)
    report = issue_report(scope=parse_scope({"kind": "day"}), actor=user)
    address = f"/api/issued-reports/{report.pk}"
    before = {form: signed_in.get(f"{address}/{form}").content for form in ("json", "csv", "pdf")}
    assert before["pdf"].startswith(b"%PDF")
    after = json.loads(AuditEvent.objects.get(kind="report.issued").after)
    assert {form: hashlib.sha256(data).hexdigest() for form, data in before.items()} == {
        form: after[f"{form}_sha256"] for form in before
    }
    record_review(inspection=record, verdict="good", actor=user)
    inspect(version, seed=9)
    record.asset.__class__.objects.filter(pk=record.asset_id).update(discarded_at=timezone.now())
    assert {form: signed_in.get(f"{address}/{form}").content for form in before} == before
    page = signed_in.get(f"/reports/issued/{report.pk}/")
    assert page.context["report"]["counts"]["records"] == 1
    assert "nothing in it changes any more" in page.content.decode()
    assert "Daily report: all categories" in signed_in.get("/reports/issued/").content.decode()


def test_it_is_english_whoever_issues_it(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect(version, defective=True)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    scope = parse_scope({"kind": "day"})
    english = make_files(scope)
    with override("de"):
        german = make_files(scope)
    assert (german.document, german.table) == (english.document, english.table)


def test_it_cannot_be_changed_and_a_change_would_show(version: ModelVersion, user: User) -> None:
    report = issue_report(scope=parse_scope({"kind": "day", "category": "disc"}), actor=user)
    attest_people()
    assert verify_records()[1] is None
    for change in (lambda: IssuedReport.objects.update(station="7"), lambda: report.delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    with without_any_triggers():
        IssuedReport.objects.filter(pk=report.pk).update(pdf=b"%PDF another")
    mismatch = verify_records()[1]
    assert mismatch
    assert "pdf_sha256" in mismatch.reason


def test_a_backup_has_its_files(version: ModelVersion, user: User) -> None:
    report = issue_report(scope=parse_scope({"kind": "day"}), actor=user)
    columns = columns_of(IssuedReport)
    lines = list(lines_of(IssuedReport, columns))
    with without_any_triggers():
        IssuedReport.objects.all().delete()
    assert load(IssuedReport, columns, lines) == 1
    again = IssuedReport.objects.get()
    assert {form: again.file(form) for form in MEDIA_TYPES} == {form: report.file(form) for form in MEDIA_TYPES}


def test_who_may_issue(version: ModelVersion, operator: User, auditor: User) -> None:
    scope = parse_scope({"kind": "day"})
    with pytest.raises(Forbidden):
        issue_report(scope=scope, actor=operator)
    assert issue_report(scope=scope, actor=auditor).issued_by == auditor
    client = Client()
    client.force_login(operator)
    assert client.post("/reports/issue", {"kind": "day"}).status_code == 403
    assert ">Issue<" not in client.get("/reports/").content.decode()
    client.force_login(auditor)
    assert ">Issue<" in client.get("/reports/").content.decode()
    made = client.post("/reports/issue", {"kind": "day", "category": "disc"})
    assert made["Location"] == f"/reports/issued/{IssuedReport.objects.first().pk}/"  # type: ignore[union-attr]
    assert client.post("/reports/issue", {"kind": "lot"}).status_code == 400
    assert IssuedReport.objects.count() == 2


def test_what_is_not_there(signed_in: Client) -> None:
    zero = "00000000-0000-0000-0000-000000000000"
    assert signed_in.get(f"/reports/issued/{zero}/").status_code == 404
    assert signed_in.get(f"/api/issued-reports/{zero}").json()["code"] == "report_not_found"
    assert signed_in.get(f"/api/issued-reports/{zero}/pdf").status_code == 404
    wrong: Any = signed_in.post("/api/issued-reports", {"kind": "lot"}, content_type="application/json")
    assert wrong.status_code == 400
    assert "No report was issued yet." in signed_in.get("/reports/issued/").content.decode()
