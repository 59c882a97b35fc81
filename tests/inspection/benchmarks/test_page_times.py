"""`benchmark pages`, small."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from inspection.benchmarks import pages
from modelzoo.models import Deployment
from records.models import AuditEvent
from tests.mvtec_site.test_commands import fails, run

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_benchmark_pages_measures_every_page_and_leaves_nothing(db: None) -> None:
    run("generate_history", count=300, seed=5)
    before = User.objects.count(), AuditEvent.objects.count()
    document: dict[str, Any] = run("benchmark", "pages", rounds=1)
    figures = {name: value for name, value in document.items() if name.endswith("_ms")}
    assert figures.keys() >= {"line_ms", "history_ms", "inspection_ms", "threshold_ms", "models_compare_ms", "audit_ms"}
    assert figures["slowest_page_ms"] >= figures["history_ms"]
    assert figures["slowest_page_cpu_ms"] >= figures["history_cpu_ms"]
    assert min(figures.values()) > 0
    assert document["inspections"] == 300
    assert (User.objects.count(), AuditEvent.objects.count()) == before
    assert not Session.objects.exists()
    assert not Deployment.objects.filter(status=Deployment.Status.ACTIVE).exists()
    assert "history_sheet_ms" in pages.as_text(document)


def test_benchmark_pages_says_what_is_wrong(db: None) -> None:
    fails("benchmark", "pages", match="generate_history")
    fails("benchmark", "pages", rounds=0, match="at least 1")
