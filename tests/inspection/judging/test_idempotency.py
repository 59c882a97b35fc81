"""The same request, however often and at whatever moment it is repeated, is one record."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from common.errors import UserError
from inspection.judging import services
from inspection.judging import worker as judging_worker
from inspection.judging.idempotency import KeyReused, fingerprint, own_key
from inspection.models import Inspection, InspectionRequest
from jobs import broker
from jobs.errors import NoWorker
from modelzoo.models import Deployment
from records.models import AuditEvent
from tests import parts
from tests.tasks import run_now
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def inspect(
    deployment: Deployment, user: User | None, key: str | None = "k1", seed: int = 1, **words: Any
) -> Inspection:
    own: dict[str, Any] = {"filename": "a.png", "source": "api", "actor": user, "idempotency_key": key}
    own |= {name: words.pop(name) for name in ("filename", "source", "part") if name in words}
    return services.inspect_image(
        data=parts.png(seed), submission=services.Submission(**own), deployment=deployment, **{"timeout": 5.0} | words
    )


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A worker inside this process; tells which messages came."""
    came: list[str] = []

    def judge_at_once(task: str, *words: Any) -> bool:
        came.append(str(words[0]))
        run_now(task, *words)
        return True

    monkeypatch.setattr(broker, "publish", judge_at_once)
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())
    return came


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A broker that takes messages and loses them."""
    came: list[str] = []

    def lose(task: str, *words: Any) -> bool:
        came.append(str(words[0]))
        return True

    monkeypatch.setattr(broker, "publish", lose)
    monkeypatch.setattr(transaction, "on_commit", lambda send: send())
    return came


# ---------------------------------------------------------------- keys and fingerprints
@pytest.mark.parametrize("key", ["", " ", "a\n", "ä", "a" * 201, " a", "a ", "\x7f", "a\0"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(UserError) as raised:
        own_key(key, actor=None)
    assert raised.value.code == "invalid_idempotency_key"


def test_a_key_belongs_to_its_caller(user: User, operator: User) -> None:
    assert own_key(None, actor=user) is None
    assert own_key("k", actor=None) == "-:k"
    assert own_key("k", actor=user) == f"{user.pk}:k"
    longest = own_key("~" * 200, actor=user)
    assert longest
    assert len(longest) <= (InspectionRequest._meta.get_field("idempotency_key").max_length or 0)


def test_a_fingerprint_tells_requests_apart() -> None:
    assert fingerprint(a=1, b="x") == fingerprint(b="x", a=1) != fingerprint(a=1, b="y")


# ---------------------------------------------------------------- the same request again
def test_the_same_request_is_the_same_record(deployment: Deployment, user: User, worker: list[str]) -> None:
    first, again = inspect(deployment, user), inspect(deployment, user, filename="other.png")
    assert (first.pk, first.replayed) == (again.pk, False)
    assert again.replayed
    assert InspectionRequest.objects.count() == Inspection.objects.count() == len(worker) == 1
    assert AuditEvent.objects.filter(kind="inspection.recorded").count() == 1


def test_without_a_key_every_request_is_new(deployment: Deployment, user: User, worker: list[str]) -> None:
    assert inspect(deployment, user, None).pk != inspect(deployment, user, None).pk
    assert inspect(deployment, user, "k1").pk != inspect(deployment, user, "k2").pk


def test_two_callers_may_use_one_key(deployment: Deployment, user: User, operator: User, worker: list[str]) -> None:
    records = [inspect(deployment, who, seed=seed) for seed, who in enumerate((user, operator, None))]
    assert len({record.pk for record in records}) == 3


@pytest.mark.parametrize(
    "other", [{"seed": 2}, {"category": "disc"}, {"part": services.PartContext(lot="L2")}], ids=lambda o: next(iter(o))
)
def test_a_key_stands_for_one_request(
    deployment: Deployment, user: User, worker: list[str], other: dict[str, Any]
) -> None:
    inspect(deployment, user)
    with pytest.raises(KeyReused):
        inspect(deployment, user, **other)
    assert InspectionRequest.objects.count() == 1


def test_the_record_stays_that_of_the_model_that_judged(deployment: Deployment, user: User, worker: list[str]) -> None:
    """A threshold that was moved since changes nothing for who asks again."""
    from modelzoo.services import set_threshold

    first = inspect(deployment, user)
    set_threshold(version=deployment.model_version, value=1e-6, method="manual", reason="test", actor=None)
    assert inspect(deployment, user).threshold == first.threshold


# ---------------------------------------------------------------- what did not end in a record
def test_an_expired_request_is_tried_anew(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch, nobody: list[str]
) -> None:
    with pytest.raises(NoWorker):
        inspect(deployment, user, timeout=0.1)
    expired = InspectionRequest.objects.get()
    assert (expired.status, expired.idempotency_key) == ("expired", f"{user.pk}:k1")
    monkeypatch.setattr(broker, "publish", run_now)
    record = inspect(deployment, user)
    assert not record.replayed
    expired.refresh_from_db()
    assert (expired.status, expired.idempotency_key) == ("expired", None)
    assert record.request.idempotency_key == f"{user.pk}:k1"
    assert inspect(deployment, user).pk == record.pk


def test_a_failed_request_is_tried_anew(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch, worker: list[str]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(judging_worker, "encode_map", lambda _: 1 / 0)
        with pytest.raises(UserError) as raised:
            inspect(deployment, user)
    assert raised.value.code == "inspection_failed"
    assert inspect(deployment, user).pk
    assert sorted(InspectionRequest.objects.values_list("status", flat=True)) == ["done", "failed"]


def test_an_expired_key_may_be_used_for_something_else(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch, nobody: list[str]
) -> None:
    with pytest.raises(NoWorker):
        inspect(deployment, user, timeout=0.1)
    with pytest.raises(NoWorker):
        inspect(deployment, user, seed=2, timeout=0.1)
    assert InspectionRequest.objects.filter(idempotency_key__isnull=False).count() == 1


@pytest.mark.parametrize("other", [{"seed": 2}, {"part": services.PartContext(serial_number="S2")}])
def test_an_expired_key_used_for_something_else_leads_nobody_to_that(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch, nobody: list[str], other: dict[str, Any]
) -> None:
    """Trying the first part again must not be answered with the record of another one."""
    with pytest.raises(NoWorker):
        inspect(deployment, user, timeout=0.1, part=services.PartContext(serial_number="S1"))
    first = InspectionRequest.objects.get()
    monkeypatch.setattr(broker, "publish", run_now)
    second = inspect(deployment, user, **other)
    record = services.inspect_again(request_id=first.pk, source="web", actor=user, timeout=5)
    assert record.pk != second.pk
    assert (record.asset, record.serial_number, record.replayed) == (first.asset, "S1", False)
    assert inspect(deployment, user, **other).pk == second.pk


def test_a_record_that_is_there_is_not_waited_for(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch, worker: list[str]
) -> None:
    """Its notice is kept for two minutes only; without one the row would be looked at after two seconds."""
    first = inspect(deployment, user)
    monkeypatch.setattr(broker, "wait_until", lambda *_, **__: pytest.fail("waited"))
    again = inspect(deployment, user)
    assert (again.pk, again.replayed) == (first.pk, True)


def test_a_lost_message_is_sent_again(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch, nobody: list[str]
) -> None:
    """The first caller was killed after its request was written down, and nothing of it came to a worker."""
    monkeypatch.setattr(services, "await_inspection", lambda **words: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        inspect(deployment, user)
    monkeypatch.undo()
    request = InspectionRequest.objects.get()
    assert request.status == "queued"
    monkeypatch.setattr(broker, "publish", run_now)
    record = inspect(deployment, user)
    assert record.replayed
    assert record.request == request
    assert InspectionRequest.objects.count() == 1


def test_what_somebody_still_waits_for_is_not_given_up(deployment: Deployment, user: User, nobody: list[str]) -> None:
    with pytest.raises(NoWorker):
        inspect(deployment, user, timeout=0.1)
    InspectionRequest.objects.update(status="queued", deadline=timezone.now() + timedelta(seconds=60))
    first = InspectionRequest.objects.get()
    InspectionRequest.objects.update(deadline=timezone.now() + timedelta(seconds=90))  # a second one came
    with pytest.raises(services.OutcomeUnknown, match="another request still waits"):  # its record may come yet
        services.await_inspection(request=first, timeout=0.1)
    assert InspectionRequest.objects.get().status == "queued"
    with pytest.raises(NoWorker):
        services.await_inspection(request=InspectionRequest.objects.get(), timeout=0.1)
    assert InspectionRequest.objects.get().status == "expired"


# ---------------------------------------------------------------- in parallel
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_database")
def test_the_same_key_in_parallel_is_one_request(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = 4
    together = threading.Barrier(callers)
    real = services.request_inspection

    def all_at_once(**words: Any) -> InspectionRequest:
        together.wait(timeout=30)
        return real(**words)

    monkeypatch.setattr(broker, "publish", run_now)
    known = inspect(deployment, user, None)  # the image: else they would meet there already

    # On SQLite the write lock is taken before, so that nobody can meet anybody inside.
    if connection.vendor == "postgresql":
        monkeypatch.setattr(services, "request_inspection", all_at_once)
    found = at_once(*[partial(inspect, deployment, user, timeout=20.0)] * callers)
    assert all(isinstance(answer, Inspection) for answer in found), found
    assert len({answer.pk for answer in found}) == 1
    assert Inspection.objects.exclude(pk=known.pk).count() == 1
    assert InspectionRequest.objects.count() == 2
