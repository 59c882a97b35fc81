"""`generate_history` and `benchmark history`, small."""

from __future__ import annotations

from typing import Any

import pytest

from inspection.benchmarks import history
from inspection.judging import services
from inspection.models import Inspection, Review
from modelzoo.models import ModelVersion
from records.models import AuditEvent
from tests import parts
from tests.mvtec_site.test_commands import fails, run

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_generate_history_writes_what_was_asked_for(db: None) -> None:
    document = run("generate_history", count=250, seed=5)
    assert document["inspections"] == Inspection.objects.count() == 250
    assert document["reviews"] == Review.objects.count()
    more = run("generate_history", count=50, seed=6)
    assert more["inspections"] == 50
    assert Inspection.objects.count() == 300
    verified = run("verify_audit", records=True)
    assert verified["broken_at"] is None
    assert verified["events"] == AuditEvent.objects.count()
    assert verified["records"] >= 300


def test_generate_history_stays_away_from_real_records(version: ModelVersion) -> None:
    services.inspect_here(
        data=parts.png(1),
        submission=services.Submission(filename="a.png", source="command", actor=None),
        version=version,
    )
    fails("generate_history", count=10, match="real inspections")
    assert Inspection.objects.count() == 1
    fails("benchmark", "history", match="synthetic history")
    assert run("generate_history", count=10, yes=True)["inspections"] == 10


def test_generate_history_says_what_is_wrong(db: None) -> None:
    fails("generate_history", count=0, match="at least 1")


@pytest.mark.slow
def test_benchmark_history_measures_every_figure(db: None) -> None:
    run("generate_history", count=300, seed=5)
    document: dict[str, Any] = run("benchmark", "history", rounds=1, combinations=5, ingest=3, export=100)
    figures = {name for name in document if name.endswith("_ms")}
    assert figures >= {
        *("first_page_ms", "deep_page_ms", "object_page_ms", "ingest_ms", "export_first_bytes_ms", "what_if_ms"),
        *(f"{number}_slowest_ms" for number in ("one_filter", "two_filters", "three_filters", "four_filters")),
    }
    assert all(document[name] > 0 for name in figures)
    assert document["export_peak_mb"] >= 0
    assert document["export_records"] >= 100
    assert document["inspections"] == Inspection.objects.count() == 303
    assert len(document["slowest"]) == 10
    assert run("verify_audit", records=True)["broken_at"] is None
    assert "first_page_ms" in history.as_text(document)


@pytest.mark.parametrize(
    ("options", "said"), [({}, "generate_history"), ({"rounds": 0}, "at least 1"), ({"ingest": 0}, "at least 1")]
)
def test_benchmark_history_says_what_is_wrong(db: None, options: dict[str, int], said: str) -> None:
    fails("benchmark", "history", match=said, **options)
