"""What a report counts: against counting by hand, and the same numbers in all its forms."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pypdf import PdfReader
from scipy.stats import binomtest

from inspection.models import BatchRun, Inspection, InspectionRequest
from inspection.reviews.services import record_review
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from modelzoo.services import set_threshold
from monitoring.alarms.services import resolve_alarm
from monitoring.reference_parts.services import add_part, check_record
from quality.random_audit import services as random_audit
from reports.content import documents, selectors
from reports.content.documents import rate, report_document
from reports.content.pdf import pictures_of, report_pdf
from reports.content.scope import Kind, Scope
from reports.content.sections import figures_of, sections_of
from reports.content.table import report_csv
from tests.inspection.judging.test_services import inspect
from tests.monitoring.streams import checked, drifted, record_line, statistics
from tests.quality.audited import close, judged, plan
from tests.scores import BEGAN, Part, stored
from tests.versions import serve

pytestmark = pytest.mark.django_db


def around(kind: str = Kind.PERIOD, **more: Any) -> Scope:
    now = timezone.now()
    return Scope(kind, now - timedelta(hours=3), now + timedelta(hours=1), **more)


def of_stored(**more: Any) -> Scope:
    return Scope(Kind.PERIOD, BEGAN, BEGAN + timedelta(days=7), **more)


@pytest.mark.parametrize(("found", "total"), [(0, 10), (3, 10), (10, 10), (17, 1000)])
def test_rates_have_exact_intervals(found: int, total: int) -> None:
    interval = binomtest(found, total).proportion_ci(0.95, method="exact")
    shown = rate(found, total)
    assert shown["value"] == found / total
    assert (shown["low"], shown["high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_of_nothing_there_is_no_rate() -> None:
    assert rate(0, 0) == {"found": 0, "of": 0, "value": None, "low": None, "high": None}
    document = report_document(around())
    assert document["counts"]["records"] == 0
    assert document["by_station"] == {"total": 0, "rows": []}
    assert report_pdf(document, {}).startswith(b"%PDF")


def test_all_are_counted_as_by_hand(version: ModelVersion) -> None:
    value = threshold_in_force(version.pk).value
    parts = [
        *[Part(value * 0.5)] * 6,
        *[Part(value * 0.6, "good")] * 2,
        Part(value * 0.9, "defective", "scratch"),
        *[Part(value * 1.5)] * 3,
        *[Part(value * 1.6, "defective", "scratch")] * 2,
        Part(value * 1.7, "defective", "dent"),
        Part(value * 1.8, "defective"),
        Part(value * 1.2, "good"),
        Part(None),
        Part(None, "defective", "dent"),
    ]
    records = stored(version, parts, station="1")
    stored(version, [Part(value * 0.5)] * 4, station="2", lot="L")
    document = report_document(of_stored())
    counts = document["counts"]
    assert (counts["records"], counts["good"], counts["defective"], counts["not_comparable"]) == (23, 13, 8, 2)
    assert (counts["defect_rate"]["found"], counts["defect_rate"]["of"]) == (8, 21)
    stands = [record.standing_verdict for record in Inspection.objects.select_related("standing")]
    assert counts["stands_defective"] == stands.count("defective") == 9
    assert counts["stands_good"] == stands.count("good") == 13
    assert [(row["station"], row["records"]) for row in document["by_station"]["rows"]] == [("1", 19), ("2", 4)]
    assert document["defects"]["rows"] == [
        {"defect_type": "scratch", "count": 3, "share": 0.5, "cumulative_share": 0.5},
        {"defect_type": "dent", "count": 2, "share": 2 / 6, "cumulative_share": 5 / 6},
        {"defect_type": "", "count": 1, "share": 1 / 6, "cumulative_share": 1.0},
    ]
    defects = document["defects"]
    assert (defects["reviewed"], defects["unreviewed"], defects["overruled"]) == (6, 3, 1)
    reviews = document["reviews"]
    assert (reviews["records"], reviews["of"], reviews["reviews"], reviews["overruled"]) == (9, 23, 9, 3)
    assert reviews["by_person"] == [{"reviewer": "rita", "records": 9, "overruled": 3}]
    worst = sorted((r for r in records if r.score), key=lambda r: -(r.score or 0.0))
    assert [row["score"] for row in document["worst"][:8]] == [r.score for r in worst[:8]]
    assert document["worst"][0]["score_by_threshold"] == pytest.approx(1.8)
    only = report_document(of_stored(station="2", lot="L", category=version.category))["counts"]
    assert (only["records"], only["defective"]) == (4, 0)
    assert report_document(of_stored(station="2", lot="M"))["counts"]["records"] == 0


def test_the_end_of_a_window_is_of_the_next_one(version: ModelVersion) -> None:
    stored(version, [Part(1.0)] * 3)
    scope = Scope(Kind.PERIOD, BEGAN, BEGAN + timedelta(hours=2))
    assert report_document(scope)["counts"]["records"] == 2


def test_batches_stand_apart_and_failed_images_are_told(version: ModelVersion) -> None:
    records = record_line(version, statistics(3))
    deployment = records[0].deployment
    assert deployment
    batch = BatchRun.objects.create(
        deployment=deployment, name="old parts", status="finished", finished_at=timezone.now()
    )
    InspectionRequest.objects.filter(pk=records[2].request_id).update(batch=batch)
    more = {"model_version": version, "filename": "a.png", "source": "api"}
    InspectionRequest.objects.create(status="failed", error_code="image_rejected", **more)
    InspectionRequest.objects.create(status="expired", asset=records[0].asset, **more)
    InspectionRequest.objects.create(status="cancelled", asset=records[0].asset, **more)
    document = report_document(around())
    assert [(row["origin"], row["records"]) for row in document["by_origin"]] == [("single", 2), ("batch", 1)]
    assert document["counts"]["failed"] == 2
    assert {row["code"] for row in document["counts"]["failures"]} == {"image_rejected", "not_judged_in_time"}


def test_reference_parts_are_no_product(version: ModelVersion, user: User) -> None:
    value = threshold_in_force(version.pk).value
    record_line(version, statistics(4), station="4")
    add_part(category=version.category, serial_number="GOLD", expected="good", note="measured", actor=user)
    early = timezone.now() - timedelta(days=2)
    version.category.reference_parts.update(created_at=early)
    begin = timezone.now() - timedelta(minutes=30)
    checked(version, "GOLD", station="4", score=value * 2)
    checked(version, "GOLD", station="4")
    document = report_document(around())
    assert document["counts"]["records"] == 4
    assert document["counts"]["reference_inspections"] == 2
    parts = document["reference_parts"]
    assert (parts["inspections"], parts["failed"]) == (2, 1)
    [check] = parts["checks"]["rows"]
    assert (check["serial_number"], check["station"], check["passed"], check["failed"]) == ("GOLD", "4", 1, 1)
    assert [(row["serial_number"], row["since"]) for row in parts["doubts"]["rows"]] == [("GOLD", None)]
    assert document["alarms"]["rows"][0]["kind"] == "reference_part"
    assert begin < timezone.now()


def test_what_was_inspected_before_a_station_was_proven(version: ModelVersion, user: User, settings: Any) -> None:
    settings.SHIFT_STARTS = ["06:00", "18:00"]
    add_part(category=version.category, serial_number="GOLD", expected="good", note="measured", actor=user)
    version.category.reference_parts.update(created_at=BEGAN - timedelta(days=1))
    value = threshold_in_force(version.pk).value
    stored(version, [Part(value / 2)] * 16, station="4")  # 08:00 to 23:00, one an hour
    stored(version, [Part(value / 2)] * 2, station="5")
    *_, gold = stored(version, [Part(value / 2)] * 5, station="4", serial_number="GOLD")
    check_record(part=version.category.reference_parts.get(), record=gold)  # at 12:00
    parts = report_document(of_stored(station="4"))["reference_parts"]
    rows = [(row["since"][11:16], row["until"][11:16], row["was_proven"]) for row in parts["unproven"]["rows"]]
    assert rows == [("08:00", "12:00", True), ("18:00", "06:00", False)]
    assert [row["records"] for row in parts["unproven"]["rows"]] == [8, 6]
    assert {row["station"] for row in report_document(of_stored())["reference_parts"]["unproven"]["rows"]} == {"4", "5"}


def test_changes_name_who_and_why(version: ModelVersion, user: User) -> None:
    serve(version)
    set_threshold(version=version, value=3.5, method="manual", reason="agreed with the customer", actor=user)
    document = report_document(around())
    assert [(row["what"], row["by"], row["reason"]) for row in document["changes"]["rows"]] == [
        ("model", "the system", ""),
        ("threshold", "olga", "agreed with the customer"),
    ]
    later = Scope(Kind.PERIOD, timezone.now() + timedelta(hours=1), timezone.now() + timedelta(hours=2))
    assert report_document(later)["changes"]["total"] == 0


def test_alarms_stand_as_they_stood_at_the_end(version: ModelVersion, user: User) -> None:
    alarm = drifted(version, station="4")
    scope = around()
    [row] = report_document(scope)["alarms"]["rows"]
    assert (row["alarm_id"], row["resolved_at"]) == (alarm.pk, None)
    assert "Brightness" in row["charts"]
    ends_now = Scope(Kind.PERIOD, scope.since, timezone.now())
    resolve_alarm(alarm=alarm, cause="lamp changed", actor=user)
    assert report_document(ends_now)["alarms"]["rows"][0]["resolved_at"] is None
    [row] = report_document(scope)["alarms"]["rows"]
    assert (row["resolved_by"], row["cause"]) == ("olga", "lamp changed")
    assert report_document(around(station="5"))["alarms"]["total"] == 0
    before = Scope(Kind.PERIOD, scope.since - timedelta(days=9), scope.since - timedelta(days=8))
    assert report_document(before)["alarms"]["total"] == 0


def test_the_random_audit_of_its_shifts(version: ModelVersion, user: User) -> None:
    plan(version.category, percent=50)
    judged(version, good=8)
    shift = close(version.category)
    for index, part in enumerate(shift.parts.order_by("position")):
        random_audit.decide(part=part, verdict="good" if index else "defective", actor=user)
    scope = Scope(Kind.SHIFT, shift.starts_at, shift.ends_at, version.category)
    audit = report_document(scope)["random_audit"]
    interval = binomtest(1, 4).proportion_ci(0.95, method="exact")
    assert (audit["shifts"], audit["drawn"], audit["defective"], audit["escape_rate"]) == (1, 4, 1, 0.25)
    assert audit["exact_interval"] == pytest.approx([interval.low, interval.high], abs=1e-9)
    after = Scope(Kind.SHIFT, shift.ends_at, shift.ends_at + timedelta(hours=8), version.category)
    assert report_document(after)["random_audit"]["drawn"] == 0


# ---------------------------------------------------------------- three forms
def test_page_pdf_and_csv_say_the_same(version: ModelVersion, user: User, signed_in: Any) -> None:
    records = [inspect(version, seed=seed, defective=seed == 3, lot="=L", station="4") for seed in range(4)]
    record_review(inspection=records[3], verdict="defective", defect_type="scratch", actor=user)
    scope = around(category=version.category)
    document = report_document(scope)
    data = report_pdf(document, pictures_of(document))
    assert data == report_pdf(document, pictures_of(document))
    text = " ".join("".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages).split())
    rows = list(csv.reader(io.StringIO(report_csv(document).decode("utf-8-sig"))))
    assert rows[0] == ["section", "row", "about", "figure", "value"]
    assert len(rows) == 6 + len(list(figures_of(sections_of(document))))
    assert ["Counts", "0", "", "Inspected", "4"] in rows
    rate_row = next(row for row in rows if row[3] == "Defect rate" and row[0] == "Counts")
    assert float(rate_row[4]) == document["counts"]["defect_rate"]["value"] == 0.25
    assert any(row[4] == "'=L" for row in rows), "a formula stays text"
    page = signed_in.get("/reports/", {"category": "disc", "kind": "day"})
    shown = " ".join(page.content.decode().split())
    for section in sections_of(page.context["report"]):
        assert section.title in shown
        for _, cell in section.facts:
            assert cell.text in shown
    for section in sections_of(document):
        assert section.title in text
    for number in ("25.0 %", "scratch", "so far"):
        assert number in text
        assert number in shown
    assert len(PdfReader(io.BytesIO(data)).pages[0].images) + len(PdfReader(io.BytesIO(data)).pages[1].images) >= 4


def test_an_image_that_is_gone_is_said_to_be(version: ModelVersion) -> None:
    record = inspect(version)
    record.asset.__class__.objects.filter(pk=record.asset_id).update(discarded_at=timezone.now())
    document = report_document(around())
    assert pictures_of(document) == {}
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(report_pdf(document, {}))).pages)
    assert "retention removed it" in " ".join(text.split())


def test_a_report_needs_as_many_queries_however_much_happened(version: ModelVersion) -> None:
    value = threshold_in_force(version.pk).value
    counts = []
    for _ in range(2):
        stored(version, [Part(value * 0.5, "good"), Part(value * 1.5, "defective", "dent")] * 20, station="3")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            report_document(of_stored())
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 30


def test_long_lists_are_cut_and_say_so(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_LISTED", 2)
    for station in ("1", "2", "3"):
        stored(version, [Part(1.0)], station=station)
    document = report_document(of_stored())
    assert document["by_station"]["total"] == 3
    assert len(document["by_station"]["rows"]) == 2
    stations = next(section for section in sections_of(document) if section.name == "stations")
    assert stations.notes == ["The first 2 of 3 stations are shown."]
    assert selectors.MAX_LISTED > 2
