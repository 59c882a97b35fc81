"""The life of a model on real images: what `docs/lifecycle.md` tells, run on real processes and checked."""

from __future__ import annotations

import csv
import io

import pytest

from tests.stack.conftest import new_stack, peopled
from tests.stack.lifecycle import CATEGORY, STATION, tell

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.sqlite_is_enough]


def test_from_training_to_production_and_back() -> None:
    pytest.importorskip("elpv_dataset", reason="the wheel elpv-dataset is not installed")
    with new_stack(peopled(), REQUIRE_APPROVAL="true") as stack:
        stack.start()
        facts = tell(stack).facts

    refused_for_recall, refused_unmeasured = facts["refused"]
    assert "Recall" in refused_for_recall
    assert "required at least 95 %" in refused_for_recall
    assert "at the active threshold" in refused_unmeasured
    assert facts["scored"] == 60
    assert facts["comparison"]["figures"]["images"] > 0

    # Whichever chart is out of control first opens the alarm; the others join it.
    assert any(chart in alarm["sentence"] for alarm in facts["drift_alarm"] for chart in ("focus", "noise"))
    assert {alarm["station"] for alarm in facts["drift_alarm"]} == {STATION}

    containment = facts["containment"]
    assert 1 <= containment["listed"] <= containment["passed"]
    rows = list(csv.DictReader(io.StringIO(facts["containment_csv"].decode("utf-8-sig"))))
    assert len(rows) == containment["listed"]

    report = facts["report"]
    assert report["counts"]["records"] == 200 + 60 + 50
    assert report["counts"]["reference_inspections"] == 6

    kinds = [event["kind"] for event in facts["events"]]
    expected = {"approval.given", "deployment.activated", "alarm.opened", "containment.finished"}
    assert expected <= set(kinds), sorted(set(kinds))
    assert all(CATEGORY in event["after"] for event in facts["events"] if event["kind"] == "promotion_gates.set")
    assert "unbroken" in facts["verified"]
