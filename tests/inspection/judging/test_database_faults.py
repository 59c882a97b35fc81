"""A database that is really locked, full or lost at every step of an inspection: one part has one record at most, and
whoever asked was told the truth."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Reject
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from inspection.batches import gathering
from inspection.batches import services as batches
from inspection.batches import worker as batches_worker
from inspection.judging import services, worker
from inspection.judging import worker as judging_worker
from inspection.models import BatchRun, Inspection, InspectionRequest
from inspection.tasks import judge
from jobs import broker
from jobs.errors import NoWorker
from modelzoo.loading import scoring
from modelzoo.models import Deployment, ModelVersion
from tests import parts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("shared_database", "impatient")]
Status = InspectionRequest.Status
WAITED = 2.0  # seconds for a lock, where production waits for 30
_LOCK = """
import json, sys
kind, address = json.loads(sys.argv[1])
if kind == "sqlite":
    import sqlite3
    held = sqlite3.connect(address, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
else:
    import psycopg2
    held = psycopg2.connect(**address)
    held.cursor().execute("LOCK TABLE inspection_inspectionrequest, records_asset IN SHARE ROW EXCLUSIVE MODE")
print("locked", flush=True)
sys.stdin.read()
held.rollback()
"""


@pytest.fixture
def impatient(shared_database: None) -> Iterator[None]:
    """Every connection waits for a lock for moments only."""
    options = connection.settings_dict["OPTIONS"]
    before = dict(options)
    if connection.vendor == "sqlite":
        options["timeout"] = WAITED
    else:
        options["options"] = before["options"].replace("lock_timeout=30s", f"lock_timeout={WAITED * 1000:.0f}")
        assert options != before
    connection.close()
    yield
    connection.close()
    options.update(before)


@contextmanager
def locked() -> Iterator[None]:
    """Another process holds the database: it is read, and nothing can be written."""
    address: Any = str(connection.settings_dict["NAME"])
    if connection.vendor == "postgresql":
        parameters = connection.get_connection_params()
        address = {
            name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters
        }
    holder = subprocess.Popen(
        [sys.executable, "-c", _LOCK, json.dumps([connection.vendor, address])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdin
    assert holder.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        holder.stdin.close()
        assert holder.wait(30) == 0


class Worker:
    """A worker in a thread of its own, which can be held up once it has scored an image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scored, self.may_write = threading.Event(), threading.Event()
        self.ends: list[Future[None]] = []
        self._pool = ThreadPoolExecutor(4)
        real = scoring.score

        def score(*args: Any) -> Any:
            found = real(*args)
            self.scored.set()
            assert self.may_write.wait(60)
            return found

        monkeypatch.setattr(scoring, "score", score)
        monkeypatch.setattr(broker, "publish", self.publish)

    def publish(self, task: Any, *ids: Any) -> bool:
        if task == judge.name:
            self.ends.append(self._pool.submit(self.work, *ids))
        return True

    def work(self, request_id: Any, *, redelivered: bool = False) -> None:
        """As `tasks.judge`: what fails for the database's sake is given back by the broker, until it is done."""
        try:
            while True:
                try:
                    worker.judge_request(request_id=request_id, worker="here", redelivered=redelivered)
                except OperationalError:
                    connection.close()
                    redelivered = True
                else:
                    return
        finally:
            connection.close()

    def finish(self) -> None:
        self.may_write.set()
        for end in list(self.ends):
            end.result(60)


@pytest.fixture
def slow_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    made = Worker(monkeypatch)
    yield made
    made.finish()


def send(deployment: Deployment, user: User, *, idempotency_key: str | None = None, **more: Any) -> Inspection:
    submission = services.Submission("a.png", "web", user, idempotency_key=idempotency_key)
    return services.inspect_image(
        data=parts.png(7), submission=submission, deployment=deployment, category="disc", **more
    )


@contextmanager
def sent(*args: Any, **more: Any) -> Iterator[Future[Inspection]]:
    """The image, sent by a caller with a thread and a connection of its own."""

    def call() -> Inspection:
        try:
            return send(*args, **more)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


def state() -> tuple[str, int]:
    """Of the only request, and how many records there are."""
    return InspectionRequest.objects.get().status, Inspection.objects.count()


# ---------------------------------------------------------------- locked while the caller waits
@pytest.mark.parametrize("key", [None, "a-part"])
@pytest.mark.slow
def test_what_is_judged_when_the_lock_ends_has_no_record_if_its_caller_gave_up(
    deployment: Deployment, user: User, slow_worker: Worker, key: str | None
) -> None:
    scoring.load_model(deployment.model_version, **deployment.runtime_options)
    with sent(deployment, user, timeout=1.5, idempotency_key=key) as answer:
        assert slow_worker.scored.wait(60)
        with locked():
            slow_worker.may_write.set()  # and so it waits for the lock, with the score in hand
            with pytest.raises(services.OutcomeUnknown) as caught:
                answer.result(60)
        slow_worker.finish()
    assert "it is not known whether the image was or will be recorded" in caught.value.detail
    worker.sweep_requests()  # which closes it, where the worker was not the one to do it
    assert state() == (Status.EXPIRED, 0), "no record of a request whose caller was refused"
    client = Client()
    client.force_login(user)
    told = client.get(caught.value.extra["request_url"]).json()
    assert (told["final"], told["inspection_id"]) == (True, None)
    again = send(deployment, user, timeout=30, idempotency_key=key)
    assert list(Inspection.objects.all()) == [again]


def test_a_lock_that_ends_in_time_costs_nothing_but_time(
    deployment: Deployment, user: User, slow_worker: Worker
) -> None:
    with sent(deployment, user, timeout=60) as answer:
        assert slow_worker.scored.wait(60)
        with locked():
            slow_worker.may_write.set()
        record = answer.result(60)
    assert record.request.status == Status.DONE
    assert Inspection.objects.count() == 1


@pytest.mark.slow
def test_who_repeats_with_the_key_while_it_is_locked_waits_for_the_same_record(
    deployment: Deployment, user: User, slow_worker: Worker
) -> None:
    with sent(deployment, user, timeout=1.0, idempotency_key="a-part") as first:
        assert slow_worker.scored.wait(60)
        with locked(), pytest.raises(services.OutcomeUnknown):
            first.result(60)
        with sent(deployment, user, timeout=60, idempotency_key="a-part") as second:
            slow_worker.may_write.set()
            record = second.result(60)
    assert list(Inspection.objects.all()) == [record]


# ---------------------------------------------------------------- before anything is written, and while it is committed
@pytest.mark.slow
def test_a_database_that_is_locked_from_the_beginning_keeps_nothing(
    deployment: Deployment, user: User, slow_worker: Worker
) -> None:
    with locked(), pytest.raises(services.NothingRecorded, match="Nothing was recorded"):
        send(deployment, user, timeout=1)
    connection.close()
    assert not InspectionRequest.objects.exists()
    slow_worker.may_write.set()
    send(deployment, user, timeout=60)
    assert state() == (Status.DONE, 1)


def losing_the_answer(monkeypatch: pytest.MonkeyPatch, *, is_the_one: Callable[[], bool]) -> None:
    """The connection breaks when it commits: the database has done it, and nobody was told."""
    real = transaction.Atomic.__exit__

    def leave(self: transaction.Atomic, *exc: Any) -> None:
        outermost = not connection.savepoint_ids and exc[0] is None
        real(self, *exc)
        if outermost and is_the_one():
            monkeypatch.undo()
            raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(transaction.Atomic, "__exit__", leave)


def test_an_answer_that_is_lost_while_it_commits_is_no_refusal(
    deployment: Deployment, user: User, slow_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_worker.may_write.set()
    with monkeypatch.context() as broken:
        losing_the_answer(broken, is_the_one=InspectionRequest.objects.exists)
        with pytest.raises(services.OutcomeUnknown) as caught:
            send(deployment, user, timeout=60, idempotency_key="a-part")
    slow_worker.finish()
    request = InspectionRequest.objects.get()
    assert caught.value.extra["request_id"] == str(request.pk)
    record = send(deployment, user, timeout=60, idempotency_key="a-part")
    assert record.request == request
    assert Inspection.objects.count() == 1


def test_a_batch_whose_answer_is_lost_is_not_said_to_be_lost(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "publish", lambda *_: True)
    client = Client()
    client.force_login(user)
    with monkeypatch.context() as broken:
        losing_the_answer(broken, is_the_one=BatchRun.objects.exists)
        answer = client.post("/api/batches", {"images": SimpleUploadedFile("a.png", parts.png(1))})
    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
    assert client.get(answer.json()["batch_url"]).json()["results"][0]["total"] == 1


# ---------------------------------------------------------------- moments, and a full disk
def test_a_moment_without_a_database_costs_the_caller_nothing(
    deployment: Deployment, user: User, slow_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = InspectionRequest.refresh_from_db, [OperationalError("gone"), OperationalError("gone")]

    def refresh(self: InspectionRequest, *args: Any, **words: Any) -> None:
        if failures:
            raise failures.pop()
        real(self, *args, **words)

    monkeypatch.setattr(InspectionRequest, "refresh_from_db", refresh)
    slow_worker.may_write.set()
    assert send(deployment, user, timeout=60).request.status == Status.DONE
    assert not failures


def test_the_task_goes_back_to_the_broker_with_what_it_had_claimed(
    deployment: Deployment, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any, **words: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(worker, "judge_request", gone)
    monkeypatch.setattr("inspection.tasks._PAUSE_SECONDS", 0)
    with pytest.raises(Reject) as caught:
        judge("00000000-0000-0000-0000-000000000000")
    assert caught.value.args[-1] is True, "to be delivered again"


def test_a_moment_without_a_database_is_no_fault_of_the_image(
    deployment: Deployment, user: User, slow_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker gives it back: what failed for good would be put away by a watcher as refused."""
    real, failures = judging_worker.input_rules, [OperationalError("database is locked")] * 2

    def rules(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(*args)

    monkeypatch.setattr(judging_worker, "input_rules", rules)
    slow_worker.may_write.set()
    assert send(deployment, user, timeout=60).request.status == Status.DONE
    assert not failures


def test_a_moment_without_a_database_is_no_fault_of_an_image_of_a_batch(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(broker, "publish", lambda *_: True)
    settings.BATCH_ROOTS = [str(tmp_path)]
    (tmp_path / "a.png").write_bytes(parts.png(1))
    items, _ = gathering.items_in(tmp_path)
    batch = batches.request_batch(
        items=items, name="a", deployment=deployment, source="api", actor=None, folder=tmp_path
    )
    with monkeypatch.context() as broken:
        broken.setattr(batches_worker, "store_image", lambda **_: (_ for _ in ()).throw(OperationalError("locked")))
        with pytest.raises(OperationalError):
            batches_worker.work_on_batch(batch_id=batch.pk, worker="here")
    BatchRun.objects.update(lease_expires_at=timezone.now())  # the sweep calls a worker then
    batches_worker.work_on_batch(batch_id=batch.pk, worker="here")
    assert state() == (Status.DONE, 1)


@pytest.mark.slow
def test_a_full_disk_ends_in_no_half_record(deployment: Deployment, user: User, slow_worker: Worker) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("there it is the server's disk")
    full, real = threading.Event(), worker._conclude

    def conclude(*args: Any, **words: Any) -> None:
        """The database's file may not grow any more, and so it is full in the middle of the transaction."""
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            [pages] = cursor.fetchone()
            cursor.execute(f"PRAGMA max_page_count = {pages if full.is_set() else 2**30}")
            if full.is_set():
                cursor.execute("CREATE TABLE filler (x)")
                cursor.execute("INSERT INTO filler VALUES (randomblob(1000000))")
        real(*args, **words)

    full.set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "_conclude", conclude)
        with sent(deployment, user, timeout=2) as answer:
            slow_worker.may_write.set()
            with pytest.raises(NoWorker, match="no inspection was recorded and none will be"):
                answer.result(60)
        full.clear()
        slow_worker.finish()
    assert state() == (Status.EXPIRED, 0)


# ---------------------------------------------------------------- any other call
@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("get", "/api/model-versions", "database_unavailable"), ("post", "/api/load_model", "outcome_unknown")],
)
def test_only_who_changed_nothing_is_told_that_nothing_was_changed(
    user: User, monkeypatch: pytest.MonkeyPatch, method: str, path: str, code: str
) -> None:
    client = Client()
    client.force_login(user)

    def fail(*args: Any, **words: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(ModelVersion.objects, "all", fail)
    monkeypatch.setattr(ModelVersion.objects, "filter", fail)
    monkeypatch.setattr(ModelVersion.objects, "select_related", fail)
    answer = client.generic(method.upper(), path, "{}", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert ("Nothing was changed" in answer.json()["detail"]) is (code == "database_unavailable")


def test_a_page_without_a_database_says_so(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(user)

    def fail(*args: Any, **words: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(ModelVersion.objects, "exists", fail)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "The database does not answer." in answer.content.decode()
