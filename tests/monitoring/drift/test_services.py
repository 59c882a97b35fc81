"""Records become chart states and alarms, each once; people say when charts begin anew."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from common.errors import UserError
from common.rights import Forbidden
from inspection.models import BatchRun, Inspection, InspectionRequest
from modelzoo.models import ModelVersion
from monitoring.alarms.services import resolve_alarm
from monitoring.drift import selectors, services
from monitoring.models import Alarm, DriftChart, DriftCursor, DriftMonitor, ReferenceCheck
from monitoring.reference_parts.selectors import all_states
from monitoring.reference_parts.services import add_part
from records.models import AuditEvent
from tests.monitoring.streams import drifted, record_line, statistics

pytestmark = pytest.mark.django_db


def evaluate() -> int:
    return services.evaluate(until=timezone.now() + timedelta(hours=1))


def test_every_record_is_taken_in_once(version: ModelVersion) -> None:
    record_line(version, statistics(30), station="1")
    record_line(version, statistics(10), station="2")
    record_line(version, [None] * 5, station="1")  # older than image statistics
    assert evaluate() == 40
    assert evaluate() == 0
    assert {monitor.station: monitor.records for monitor in DriftMonitor.objects.all()} == {"1": 30, "2": 10}
    record_line(version, statistics(3), station="2")
    assert evaluate() == 3
    assert DriftCursor.objects.count() == 1


def test_records_that_may_not_be_settled_wait(version: ModelVersion) -> None:
    record_line(version, statistics(2), begin=timezone.now() + timedelta(minutes=5))
    assert services.evaluate() == 0


def test_a_dim_lamp_opens_one_alarm(version: ModelVersion) -> None:
    alarm = drifted(version, station="4")
    assert alarm.sentence.startswith("Out of control: brightness 153")
    assert alarm.details["charts"][0] == "brightness"
    event = AuditEvent.objects.get(kind="alarm.opened")
    assert event.object_id == str(alarm.pk)
    record_line(version, statistics(30, seed=5, brightness=-17.0), station="4")
    evaluate()
    assert Alarm.objects.count() == 1
    assert AuditEvent.objects.filter(kind="alarm.opened").count() == 1


def test_a_further_chart_is_a_comment_on_the_alarm(version: ModelVersion) -> None:
    alarm = drifted(version)
    record_line(version, statistics(40, seed=2, brightness=-17.0, focus=-5.0))
    evaluate()
    alarm.refresh_from_db()
    assert {"brightness", "focus"} <= set(alarm.details["charts"])
    assert "focus 7" in " ".join(alarm.comments.values_list("text", flat=True))


def test_a_resolved_alarm_comes_again_where_the_drift_stays(version: ModelVersion, user: User) -> None:
    first = drifted(version)
    resolve_alarm(alarm=first, cause="lamp cleaned", actor=user)
    record_line(version, statistics(30, seed=3, brightness=-17.0))
    evaluate()
    second = Alarm.objects.get(status="open")
    assert second.pk != first.pk


def test_what_is_measured_now_can_be_the_new_normal(version: ModelVersion, user: User) -> None:
    first = drifted(version)
    resolve_alarm(alarm=first, cause="darker lamp on purpose", is_new_normal=True, actor=user)
    record_line(version, statistics(150, seed=3, brightness=-17.0))
    evaluate()
    assert not Alarm.objects.exclude(pk=first.pk).exists()


def test_restarting_needs_the_right_and_a_reason(version: ModelVersion, user: User, operator: User) -> None:
    drifted(version)
    monitor = DriftMonitor.objects.get()
    with pytest.raises(Forbidden):
        services.restart_monitor(monitor=monitor, reason="new lamp", actor=operator)
    with pytest.raises(UserError):
        services.restart_monitor(monitor=monitor, reason=" ", actor=user)
    services.restart_monitor(monitor=monitor, reason="new lamp", actor=user)
    assert {row.state["reference"] == [] for row in DriftChart.objects.all()} == {True}
    assert AuditEvent.objects.filter(kind="drift_monitor.restarted").count() == 1


def test_the_figures_are_in_the_unit_of_the_records(version: ModelVersion) -> None:
    version.image_statistics = {"brightness": [row["brightness"] for row in statistics(60, seed=9)]}
    version.save(update_fields=["image_statistics"])
    drifted(version)
    by_kind = {figures.kind.name: figures for figures in selectors.figures_of(DriftMonitor.objects.get())}
    brightness = by_kind["brightness"]
    assert brightness.is_out
    assert brightness.limits is not None
    assert 166 < brightness.limits[0] < 170 < brightness.limits[1] < 174
    assert brightness.average[-1] < brightness.limits[0]
    assert brightness.centre == pytest.approx(170, abs=0.5)
    assert len(brightness.values) == len(brightness.average) == 40
    assert not by_kind["contrast"].is_out
    direction = by_kind["direction"]
    assert direction.centre == pytest.approx(0.5, abs=0.1)
    assert brightness.stability is not None
    assert by_kind["defect_share"].values[-1] == 0.0


def test_pages_show_monitors_charts_and_alarms(version: ModelVersion, signed_in: Client) -> None:
    assert "No unresolved alarm" in signed_in.get("/monitoring/").content.decode()
    alarm = drifted(version, station="4")
    page = signed_in.get("/monitoring/").content.decode()
    assert alarm.sentence in page
    assert "1 alarm<" in signed_in.get("/?category=disc").content.decode()
    drifted(version, station="5")
    assert "2 alarms<" in signed_in.get("/?category=disc").content.decode()
    monitor = DriftMonitor.objects.get(station="4")
    page = signed_in.get(f"/monitoring/drift/{monitor.pk}/").content.decode()
    assert page.count('<figure class="chart') == len(selectors.figures_of(monitor))
    answer = signed_in.post(f"/monitoring/drift/{monitor.pk}/restart", {"reason": ""})
    assert answer.status_code == 400
    answer = signed_in.post(f"/monitoring/drift/{monitor.pk}/restart", {"reason": "new lamp"})
    assert answer.status_code == 302
    assert signed_in.get(f"/monitoring/drift/{monitor.pk}/").status_code == 200
    assert signed_in.get("/monitoring/drift/999/").status_code == 404


# ---------------------------------------------------------------- batches
def as_batch(records: list[Inspection]) -> None:
    """As if these had come as one job."""
    deployment = records[0].deployment
    assert deployment
    batch = BatchRun.objects.create(
        deployment=deployment, name="overnight", status="finished", finished_at=timezone.now()
    )
    for position, record in enumerate(records):
        InspectionRequest.objects.filter(pk=record.request_id).update(batch=batch, position=position)


def test_batches_have_charts_of_their_own(version: ModelVersion) -> None:
    record_line(version, statistics(110), station="4")
    as_batch(record_line(version, statistics(120, seed=1, brightness=-17.0), station="4"))
    evaluate()
    line, batches = DriftMonitor.objects.order_by("of_batches")
    assert (str(line), line.records) == ("disc, station 4", 110)
    assert (str(batches), batches.records) == ("disc, station 4, batches", 120)
    assert not Alarm.objects.exists(), "dim batches are no drift of the line, and their own reference is dim"
    [brightness] = [figures for figures in selectors.figures_of(batches) if figures.kind.name == "brightness"]
    assert brightness.centre == pytest.approx(153, abs=1)
    assert len(brightness.values) == 20


def test_a_batch_unlike_those_before_is_an_alarm_of_its_own(version: ModelVersion, user: User) -> None:
    as_batch(record_line(version, statistics(120)))
    evaluate()
    as_batch(record_line(version, statistics(20, seed=1, brightness=-17.0)))
    evaluate()
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.get_kind_display()) == ("batch_drift", "drift in batches")
    record_line(version, statistics(120))
    record_line(version, statistics(20, seed=1, brightness=-17.0))
    evaluate()
    assert set(Alarm.objects.values_list("kind", flat=True)) == {"batch_drift", "drift"}, "one does not hide the other"
    resolve_alarm(alarm=alarm, cause="collected parts", is_new_normal=True, actor=user)
    as_batch(record_line(version, statistics(110, seed=2, brightness=-17.0)))
    evaluate()
    assert Alarm.objects.filter(kind="batch_drift", status="open").count() == 0


def test_a_reference_part_in_a_batch_proves_nothing(version: ModelVersion, user: User) -> None:
    add_part(category=version.category, serial_number="GOLD", expected="good", note="measured", actor=user)
    as_batch(record_line(version, statistics(1), serial_number="GOLD"))
    as_batch(record_line(version, statistics(3)))
    evaluate()
    assert not ReferenceCheck.objects.exists()
    assert DriftMonitor.objects.get().records == 3
    assert all_states() == [], "no station has inspected anything"
