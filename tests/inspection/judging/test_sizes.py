"""Records whose regions are measured in millimetres: the verdict under a size rule, and that it can be recomputed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Model
from pypdf import PdfReader

from inspection.history.exports import COLUMNS, export_inspections
from inspection.history.filters import Filters
from inspection.judging import documents
from inspection.models import Inspection
from inspection.record.certificate import make_certificate
from inspection.record.pages import places
from modelzoo.evaluation.region_sizes import Grade, SizeRule
from modelzoo.loading import scoring
from modelzoo.models import ModelVersion
from modelzoo.scales import services as scales
from modelzoo.services import ensure_category
from records.audit.chain.audited_rows import verify_all
from records.audit.chain.derived_rows import compare_derived
from records.models import Asset, AuditEvent
from reports.content.documents import report_document
from reports.content.scope import Kind, Scope
from tests import parts
from tests.chain import attest_people
from tests.inspection.judging.test_services import again, inspect, regions_of
from tests.triggers import without_any_triggers
from tuning.what_if.selectors import what_if

pytestmark = pytest.mark.django_db

MM = 0.1  # per pixel


@pytest.fixture
def picture(version: ModelVersion) -> Asset:
    return scales.store_picture(data=parts.png(1), filename="gauge.png", actor=None)


@pytest.fixture
def spots(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A map with three regions far above the threshold: of 4, 9 and 30 pixels."""
    anomaly_map = np.zeros((parts.SIDE, parts.SIDE), np.float32)
    anomaly_map[10:12, 10:12], anomaly_map[40:43, 40:43], anomaly_map[70:75, 20:26] = 900, 800, 700
    monkeypatch.setattr(scoring.ImageScore, "map", lambda self: anomaly_map)
    return anomaly_map


def calibrate(version: ModelVersion, picture: Asset, *, station: str = "", mm_per_px: float = MM) -> Any:
    return scales.calibrate_by_length(
        category=version.category,
        station=station,
        picture=picture,
        first=(5, 5),
        second=(85, 5),
        length_mm=80 * mm_per_px,
        reason="gauge",
        actor=None,
    )


def ignore(version: ModelVersion, pixels: float, *grades: Grade) -> None:
    rule = SizeRule(pixels * MM**2, grades)
    scales.set_size_rule(version=version, rule=rule, reason="agreed", actor=None)


def test_without_a_rule_regions_are_measured_and_the_verdict_stays(
    version: ModelVersion, picture: Asset, spots: np.ndarray
) -> None:
    before = inspect(version, defective=True)
    assert (before.calibration, before.largest_region_mm2, before.size_note) == (None, None, "")
    assert documents.inspection_document(before)["regions"][0]["area_mm2"] is None
    calibration = calibrate(version, picture)
    record = inspect(version, defective=True)
    assert (record.outcome, record.score) == (before.outcome, before.score)
    assert record.calibration == calibration
    assert (record.min_region_px, record.ignored_region_count, record.severity) == (None, None, None)
    assert record.largest_region_mm2 == pytest.approx(30 * MM**2)
    document = documents.inspection_document(record)
    assert [region["area_mm2"] for region in document["regions"]] == pytest.approx([0.04, 0.09, 0.3])
    assert [region["width_mm"] for region in document["regions"]] == pytest.approx([0.2, 0.3, 0.6])
    assert [place.box_mm for place in places(record)] == ["0.200 x 0.200 mm", "0.300 x 0.300 mm", "0.600 x 0.500 mm"]
    # In the record itself nothing is rewritten: regions are in pixels, and of the scale there is the foreign key.
    assert "area_mm2" not in regions_of(record)[0]


def test_small_regions_are_ignored_and_the_record_says_so(
    version: ModelVersion, picture: Asset, spots: np.ndarray
) -> None:
    plain = inspect(version, defective=True)
    calibrate(version, picture)
    ignore(version, 9.5)
    record = inspect(version, defective=True)
    assert (record.outcome, record.ignored_region_count) == ("defective", 2), "the third one is large enough"
    assert record.size_note == "2 regions below 0.095 mm² ignored."
    assert [region["is_ignored"] for region in documents.inspection_document(record)["regions"]] == [True, True, False]
    ignore(version, 31)
    record = inspect(version, defective=True)
    assert (record.outcome, record.ignored_region_count, record.region_count) == ("good", 3, 3)
    assert record.is_above_threshold
    assert (record.score, record.map) == (plain.score, plain.map), "score and map are never changed by the rule"
    assert record.size_note == "3 regions below 0.31 mm² ignored."
    event = AuditEvent.objects.filter(kind="inspection.recorded").latest("sequence")
    assert '"ignored_regions":3' in event.after.replace(" ", "")
    good = inspect(version)
    assert (good.outcome, good.ignored_region_count, good.size_note) == ("good", 0, "")


