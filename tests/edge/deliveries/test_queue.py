"""Whatever happens to the attempts of a lane: in order, none lost, and no duplicate that does not say so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.deliveries.queue import LINE_POLICY, begin, busy_lanes, finish, next_in
from edge.models import Delivery, Lane
from jobs.outbox import NotDelivered, NotSent, Refused, RetryPolicy
from tests.edge.line import webhook

# What comes of an attempt, and whether the other side has the message then.
_ENDS = {
    "taken": (True, None),
    "never left": (False, NotSent("no way")),
    "lost on the way": (False, NotDelivered("no answer")),
    "answer lost": (True, NotDelivered("no answer")),
    "refused": (False, Refused("never")),
    "died before": (False, "dies"),
    "died after": (True, "dies"),
}


def lane_of(number: int) -> Lane:
    """With so many deliveries that wait."""
    lane = Lane.objects.create(connection=webhook(f"c{Lane.objects.count()}"), station="east", last_sequence=number)
    now = timezone.now()
    for sequence in range(1, number + 1):
        Delivery.objects.create(
            lane=lane,
            sequence=sequence,
            event="no_verdict",
            content={},
            requested_at=now,
            recorded_at=now,
            due_at=now,
            give_up_at=now + timedelta(hours=1),
        )
    return lane


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(1, 4), ends=st.lists(st.sampled_from(sorted(_ENDS)), max_size=25))
def test_in_order_none_lost_duplicates_marked(number: int, ends: list[str]):
    lane = lane_of(number)
    arrived: list[tuple[int, bool]] = []
    refused: set[int] = set()
    for end in [*ends, *["taken"] * number]:
        Delivery.objects.filter(lane=lane, status="waiting").update(due_at=timezone.now())
        waiting = next_in(lane)
        if not waiting:
            break
        delivery = waiting[0]
        assert begin(delivery)
        has_arrived, error = _ENDS[end]
        if has_arrived:
            arrived.append((delivery.sequence, delivery.may_have_arrived))
        if end == "refused":
            refused.add(delivery.sequence)
        if error != "dies":
            finish(delivery, error if isinstance(error, Exception) else None)
    sequences = [sequence for sequence, _ in arrived]
    assert sequences == sorted(sequences)
    assert set(sequences) | refused == set(range(1, number + 1))
    for index, (sequence, is_marked) in enumerate(arrived):
        assert is_marked or sequence not in sequences[:index], "a duplicate that does not say so"
    assert lane not in busy_lanes(lane.connection_id)
    assert set(lane.deliveries.filter(status="failed").values_list("sequence", flat=True)) == refused


@given(st.integers(1, 1000))
def test_waits_grow_and_have_a_bound(failures: int):
    policy = RetryPolicy(first_wait=timedelta(seconds=1), max_attempts=5, max_wait=timedelta(seconds=60))
    assert policy.wait_after(failures) <= policy.wait_after(failures + 1) <= timedelta(seconds=60)
    assert LINE_POLICY.wait_after(1) == timedelta(milliseconds=200)
