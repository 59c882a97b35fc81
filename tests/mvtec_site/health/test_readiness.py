"""/readyz says what does not answer, why and since when, in a bounded time and without loading a model."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.test import Client

from jobs import broker
from modelzoo.loading import reports, scoring
from mvtec_site.health import readiness
from mvtec_site.health.probes import Failed, Probe

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alive(real_broker: redis.Redis) -> redis.Redis:
    """Workers and scheduler gave signs of life."""
    broker.beat("inference@here", ["inference"])
    broker.beat("training@here", ["training"])
    broker.beat_scheduler()
    return real_broker


def ready() -> tuple[int, dict[str, Any]]:
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()


def test_all_is_well(alive: redis.Redis) -> None:
    status, document = ready()
    assert (status, set(document.values())) == (200, {True})
    assert set(document) == {
        *("database", "broker", "storage", "inference_worker", "training_worker", "scheduler", "model"),
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("worker:inference@here", "inference_worker"),
        ("worker:training@here", "training_worker"),
        ("scheduler", "scheduler"),
    ],
)
def test_who_gives_no_sign_of_life_is_named_with_the_last_one(alive: redis.Redis, key: str, name: str) -> None:
    alive.delete(key)
    last = broker.last_sign({"inference_worker": "inference", "training_worker": "training"}.get(name, name))
    assert last
    status, document = ready()
    assert status == 503
    assert [check for check, value in document.items() if value is False] == [name]
    assert "sign of life" in document["failing"][name]["reason"]
    assert document["failing"][name]["since"][:22] == last.isoformat()[:22]


def test_a_broker_that_is_gone_takes_its_dependants_with_it(no_broker: None) -> None:
    status, document = ready()
    assert status == 503
    assert document["broker"] is False
    assert document["database"] is document["storage"] is True
    assert document["failing"]["broker"]["reason"] == "the broker does not answer"


def test_a_database_that_fails_is_said_without_its_words(alive: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def cursor(self) -> None:
            raise OperationalError("connection to server at db.plant.example failed, password hunter22")

        def close(self) -> None:
            pass

    monkeypatch.setattr(readiness, "connection", Gone())
    status, document = ready()
    assert (status, document["database"]) == (503, False)
    assert "hunter22" not in str(document)
    assert "db.plant" not in str(document)


def test_a_folder_that_takes_no_files_fails_and_leaves_nothing(
    alive: redis.Redis, settings: Any, tmp_path: Path
) -> None:
    assert ready()[0] == 200
    folder = Path(default_storage.path(""))
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    options = {"OPTIONS": {"location": blocked / "media"}}
    settings.STORAGES = settings.STORAGES | {"default": settings.STORAGES["default"] | options}
    assert ready()[0] == 200  # it is written once in some seconds
    readiness.forget()
    status, document = ready()
    assert (status, document["storage"]) == (503, False)
    assert str(tmp_path) not in str(document)


def test_a_model_that_a_worker_could_not_load_is_known_without_loading_it(
    alive: redis.Redis, deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports.platform, "node", lambda: "here")
    monkeypatch.setattr(reports, "_reported", {})
    manifest = deployment.model_version.artifact_path / "manifest.json"
    content = manifest.read_bytes()
    manifest.write_bytes(content + b" ")
    with pytest.raises(scoring.ModelUnusable):
        reports.load_deployed(deployment)
    status, document = ready()
    assert (status, document["model"]) == (503, False)
    assert "1 of the models" in document["failing"]["model"]["reason"]
    manifest.write_bytes(content)
    reports.load_deployed(deployment)
    readiness.forget()
    assert ready()[0] == 200


def test_a_report_of_a_worker_that_is_gone_counts_no_more(alive: redis.Redis, deployment: Any) -> None:
    field = reports._field("elsewhere", deployment)
    alive.hset(reports._KEY, field, "model_unusable")
    assert reports.failures([deployment]) == {}
    broker.beat("inference@elsewhere", ["inference"])
    assert reports.failures([deployment]) == {deployment: "model_unusable"}


# ---------------------------------------------------------------- a check by itself
def test_one_that_hangs_fails_in_its_time_and_is_begun_once() -> None:
    released, begun = threading.Event(), []

    def check() -> None:
        begun.append(1)
        released.wait(30)

    probe = Probe(check, timeout=0.05, keep=0.0)
    first = probe.state()
    assert (first.ok, first.reason) == (False, "no answer within 0.05 seconds")
    second = probe.state()
    assert second.since == first.since
    assert len(begun) == 1
    released.set()
    assert probe._thread
    probe._thread.join()
    assert probe.state().ok


def test_an_answer_is_kept() -> None:
    asked: list[int] = []
    probe = Probe(lambda: asked.append(1), timeout=5, keep=100)
    assert probe.state().ok
    assert probe.state().ok
    assert len(asked) == 1


def test_a_failure_has_its_reason_and_begins_when_it_began() -> None:
    reasons: list[str] = ["it is full", "it is still full", ""]

    def check() -> None:
        if reason := reasons.pop(0):
            raise Failed(reason)

    probe = Probe(check, timeout=5, keep=0.0)
    first, second, third = probe.state(), probe.state(), probe.state()
    assert (first.reason, second.reason) == ("it is full", "it is still full")
    assert first.since == second.since is not None
    assert (third.ok, third.since) == (True, None)