def test_exactly_the_smallest_area_is_not_ignored(version: ModelVersion, picture: Asset, spots: np.ndarray) -> None:
    calibrate(version, picture, mm_per_px=0.5)
    scales.set_size_rule(version=version, rule=SizeRule(30 * 0.25), reason="agreed", actor=None)
    record = inspect(version, defective=True)
    assert (record.outcome, record.ignored_region_count) == ("defective", 2)


def test_grades_go_by_area_and_peak(version: ModelVersion, picture: Asset, spots: np.ndarray) -> None:
    calibrate(version, picture)
    grades = (Grade("speck"), Grade("spot", 8 * MM**2), Grade("hot", 0.0, 850), Grade("large", 31 * MM**2))
    ignore(version, 0.5, *grades)
    record = inspect(version, defective=True)
    assert record.severity == "hot", "of the region of 4 pixels and the highest peak"
    rows = documents.inspection_document(record)["regions"]
    assert [row["severity"] for row in rows] == ["hot", "spot", "spot"]
    ignore(version, 5, *grades)
    assert inspect(version, defective=True).severity == "spot", "what is ignored has no grade"
    assert inspect(version).severity is None


def test_the_safe_side_without_a_calibration(version: ModelVersion, picture: Asset, spots: np.ndarray) -> None:
    calibrate(version, picture, station="east")
    ignore(version, 100)
    assert inspect(version, defective=True, station="east").outcome == "good"
    record = inspect(version, defective=True, station="west")
    assert (record.outcome, record.calibration, record.ignored_region_count) == ("defective", None, None)
    assert record.size_note == (
        "The size rule was not applied: pictures of 96 x 96 pixels of station west are not calibrated. The verdict is "
        "that of the threshold alone."
    )
    assert "pixels of no station are" in inspect(version, defective=True).size_note
    scales.withdraw_calibration(category=version.category, station="east", reason="moved", actor=None)
    assert inspect(version, defective=True, station="east").outcome == "defective"


def test_a_picture_of_another_size_is_not_measured(version: ModelVersion, spots: np.ndarray) -> None:
    larger = scales.store_picture(
        data=parts.encode(parts.part(1)[0].resize((192, 192))), filename="gauge.png", actor=None
    )
    calibrate(version, larger)
    ignore(version, 100)
    record = inspect(version, defective=True)
    assert (record.outcome, record.calibration) == ("defective", None)


