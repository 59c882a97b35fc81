"""Budgets, reservations and decisions, with two people at the same time and with the random audit."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.models import Review
from inspection.reviews.services import record_review
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from quality.models import BlindDecision, Cause, QueueDecision, Reservation, ReviewBudget
from quality.random_audit.shifts import shift_at
from quality.review_queue import selectors, services
from records.models import AuditEvent
from tests.conftest import person
from tests.quality.audited import close, judged, plan
from tests.rollout.live import live, start, strict, work
from tests.scores import Part, stored
from tests.versions import serve

pytestmark = pytest.mark.django_db


@pytest.fixture
def production(version: ModelVersion) -> ModelVersion:
    serve(version)
    version.refresh_from_db()
    return version


def budget(version: ModelVersion, per_shift: int = 5) -> ReviewBudget:
    return services.set_budget(
        category=version.category, per_shift=per_shift, shift_starts=["00:00", "12:00"], reason="test", actor=None
    )


def at(version: ModelVersion, *factors: float) -> list:
    """Records with these multiples of the threshold as scores."""
    value = threshold_in_force(version.pk).value
    return stored(version, [Part(value * factor) for factor in factors])


def test_when_a_shift_began(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    noon = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert shift_at(noon, ["06:00", "22:00"]) == (
        datetime(2026, 7, 1, 4, tzinfo=UTC),
        datetime(2026, 7, 1, 20, tzinfo=UTC),
    )
    night = datetime(2026, 7, 1, 21, tzinfo=UTC)
    began, ended = shift_at(night, ["22:00"])
    assert began <= night < ended
    assert ended - began == timedelta(days=1)


def test_a_budget_is_a_revision_with_an_audit_event(production: ModelVersion, operator: User):
    assert selectors.budget_in_force(production.category).per_shift == 20
    first, second = budget(production, 3), budget(production, 4)
    assert (first.revision, second.revision) == (1, 2)
    assert selectors.budget_in_force(production.category) == selectors.Budget(4, ["00:00", "12:00"])
    event = AuditEvent.objects.filter(kind="review_budget.set").order_by("-sequence")[0]
    assert (json.loads(event.before)["per_shift"], json.loads(event.after)["per_shift"]) == (3, 4)
    with pytest.raises(Forbidden):
        services.set_budget(
            category=production.category, per_shift=1, shift_starts=["06:00"], reason="x", actor=operator
        )
    for per_shift, starts, reason in ((0, ["06:00"], "x"), (5, ["six"], "x"), (5, ["06:00"], " ")):
        with pytest.raises(UserError):
            services.set_budget(
                category=production.category, per_shift=per_shift, shift_starts=starts, reason=reason, actor=None
            )
    with pytest.raises(DatabaseError), transaction.atomic():
        ReviewBudget.objects.update(per_shift=9)


def test_the_part_nearest_to_the_threshold_comes_first(production: ModelVersion, operator: User):
    far, near, defective = at(production, 0.2, 0.99, 3.0)
    card = services.take_next(category=production.category, actor=operator)
    assert card
    assert (card.inspection_id, card.cause) == (near.pk, Cause.THRESHOLD)
    assert services.take_next(category=production.category, actor=operator) == card, "the same until decided"
    made = services.decide(reservation_id=card.pk, decision="defective", actor=operator, defect_type="dent")
    assert made.review
    assert (made.review.verdict, made.review.agrees, made.review.defect_type) == ("defective", False, "dent")
    kinds = AuditEvent.objects.order_by("-sequence").values_list("kind", flat=True)[:2]
    assert list(kinds) == ["queue_review.decided", "review.recorded"]
    progress = selectors.progress_of(production.category)
    assert (progress.done, progress.overruled, progress.left) == (1, 1, 19)
    following = services.take_next(category=production.category, actor=operator)
    assert following
    assert following.inspection_id in (far.pk, defective.pk)
    with pytest.raises(Conflict, match="not before you any more"):
        services.decide(reservation_id=card.pk, decision="good", actor=operator)


def test_unclear_counts_and_skipped_does_not(production: ModelVersion, operator: User, user: User):
    at(production, 0.99, 0.5)
    for decision in ("skipped", "unclear"):
        card = services.take_next(category=production.category, actor=operator)
        assert card
        services.decide(reservation_id=card.pk, decision=decision, actor=operator, comment="glare")
    assert services.take_next(category=production.category, actor=operator) is None, "not the same part twice"
    assert selectors.progress_of(production.category).done == 1
    assert not Review.objects.exists()
    assert services.take_next(category=production.category, actor=user), "somebody else is asked"


def test_two_people_never_get_the_same_part(production: ModelVersion, operator: User, user: User):
    records = at(production, 0.99, 0.98)
    cards = [services.take_next(category=production.category, actor=one) for one in (operator, user)]
    assert [card.inspection_id for card in cards if card] == [record.pk for record in records]
    third = person("tina", "operator")
    assert services.take_next(category=production.category, actor=third) is None
    later = timezone.now() + services.KEPT + timedelta(seconds=1)
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    taken = services.take_next(category=production.category, actor=third, now=later)
    assert taken, "what lapsed is handed on"
    with pytest.raises(Conflict, match="not before you"):
        services.decide(reservation_id=taken.pk, decision="good", actor=operator)
    assert services.decide(reservation_id=taken.pk, decision="good", actor=third)


def test_what_was_reviewed_elsewhere_meanwhile(production: ModelVersion, operator: User, user: User):
    record, other = at(production, 0.99, 0.98)
    card = services.take_next(category=production.category, actor=operator)
    assert card
    record_review(inspection=record, verdict="good", actor=user)
    with pytest.raises(Conflict, match="Somebody else reviewed"):
        services.decide(reservation_id=card.pk, decision="good", actor=operator)
    following = services.take_next(category=production.category, actor=operator)
    assert following
    assert following.inspection_id == other.pk


def test_what_is_no_decision(production: ModelVersion, operator: User, auditor: User):
    at(production, 0.99)
    card = services.take_next(category=production.category, actor=operator)
    assert card
    wrongs: list[dict[str, Any]] = [
        {"decision": "fine"},
        {"decision": "good", "defect_type": "dent"},
        {"decision": "good", "comment": "x" * 2001},
    ]
    for wrong in wrongs:
        with pytest.raises(UserError):
            services.decide(reservation_id=card.pk, actor=operator, **wrong)
    assert not QueueDecision.objects.exists()
    with pytest.raises(Forbidden):
        services.take_next(category=production.category, actor=auditor)
    with pytest.raises(UserError, match="signed-in"):
        services.take_next(category=production.category, actor=None)


def test_without_a_version_in_production(version: ModelVersion, operator: User):
    with pytest.raises(Conflict, match="in production"):
        services.take_next(category=version.category, actor=operator)


def test_parts_of_the_random_audit_are_within_the_budget_and_blind(production: ModelVersion, operator: User):
    budget(production, 4)
    plan(production.category, percent=100)
    judged(production, good=2)
    shift = close(production.category)
    at(production, 0.99, 0.98, 0.97, 0.96)
    drawn = set(shift.parts.values_list("inspection_id", flat=True))
    assert not drawn & {place.key for place in selectors.ranked(production.category, operator)}
    causes = []
    for _ in range(4):
        card = services.take_next(category=production.category, actor=operator)
        assert card
        causes.append(card.cause)
        services.decide(reservation_id=card.pk, decision="unclear", actor=operator)
    assert causes == [Cause.THRESHOLD, Cause.RANDOM_AUDIT, Cause.THRESHOLD, Cause.RANDOM_AUDIT]
    assert set(BlindDecision.objects.values_list("verdict", flat=True)) == {"doubtful"}
    assert selectors.progress_of(production.category).left == 0


def test_disagreement_between_versions(production: ModelVersion, operator: User):
    from tests.versions import another
    from tuning.models import Rescored, RescoringRun

    far, near = at(production, 0.2, 0.99)
    other = another(production)
    run = RescoringRun.objects.create(
        model_version=other,
        threshold=threshold_in_force(other.pk),
        device_requested="cpu",
        filters={},
        reason="test",
        total=1,
        lease_expires_at=timezone.now(),
    )
    Rescored.objects.create(run=run, inspection=far, outcome="defective", score=99.0)
    Rescored.objects.create(run=run, inspection=near, outcome="good", score=0.1)
    card = services.take_next(category=production.category, actor=operator)
    assert card
    assert (card.inspection_id, card.cause) == (far.pk, Cause.DISAGREEMENT)
    assert card.why == f"Version {other.number} says defective, the record says good."


@pytest.mark.usefixtures("worker", "deployment")
def test_a_challenger_is_a_second_opinion(version: ModelVersion, operator: User):
    candidate = strict(version)
    challenger = start(candidate)
    [record] = live(1)
    work(challenger)
    card = services.take_next(category=version.category, actor=operator)
    assert card
    assert (card.inspection_id, card.cause) == (record.pk, Cause.DISAGREEMENT)
    assert card.why == f"Version {candidate.number} says defective, the record says good."


def test_a_queue_costs_the_same_for_many_records(
    production: ModelVersion, operator: User, django_assert_max_num_queries
):
    at(production, *(0.5 + index / 1000 for index in range(400)))
    with django_assert_max_num_queries(8):
        assert len(selectors.ranked(production.category, operator)) == 400


@pytest.mark.postgresql_too
@pytest.mark.usefixtures("shared_database")
@pytest.mark.django_db(transaction=True)
def test_many_people_at_once(version: ModelVersion):
    serve(version)
    at(version, *(0.9 + index / 1000 for index in range(12)))
    people = [person(f"worker{index}", "operator") for index in range(6)]
    found, failed = [], []

    def take(one: User) -> None:
        try:
            card = services.take_next(category=version.category, actor=one)
            found.append(card.inspection_id if card else None)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=[one]) for one in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(set(found)) == len(found) == 6
    assert None not in found
