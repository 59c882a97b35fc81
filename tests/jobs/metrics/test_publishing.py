"""What many processes count is one sum, which survives every one of them and a broker that is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import types
from typing import Any

import pytest
import redis

from jobs.metrics import definitions, publishing, reading
from jobs.metrics.publishing import Publisher
from tests.environment import ROOT


def counted() -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Value by labels by name of the sample."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for metric in reading.counted(reading.read()):
        for sample in metric.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def refused(reason: str) -> float:
    return counted()["mvtec_uploads_refused_total"].get((("reason", reason),), 0.0)


def flushed() -> Publisher:
    """One that has sent whatever this process counted before."""
    publisher = Publisher()
    publisher.forget_inherited()
    return publisher


def test_processes_add_to_one_sum(real_broker: redis.Redis) -> None:
    mine, script = (
        flushed(),
        (
            "import django; django.setup();"
            "from jobs.metrics import definitions, publishing;"
            "definitions.UPLOADS_REFUSED.labels('sum').inc(3); publishing.flush()"
        ),
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "mvtec_site.settings"}
    from django.conf import settings

    for _ in range(2):  # a process that is started again goes on where the one before ended
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=environment | {"REDIS_URL": settings.REDIS_URL},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    definitions.UPLOADS_REFUSED.labels("sum").inc()
    mine.flush()
    mine.flush()
    assert refused("sum") == 7


def test_what_a_broker_missed_is_sent_when_it_is_back(no_broker: None, valkey: str, settings: Any) -> None:
    from jobs import broker

    publisher = flushed()
    definitions.UPLOADS_REFUSED.labels("late").inc(2)
    publisher.flush()
    settings.REDIS_URL = valkey
    broker.client.cache_clear()
    broker.quick_client.cache_clear()
    broker.client().flushall()
    assert refused("late") == 0
    publisher.flush()
    assert refused("late") == 2


def test_a_forked_process_sends_nothing_of_its_parent(real_broker: redis.Redis) -> None:
    flushed()
    definitions.UPLOADS_REFUSED.labels("inherited").inc(5)
    child = os.fork()
    if child == 0:
        definitions.UPLOADS_REFUSED.labels("inherited").inc()
        publishing.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert refused("inherited") == 1


def test_a_histogram_has_all_its_buckets_in_order(real_broker: redis.Redis) -> None:
    publisher = flushed()
    before = counted()["mvtec_inspection_stage_seconds_count"][(("stage", "model"),)]
    definitions.STAGE_SECONDS.labels("model").observe(0.03)
    publisher.flush()
    found = counted()
    assert found["mvtec_inspection_stage_seconds_count"][(("stage", "model"),)] == before + 1
    buckets = {
        dict(labels)["le"]: value
        for labels, value in found["mvtec_inspection_stage_seconds_bucket"].items()
        if dict(labels)["stage"] == "model"
    }
    assert list(buckets) == [
        *(str(float(bound)) for bound in definitions.BUCKETS["mvtec_inspection_stage_seconds"]),
        "+Inf",
    ]
    assert (buckets["0.025"], buckets["0.05"], buckets["+Inf"]) == (0, 1, 1)


def test_every_stage_and_outcome_is_there_before_anything_happened(real_broker: redis.Redis) -> None:
    found = counted()
    assert {dict(labels)["stage"] for labels in found["mvtec_inspection_stage_seconds_count"]} == set(
        definitions.STAGES
    )
    assert {dict(labels)["outcome"] for labels in found["mvtec_inspection_requests_total"]} == {
        "recorded",
        "failed",
        "expired",
    }


def row(**fields: Any) -> str:
    usual = {
        "at": time.time(),
        "host": "a",
        "role": "web",
        "code": "1",
        "resident_bytes": 10,
        "storage_free_bytes": 5,
        "storage_size_bytes": 9,
        "gpus": [],
    }
    return json.dumps(usual | fields)


def of_processes() -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in reading.of_processes(reading.read())
        for sample in metric.samples
    }


def test_processes_are_added_up_by_machine_and_role_and_the_dead_are_left_out(real_broker: redis.Redis) -> None:
    gpu = [{"gpu": 0, "used_bytes": 3, "size_bytes": 8}]
    rows = {
        "1": row(),
        "2": row(storage_free_bytes=4),
        "3": row(host="b", role="inference", models_warm=2, models_warm_bytes=50, models_budget_bytes=90, gpus=gpu),
        "4": row(at=time.time() - 60),
        "5": row(at=time.time() - 3600),
    }
    for name, text in rows.items():
        real_broker.hset(publishing.PROCESSES, name, text)
    found = of_processes()
    assert found["mvtec_processes", "a", "web"] == 2
    assert found["mvtec_process_resident_bytes", "a", "web"] == 20
    assert found["mvtec_storage_free_bytes", "a"] == 4
    assert found["mvtec_models_warm_bytes", "b", "inference"] == 50
    assert ("mvtec_models_warm", "a", "web") not in found
    assert found["mvtec_gpu_memory_used_bytes", "b", "0"] == 3
    assert set(real_broker.hkeys(publishing.PROCESSES)) == {b"1", b"2", b"3", b"4"}  # that of an hour ago is forgotten


def test_a_process_says_how_it_does(real_broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        publishing, "_sources", [lambda: {"models_warm": 1, "models_warm_bytes": 7, "models_budget_bytes": 9}]
    )
    publisher = flushed()
    publisher._role = "test"
    publisher.flush()
    [text] = real_broker.hvals(publishing.PROCESSES)
    figures = json.loads(text)
    assert figures["resident_bytes"] > 10_000_000
    assert figures["storage_size_bytes"] >= figures["storage_free_bytes"] > 0
    assert (figures["role"], figures["models_warm_bytes"]) == ("test", 7)


def test_without_a_broker_nothing_fails(no_broker: None) -> None:
    flushed().flush()
    publishing.note_success("a.task")
    with pytest.raises(redis.RedisError):
        reading.read()


@pytest.mark.parametrize("missing", ["cuda", "is_initialized"])
def test_torch_that_another_thread_imports_is_not_asked(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    torch = types.ModuleType("torch")
    if missing != "cuda":
        torch.cuda = types.ModuleType("torch.cuda")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert publishing._gpus() == []


def test_gpus_that_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = types.SimpleNamespace(
        is_initialized=lambda: True, device_count=lambda: 1, mem_get_info=lambda index: (3, 10)
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert publishing._gpus() == [{"gpu": 0, "used_bytes": 7, "size_bytes": 10}]


def test_a_source_that_fails_stops_nothing(real_broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, Any]:
        raise AttributeError("half imported")

    publisher = flushed()
    publisher._role = "test"
    definitions.UPLOADS_REFUSED.labels("source").inc()
    monkeypatch.setattr(publishing, "_sources", [broken])
    publisher.flush()
    monkeypatch.setattr(publishing, "_sources", [])
    publisher.flush()
    assert refused("source") == 1
