"""Promises of thresholds beside what came: frozen on both sides, compared once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone
from scipy.stats import beta

from common.errors import NotFound
from modelzoo.models import ModelVersion, Threshold
from modelzoo.services import set_threshold
from quality.models import PromiseResult
from quality.promises import selectors, services
from records.models import AuditEvent
from tests.scores import Part, stored
from tuning.what_if.pages import PreviewQuery, evidence
from tuning.what_if.services import apply_threshold

pytestmark = pytest.mark.django_db
LATER = timedelta(days=15)


def applied(version: ModelVersion, user: User, value: float) -> Threshold:
    """A threshold that somebody applies on its page."""
    method, parameters, figures = evidence(version, PreviewQuery(threshold=value, days=3650), "manual")
    return apply_threshold(
        version=version,
        value=value,
        instead_of=version.thresholds.count(),
        reason="test",
        actor=user,
        method=method,
        parameters=parameters,
        evidence=figures,
    )


@pytest.fixture
def promise(version: ModelVersion, user: User) -> Threshold:
    """20 of 100 parts would have been rejected."""
    set_threshold(version=version, value=10.0, method="manual", reason="first", actor=None)
    stored(version, [Part(float(score % 10)) for score in range(100)])
    return applied(version, user, 7.0)


def by_name(figures: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {figure["name"]: figure for figure in figures}


def test_what_was_promised_is_what_the_page_showed(promise: Threshold):
    figures = by_name(selectors.outcome_of(promise).figures)
    assert figures["reject_share"]["promised"] == pytest.approx(0.2)
    assert figures["reject_share"]["came"] is None
    assert figures["reject_share"]["verdict"] == "not_known"


@pytest.mark.parametrize(("rejected", "verdict"), [(20, "kept"), (60, "higher"), (2, "lower")])
def test_the_share_that_came_is_held_against_it(promise: Threshold, version: ModelVersion, rejected: int, verdict: str):
    stored(version, [Part(9.0 if index < rejected else 1.0) for index in range(100)])
    figure = by_name(selectors.outcome_of(promise).figures)["reject_share"]
    assert figure["came"] == rejected / 100
    expected = [beta.ppf(0.025, rejected, 101 - rejected), beta.ppf(0.975, rejected + 1, 100 - rejected)]
    assert figure["interval"] == pytest.approx(expected)
    assert figure["verdict"] == verdict


def test_reviews_tell_the_rates(promise: Threshold, version: ModelVersion):
    parts = [Part(9.0, "good" if index < 10 else "defective") for index in range(20)]
    stored(version, [*parts, *(Part(1.0, "good") for _ in range(80))])
    figures = by_name(selectors.outcome_of(promise).figures)
    assert figures["false_reject_rate"]["came"] == pytest.approx(10 / 90)
    assert figures["escape_rate"]["came"] == 0
    low, high = figures["false_reject_rate"]["interval"]
    assert low < 10 / 90 < high


def test_what_came_is_kept_once_its_days_are_over(promise: Threshold, version: ModelVersion):
    stored(version, [Part(9.0), Part(1.0, "good")])
    assert services.compare_due_promise() is None
    result = services.compare_due_promise(now=timezone.now() + LATER)
    assert result
    assert (result.threshold, result.inspections, result.reviewed) == (promise, 2, 1)
    assert services.compare_due_promise(now=timezone.now() + LATER) is None
    assert AuditEvent.objects.filter(kind="threshold_promise.compared").count() == 1
    stored(version, [Part(9.0)] * 50)
    kept = selectors.outcome_of(selectors.find_promise(promise.pk))
    assert (kept.inspections, kept.figures) == (2, result.figures)
    with pytest.raises(DatabaseError), transaction.atomic():
        PromiseResult.objects.update(inspections=7)


def test_it_ends_when_another_threshold_takes_its_place(promise: Threshold, version: ModelVersion, user: User):
    stored(version, [Part(9.0)])
    other = applied(version, user, 8.0)
    stored(version, [Part(9.0)] * 3)
    outcome = selectors.outcome_of(promise)
    assert (outcome.until, outcome.inspections) == (other.created_at, 1)
    assert selectors.outcome_of(other).inspections == 3


def test_what_nobody_looked_at_promised_nothing(version: ModelVersion):
    with pytest.raises(NotFound):
        selectors.find_promise(version.thresholds.get().pk)
    assert services.compare_due_promise(now=timezone.now() + LATER) is None


def test_the_page_shows_both_sides(promise: Threshold, version: ModelVersion, signed_in: Client):
    stored(version, [Part(9.0)] * 60 + [Part(1.0)] * 40)
    shown = " ".join(signed_in.get("/quality/promises/").content.decode().split())
    assert "20.0 %" in shown
    assert "60.0 %" in shown
    assert "more than promised" in shown
    assert "So far, until" in shown
    services.compare_due_promise(now=timezone.now() + LATER)
    assert "Compared " in signed_in.get("/quality/promises/").content.decode()


def test_without_a_promise(signed_in: Client):
    assert "No promise yet." in signed_in.get("/quality/promises/").content.decode()