def test_a_score_above_the_threshold_without_a_region_stays_a_defect(
    version: ModelVersion, picture: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate(version, picture)
    ignore(version, 100)
    empty = np.zeros((parts.SIDE, parts.SIDE), np.float32)
    monkeypatch.setattr(scoring.ImageScore, "map", lambda self: empty)
    record = inspect(version, defective=True)
    assert (record.outcome, record.region_count, record.ignored_region_count) == ("defective", 0, 0)


def test_of_many_regions_the_largest_decides(
    version: ModelVersion, picture: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is not among the fifty that a record lists."""
    anomaly_map = np.zeros((parts.SIDE, parts.SIDE), np.float32)
    anomaly_map[::8, ::8] = 1000
    anomaly_map[90:92, 90:93] = 500
    monkeypatch.setattr(scoring.ImageScore, "map", lambda self: anomaly_map)
    calibrate(version, picture)
    ignore(version, 5, Grade("minor"))
    record = inspect(version, defective=True)
    assert (record.outcome, record.region_count, record.ignored_region_count) == ("defective", 145, 144)
    assert record.severity == "minor"
    ignore(version, 7, Grade("minor"))
    record = inspect(version, defective=True)
    assert (record.outcome, record.ignored_region_count, record.severity) == ("good", 145, None)
    attest_people()
    assert verify_all().sentence == ""


# ---------------------------------------------------------------- that it can be recomputed
def _tamper(record: Inspection, **fields: Any) -> str:
    """What the check of sizes says once a row was changed below the application; the row is put back."""
    before = {name: getattr(record, name) for name in fields}
    try:
        with without_any_triggers():
            Inspection.objects.filter(pk=record.pk).update(**fields)
        return " ".join(reason for _, reason in compare_derived()[1])
    finally:
        with without_any_triggers():
            Inspection.objects.filter(pk=record.pk).update(**before)


def test_verification_recomputes_the_verdict(version: ModelVersion, picture: Asset, spots: np.ndarray) -> None:
    calibrate(version, picture, station="west", mm_per_px=1)
    calibration = calibrate(version, picture)
    ignore(version, 9.5, Grade("minor"))
    record = inspect(version, defective=True)
    later = calibrate(version, picture, mm_per_px=2 * MM)
    attest_people()
    assert compare_derived()[1] == []
    assert verify_all().sentence == ""
    assert record.calibration == calibration
    # Each of these agrees with the constraints of the database, and not with the rest of the record.
    assert "does not say what the size rule" in _tamper(record, ignored_region_count=1)
    assert "does not say what the size rule" in _tamper(record, min_region_px=8.0)
    assert "does not say what the size rule" in _tamper(record, min_region_px=None, ignored_region_count=None)
    assert "has the severity critical, and its regions give minor" in _tamper(record, severity="critical")
    assert "not in force" in _tamper(record, calibration=later)
    with without_any_triggers():
        Inspection.objects.filter(pk=record.pk).update(severity=None)
    assert str(record.pk) in verify_all().sentence


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("verdict_follows_from_score", {"outcome": "good", "severity": None}),
        ("verdict_follows_from_score", {"outcome": "good", "min_region_px": 30.0, "severity": None}),
        ("verdict_follows_from_score", {"min_region_px": 30.5}),
        ("size_rule_was_applied_to_measured_regions", {"ignored_region_count": None}),
        ("size_rule_was_applied_to_measured_regions", {"ignored_region_count": 4}),
        ("size_rule_was_applied_to_measured_regions", {"calibration": None, "severity": None}),
        ("size_rule_was_applied_to_measured_regions", {"min_region_px": 0.0}),
        ("severity_is_that_of_a_measured_defect", {"outcome": "good", "min_region_px": 30.5}),
    ],
)
def test_the_database_refuses_what_does_not_follow(
    version: ModelVersion, picture: Asset, spots: np.ndarray, name: str, fields: dict[str, Any]
) -> None:
    calibrate(version, picture)
    ignore(version, 9.5, Grade("minor"))
    record = again(inspect(version, defective=True))
    assert (record.largest_region_px, record.region_count, record.severity) == (30, 3, "minor")
    for field, value in fields.items():
        setattr(record, field, value)
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        record.save(force_insert=True)


def test_the_database_refuses_the_scale_of_another_station(version: ModelVersion, picture: Asset) -> None:
    calibrate(version, picture)
    others = [calibrate(version, picture, station="west")]
    ring = ensure_category(name="ring")
    others.append(
        scales.calibrate_by_length(
            category=ring,
            station="",
            picture=picture,
            first=(5, 5),
            second=(85, 5),
            length_mm=8,
            reason="gauge",
            actor=None,
        )
    )
    record = inspect(version)
    others.append(scales.withdraw_calibration(category=version.category, station="", reason="moved", actor=None))
    for other in others:
        copy: Model = again(Inspection.objects.get(pk=record.pk))
        copy.calibration = other  # type: ignore[attr-defined]
        with pytest.raises(DatabaseError, match="belongs to another station or category"), transaction.atomic():
            copy.save(force_insert=True)


# ---------------------------------------------------------------- what is told of it elsewhere
def test_exports_certificate_and_report_have_the_sizes(
    version: ModelVersion, picture: Asset, spots: np.ndarray, user: Any
) -> None:
    calibrate(version, picture, station="east")
    ignore(version, 31, Grade("minor"))
    record = inspect(version, defective=True, station="east", lot="L7")
    inspect(version, defective=True, station="west", lot="L7")
    lines = b"".join(export_inspections(filters=Filters(), form="csv", actor=user).content).decode().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=False)) for line in lines[1:]]
    by_station = {row["station"]: row for row in rows}
    assert list(COLUMNS)[-5:] == [
        *("mm_per_px", "largest_region_mm2", "min_region_mm2", "ignored_region_count", "severity"),
    ]
    assert float(by_station["east"]["largest_region_mm2"]) == pytest.approx(0.3)
    assert (by_station["east"]["ignored_region_count"], by_station["west"]["ignored_region_count"]) == ("3", "")
    text = "".join(
        page.extract_text() for page in PdfReader(io.BytesIO(make_certificate(inspection=record, actor=user))).pages
    )
    assert "3 regions below 0.31 mm² ignored." in text.replace("\n", " ")
    assert "0.1 mm per pixel" in text
    scope = Scope(kind=Kind.LOT, category=version.category, station="", lot="L7", since=_early(), until=_late())
    document = report_document(scope)
    assert (document["counts"]["good_by_size_rule"], document["counts"]["without_scale"]) == (1, 1)
    sizes = {row["station"]: (row["largest_region_mm2"], row["largest_region_px"]) for row in document["worst"]}
    assert sizes["west"] == (None, 30)
    assert sizes["east"] == (pytest.approx(0.3), 30)


def _early() -> Any:
    from datetime import UTC, datetime

    return datetime(2020, 1, 1, tzinfo=UTC)


def _late() -> Any:
    from datetime import timedelta

    from django.utils import timezone

    return timezone.now() + timedelta(days=1)


def test_what_if_says_that_it_leaves_the_rule_out(version: ModelVersion, picture: Asset, spots: np.ndarray) -> None:
    inspect(version, defective=True)
    assert not [note for note in what_if(Filters(model_version=version.pk))["notes"] if "size rule" in note]
    calibrate(version, picture)
    ignore(version, 31)
    inspect(version, defective=True)
    result = what_if(Filters(model_version=version.pk))
    [note] = [note for note in result["notes"] if "size rule" in note]
    assert "1 recorded verdict is GOOD by the rule" in note
    assert "it counts as rejected here" in note
