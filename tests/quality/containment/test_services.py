"""Containments: which parts are searched and listed, what is expected of the rest, and the signed list."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone
from pypdf import PdfReader

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.models import BatchRun, Inspection, InspectionRequest
from inspection.reviews.services import record_review
from modelzoo.models import ModelVersion
from modelzoo.services import set_threshold
from monitoring.models import ReferencePart
from monitoring.reference_parts.services import add_part, check_record
from quality.containment import report, selectors, services
from quality.containment.documents import list_csv
from quality.containment.pages import bound_sentences
from quality.models import ContainedPart, Containment
from quality.random_audit import services as random_audit
from quality.random_audit.bounds import binomial_interval
from records.audit.chain.signing import is_signed, own_key
from records.models import Asset, AuditEvent
from tests.inspection.judging.test_services import inspect
from tests.quality.audited import close, judged, plan
from tests.versions import another, serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def escape(version: ModelVersion, operator: User) -> Inspection:
    """A part that passed and is defective after all, with three others that passed and one that did not."""
    records = [inspect(version, seed=seed) for seed in range(5000, 5004)]
    inspect(version, seed=5004, defective=True)
    record_review(inspection=records[0], verdict="defective", actor=operator)
    return again(records[0])


def again(record: Inspection) -> Inspection:
    return Inspection.objects.select_related("asset", "map", "threshold", "deployment", "standing").get(pk=record.pk)


def contain(escape: Inspection, user: User, **fields: Any) -> Containment:
    asked = services.request_containment(escape=escape, reason="complaint 7", actor=user, **fields)
    services.work_on_containment(containment_id=asked.pk)
    return selectors.find_containment(asked.pk)


def test_all_that_passed_as_the_escape_did_is_searched(escape: Inspection, user: User, version: ModelVersion):
    done = contain(escape, user, min_likeness=0.0)
    assert (done.status, done.passed, done.searched, done.listed) == ("finished", 4, 4, 3)
    assert escape.pk not in {part.inspection_id for part in done.parts.all()}
    assert (done.since, done.since_what) == (escape.threshold.created_at, "threshold")
    likeness = [part.likeness for part in selectors.listed_parts(done)]
    assert likeness == sorted(likeness, key=lambda value: -(value or 0))
    assert contain(escape, user, min_likeness=1.0).listed == 0
    middle = sorted(value for value in likeness if value is not None)[1]
    assert contain(escape, user, min_likeness=middle).listed == 2


def test_the_last_change_bounds_the_search(escape: Inspection, user: User, version: ModelVersion, operator: User):
    value = escape.threshold_value
    set_threshold(version=version, value=value * 1.01, method="manual", reason="test", actor=None)
    late = [inspect(version, seed=seed) for seed in range(5010, 5013)]
    record_review(inspection=late[0], verdict="defective", actor=operator)
    done = contain(again(late[0]), user, min_likeness=0.0)
    assert (done.since_what, done.passed, done.listed) == ("threshold", 3, 2)
    assert contain(escape, user, min_likeness=0.0).passed == 4, "those of its own threshold only"


def test_a_change_of_the_model_bounds_it_too(escape: Inspection, version: ModelVersion):
    deployment = serve(version)
    escape.deployment = deployment
    assert selectors.conditions_of(escape).since_what == "threshold", "it was deployed after the escape"
    escape.created_at = timezone.now()
    conditions = selectors.conditions_of(escape)
    assert (conditions.since, conditions.since_what) == (deployment.activated_at, "deployment")


# ---------------------------------------------------------------- reference parts
def part_of(version: ModelVersion, serial_number: str, user: User) -> ReferencePart:
    return add_part(
        category=version.category, serial_number=serial_number, expected="good", note="measured", actor=user
    )


def passes(part: ReferencePart, station: str, seed: int) -> Inspection:
    record = inspect(part.category.versions.get(), seed=seed, station=station, serial_number=part.serial_number)
    check_record(part=part, record=record)
    return record


@pytest.fixture
def stations(version: ModelVersion, user: User, operator: User) -> dict[str, Inspection]:
    """Two reference parts; at station 1 both passed before the escape, at station 2 one of them."""
    gold, silver = part_of(version, "GOLD", user), part_of(version, "SILVER", user)
    found = {
        "early 1": inspect(version, seed=6000, station="1"),
        "early 2": inspect(version, seed=6001, station="2"),
        "gold 1": passes(gold, "1", 6002),
        "between": inspect(version, seed=6003, station="1"),
        "silver 1": passes(silver, "1", 6004),
        "gold 2": passes(gold, "2", 6005),
        "escape": inspect(version, seed=6006, station="1"),
        "late 2": inspect(version, seed=6007, station="2"),
        "late 1": inspect(version, seed=6008, station="1"),
        "gold again": passes(gold, "1", 6009),
    }
    record_review(inspection=found["escape"], verdict="defective", actor=operator)
    return found


def listed(containment: Containment) -> set[Any]:
    return {part.inspection_id for part in containment.parts.all()}


def test_a_station_is_searched_from_when_it_was_last_proven(stations: dict[str, Inspection], user: User):
    done = contain(again(stations["escape"]), user, min_likeness=0.0)
    since = stations["gold 1"].created_at  # the earlier of the two that had passed
    assert done.bounds == [{"station": "1", "since": since.isoformat(), "reference_parts": ["GOLD", "SILVER"]}]
    assert listed(done) == {stations[name].pk for name in ("between", "early 2", "late 1", "late 2")}
    assert (done.passed, done.searched) == (5, 5)
    rows = list(csv.DictReader(io.StringIO(list_csv(done).decode())))
    why = {row["inspection_id"]: (row["searched_since"], row["searched_since_what"]) for row in rows}
    assert why[str(stations["late 1"].pk)] == (since.isoformat(), "reference parts passed: GOLD, SILVER")
    assert why[str(stations["late 2"].pk)] == (done.since.isoformat(), "the last change of the threshold")
    [sentence] = bound_sentences(done)
    assert sentence.startswith("at station 1 only from ")
    assert "(GOLD, SILVER)" in sentence
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(report.draw_report(done))).pages)
    assert "every reference part (GOLD, SILVER) had passed there" in " ".join(text.split())


def test_it_can_be_left_aside(stations: dict[str, Inspection], user: User):
    done = contain(again(stations["escape"]), user, min_likeness=0.0, use_reference_parts=False)
    assert done.bounds == []
    assert listed(done) == {stations[name].pk for name in ("early 1", "between", "early 2", "late 1", "late 2")}


def test_the_later_change_bounds_it(stations: dict[str, Inspection], version: ModelVersion, operator: User):
    set_threshold(version=version, value=9.0, method="manual", reason="test", actor=None)
    late = inspect(version, seed=6020, station="1")
    record_review(inspection=late, verdict="defective", actor=operator)
    assert selectors.conditions_of(again(late)).bounds == ()


def test_batches_were_at_no_station(version: ModelVersion, user: User, operator: User):
    gold = part_of(version, "GOLD", user)
    collected = inspect(version, seed=6030)
    inspect(version, seed=6031)
    batch = BatchRun.objects.create(
        deployment=serve(version), name="old", status="finished", finished_at=timezone.now()
    )
    InspectionRequest.objects.filter(pk=collected.request_id).update(batch=batch)
    passes(gold, "", 6032)
    escaped = inspect(version, seed=6033)
    record_review(inspection=escaped, verdict="defective", actor=operator)
    assert listed(contain(again(escaped), user, min_likeness=0.0)) == {collected.pk}


def test_a_list_that_is_older_than_the_bounds_stays_what_it_was(stations: dict[str, Inspection], user: User):
    done = contain(again(stations["escape"]), user, min_likeness=0.0)
    Containment.objects.filter(pk=done.pk).update(bounds=None)
    old = selectors.find_containment(done.pk)
    assert b"searched_since" not in list_csv(old)
    assert bound_sentences(old) == []
    assert stations["gold 1"].pk in set(selectors.searched_records(old).values_list("pk", flat=True))


def test_what_another_version_rejects_is_listed_too(
    escape: Inspection, user: User, version: ModelVersion, worker: None
):
    strict = another(version)
    set_threshold(version=strict, value=1e-6, method="manual", reason="rejects all", actor=None)
    asked = services.request_containment(
        escape=escape, reason="complaint", actor=user, version=strict, min_likeness=1.0
    )
    services.work_on_containment(containment_id=asked.pk)
    done = selectors.find_containment(asked.pk)
    assert done.rescoring
    assert (done.rescoring.status, done.status, done.listed) == ("finished", "finished", 3)
    assert {part.rescored_outcome for part in done.parts.all()} == {"defective"}


def test_it_waits_for_the_other_version(escape: Inspection, user: User, version: ModelVersion):
    done = contain(escape, user, version=another(version))
    assert (done.status, done.searched) == ("running", 0)
    assert done.lease_expires_at
    assert done.lease_expires_at > timezone.now()
    assert done.rescoring
    done.rescoring.__class__.objects.filter(pk=done.rescoring.pk).update(status="cancelled", finished_at=timezone.now())
    Containment.objects.update(lease_expires_at=timezone.now())
    services.work_on_containment(containment_id=done.pk)
    done = selectors.find_containment(done.pk)
    assert (done.status, done.error_code, done.list_sha256) == ("failed", "rescoring_over", "")
    assert AuditEvent.objects.filter(kind="containment.failed").count() == 1


def test_maps_that_retention_removed_are_said_to_be_missing(escape: Inspection, user: User):
    other = Inspection.objects.exclude(pk=escape.pk).filter(outcome="good").first()
    assert other
    assert other.map
    Asset.objects.filter(pk=other.map.pk).update(discarded_at=timezone.now())
    done = contain(escape, user, min_likeness=0.0)
    assert done.without_map == 1
    text = report.draw_report(done)
    assert text.startswith(b"%PDF")


# ---------------------------------------------------------------- how many more
def test_without_a_random_audit_nothing_is_claimed(escape: Inspection, user: User):
    assert contain(escape, user).expected == {
        **{"basis": "", "known": 1, "drawn": 0, "value": None, "low": None, "high": None}
    }


def test_with_one_further_escapes_have_exact_bounds(version: ModelVersion, operator: User, user: User):
    plan(version.category, percent=20)
    records = judged(version, good=100)
    shift = close(version.category)
    for index, part in enumerate(shift.parts.order_by("position")):
        random_audit.decide(
            part=part, verdict="doubtful" if index == 1 else "good" if index else "defective", actor=user
        )
    escaped = Inspection.objects.get(drawn__decision__verdict="defective")
    expected = contain(again(escaped), user).expected
    assert len(records) == 100
    low, high = binomial_interval(1, 20, unclear=1)
    assert (expected["basis"], expected["drawn"], expected["found"], expected["unclear"]) == ("random_audit", 20, 1, 1)
    passed = selectors.find_containment(Containment.objects.get().pk).passed
    # Records lie seconds apart: how many have passed by now depends on how long the test took so far.
    assert expected["value"] == pytest.approx(max(0.0, passed / 19 - 1))
    assert expected["high"] == max(0, int(high * passed) - 1)
    assert expected["low"] == max(0, -int(-low * passed // 1) - 1)


# ---------------------------------------------------------------- the signed list
def test_the_list_is_signed_and_gives_the_same_bytes_for_ever(escape: Inspection, user: User, operator: User):
    done = contain(escape, user, min_likeness=0.0)
    text = report.export_csv(containment=done, actor=user)
    assert hashlib.sha256(text).hexdigest() == done.list_sha256
    assert is_signed(text, base64.b64decode(done.signature), own_key().public_key())
    event = AuditEvent.objects.get(kind="containment.finished")
    assert done.list_sha256 in event.after
    lines = text.decode().splitlines()
    assert len(lines) == 4
    hashes = set(AuditEvent.objects.filter(kind="inspection.recorded").values_list("hash", flat=True))
    assert all(line.split(",")[-3] in hashes for line in lines[1:])
    other = selectors.listed_parts(done)[0].inspection
    record_review(inspection=Inspection.objects.get(pk=other.pk), verdict="good", actor=operator)  # and life goes on
    again_done = selectors.find_containment(done.pk)
    assert list_csv(again_done) == text
    assert report.draw_report(again_done) == report.draw_report(done)
    assert AuditEvent.objects.filter(kind="containment.exported").count() == 1
    with pytest.raises(DatabaseError), transaction.atomic():
        ContainedPart.objects.update(likeness=0.1)


def test_formulas_in_names_stay_text(escape: Inspection, user: User, version: ModelVersion):
    text = list_csv(contain(escape, user, min_likeness=0.0)).decode()
    assert "\n=" not in text


def test_what_is_no_escape_is_refused(escape: Inspection, user: User, operator: User, auditor: User):
    others = list(Inspection.objects.exclude(pk=escape.pk).order_by("created_at"))
    for record in others:
        with pytest.raises(Conflict, match="no escape"):
            services.request_containment(escape=again(record), reason="x", actor=user)
    with pytest.raises(Forbidden):
        services.request_containment(escape=escape, reason="x", actor=operator)
    with pytest.raises(UserError, match="reason"):
        services.request_containment(escape=escape, reason=" ", actor=user)
    with pytest.raises(UserError, match="0 to 1"):
        services.request_containment(escape=escape, reason="x", actor=user, min_likeness=2)
    assert not Containment.objects.exists()
    asked = services.request_containment(escape=escape, reason="x", actor=user)
    with pytest.raises(Conflict, match="no list yet"):
        report.export_pdf(containment=selectors.find_containment(asked.pk), actor=auditor)
    with pytest.raises(Forbidden):
        report.export_csv(containment=selectors.find_containment(asked.pk), actor=operator)


def test_a_doubled_message_finds_nothing_to_do(escape: Inspection, user: User, tmp_path: Path):
    done = contain(escape, user, min_likeness=0.0)
    events = AuditEvent.objects.count()
    services.work_on_containment(containment_id=done.pk)
    assert AuditEvent.objects.count() == events
    assert ContainedPart.objects.count() == 3
