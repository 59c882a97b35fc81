"""Changes of thresholds and of what serves a category, at the same time: whatever the order, one consistent story."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from django.contrib.auth.models import User

from common.errors import Conflict
from modelzoo import services
from modelzoo.models import Deployment, ModelVersion, Threshold
from records.audit.selectors import verify_chain
from records.models import AuditEvent
from tests.threads import at_once
from tests.versions import another, serve

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("shared_database")]
Status, Stage = Deployment.Status, ModelVersion.Stage
ROUNDS = 5


def check_the_story(version: ModelVersion) -> Deployment:
    """One deployment is active and its version alone in production; the chain tells how that came about."""
    active = Deployment.objects.get(category=version.category, status=Status.ACTIVE)
    assert ModelVersion.objects.get(stage=Stage.PRODUCTION) == active.model_version
    assert not Deployment.objects.filter(status=Status.LOADING).exists()
    assert not Deployment.objects.filter(activated_at__isnull=False, pk__gt=active.pk).exists(), "the last one wins"
    loads = AuditEvent.objects.filter(kind="deployment.activated").order_by("sequence")
    told = [(event.object_id, json.loads(event.before)) for event in loads]
    assert told[-1][0] == str(active.pk)
    for (earlier, _), (_, before) in pairwise(told):
        assert before["deployment"] == int(earlier)
    assert verify_chain().broken_at is None
    return active


def loading(deployment: Deployment) -> Callable[[], bool]:
    """The end of loading it, in a worker."""
    return lambda: services.activate(deployment=deployment, device="cpu", worker=threading.current_thread().name)


def promoting(version: ModelVersion, user: User) -> Callable[[], bool]:
    """A promotion from the request to its end."""

    def promote() -> bool:
        asked = services.request_promotion(version=version, reason="better", actor=user)
        return services.activate(deployment=asked, device="cpu", worker=threading.current_thread().name)

    return promote


# ---------------------------------------------------------------- thresholds
def test_thresholds_set_at_once_are_revisions_without_a_gap(version: ModelVersion, user: User) -> None:
    def set_to(value: float) -> Callable[[], Threshold]:
        return lambda: services.set_threshold(
            version=version, value=value, method="manual", reason=f"{value}", actor=user
        )

    answers = at_once(*(set_to(value) for value in (2.0, 3.0, 4.0, 5.0)))
    assert all(isinstance(answer, Threshold) for answer in answers), answers
    made = list(version.thresholds.order_by("revision"))
    assert [threshold.revision for threshold in made] == [1, 2, 3, 4, 5]
    assert {threshold.value for threshold in made[1:]} == {2.0, 3.0, 4.0, 5.0}
    events = AuditEvent.objects.filter(kind="threshold.set").order_by("sequence")
    told = [(json.loads(event.before), json.loads(event.after)) for event in events]
    assert [after["revision"] for _, after in told] == [1, 2, 3, 4, 5]
    assert [after["value"] for _, after in told] == [threshold.value for threshold in made]
    assert [before and before["value"] for before, _ in told] == [None, *(threshold.value for threshold in made[:-1])]
    assert verify_chain().broken_at is None


def test_a_threshold_set_while_its_version_is_put_in_force_with_another(version: ModelVersion, user: User) -> None:
    asked = services.request_deployment(version=version, actor=user, threshold=2.0, threshold_reason="with it")
    answers = at_once(
        loading(asked),
        lambda: services.set_threshold(version=version, value=3.0, method="manual", reason="by hand", actor=user),
    )
    assert answers[0] is True, answers
    values = list(version.thresholds.order_by("revision").values_list("revision", flat=True))
    assert values == [1, 2, 3]
    assert check_the_story(version) == asked


# ---------------------------------------------------------------- what serves a category
def test_two_promotions_at_once(version: ModelVersion, user: User) -> None:
    serve(version)
    candidates = [another(version) for _ in range(2)]
    for _ in range(ROUNDS):
        ModelVersion.objects.filter(pk__in=[one.pk for one in candidates]).update(stage=Stage.CANDIDATE)
        answers = at_once(*(promoting(one, user) for one in candidates))
        assert all(answer in (True, False) for answer in answers), answers
        active = check_the_story(version)
        assert active == Deployment.objects.latest("id"), "it was requested last"
        other = Deployment.objects.order_by("-id")[1]
        assert other.status == Status.REPLACED or other.error_code == "superseded"
        serve(version)


def test_one_version_promoted_twice_at_once(version: ModelVersion, user: User) -> None:
    serve(version)
    second = another(version)
    answers = at_once(promoting(second, user), promoting(second, user), promoting(second, user))
    assert True in answers
    assert all(answer in (True, False) or isinstance(answer, Conflict) for answer in answers), answers
    assert check_the_story(version).model_version == second


def test_a_promotion_while_another_version_is_being_loaded(version: ModelVersion, user: User) -> None:
    serve(version)
    second, third = another(version), another(version)
    for _ in range(ROUNDS):
        slow = services.request_deployment(version=second, device="cpu", actor=user)
        quick = services.request_promotion(version=third, reason="now", actor=user)
        answers = at_once(loading(slow), loading(quick))
        assert answers[1] is True, answers
        slow.refresh_from_db()
        assert slow.status == Status.REPLACED if answers[0] else slow.error_code == "superseded"
        assert check_the_story(version) == quick
        serve(version)


def test_a_load_that_nobody_waits_for_any_more_ends_one_way(version: ModelVersion) -> None:
    """Its caller gives up in the moment when the worker has it."""
    serve(version)
    second = another(version)
    for _ in range(ROUNDS):
        asked = services.request_deployment(version=second, device="cpu", actor=None)
        answers = at_once(
            loading(asked), partial(services.fail_deployment, deployment=asked, code="no_worker", error="too late")
        )
        asked.refresh_from_db()
        assert asked.status == (Status.ACTIVE if answers[0] else Status.FAILED), answers
        check_the_story(version)
        serve(version)


def test_archiving_a_version_while_it_is_put_in_production(version: ModelVersion, user: User) -> None:
    serve(version)
    for _ in range(ROUNDS):
        second = another(version)
        asked = services.request_promotion(version=second, reason="better", actor=user)
        at_once(loading(asked), partial(services.archive_version, version=second, reason="worse", actor=user))
        assert check_the_story(version).model_version == second
        serve(version)


def test_rolling_back_twice_at_once_goes_back_once(version: ModelVersion, user: User) -> None:
    second, third = another(version), another(version)
    for one in (version, second, third):
        serve(one)

    def request() -> Deployment:
        return services.request_rollback(category=version.category, reason="back", actor=user)

    asked = at_once(request, request)
    assert [one.model_version for one in asked] == [second, second]
    at_once(*(loading(one) for one in asked))
    assert check_the_story(version).model_version == second


def test_trainings_that_end_at_once_number_one_by_one(version: ModelVersion) -> None:
    def register(digit: str) -> Callable[[], ModelVersion]:
        same = {
            name: getattr(version, name) for name in ("category", "algorithm", "config", "dataset_name", "versions")
        }
        return lambda: services.register_version(
            actor=None,
            artifact=f"disc/{digit}",
            artifact_sha256=digit * 64,
            artifact_bytes=1,
            dataset_snapshot="0" * 64,
            seed=0,
            held_out_scores=[],
            **same,
        )

    answers = at_once(*(register(digit) for digit in "abc"))
    assert all(isinstance(answer, ModelVersion) for answer in answers), answers
    assert sorted(ModelVersion.objects.values_list("number", flat=True)) == [1, 2, 3, 4]
    assert verify_chain().broken_at is None
