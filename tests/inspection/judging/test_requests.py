"""What becomes of a request: judged again from the image that was kept, and told truly whatever fails."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from common.errors import Conflict, NotFound
from inspection.judging import services, status, worker
from inspection.models import Inspection, InspectionRequest
from jobs import broker
from jobs.errors import NoWorker
from modelzoo.models import Deployment
from records.assets.services import receive_image
from records.models import AuditEvent
from tests import parts
from tests.conftest import person
from tests.tasks import run_now
from tests.threads import at_once

pytestmark = pytest.mark.django_db
Status = InspectionRequest.Status
PART = services.PartContext(station="east", part_number="P1", lot="L7", serial_number="S1")


def send(deployment: Deployment, user: User, *, timeout: float = 20, **more: Any) -> Inspection:
    return services.inspect_image(
        data=parts.png(7),
        submission=services.Submission("a.png", "web", user, **more),
        deployment=deployment,
        category="disc",
        timeout=timeout,
    )


@pytest.fixture
def unanswered(deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch) -> InspectionRequest:
    """A request that no worker judged in time; from then on one does."""
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())
    with pytest.raises(NoWorker) as caught:
        send(deployment, user, part=PART, idempotency_key="a-part", timeout=0.1)
    monkeypatch.setattr(broker, "publish", run_now)
    request = InspectionRequest.objects.get()
    assert caught.value.extra["request_id"] == str(request.pk)
    assert request.status == Status.EXPIRED
    return request


def again(request: InspectionRequest, user: User, **more: Any) -> Inspection:
    return services.inspect_again(request_id=request.pk, source="web", actor=user, **{"timeout": 20} | more)


# ---------------------------------------------------------------- again, with the image that was kept
def test_the_kept_image_is_judged_with_what_was_said_of_the_part(
    unanswered: InspectionRequest, user: User, operator: User
) -> None:
    record = again(unanswered, operator)
    assert record.asset == unanswered.asset
    assert (record.filename, record.station, record.part_number) == ("a.png", "east", "P1")
    assert (record.lot, record.serial_number, record.operator) == ("L7", "S1", operator)
    assert record.request.repeat_of == unanswered
    event = AuditEvent.objects.get(kind="inspection.repeated")
    assert (event.actor_name, event.object_id) == (operator.username, str(record.request_id))


def test_pressed_twice_it_is_judged_once(unanswered: InspectionRequest, user: User) -> None:
    first, second = again(unanswered, user), again(unanswered, user)
    assert (first.pk, first.replayed, second.replayed) == (second.pk, False, True)
    assert again(first.request, user).pk == first.pk, "what has a record has it"
    assert Inspection.objects.count() == 1


def test_sent_again_with_its_key_and_tried_again_are_one_part(
    unanswered: InspectionRequest, deployment: Deployment, user: User
) -> None:
    record = again(unanswered, user)
    assert send(deployment, user, part=PART, idempotency_key="a-part").pk == record.pk


def test_tried_again_after_it_was_sent_again_with_its_key(
    unanswered: InspectionRequest, deployment: Deployment, user: User
) -> None:
    record = send(deployment, user, part=PART, idempotency_key="a-part")
    assert again(unanswered, user).pk == record.pk
    assert Inspection.objects.count() == 1


def test_what_ends_without_a_record_once_more_can_be_tried_from_either(
    unanswered: InspectionRequest, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "publish", lambda *_: False)
    with pytest.raises(NoWorker):
        again(unanswered, user, timeout=0.1)
    second = InspectionRequest.objects.exclude(pk=unanswered.pk).get()
    monkeypatch.setattr(broker, "publish", run_now)
    record = again(second, user)
    assert record.request.repeat_of == unanswered
    assert again(unanswered, user).pk == record.pk


def test_the_database_keeps_repeats_to_one(unanswered: InspectionRequest, user: User) -> None:
    record = again(unanswered, user)
    with pytest.raises(IntegrityError, match=r"one_repeat|repeat_of"), transaction.atomic():
        InspectionRequest.objects.create(
            asset=record.asset,
            model_version=record.model_version,
            filename="b.png",
            source="web",
            repeat_of=unanswered,
        )


def test_what_cannot_be_tried_again_says_so(unanswered: InspectionRequest, user: User, auditor: User) -> None:
    with pytest.raises(NotFound):
        services.inspect_again(request_id=uuid.uuid4(), source="web", actor=user)
    with pytest.raises(services.UserError, match="right to inspect"):
        again(unanswered, auditor)
    asset = unanswered.asset
    assert asset
    asset.discarded_at = timezone.now()
    asset.save()
    with pytest.raises(Conflict, match="no longer stored"):
        again(unanswered, user)
    assert InspectionRequest.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_database")
def test_a_double_click_is_one_request(deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoWorker):
        send(deployment, user, timeout=0.1)
    ended = InspectionRequest.objects.get()
    monkeypatch.setattr(broker, "publish", run_now)

    def press() -> Inspection:
        return services.inspect_again(request_id=ended.pk, source="web", actor=user, timeout=20)

    records = at_once(press, press, press)
    assert len({record.pk for record in records}) == 1, records
    assert InspectionRequest.objects.filter(repeat_of=ended).count() == Inspection.objects.count() == 1


# ---------------------------------------------------------------- given up while it is judged together with others
def judged_while(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[InspectionRequest], Any], actor: User
) -> list[Any]:
    """Two images of one claim. `meanwhile` is done to the second one once the first has its record."""
    claim, first_is_written, go_on = uuid.uuid4(), threading.Event(), threading.Event()
    for seed in range(2):
        asset, _ = receive_image(data=parts.png(seed), filename=f"{seed}.png", actor=None)
        operator = actor if seed else None
        waiting(deployment, asset, status="running", claim=claim, attempt=1, operator=operator)
    requests = list(worker.with_everything().order_by("created_at"))
    real = worker._conclude

    def conclude(request: InspectionRequest, *args: Any, **words: Any) -> None:
        real(request, *args, **words)
        first_is_written.set()
        go_on.wait(10)

    def work() -> None:
        worker.judge_claimed(requests, worker="here", claim=claim)

    def other() -> Any:
        assert first_is_written.wait(60)
        threading.Timer(0.5, go_on.set).start()
        return meanwhile(requests[1])

    monkeypatch.setattr(worker, "_conclude", conclude)
    return at_once(work, other)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_database")
def test_who_gives_an_image_up_and_who_judges_it_with_others_do_not_wait_for_each_other(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = judged_while(deployment, monkeypatch, lambda second: worker.expire_request(second), user)
    assert answers == [None, False], "the worker had it"
    assert Inspection.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_database")
def test_roles_are_set_while_an_image_of_that_operator_is_judged(
    deployment: Deployment, user: User, administrator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.services import set_roles

    answers = judged_while(
        deployment,
        monkeypatch,
        lambda _: set_roles(user=user, roles=["operator"], actor=administrator, reason="x"),
        user,
    )
    assert answers == [None, None]
    assert Inspection.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_database")
def test_a_retention_policy_is_set_while_an_image_of_its_category_is_judged(
    deployment: Deployment, user: User, administrator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retention.services import set_policy

    category = deployment.model_version.category
    real = worker._hold

    def load_model(requests: Any) -> None:
        """The policy is begun before the worker has its first record."""
        real(requests)
        held.set()
        go_on.wait(10)

    held, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(worker, "_hold", load_model)

    def set_it() -> Any:
        assert held.wait(60)
        threading.Timer(0.5, go_on.set).start()
        return set_policy(category=category, reason="room", maps_after_days=30, actor=administrator)

    asset, _ = receive_image(data=parts.png(1), filename="a.png", actor=None)
    claim = uuid.uuid4()
    waiting(deployment, asset, status="running", claim=claim, attempt=1)
    requests = list(worker.with_everything())
    answers = at_once(lambda: worker.judge_claimed(requests, worker="here", claim=claim), set_it)
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers
    assert Inspection.objects.count() == 1


# ---------------------------------------------------------------- asked for by the API
def test_the_address_of_a_request_says_what_became_of_it(
    unanswered: InspectionRequest, signed_in: Client, user: User
) -> None:
    path = f"/api/requests/{unanswered.pk}"
    before = signed_in.get(path).json()
    assert (before["status"], before["final"], before["inspection_id"]) == ("expired", True, None)
    made = signed_in.post(before["repeat_url"])
    assert made.status_code == 200, made.content
    assert "Idempotent-Replay" not in made.headers
    assert signed_in.post(before["repeat_url"]).headers["Idempotent-Replay"] == "true"
    record = Inspection.objects.get()
    assert made.json()["inspection_id"] == str(record.pk)
    after = signed_in.get(f"/api/requests/{record.request_id}").json()
    assert (after["status"], after["inspection_id"], after["repeat_url"]) == ("done", str(record.pk), None)
    assert after["repeat_of"] == str(unanswered.pk)


def test_who_may_not_read_records_sees_their_own_requests_alone(unanswered: InspectionRequest, user: User) -> None:
    from accounts.services import issue_token

    def status(of: User) -> int:
        _, key = issue_token(user=of, name=of.username, scopes=["inspect"], actor=None)
        client = Client(headers={"Authorization": f"Bearer {key}"})
        return client.get(f"/api/requests/{unanswered.pk}").status_code

    assert (status(user), status(person("otto", "operator"))) == (200, 404)


# ---------------------------------------------------------------- the line as it is
def test_a_training_worker_judges_nothing(monkeypatch: pytest.MonkeyPatch, deployment: Deployment) -> None:
    seen = datetime(2026, 11, 27, 14, 3, tzinfo=UTC)
    monkeypatch.setattr(broker, "live_workers", lambda: {"training@here": ["training"]})
    monkeypatch.setattr(broker, "last_sign", lambda queue: seen if queue == "inference" else None)
    assert status.traffic()["judging"] == {"alive": False, "since": seen, "waiting": 0}
    monkeypatch.setattr(broker, "live_workers", lambda: {"inference@here": ["inference"]})
    assert status.traffic()["judging"] == {"alive": True, "since": None, "waiting": 0}


def test_what_waits_is_counted_by_images_not_by_messages(unanswered: InspectionRequest, signed_in: Client) -> None:
    shape = {"asset": unanswered.asset, "model_version": unanswered.model_version, "source": "web"}
    soon = timezone.now() + timedelta(seconds=60)
    for state in ("queued", "running"):
        InspectionRequest.objects.create(filename=state, status=state, deadline=soon, **shape)
    InspectionRequest.objects.create(filename="over", status="queued", deadline=timezone.now(), **shape)
    said = signed_in.get("/api/status").json()
    assert said["judging"]["waiting"] == 2


# ---------------------------------------------------------------- what a broker or a worker took with it
def waiting(deployment: Deployment, asset: Any, **more: Any) -> InspectionRequest:
    return InspectionRequest.objects.create(
        asset=asset,
        model_version=deployment.model_version,
        deployment=deployment,
        filename="a.png",
        source="web",
        **{"deadline": timezone.now() + timedelta(seconds=60)} | more,
    )


@pytest.mark.parametrize(("depth", "published"), [(0, 1), (3, 0), (None, 0)])
def test_what_lost_its_message_is_published_again_where_none_is_on_its_way(
    unanswered: InspectionRequest,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    depth: int | None,
    published: int,
) -> None:
    lost = waiting(deployment, unanswered.asset)
    waiting(deployment, unanswered.asset, deadline=timezone.now())
    calls: list[Any] = []
    monkeypatch.setattr(broker, "publish", lambda task, *ids: calls.append(ids))
    monkeypatch.setattr(broker, "queue_depths", lambda names: dict.fromkeys(names, depth))
    worker.sweep_requests()
    assert calls == [(lost.pk,)] * published


@pytest.mark.parametrize(("alive", "status"), [({}, "queued"), ({"here": ["inference"]}, "running")])
def test_what_a_worker_had_begun_that_is_gone_is_given_back(
    unanswered: InspectionRequest,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    alive: dict[str, list[str]],
    status: str,
) -> None:
    begun = waiting(deployment, unanswered.asset, status="running", worker="here", claim=uuid.uuid4(), attempt=1)
    monkeypatch.setattr(broker, "publish", lambda *_: True)
    monkeypatch.setattr(broker, "live_workers", lambda: alive)
    monkeypatch.setattr(broker, "is_reachable", lambda: True)
    worker.sweep_requests()
    begun.refresh_from_db()
    assert begun.status == status


def test_without_a_broker_nobody_is_taken_for_dead(
    unanswered: InspectionRequest, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = waiting(deployment, unanswered.asset, status="running", worker="here", claim=uuid.uuid4(), attempt=1)
    worker.sweep_requests()
    begun.refresh_from_db()
    assert begun.status == "running"
