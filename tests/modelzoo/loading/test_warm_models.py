"""Models in a worker's memory: a budget, counted sizes, and who makes room."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs import broker
from modelzoo.loading import scoring, warm_models
from modelzoo.loading.warm_models import Reporter, WarmModels, budget_bytes, memory_of
from modelzoo.models import ModelVersion
from tests.versions import another

_MIB = 1024**2


def put(models: WarmModels[str], name: str, mib: float) -> None:
    models.put((name, "cpu", "", ""), name, size_bytes=int(mib * _MIB), description={"model_version": name})


def names(models: WarmModels[str]) -> list[str]:
    return [model["model_version"] for model in models.document()["models"]]


@pytest.fixture
def models(settings: Any) -> WarmModels[str]:
    settings.WARM_MODELS_MIB = 100
    return WarmModels()


def test_the_least_recently_used_makes_room(models: WarmModels[str]) -> None:
    for name in "abc":
        put(models, name, 30)
    assert models.get(("a", "cpu", "", "")) == "a"
    put(models, "d", 60)
    assert names(models) == ["d", "a"], "b and c were not used for longest"
    assert (models.evictions, models.size_bytes) == (2, 90 * _MIB)
    assert models.get(("b", "cpu", "", "")) is None


def test_one_that_is_larger_than_the_budget_stays_alone(models: WarmModels[str]) -> None:
    put(models, "a", 30)
    put(models, "huge", 500)
    assert names(models) == ["huge"]
    put(models, "b", 1)
    assert names(models) == ["b"]


def test_without_a_setting_the_budget_is_a_quarter_of_the_memory(settings: Any, monkeypatch: Any) -> None:
    settings.WARM_MODELS_MIB = 0
    monkeypatch.setattr(warm_models, "_memory_limit", lambda: 8 * 1024 * _MIB)
    assert budget_bytes() == 2 * 1024 * _MIB


@pytest.mark.django_db
def test_of_three_models_two_fit_and_the_third_is_loaded_again(version: ModelVersion, settings: Any) -> None:
    versions = [version, another(version), another(version)]
    options = {"device": "cpu", "runtime": "torch", "precision": "fp32"}

    def load(number: int) -> scoring.LoadedModel:
        return scoring.load_model(versions[number], **options)

    def held() -> list[int]:
        return [model["model_version"] for model in scoring._loaded.document()["models"]]

    first = load(0)
    size = scoring._loaded.size_bytes
    parameters = sum(tensor.nbytes for tensor in first.detector.state().values())
    assert size >= parameters > _MIB, "at least what its file holds"
    settings.WARM_MODELS_MIB = int(size * 2.5 / _MIB)
    before = scoring._loaded.evictions
    assert load(0) is first
    load(1)
    assert held() == [versions[1].pk, versions[0].pk]
    load(2)
    assert held() == [versions[2].pk, versions[1].pk]
    again = load(0)
    assert again is not first, "loaded from its artifact"
    assert held() == [versions[0].pk, versions[2].pk]
    assert scoring._loaded.evictions - before == 2


class _Broker:
    def __init__(self) -> None:
        self.notes: list[tuple[str, int, str]] = []

    def note(self, worker: str, process: int, document: str) -> None:
        self.notes.append((worker, process, document))


def test_a_worker_says_what_it_holds_when_that_changes(models: WarmModels[str], monkeypatch: Any) -> None:
    sink, lock = _Broker(), threading.Lock()
    monkeypatch.setattr(broker, "note_memory", sink.note)
    reporter = Reporter(models, lock)
    put(models, "a", 1)
    for _ in range(3):
        models.get(("a", "cpu", "", ""))
        reporter.report(worker="inference@here", process=0)
    assert len(sink.notes) == 1, "that it was used again is no news"
    put(models, "b", 1)
    with lock:
        reporter.report(worker="inference@here", process=0)
    assert len(sink.notes) == 1, "whoever loads a model is not waited for"
    reporter.report(worker="inference@here", process=0)
    worker, process, text = sink.notes[1]
    assert (worker, process) == ("inference@here", 0)
    assert [model["model_version"] for model in json.loads(text)["models"]] == ["b", "a"]
    assert json.loads(text)["budget_bytes"] == 100 * _MIB


@pytest.mark.django_db
def test_pages_and_status_show_it(
    version: ModelVersion, models: WarmModels[str], signed_in: Client, monkeypatch: Any
) -> None:
    described = {"model_version": version.pk, "name": str(version), "device": "cpu"}
    choice = {"runtime": "torch", "precision": "fp32"}
    models.put(("a", "cpu", "", ""), "a", size_bytes=3 * _MIB, description=described | choice)
    monkeypatch.setattr(broker, "live_workers", lambda: {"inference@here": ["inference"]})
    monkeypatch.setattr(broker, "memory_of", lambda name: [json.dumps(models.document())])
    assert memory_of("inference@here")[0]["models"][0]["used_at"].tzinfo
    [worker] = signed_in.get("/api/status").json()["workers"]
    [process] = worker["memory"]
    assert (process["size_bytes"], process["budget_bytes"], process["evictions"]) == (3 * _MIB, 100 * _MIB, 0)
    assert process["models"][0]["model_version"] == version.pk
    page = signed_in.get(reverse("models")).content.decode()
    assert f"{version} (torch, fp32)" in page
    assert "100.0\xa0MB" in page
